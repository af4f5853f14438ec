"""Local code that is laid over the image of a role when an app is submitted."""

from __future__ import annotations

from torchx.workspace.api import WorkspaceMixin, walk_workspace

__all__ = ["WorkspaceMixin", "walk_workspace"]
