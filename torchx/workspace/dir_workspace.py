"""Copies workspaces into directories: the mix-ins of schedulers with a shared file system.

A directory is filled completely or not made at all. One that is already a copy of the code as it
is now is used as it is.
"""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import tempfile
from collections.abc import Mapping

from torchx.specs.api import TORCHX_HOME, CfgVal, Role, Workspace
from torchx.workspace.api import WorkspaceMixin
from torchx.workspace.copying import copy_items, copy_to_url, is_copied
from torchx.workspace.job_dirs import digest_of_job_dir, known_job_dirs, remember_job_dir
from torchx.workspace.limits import SizeLimit
from torchx.workspace.manifest import Manifest, manifest_of, until_unchanged
from torchx.workspace.preview import WorkspacePreview, look_at, overrides_hooks, preview_of
from torchx.workspace.progress import shown_progress
from torchx.workspace.tree import DIR_IGNORES, WorkspaceError

__all__ = ["DirWorkspaceMixin", "JobDirExistsError", "TmpDirWorkspaceMixin"]

log: logging.Logger = logging.getLogger(__name__)

TMP_PREFIX = "torchx_workspace"
"""How the names of temporary copies begin."""


class JobDirExistsError(WorkspaceError, FileExistsError):
    """The job directory exists, and is not a copy of the code as it is now."""


class JobDirParentError(WorkspaceError, FileNotFoundError):
    """The directory that the job directory is to be made in does not exist."""


class TmpDirWorkspaceMixin(WorkspaceMixin[None]):
    """Copies the workspace of each role into a temporary directory, which becomes its image.

    Files named by ``.torchxignore`` stay behind, and so do version control, caches and virtual
    environments. The directory is left to whoever uses it; ``torchx prune`` removes old ones.
    """

    def build_workspace_and_update_role(
        self, role: Role, workspace: str, cfg: Mapping[str, CfgVal]
    ) -> None:
        """Copies a workspace of one directory.

        Args:
            role: The role; its image becomes the directory.
            workspace: Path or fsspec URL of the directory.
            cfg: Resolved run config.
        """
        target = tempfile.mkdtemp(prefix=TMP_PREFIX)
        try:
            _copy_to_dir(workspace, target)
        except BaseException:
            shutil.rmtree(target, ignore_errors=True)
            raise
        role.image = target


class DirWorkspaceMixin(WorkspaceMixin[None]):
    """Copies workspaces into the directory of the run option ``job_dir``, if that is set.

    Files named by ``.torchxignore`` stay behind, and so do version control, caches and virtual
    environments. The scheduler declares the option. All roles share the directory: their
    workspaces are merged in it.

    Attributes:
        JOB_DIR_OPTION: Name of the run option; a subclass may choose another one.
    """

    JOB_DIR_OPTION: str = "job_dir"

    def caching_build_workspace_and_update_role(
        self, role: Role, cfg: Mapping[str, CfgVal], build_cache: dict[object, object]
    ) -> None:
        """Copies the workspace of a role, once for all roles with the same workspace.

        Args:
            role: The role; its image becomes the directory.
            cfg: Resolved run config.
            build_cache: Workspaces that have been copied for this app.

        Raises:
            JobDirExistsError: The directory exists, and is not a copy of the code as it is now.
            WorkspaceError: The workspace cannot be read, or workspaces of two roles do not fit
                into one directory.
        """
        if not role.workspace:
            return
        own_hook = DirWorkspaceMixin.build_workspace_and_update_role
        if type(self).build_workspace_and_update_role is not own_hook:
            super().caching_build_workspace_and_update_role(role, cfg, build_cache)
            return
        job_dir = self._job_dir(cfg)
        if job_dir is None:
            return
        if role.workspace not in build_cache:
            workspace, is_first = role.workspace, not build_cache
            build_cache[workspace] = until_unchanged(
                lambda: _fill(workspace, job_dir, is_first=is_first)
            )
        role.image = job_dir

    def build_workspace_and_update_role(
        self, role: Role, workspace: str, cfg: Mapping[str, CfgVal]
    ) -> None:
        """Copies a workspace of one directory.

        Args:
            role: The role; its image becomes the directory.
            workspace: Path or fsspec URL of the directory.
            cfg: Resolved run config.

        Raises:
            JobDirExistsError: The directory exists, and is not a copy of the code as it is now.
        """
        job_dir = self._job_dir(cfg)
        if job_dir is None:
            return
        project = Workspace({workspace: ""})
        until_unchanged(lambda: _fill(project, job_dir, is_first=True))
        role.image = job_dir

    def preview_workspaces(
        self, roles: list[Role], cfg: Mapping[str, CfgVal]
    ) -> list[WorkspacePreview] | None:
        """Tells what would be copied, and gives the roles the image that they would get.

        Args:
            roles: The roles; their images are changed in place.
            cfg: Resolved run config.

        Returns:
            A preview for each workspace; ``None`` if a subclass copies in its own way.

        Raises:
            JobDirExistsError: The directory exists, and is not a copy of the code as it is now.
        """
        if overrides_hooks(type(self), DirWorkspaceMixin):
            return None
        job_dir = self._job_dir(cfg)
        found: dict[Workspace, WorkspacePreview] = {}
        for role in roles:
            if not role.workspace or job_dir is None:
                continue
            role.image = job_dir
            if role.workspace in found:
                found[role.workspace].roles.append(role.name)
                continue
            projects, manifest = look_at(role.workspace, DIR_IGNORES, _never_copied(job_dir))
            is_there = not found and manifest is not None and _is_there(job_dir, manifest)
            everything = [entry for project in projects for entry in project.entries]
            found[role.workspace] = preview_of(
                role, job_dir, projects, manifest, [] if is_there else everything
            )
        return list(found.values())

    def _job_dir(self, cfg: Mapping[str, CfgVal]) -> str | None:
        job_dir = cfg.get(self.JOB_DIR_OPTION)
        if job_dir is None:
            return None
        assert isinstance(job_dir, str), f"{self.JOB_DIR_OPTION} must be str"
        return job_dir


