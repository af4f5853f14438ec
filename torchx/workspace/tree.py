"""The stat walk: which files a project holds, without reading any of them.

Nothing outside of the tree is followed. A symbolic link stays a link; what is neither file,
directory nor link, and directories without files, are left out.
"""

from __future__ import annotations

import logging
import os
import posixpath
import stat
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from torchx.errors import TorchXError
from torchx.util.files import is_local
from torchx.util.secret_files import holds_secrets
from torchx.workspace.ignore import (
    DEFAULT_IGNORES,
    DOCKER_IGNORE,
    TORCHX_IGNORE,
    IgnoreRules,
    read_patterns,
    walk_filtered,
)

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

    from torchx.specs.api import Workspace

log: logging.Logger = logging.getLogger(__name__)

DOCKER_IGNORES = (DOCKER_IGNORE, TORCHX_IGNORE)
"""Ignore files of what goes into images. Both hold; the last pattern that matches decides."""

DIR_IGNORES = (TORCHX_IGNORE,)
"""Ignore files of what goes into directories."""

_DEFAULT_MODE = 0o644
_TYPE_BITS = 0o170000
_MODE_BITS = 0o7777
_MARK_OF_A_VIRTUAL_ENVIRONMENT = "pyvenv.cfg"


class WorkspaceError(TorchXError):
    """A workspace cannot be sent along: it cannot be read, keeps changing or is too large."""


class WorkspaceNotFoundError(WorkspaceError, FileNotFoundError):
    """A project of a workspace with several of them does not exist."""


class Entry(NamedTuple):
    """A file or link as the stat walk saw it.

    Attributes:
        path: Path in the project, with ``/``. Bytes that are no UTF-8 are surrogate-escaped.
        size: Bytes; 0 for a link.
        mode: Permission bits; 0 for a link.
        mtime_ns: Time of the last change of the content, in ns; 0 if unknown.
        ctime_ns: Time of the last change of anything, in ns; 0 if unknown.
        link: What a link points to; ``""`` for a file.
    """

    path: str
    size: int
    mode: int
    mtime_ns: int
    ctime_ns: int
    link: str = ""


@dataclass(frozen=True)
class Project:
    """One local path of a workspace, walked.

    Attributes:
        source: The path or URL as the user wrote it.
        target: Directory in the job that it goes to; ``""`` is the root.
        fs: The file system it lies on.
        root: Its path there.
        entries: Its files and links, by path.
        left_out: What is not sent along although nothing ignores it, with the reason.
        is_file: The project is a single file.
    """

    source: str
    target: str
    fs: AbstractFileSystem
    root: str
    entries: list[Entry]
    left_out: list[tuple[str, str]] = field(default_factory=list)
    is_file: bool = False

    @property
    def is_local(self) -> bool:
        """Tells whether the files can be opened by their paths."""
        return is_local(self.fs)

    def path_of(self, entry: Entry) -> str:
        """Returns the path of an entry on the file system."""
        return self.root if self.is_file else posixpath.join(self.root, entry.path)


def walk_workspace_projects(
    workspace: Workspace,
    ignore_names: Sequence[str] = DOCKER_IGNORES,
    excluded_dirs: Collection[str] = (),
) -> list[Project]:
    """Walks all projects of a workspace.

    Args:
        workspace: The workspace. A single directory that does not exist has no files, with a
            warning.
        ignore_names: Names of the ignore files in the root of each project that count.
        excluded_dirs: Real paths of local directories that are never part of a workspace.

    Returns:
        A project for each mapping, in order.

    Raises:
        ValueError: A target leads out of the job's directory, or a pattern is malformed.
        WorkspaceNotFoundError: One of several projects does not exist.
        WorkspaceError: A directory cannot be read.
    """
    excluded = _identities(excluded_dirs)
    projects = [
        _walk_project(source, _checked_target(source, target), ignore_names, excluded)
        for source, target in workspace.projects.items()
    ]
    for project in projects:
        if not project.entries and not project.fs.exists(project.root):
            _report_missing(project.source, is_error=not workspace.is_unmapped_single_project())
    return projects


def _report_missing(source: str, *, is_error: bool) -> None:
    if is_error:
        raise WorkspaceNotFoundError(
            f"{source} of the workspace does not exist",
            hint="correct the path; nothing has been sent along",
        )
    log.warning("workspace %s does not exist: nothing is sent along", source)


def _walk_project(
    source: str, target: str, ignore_names: Sequence[str], excluded: Collection[tuple[int, int]]
) -> Project:
    from fsspec.core import url_to_fs

    fs, root = url_to_fs(os.path.expanduser(source))
    if is_local(fs) and os.path.isfile(root):
        return _single_file(source, target, fs, root)
    patterns = [*DEFAULT_IGNORES]
    for name in ignore_names:
        patterns += read_patterns(fs, posixpath.join(root, name))
    rules = IgnoreRules(patterns)
    left_out: list[tuple[str, str]] = []
    if is_local(fs):
        entries = list(_walk_local(root, rules, excluded, left_out))
    else:
        entries = list(_walk_remote(fs, root, rules))
    entries.sort()
    return Project(source, target.rstrip("/"), fs, root, entries, left_out)


