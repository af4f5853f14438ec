"""What a workspace holds, named by its content: unchanged code has an unchanged digest.

A stat walk decides whether anything changed. Digests of contents are remembered below
``TORCHX_HOME``, so that only what changed since is read. A cache that is lost, corrupt or cannot
be written costs time and nothing else.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, NamedTuple, TypeVar

from torchx.workspace.digest_cache import DigestCache
from torchx.workspace.progress import Progress, no_progress
from torchx.workspace.tree import (
    DOCKER_IGNORES,
    Entry,
    Project,
    WorkspaceError,
    walk_workspace_projects,
)

if TYPE_CHECKING:
    from torchx.specs.api import Workspace

BLOCK_BYTES = 1 << 20
"""How much of a file is read at once."""

T = TypeVar("T")

_ATTEMPTS = 3
_last_digests: dict[str, str] = {}


class FileChanged(Exception):
    """A file is not any more what the stat walk saw. The walk has to be done again."""


class Item(NamedTuple):
    """One file or link of a manifest.

    Attributes:
        project: Where it comes from.
        entry: How the stat walk saw it.
        digest: SHA-256 of its content in hex; ``""`` for a link.
    """

    project: Project
    entry: Entry
    digest: str

    @property
    def kind(self) -> tuple[int, str, str]:
        """All that makes it what it is in the job: mode, target of the link, content."""
        return self.entry.mode, self.entry.link, self.digest


@dataclass(frozen=True)
class Manifest:
    """The files of a workspace, with their contents' digests.

    Attributes:
        items: The files and links by their path in the job, in order.
        digest: SHA-256 over paths, modes, links and contents, in hex.
        project_digests: The same for each project alone, by its source.
        projects: The projects.
    """

    items: dict[str, Item]
    digest: str
    project_digests: dict[str, str]
    projects: list[Project]

    @property
    def size_bytes(self) -> int:
        """Sum of the sizes of all files."""
        return sum(item.entry.size for item in self.items.values())


def manifest_of(
    workspace: Workspace,
    ignore_names: Sequence[str] = DOCKER_IGNORES,
    excluded_dirs: Collection[str] = (),
    *,
    progress: Progress = no_progress,
    before_reading: Callable[[list[Entry]], None] | None = None,
) -> Manifest:
    """Walks a workspace and finds the digests of its contents, reading only what is new.

    Args:
        workspace: The workspace.
        ignore_names: Names of the ignore files that count.
        excluded_dirs: Real paths of local directories that are never part of a workspace.
        progress: Told what is going on.
        before_reading: Called with the files that have to be read, before they are; it may raise.

    Returns:
        The manifest.

    Raises:
        ValueError: A target leads out of the job's directory, or a pattern is malformed.
        WorkspaceError: Something cannot be read, or a file keeps changing while it is read.
    """

    def walk_and_read() -> Manifest:
        projects = walk_workspace_projects(workspace, ignore_names, excluded_dirs)
        caches = [DigestCache(project, ignore_names) for project in projects]
        if before_reading is not None:
            before_reading([entry for cache in caches for entry in cache.unread])
        try:
            _read(caches, progress)
        finally:
            for cache in caches:
                cache.save()
        return _combined(caches)

    manifest = until_unchanged(walk_and_read)
    _last_digests.update(manifest.project_digests)
    return manifest


def last_digest_of(source: str) -> str | None:
    """Returns the digest that a project had when this process last looked at it.

    Args:
        source: The path or URL, as the workspace names it.

    Returns:
        The digest in hex; ``None`` if this process never looked.
    """
    return _last_digests.get(source)


def until_unchanged(work: Callable[[], T]) -> T:
    """Does something with the files of a workspace, again if they change meanwhile.

    Args:
        work: What to do; it raises `FileChanged` if a file is not what its manifest says.

    Returns:
        What ``work`` returns.

    Raises:
        WorkspaceError: A file keeps changing.
    """
    changed = ""
    for _ in range(_ATTEMPTS):
        try:
            return work()
        except FileChanged as error:
            changed = str(error)
    raise WorkspaceError(
        f"{changed} of the workspace keeps changing while it is read",
        hint="name it in .torchxignore, or submit when it is complete",
        transient=True,
    )


def _read(caches: list[DigestCache], progress: Progress) -> None:
    read_bytes, all_bytes = 0, sum(entry.size for cache in caches for entry in cache.unread)
    for cache in caches:
        for entry in cache.unread:
            content = hashlib.sha256()
            for block in content_of(cache.project, entry):
                content.update(block)
                read_bytes += len(block)
                progress("reading the workspace", read_bytes, all_bytes)
            cache.remember(entry, content.hexdigest())


def _combined(caches: list[DigestCache]) -> Manifest:
    items: dict[str, Item] = {}
    project_digests = {}
    for cache in caches:
        project = cache.project
        digests = cache.digests
        own = {entry.path: Item(project, entry, digests[entry.path]) for entry in project.entries}
        project_digests[project.source] = _digest_of(own)
        if project.target:
            own = {f"{project.target}/{path}": item for path, item in own.items()}
        # Of two files that go to one place the later one wins, as if it were copied last.
        items.update(own)
    projects = [cache.project for cache in caches]
    if len(projects) == 1 and not projects[0].target:
        return Manifest(items, project_digests[projects[0].source], project_digests, projects)
    items = dict(sorted(items.items()))
    return Manifest(items, _digest_of(items), project_digests, projects)


def _digest_of(items: dict[str, Item]) -> str:
    lines = [
        f"{entry.mode:o}\0{entry.link}\0{digest}\0{path}\n"
        for path, (_, entry, digest) in items.items()
    ]
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def content_of(project: Project, entry: Entry) -> Iterator[bytes]:
    """Reads as many bytes of a file as the stat walk saw.

    What has been appended since is left out, so that a log that grows can be sent along.

    Args:
        project: Where it belongs to.
        entry: A file.

    Yields:
        Its content in blocks.

    Raises:
        FileChanged: It has become shorter, is gone, or is no plain file any more.
        WorkspaceError: It cannot be read.
    """
    path = project.path_of(entry)
    left_bytes = entry.size
    with _opened(project, path) as file:
        while left_bytes:
            block = file.read(min(left_bytes, BLOCK_BYTES))
            if not block:
                raise FileChanged(path)
            left_bytes -= len(block)
            yield block


@contextmanager
def _opened(project: Project, path: str) -> Iterator[IO[bytes]]:
    if not project.is_local:
        with project.fs.open(path, "rb") as remote:
            yield remote
        return
    try:
        # Neither a link nor a pipe that has taken the place of the file since the walk is followed.
        number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ELOOP, errno.ENXIO, errno.ENOTDIR):
            raise FileChanged(path) from error
        raise WorkspaceError(
            f"cannot read {path} of the workspace: {error.strerror}",
            hint="make it readable, or name it in .torchxignore",
        ) from error
    with open(number, "rb", buffering=0) as file:
        if not stat.S_ISREG(os.fstat(number).st_mode):
            raise FileChanged(path)
        yield file
