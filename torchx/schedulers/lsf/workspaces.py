"""Copies workspaces into the job directory, which containers see at the same path."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

from torchx.specs.api import CfgVal, Role
from torchx.workspace.api import WorkspaceMixin
from torchx.workspace.dir_workspace import DirWorkspaceMixin
from torchx.workspace.preview import WorkspacePreview


class _Copier(DirWorkspaceMixin):
    JOB_DIR_OPTION = "jobdir"


class MountedWorkspaceMixin(WorkspaceMixin[None]):
    """Copies workspaces into the directory of the run option ``jobdir``, if that is set.

    Unlike elsewhere the image of a role stays what it was: it is that of its container, and the
    scheduler mounts the directory.
    """

    def build_workspaces(self, roles: list[Role], cfg: Mapping[str, CfgVal]) -> None:
        """Copies the workspaces of all roles.

        Args:
            roles: The roles.
            cfg: Resolved run config.

        Raises:
            WorkspaceError: A workspace cannot be read, or the directory is in use.
        """
        with _images_kept(roles):
            _Copier().build_workspaces(roles, cfg)

    def preview_workspaces(
        self, roles: list[Role], cfg: Mapping[str, CfgVal]
    ) -> list[WorkspacePreview] | None:
        """Tells what would be copied.

        Args:
            roles: The roles.
            cfg: Resolved run config.

        Returns:
            A preview for each workspace.
        """
        with _images_kept(roles):
            return _Copier().preview_workspaces(roles, cfg)


@contextlib.contextmanager
def _images_kept(roles: list[Role]) -> Iterator[None]:
    images = [role.image for role in roles]
    try:
        yield
    finally:
        for role, image in zip(roles, images, strict=True):
            role.image = image