def _single_file(source: str, target: str, fs: AbstractFileSystem, path: str) -> Project:
    name = posixpath.basename(path)
    if target and not target.endswith("/"):
        target, name = posixpath.split(target)
    entry = _entry_of(name, os.stat(path))
    return Project(source, target.rstrip("/"), fs, path, [entry], is_file=True)


def _walk_local(
    root: str,
    rules: IgnoreRules,
    excluded: Collection[tuple[int, int]],
    left_out: list[tuple[str, str]],
) -> Iterator[Entry]:
    pending = [(root, "", rules.root)]
    while pending:
        directory, prefix, parent = pending.pop()
        listing = _scan(directory)
        if prefix and _is_virtual_environment(listing, prefix, rules):
            continue
        for found in listing:
            path = prefix + found.name
            state, is_ignored = rules.judge(path, found.name, parent)
            if found.is_dir(follow_symlinks=False):
                if (not is_ignored or rules.may_bring_back(path)) and not (
                    excluded and _is_excluded(found, excluded)
                ):
                    pending.append((found.path, path + "/", state))
            elif not is_ignored:
                entry = _local_entry(root, path, found, left_out)
                if entry is not None:
                    yield entry


def _scan(directory: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(directory) as listing:
            return list(listing)
    except (FileNotFoundError, NotADirectoryError):
        return []  # it is gone since its parent was listed
    except OSError as error:
        raise WorkspaceError(
            f"cannot read the directory {directory} of the workspace: {error.strerror}",
            hint=f"make it readable, or name it in {TORCHX_IGNORE}",
        ) from error


def _is_virtual_environment(
    listing: list[os.DirEntry[str]], prefix: str, rules: IgnoreRules
) -> bool:
    path = prefix.rstrip("/")
    return any(
        found.name == _MARK_OF_A_VIRTUAL_ENVIRONMENT for found in listing
    ) and not rules.is_wanted(path, path.rpartition("/")[2])


def _local_entry(
    root: str, path: str, found: os.DirEntry[str], left_out: list[tuple[str, str]]
) -> Entry | None:
    try:
        info = found.stat(follow_symlinks=False)
        if holds_secrets(info):
            left_out.append((path, "variables were read from it that are shown nowhere"))
            return None
        if info.st_mode & _TYPE_BITS == stat.S_IFREG:
            return _entry_of(path, info)
        if stat.S_ISLNK(info.st_mode):
            link = _relative_link(root, path, os.readlink(found.path))
            return Entry(path, 0, 0, info.st_mtime_ns, info.st_ctime_ns, link)
    except FileNotFoundError:
        return None
    left_out.append((path, "it is neither file, directory nor link"))
    return None


def _entry_of(path: str, info: os.stat_result) -> Entry:
    mode = info.st_mode & _MODE_BITS
    return Entry(path, info.st_size, mode, info.st_mtime_ns, info.st_ctime_ns)


def _relative_link(root: str, path: str, link: str) -> str:
    """Makes a link to a place in the tree relative, so that it also holds where the tree goes."""
    if not os.path.isabs(link):
        return link
    inside = os.path.relpath(link, root)
    if inside == os.pardir or inside.startswith(os.pardir + os.sep):
        return link
    return os.path.relpath(inside, os.path.dirname(path) or ".")


def leads_outside(entry: Entry) -> bool:
    """Tells whether a link points out of its project.

    Args:
        entry: A link, or a file.

    Returns:
        True for such a link, wherever it leads to.
    """
    if not entry.link:
        return False
    reached = posixpath.normpath(posixpath.join(posixpath.dirname(entry.path), entry.link))
    return posixpath.isabs(reached) or reached == ".." or reached.startswith("../")


def _walk_remote(fs: AbstractFileSystem, root: str, rules: IgnoreRules) -> Iterator[Entry]:
    for directory, _, files in walk_filtered(fs, root, rules):
        prefix = (
            posixpath.relpath(directory, root) if directory.strip("/") != root.strip("/") else ""
        )
        for name, info in files.items():
            mode = info.get("mode")
            yield Entry(
                posixpath.normpath(posixpath.join(prefix, name)),
                int(info["size"]),
                _DEFAULT_MODE if mode is None else stat.S_IMODE(mode),
                0,
                0,
            )


def _identities(directories: Collection[str]) -> set[tuple[int, int]]:
    found = set()
    for directory in directories:
        try:
            info = os.stat(directory)
        except OSError:
            continue  # what does not exist cannot be met
        found.add((info.st_dev, info.st_ino))
    return found


def _is_excluded(found: os.DirEntry[str], excluded: Collection[tuple[int, int]]) -> bool:
    if all(found.inode() != inode for _, inode in excluded):
        return False
    info = found.stat(follow_symlinks=False)
    return (info.st_dev, info.st_ino) in excluded


def _checked_target(source: str, target: str) -> str:
    normal = posixpath.normpath(target) if target else ""
    if posixpath.isabs(target) or normal == ".." or normal.startswith("../"):
        raise ValueError(
            f"target {target!r} of workspace {source!r} lies outside of the remote root:"
            " give a relative path without `..`"
        )
    if normal in ("", "."):
        return ""
    return normal + "/" if target.endswith("/") else normal
