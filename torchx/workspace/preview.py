"""What a workspace would send along, found out without building or copying anything."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from torchx.specs.api import Role, Workspace
from torchx.workspace.api import WorkspaceMixin
from torchx.workspace.limits import SizeLimit, WorkspaceTooLargeError, largest_of, limit_bytes
from torchx.workspace.manifest import Manifest, manifest_of
from torchx.workspace.progress import shown_progress, size_text
from torchx.workspace.tree import Entry, Project, walk_workspace_projects

_LARGEST = 10
_HOOKS = (
    "build_workspaces",
    "caching_build_workspace_and_update_role",
    "build_workspace_and_update_role",
)


@dataclass(frozen=True)
class WorkspacePreview:
    """What would happen to the workspace of some roles.

    Attributes:
        roles: Names of the roles.
        workspace: The workspace, as text.
        image: What the image of the roles would be. Where it is not built yet, its id is not known
            and a name that says so stands for it.
        digest: SHA-256 of the code, in hex; ``None`` if there is too much of it to be read.
        files: Number of files and links in the workspace.
        size_bytes: Their size.
        sent_files: How many of them would be sent along; 0 if what is there already is used.
        sent_bytes: Their size.
        largest: The ten largest files that would be sent, with their sizes in bytes.
        left_out: What would stay behind although nothing ignores it, with the reason.
    """

    roles: list[str]
    workspace: str
    image: str
    digest: str | None
    files: int
    size_bytes: int
    sent_files: int = 0
    sent_bytes: int = 0
    largest: list[tuple[str, int]] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)

    def __str__(self) -> str:
        whole = f"{_count(self.files)}, {size_text(self.size_bytes)}"
        lines = [f"{self.workspace} for {', '.join(self.roles)}: {whole}"]
        if self.sent_files:
            sent = f"{_count(self.sent_files)}, {size_text(self.sent_bytes)}"
            lines.append(f"  to send: {sent}, the largest of them:")
            lines += [f"    {size_text(size):>9}  {path}" for path, size in self.largest]
            limit = limit_bytes()
            if limit is not None and self.sent_bytes > limit:
                lines.append(f"  this is more than {size_text(limit)}: it has to be confirmed")
        else:
            lines.append(f"  nothing to send: {self.image} has it already")
        lines += [f"  left out: {path}: {reason}" for path, reason in self.left_out]
        return "\n".join(lines)


def look_at(
    workspace: Workspace, ignore_names: Sequence[str], excluded_dirs: Collection[str]
) -> tuple[list[Project], Manifest | None]:
    """Walks a workspace, and reads what has to be read unless that is more than the limit.

    Args:
        workspace: The workspace.
        ignore_names: Names of the ignore files that count.
        excluded_dirs: Real paths of local directories that are never part of a workspace.

    Returns:
        The projects, and the manifest unless there is too much to read.

    Raises:
        ValueError: A target leads out of the job's directory, or a pattern is malformed.
        WorkspaceError: Something cannot be read, or a file keeps changing while it is read.
    """
    limit = SizeLimit(asks=False)
    try:
        with shown_progress() as progress:
            manifest = manifest_of(
                workspace,
                ignore_names,
                excluded_dirs,
                progress=progress,
                before_reading=lambda unread: limit.check("read", unread),
            )
    except WorkspaceTooLargeError:
        return walk_workspace_projects(workspace, ignore_names, excluded_dirs), None
    return manifest.projects, manifest


def preview_of(
    role: Role,
    image: str,
    projects: Sequence[Project],
    manifest: Manifest | None,
    sent: Collection[Entry],
) -> WorkspacePreview:
    """Describes what would happen to the workspace of a role.

    Args:
        role: The role.
        image: What its image would be.
        projects: The workspace, walked.
        manifest: The workspace, read.
        sent: The files that would be sent.

    Returns:
        The preview.
    """
    entries = [entry for project in projects for entry in project.entries]
    return WorkspacePreview(
        roles=[role.name],
        workspace=str(role.workspace),
        image=image,
        digest=manifest.digest if manifest is not None else None,
        files=len(entries),
        size_bytes=sum(entry.size for entry in entries),
        sent_files=len(sent),
        sent_bytes=sum(entry.size for entry in sent),
        largest=[(_shown(entry.path), entry.size) for entry in largest_of(sent, _LARGEST)],
        left_out=[
            (_shown(path), reason) for project in projects for path, reason in project.left_out
        ],
    )


def _count(files: int) -> str:
    return "1 file" if files == 1 else f"{files:,} files"


def _shown(path: str) -> str:
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def overrides_hooks(subclass: type[WorkspaceMixin[Any]], mixin: type[WorkspaceMixin[Any]]) -> bool:
    """Tells whether a scheduler builds workspaces in another way than the mix-in it derives from.

    Args:
        subclass: Class of the scheduler.
        mixin: The mix-in.

    Returns:
        True if it has a hook of its own.
    """
    return any(getattr(subclass, hook) is not getattr(mixin, hook) for hook in _HOOKS)
