"""Writes files whole: a reader sees the old content or the new one, never a part of it."""

from __future__ import annotations

import logging
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

log = logging.getLogger(__name__)


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[str]:
    """Yields the name of a temporary file that takes the place of ``path`` at the end.

    If the body raises, the temporary file is removed and ``path`` stays as it was. A symbolic link
    stays a link, and a file that is replaced keeps its permissions. What is no regular file, such
    as ``/dev/null``, is yielded itself.

    Args:
        path: File to create or replace, in a directory that exists.

    Yields:
        Path of an empty file in the same directory.

    Raises:
        OSError: The directory does not exist or cannot be written.
    """
    target = os.path.realpath(path)
    if os.path.exists(target) and not os.path.isfile(target):
        yield target
        return
    temporary = os.path.join(os.path.dirname(target), f".torchx-{secrets.token_hex(8)}.tmp")
    os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    try:
        if os.path.exists(target):
            shutil.copymode(target, temporary)
        yield temporary
        os.replace(temporary, target)
    except BaseException:
        os.unlink(temporary)
        raise


def is_local(fs: AbstractFileSystem) -> bool:
    """Tells whether the paths of a file system are paths of this machine.

    Args:
        fs: The file system.

    Returns:
        True if :func:`open` and :func:`replacing` can be used on its paths.
    """
    return bool(getattr(fs, "local_file", False))


def write_bytes(fs: AbstractFileSystem, path: str, content: bytes) -> None:
    """Creates or replaces a file, and its parent directories if needed.

    Args:
        fs: The file system.
        path: Path in that file system.
        content: The new content.

    Raises:
        OSError: The file cannot be written.
    """
    make_parent(fs, path)
    if not is_local(fs):
        fs.pipe_file(path, content)
        return
    with replacing(path) as temporary, open(temporary, "wb") as file:
        file.write(content)


def make_parent(fs: AbstractFileSystem, path: str) -> None:
    """Creates the directory that a file is to be in, with its parents.

    Args:
        fs: The file system.
        path: Path of the file in that file system.

    Raises:
        OSError: The directory cannot be created.
    """
    parent = fs._parent(path)
    if not parent or fs.isdir(parent):
        return
    try:
        fs.makedirs(parent, exist_ok=True)
    except PermissionError as error:
        # An object store has no directories: what was refused is the creation of a bucket. Where
        # directories are real, the write that follows fails and says why.
        log.debug("cannot create %s: %s", parent, error)
