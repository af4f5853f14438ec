"""How a scheduler overlays local code on the images of an app: the mix-in and older helpers."""

from __future__ import annotations

import abc
import logging
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from torchx.specs.api import AppDef, CfgVal, Role, Workspace, runopts
from torchx.util.records import record

if TYPE_CHECKING:
    from torchx.workspace.ignore import TORCHX_IGNORE, _ignore, walk_workspace

__all__ = [
    "TORCHX_IGNORE",
    "AppDef",
    "CfgVal",
    "PackageType",
    "PkgInfo",
    "Role",
    "T",
    "Workspace",
    "WorkspaceBuilder",
    "WorkspaceConfigType",
    "WorkspaceMixin",
    "_ignore",
    "runopts",
    "walk_workspace",
]

log: logging.Logger = logging.getLogger(__name__)

T = TypeVar("T")
"""Type of what a dry run hands to the push of images."""

PackageType = TypeVar("PackageType")
"""Type of the metadata of a :class:`PkgInfo`."""

WorkspaceConfigType = TypeVar("WorkspaceConfigType")
"""Type of the config of a :class:`WorkspaceBuilder`."""


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        """Serves what only those who walk a workspace need."""
        if name not in ("TORCHX_IGNORE", "_ignore", "walk_workspace"):
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from torchx.workspace import ignore

        return getattr(ignore, name)


def _warn_deprecated(name: str) -> None:
    # 4: this function, __init__/__post_init__, the generated __init__, the caller.
    warnings.warn(
        f"{name} is deprecated and will be removed; fork it if you need it, or implement"
        " `WorkspaceMixin.caching_build_workspace_and_update_role` instead",
        FutureWarning,
        stacklevel=4,
    )


@record
class PkgInfo(Generic[PackageType]):
    """A package built from a workspace. Deprecated.

    Attributes:
        img: The image.
        lazy_overrides: Attributes of the role that are known only later.
        metadata: More about the package.
    """

    img: str
    lazy_overrides: dict[str, Any]
    metadata: PackageType

    def __post_init__(self) -> None:
        _warn_deprecated(type(self).__name__)


@record
class WorkspaceBuilder(Generic[PackageType, WorkspaceConfigType]):
    """Builds a package from a workspace. Deprecated.

    Attributes:
        cfg: How to build it.
    """

    cfg: WorkspaceConfigType

    def __post_init__(self) -> None:
        _warn_deprecated(type(self).__name__)

    def build_workspace(self, sync: bool = True) -> PkgInfo[PackageType]:
        """Builds the package.

        Args:
            sync: Whether to wait until it is built.

        Returns:
            The package.

        Raises:
            NotImplementedError: If the subclass does not implement it.
        """
        raise NotImplementedError(f"{type(self).__qualname__} does not implement build_workspace")


class WorkspaceMixin(abc.ABC, Generic[T]):
    """Lets a scheduler turn local code into a new image of a role.

    A subclass overrides :meth:`caching_build_workspace_and_update_role`. List it before
    ``Scheduler`` in the bases of the scheduler. ``T`` is the type of what
    :meth:`dryrun_push_images` hands to :meth:`push_images`.
    """

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)

    def workspace_opts(self) -> runopts:
        """Declares the run options of the workspace, which are added to those of the scheduler.

        Returns:
            The run options.
        """
        return runopts()

    def build_workspaces(self, roles: list[Role], cfg: Mapping[str, CfgVal]) -> None:
        """Builds the workspaces of all roles that have one and gives the roles their new images.

        Args:
            roles: The roles; changed in place.
            cfg: Resolved run config.
        """
        build_cache: dict[object, object] = {}
        for index, role in enumerate(roles):
            if not role.workspace:
                continue
            old_image = role.image
            self.caching_build_workspace_and_update_role(role, cfg, build_cache)
            if role.image != old_image:
                log.info(
                    "built the workspace of role[%d]=%s: image %s is now %s",
                    index,
                    role.name,
                    old_image,
                    role.image,
                )

    def caching_build_workspace_and_update_role(
        self,
        role: Role,
        cfg: Mapping[str, CfgVal],
        build_cache: dict[object, object],
    ) -> None:
        """Builds the workspace of one role and sets the image of the role.

        The default hands a single directory or URL as it is, and several projects merged into a
        temporary directory, to :meth:`build_workspace_and_update_role`; it does not use the cache.

        Args:
            role: The role; changed in place.
            cfg: Resolved run config.
            build_cache: Private to the mix-in; the same for all roles of one app, then dropped.
        """
        workspace = role.workspace
        if not workspace:
            return
        if workspace.is_unmapped_single_project():
            self.build_workspace_and_update_role(role, str(workspace), cfg)
            return
        import tempfile

        with tempfile.TemporaryDirectory(suffix="torchx_workspace_") as merged:
            workspace.merge_into(merged)
            self.build_workspace_and_update_role(role, merged, cfg)

    def build_workspace_and_update_role(
        self, role: Role, workspace: str, cfg: Mapping[str, CfgVal]
    ) -> None:
        """Builds a workspace of one directory; the older hook.

        Args:
            role: The role; changed in place.
            workspace: Path or fsspec URL of the directory.
            cfg: Resolved run config.

        Raises:
            NotImplementedError: If the subclass implements neither this nor the newer hook.
        """
        raise NotImplementedError(
            f"{type(self).__qualname__} must implement `caching_build_workspace_and_update_role`"
        )

    def dryrun_push_images(self, app: AppDef, cfg: Mapping[str, CfgVal]) -> T:
        """Replaces local images in an app by the remote names they will have.

        Args:
            app: The app; changed in place.
            cfg: Resolved run config.

        Returns:
            What :meth:`push_images` has to push.

        Raises:
            NotImplementedError: If images of this kind are not pushed.
        """
        raise NotImplementedError(f"{type(self).__qualname__} does not push images")

    def push_images(self, images_to_push: T) -> None:
        """Pushes images to where the back end pulls them from.

        Args:
            images_to_push: What :meth:`dryrun_push_images` returned.

        Raises:
            NotImplementedError: If images of this kind are not pushed.
        """
        raise NotImplementedError(f"{type(self).__qualname__} does not push images")
