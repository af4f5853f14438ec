"""What a workspace would send along, found out without building or copying anything."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from torchx.workspace.api import WorkspaceMixin
from torchx.workspace.limits import largest_of
from torchx.workspace.manifest import Manifest
from torchx.workspace.progress import size_text
from torchx.workspace.tree import Entry

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
        digest: SHA-256 of the code, in hex.
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
    digest: str
    files: int
    size_bytes: int
    sent_files: int = 0
    sent_bytes: int = 0
    largest: list[tuple[str, int]] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)

    def __str__(self) -> str:
        whole = f"{self.files:,} files, {size_text(self.size_bytes)}"
        lines = [f"{self.workspace} for {', '.join(self.roles)}: {whole}"]
        if self.sent_files:
            sent = f"{self.sent_files:,} files, {size_text(self.sent_bytes)}"
            lines.append(f"  to send: {sent}, the largest of them:")
            lines += [f"    {size_text(size):>9}  {path}" for path, size in self.largest]
        else:
            lines.append(f"  nothing to send: {self.image} has it already")
        lines += [f"  left out: {path}: {reason}" for path, reason in self.left_out]
        return "\n".join(lines)


def preview_of(
    roles: list[str], workspace: str, image: str, manifest: Manifest, sent: Collection[Entry]
) -> WorkspacePreview:
    """Describes what would happen to a workspace.

    Args:
        roles: Names of the roles that have it.
        workspace: The workspace, as text.
        image: What their image would be.
        manifest: The workspace's files.
        sent: Those that would be sent.

    Returns:
        The preview.
    """
    return WorkspacePreview(
        roles=roles,
        workspace=workspace,
        image=image,
        digest=manifest.digest,
        files=len(manifest.items),
        size_bytes=manifest.size_bytes,
        sent_files=len(sent),
        sent_bytes=sum(entry.size for entry in sent),
        largest=[(entry.path, entry.size) for entry in largest_of(sent, _LARGEST)],
        left_out=[found for project in manifest.projects for found in project.left_out],
    )


def overrides_hooks(subclass: type[WorkspaceMixin[Any]], mixin: type[WorkspaceMixin[Any]]) -> bool:
    """Tells whether a scheduler builds workspaces in another way than the mix-in it derives from.

    Args:
        subclass: Class of the scheduler.
        mixin: The mix-in.

    Returns:
        True if it has a hook of its own.
    """
    return any(getattr(subclass, hook) is not getattr(mixin, hook) for hook in _HOOKS)
