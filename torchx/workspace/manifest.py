"""What a workspace holds, named by its content: unchanged code has an unchanged digest.

A stat walk decides whether anything changed. Digests of contents are remembered below
``TORCHX_HOME``, so that only what changed since is read. A cache that is lost, corrupt or cannot
be written costs time and nothing else.
"""

from __future__ import annotations

import errno
import hashlib
import os
import posixpath
import stat
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, NamedTuple

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
    before_reading: Callable[[list[Project], int], None] | None = None,
) -> Manifest:
    """Walks a workspace and finds the digests of its contents, reading only what is new.

    Args:
        workspace: The workspace.
        ignore_names: Names of the ignore files that count.
        excluded_dirs: Real paths of local directories that are never part of a workspace.
        progress: Told what is going on.
        before_reading: Called with the projects and the number of bytes that have to be read,
            before they are; it may raise.

    Returns:
        The manifest.

    Raises:
        ValueError: A target leads out of the job's directory, or a pattern is malformed.
        WorkspaceError: Something cannot be read, or a file keeps changing while it is read.
    """
    changed = ""
    for _ in range(_ATTEMPTS):
        projects = walk_workspace_projects(workspace, ignore_names, excluded_dirs)
        caches = [DigestCache(project, ignore_names) for project in projects]
        unread_bytes = sum(
            entry.size
            for project, cache in zip(projects, caches, strict=True)
            for entry in project.entries
            if cache.digest_of(entry) is None
        )
        if before_reading is not None:
            before_reading(projects, unread_bytes)
        try:
            manifest = _read(projects, caches, unread_bytes, progress)
            _last_digests.update(manifest.project_digests)
            return manifest
        except FileChanged as error:
            changed = str(error)
        finally:
            for cache in caches:
                cache.save()
    raise keeps_changing(changed)


def last_digest_of(source: str) -> str | None:
    """Returns the digest that a project had when this process last looked at it.

    Args:
        source: The path or URL, as the workspace names it.

    Returns:
        The digest in hex; ``None`` if this process never looked.
    """
    return _last_digests.get(source)


def keeps_changing(path: str) -> WorkspaceError:
    """Makes the error for a file that cannot be read in peace.

    Args:
        path: The file.

    Returns:
        The error.
    """
    return WorkspaceError(
        f"{path} of the workspace keeps changing while it is read",
        hint="name it in .torchxignore, or submit when it is complete",
        transient=True,
    )


def _read(
    projects: list[Project], caches: list[DigestCache], unread_bytes: int, progress: Progress
) -> Manifest:
    items: dict[str, Item] = {}
    project_digests = {}
    read_bytes = 0
    for project, cache in zip(projects, caches, strict=True):
        own = []
        for entry in project.entries:
            digest = cache.digest_of(entry)
            if digest is None:
                digest = _digest_of_content(project, entry)
                cache.remember(entry, digest)
                read_bytes += entry.size
                progress("reading the workspace", read_bytes, unread_bytes)
            own.append((entry.path, Item(project, entry, digest)))
        project_digests[project.source] = _digest_of(own)
        # Of two files that go to one place the later one wins, as if it were copied last.
        items.update((posixpath.join(project.target, path), item) for path, item in own)
    if len(projects) > 1 or (projects and projects[0].target):
        items = dict(sorted(items.items()))
        return Manifest(items, _digest_of(items.items()), project_digests, projects)
    digest = next(iter(project_digests.values()), _digest_of(()))
    return Manifest(items, digest, project_digests, projects)


def _digest_of(items: Iterable[tuple[str, Item]]) -> str:
    whole = hashlib.sha256()
    for path, (_, entry, digest) in items:
        line = f"{entry.mode:o}\0{entry.link}\0{digest}\0{path}\n"
        whole.update(line.encode("utf-8", "surrogateescape"))
    return whole.hexdigest()


def _digest_of_content(project: Project, entry: Entry) -> str:
    if entry.link:
        return ""
    content = hashlib.sha256()
    for block in content_of(project, entry):
        content.update(block)
    return content.hexdigest()


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
