"""Reads and writes the small files of an `FsspecTracker`, each of which is whole or not there."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import re
import secrets
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from torchx.tracker.backend.fsspec_layout import entries_of
from torchx.util.files import is_local

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

S = TypeVar("S")
T = TypeVar("T")

logger: logging.Logger = logging.getLogger(__name__)

_NUMBER = re.compile(r"[0-9]+")
_REQUESTS_AT_ONCE = 32
_NO_HARD_LINKS = (errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.EMLINK, errno.EACCES)


def has_directories(fs: AbstractFileSystem, path: str) -> bool:
    """Tells directories from the prefixes of an object store, which need not be made.

    Args:
        fs: The file system.
        path: A path in it.

    Returns:
        True if a file can only be written into a directory that exists.
    """
    return str(fs._strip_protocol(path)).startswith("/")


def add_file(fs: AbstractFileSystem, work_dir: str, path: str, content: bytes) -> None:
    """Writes a file whose name is a number, taking the next free one if another writer has it.

    Args:
        fs: The file system.
        work_dir: Directory on the same disk for a file that is not complete yet.
        path: Path of the new file.
        content: What to write.

    Raises:
        OSError: The file cannot be written; then nothing is left of it.
    """
    _make_directory(fs, path.rpartition("/")[0])
    if not is_local(fs):
        # Writers cannot see each other here, so that no number is free for certain.
        fs.pipe_file(f"{path}-{secrets.token_hex(4)}", content)
        return
    with _temporary(work_dir, content) as temporary:
        directory, _, name = path.rpartition("/")
        number = int(name)
        while not _link(temporary, f"{directory}/{number}"):
            number += 1


def replace_file(fs: AbstractFileSystem, work_dir: str, path: str, content: bytes) -> None:
    """Creates or replaces a file.

    Args:
        fs: The file system.
        work_dir: Directory on the same disk for a file that is not complete yet.
        path: Path of the file.
        content: The new content.

    Raises:
        OSError: The file cannot be written; then the former one is still there.
    """
    _make_directory(fs, path.rpartition("/")[0])
    if not is_local(fs):
        fs.pipe_file(path, content)
        return
    with _temporary(work_dir, content) as temporary:
        os.replace(temporary, path)


def add_line(fs: AbstractFileSystem, work_dir: str, path: str, line: str) -> None:
    """Adds a line to a text file, unless it is there already.

    Args:
        fs: The file system.
        work_dir: Directory on the same disk for a file that is not complete yet.
        path: Path of the file; it is created if it is missing.
        line: The line.

    Raises:
        OSError: The file cannot be written; then the former one is still there.
    """
    _make_directory(fs, path.rpartition("/")[0])
    with _locked(work_dir) if is_local(fs) else _unlocked():
        lines = read_lines(fs, path)
        if line not in lines:
            text = "".join(f"{each}\n" for each in [*lines, line])
            replace_file(fs, work_dir, path, text.encode())


def read_lines(fs: AbstractFileSystem, path: str) -> list[str]:
    """Reads a text file.

    Args:
        fs: The file system.
        path: Path of the file.

    Returns:
        The lines without repetitions, in order; none if there is no such file.
    """
    try:
        content: bytes = fs.cat_file(path)
    except FileNotFoundError:
        return []
    return list(dict.fromkeys(content.decode("utf-8", "replace").splitlines()))


def read_in_order(fs: AbstractFileSystem, directory: str) -> Iterator[tuple[str, bytes]]:
    """Reads the files of a directory in the order of the numbers that their names begin with.

    Args:
        fs: The file system.
        directory: The directory.

    Yields:
        Path and content of each file.
    """
    paths = [
        entry["name"]
        for entry in entries_of(fs, directory)
        if entry["type"] == "file" and _NUMBER.match(_name(entry["name"]))
    ]
    paths.sort(key=lambda path: (_number(path), path))
    yield from zip(paths, each(fs, fs.cat_file, paths), strict=True)


def each(fs: AbstractFileSystem, function: Callable[[S], T], items: Iterable[S]) -> Iterator[T]:
    """Calls a function that asks a file system something, many times.

    Args:
        fs: The file system. Of a remote one several things are asked at once.
        function: The function.
        items: What to call it with.

    Yields:
        The results, in order.
    """
    if is_local(fs):
        yield from map(function, items)
        return
    with ThreadPoolExecutor(_REQUESTS_AT_ONCE) as pool:
        yield from pool.map(function, items)


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def _number(path: str) -> int:
    found = _NUMBER.match(_name(path))
    return int(found[0]) if found else 0


def _make_directory(fs: AbstractFileSystem, directory: str) -> None:
    if has_directories(fs, directory):
        fs.makedirs(directory, exist_ok=True)


@contextmanager
def _temporary(directory: str, content: bytes) -> Iterator[str]:
    path = f"{directory}/.torchx-{secrets.token_hex(8)}.tmp"
    try:
        with open(path, "wb") as file:
            file.write(content)
        yield path
    finally:
        try:
            os.unlink(path)
        except FileNotFoundError:
            logger.debug("%s has become a file with a name of its own", path)


def _link(temporary: str, path: str) -> bool:
    """Gives a file its name; returns False if the name is taken."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        os.replace(temporary, f"{path}-{secrets.token_hex(4)}")
    return True


@contextmanager
def _locked(directory: str) -> Iterator[None]:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError as error:  # network file systems may lock no directories
            logger.debug("%s is not locked: %s", directory, error)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _unlocked() -> Iterator[None]:
    yield
