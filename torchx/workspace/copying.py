"""Copies the files of a manifest into a directory: contents, modes, times of change and links."""

from __future__ import annotations

import hashlib
import logging
import os
import posixpath
import stat
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from torchx.util.files import is_local
from torchx.workspace.manifest import FileChanged, Item, content_of
from torchx.workspace.progress import Progress, no_progress
from torchx.workspace.tree import Project

log: logging.Logger = logging.getLogger(__name__)

# Copies wait for the file system most of the time, above all for one that is shared.
_THREADS = 8


def copy_items(items: Mapping[str, Item], target: str, progress: Progress = no_progress) -> None:
    """Copies files and links into a directory of this machine.

    Args:
        items: What to copy, by its path in the directory.
        target: The directory, which exists.
        progress: Told what is going on.

    Raises:
        FileChanged: The content of a file is not what the manifest says any more.
        FileExistsError: Something else is there already.
        WorkspaceError: A file cannot be read.
    """
    directories = _directories_of(items)
    for directory in sorted(directories):
        os.makedirs(os.path.join(target, directory), exist_ok=True)
    total_bytes = sum(item.entry.size for item in items.values())
    done_bytes = 0
    with ThreadPoolExecutor(_THREADS, "torchx-copy") as pool:
        sizes = pool.map(
            lambda item: _copy_item(item[1], os.path.join(target, item[0])), items.items()
        )
        try:
            for size_bytes in sizes:
                done_bytes += size_bytes
                progress("copying the workspace", done_bytes, total_bytes)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    for directory, mode in directories.items():
        if mode is not None:
            _set_mode(os.path.join(target, directory), mode, is_root=not directory)


def copy_to_url(items: Mapping[str, Item], target: str) -> None:
    """Copies files into a directory of any file system, which is created if needed.

    Args:
        items: What to copy, by its path in the directory.
        target: Path or fsspec URL of the directory.

    Raises:
        FileChanged: The content of a file is not what the manifest says any more.
        WorkspaceError: A file cannot be read.
    """
    from fsspec.core import url_to_fs

    fs, root = url_to_fs(target)
    if is_local(fs):
        os.makedirs(root, exist_ok=True)
        copy_items(items, root)
        return
    for path, item in items.items():
        if item.entry.link:
            log.warning("left out %s: %s takes no links", path, target)
            continue
        destination = posixpath.join(root, path)
        fs.makedirs(posixpath.dirname(destination), exist_ok=True)
        with fs.open(destination, "wb") as file:
            for block in content_of(item.project, item.entry):
                file.write(block)


def is_copied(item: Item, path: str) -> bool:
    """Tells whether a copy has neither been changed nor removed since it was made.

    Args:
        item: What was copied.
        path: Path of the copy.

    Returns:
        True if it has the mode, size, time and target of the original.
    """
    entry = item.entry
    try:
        if entry.link:
            return os.readlink(path) == entry.link
        info = os.lstat(path)
    except OSError:
        return False
    return (info.st_mode & 0o7777, info.st_size) == (entry.mode, entry.size) and (
        not entry.mtime_ns or info.st_mtime_ns == entry.mtime_ns
    )


def _directories_of(items: Mapping[str, Item]) -> dict[str, int | None]:
    """Returns the directories that files are in, parents included, with their modes.

    Those that are no directories of a project on this machine have no mode of their own.
    """
    found: dict[str, int | None] = {}
    for path, item in items.items():
        directory = posixpath.dirname(path)
        while directory not in found:
            found[directory] = _mode_of(item.project, directory)
            directory = posixpath.dirname(directory)
    return found


def _mode_of(project: Project, directory: str) -> int | None:
    inside = posixpath.relpath(directory or ".", project.target or ".")
    if not project.is_local or project.is_file or inside == ".." or inside.startswith("../"):
        return None
    try:
        # Its owner has to be able to copy into it.
        return stat.S_IMODE(os.stat(os.path.join(project.root, inside)).st_mode) | stat.S_IRWXU
    except OSError:
        return None


def _set_mode(path: str, mode: int, *, is_root: bool) -> None:
    if is_root:
        # Whoever made the directory has decided who may enter it; nobody else shall.
        mode &= stat.S_IMODE(os.stat(path).st_mode)
    os.chmod(path, mode)


def _copy_item(item: Item, path: str) -> int:
    entry = item.entry
    if entry.link:
        os.symlink(entry.link, path)
        return 0
    digest = hashlib.sha256()
    # Nothing that is there already is followed or written over.
    number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with open(number, "wb") as file:
        for block in content_of(item.project, entry):
            digest.update(block)
            file.write(block)
        if digest.hexdigest() != item.digest:
            raise FileChanged(item.project.path_of(entry))
        file.flush()
        os.fchmod(number, entry.mode)
        if entry.mtime_ns:
            os.utime(number, ns=(entry.mtime_ns, entry.mtime_ns))
    return entry.size