def _fill(workspace: Workspace, job_dir: str, *, is_first: bool) -> str:
    """Makes a directory a copy of a workspace, or adds a further workspace to it.

    Returns:
        The digest of the workspace.
    """
    limit = SizeLimit()
    manifest = _manifest(workspace, job_dir, limit)
    if not is_first:
        _add(manifest, job_dir)
        return manifest.digest
    if _is_there(job_dir, manifest):
        log.info("nothing has changed: %s is used as it is", job_dir)
        return manifest.digest
    limit.check("copy", [item.entry for item in manifest.items.values()])
    _make(manifest, job_dir)
    remember_job_dir(job_dir, manifest.digest)
    return manifest.digest


def _manifest(workspace: Workspace, job_dir: str, limit: SizeLimit) -> Manifest:
    with shown_progress() as progress:
        return manifest_of(
            workspace,
            DIR_IGNORES,
            _never_copied(job_dir),
            progress=progress,
            before_reading=lambda unread: limit.check("read", unread),
        )


def _never_copied(job_dir: str) -> list[str]:
    return [str(TORCHX_HOME()), job_dir, *known_job_dirs()]


def _is_there(job_dir: str, manifest: Manifest) -> bool:
    """Tells whether a job directory is a copy of the code already.

    Raises:
        JobDirExistsError: It is something else.
    """
    if not os.path.lexists(job_dir):
        return False
    if digest_of_job_dir(job_dir) == manifest.digest and all(
        is_copied(item, os.path.join(job_dir, path)) for path, item in manifest.items.items()
    ):
        return True
    raise JobDirExistsError(
        f"the job directory {job_dir} exists, and is not a copy of the workspace as it is now",
        hint="name a directory that does not exist; what is in this one may be in use",
    )


def _make(manifest: Manifest, job_dir: str) -> None:
    parent = os.path.dirname(os.path.abspath(job_dir))
    if not os.path.isdir(parent):
        raise JobDirParentError(
            f"cannot make the job directory {job_dir}: {parent} does not exist",
            hint=f"create {parent}, or name another directory",
        )
    # Filled under another name first: a job directory is complete or not there at all.
    unfinished = os.path.join(parent, f".torchx-{secrets.token_hex(8)}")
    os.mkdir(unfinished)
    try:
        with shown_progress() as progress:
            copy_items(manifest.items, unfinished, progress)
        os.rename(unfinished, job_dir)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


def _add(manifest: Manifest, job_dir: str) -> None:
    new = {}
    for path, item in manifest.items.items():
        there = os.path.join(job_dir, path)
        if not os.path.lexists(there):
            new[path] = item
        elif not is_copied(item, there):
            raise WorkspaceError(
                f"the workspaces of two roles have different files {path}, but share the job"
                f" directory {job_dir}",
                hint="give both roles the same workspace, mapping their code to directories of it",
            )
    with shown_progress() as progress:
        copy_items(new, job_dir, progress)


def _copy_to_dir(workspace: str, target: str) -> None:
    """Copies the files of a workspace that are not ignored into a directory or fsspec URL."""
    project = Workspace({workspace: ""})
    limit = SizeLimit()

    def copy() -> None:
        manifest = _manifest(project, target, limit)
        limit.check("copy", [item.entry for item in manifest.items.values()])
        copy_to_url(manifest.items, target)

    until_unchanged(copy)
