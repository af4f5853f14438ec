"""Local code that is laid over the image of a role when an app is submitted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torchx.workspace.api import WorkspaceMixin

if TYPE_CHECKING:
    from torchx.workspace.api import walk_workspace

__all__ = ["WorkspaceMixin", "walk_workspace"]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        """Serves what only those who walk a workspace need."""
        if name != "walk_workspace":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from torchx.workspace.api import walk_workspace

        return walk_workspace
