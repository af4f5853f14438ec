"""Workspaces of training jobs: sent along by way of S3, or built into an image."""

from __future__ import annotations

from collections.abc import Mapping

from torchx.schedulers.aws_sagemaker.storage import IGNORES, never_sent
from torchx.specs.api import CfgVal, Role, Workspace
from torchx.workspace.docker_workspace import DockerWorkspaceMixin
from torchx.workspace.preview import WorkspacePreview, look_at, overrides_hooks, preview_of


class SentWorkspaceMixin(DockerWorkspaceMixin):
    """Sends workspaces along as they are when the job is submitted, which needs no Docker.

    With the run option ``image_repo`` they are built into images instead.
    """

    def preview_workspaces(
        self, roles: list[Role], cfg: Mapping[str, CfgVal]
    ) -> list[WorkspacePreview] | None:
        """Tells what would be sent or built.

        Args:
            roles: The roles; where an image would be built, theirs is changed in place.
            cfg: Resolved run config.

        Returns:
            A preview for each workspace; ``None`` if a subclass builds in its own way. Whether S3
            has the code already is not asked.
        """
        if not self._sends_workspaces(cfg):
            return super().preview_workspaces(roles, cfg)
        return [_preview(role, role.workspace) for role in roles if role.workspace]

    def _sends_workspaces(self, cfg: Mapping[str, CfgVal]) -> bool:
        has_own_way = overrides_hooks(type(self), DockerWorkspaceMixin)
        return not cfg.get("image_repo") and not has_own_way

    def _image_with(self, image: str, workspace: Workspace, cfg: Mapping[str, CfgVal]) -> str:
        if self._sends_workspaces(cfg):
            return image
        return super()._image_with(image, workspace, cfg)


def _preview(role: Role, workspace: Workspace) -> WorkspacePreview:
    projects, manifest = look_at(workspace, IGNORES, never_sent())
    everything = [entry for project in projects for entry in project.entries]
    return preview_of(role, role.image, projects, manifest, everything)
