"""Overlays local code on Docker images: the mix-in of all schedulers that run containers.

An image is built for each state of the code on each base image, once: its name tells both. What is
built already is neither built nor packed nor pushed again.
"""

from __future__ import annotations

import io
import logging
import tarfile
import tempfile
from collections.abc import Mapping
from typing import IO, TYPE_CHECKING, Any

import torchx
from torchx.errors import TorchXError
from torchx.specs.api import TORCHX_HOME, AppDef, CfgVal, Role, Workspace, runopts
from torchx.workspace.api import WorkspaceMixin
from torchx.workspace.context import SentFile, open_archive, pack
from torchx.workspace.docker_build import (
    WORKSPACE_REPO,
    engine_errors,
    find_image,
    image_id_of,
    pull_base,
    with_algorithm,
)
from torchx.workspace.docker_layers import (
    TORCHX_DOCKERFILE,
    Layer,
    Source,
    mark_used,
    plan_layer,
    remember_layer,
)
from torchx.workspace.docker_push import print_push_events, push_image
from torchx.workspace.job_dirs import known_job_dirs
from torchx.workspace.limits import SizeLimit, warn_of_contents
from torchx.workspace.manifest import Item, Manifest, manifest_of, until_unchanged
from torchx.workspace.preview import WorkspacePreview, look_at, overrides_hooks, preview_of
from torchx.workspace.progress import Progress, no_progress, shown_progress
from torchx.workspace.tree import DOCKER_IGNORES, WorkspaceError

if TYPE_CHECKING:
    from docker import DockerClient

__all__ = [
    "DEFAULT_DOCKERFILE",
    "TORCHX_DOCKERFILE",
    "DockerWorkspaceMixin",
    "print_push_events",
]

log: logging.Logger = logging.getLogger(__name__)

DEFAULT_DOCKERFILE = b"ARG IMAGE\nFROM $IMAGE\nCOPY . .\n"
"""What is used if there is no such file."""


def __getattr__(name: str) -> Any:
    # Published here, but `docker` must not be needed to import this module.
    if name == "BuildError":
        from docker.errors import BuildError

        return BuildError
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


class ImageRepoError(WorkspaceError, KeyError):
    """An image with local code has to be pushed, but it is not known where to."""

    __str__ = Exception.__str__


class DockerWorkspaceMixin(WorkspaceMixin[dict[str, tuple[str, str]]]):
    """Builds an image out of a role's image and its workspace.

    The files go to the working directory of the image, or to where ``Dockerfile.torchx`` at the
    root of the workspace copies them. That file may use the build arguments ``IMAGE`` (image of
    the role) and ``WORKSPACE`` (the workspace as text). Files named by ``.dockerignore`` or
    ``.torchxignore`` stay behind, and so do version control, caches and virtual environments.

    Args:
        *args: For the next class in line.
        docker_client: Client of the Docker engine; by default one is made when it is needed.
        **kwargs: For the next class in line.

    Attributes:
        LABEL_VERSION: Label of images and containers with the version of torchx.
        LABEL_WORKSPACE: Label of images with the digest of the code in them.
        _pushes_images: Whether jobs of the scheduler get images from a registry only.
    """

    LABEL_VERSION: str = "torchx.pytorch.org/version"
    LABEL_WORKSPACE: str = "torchx.pytorch.org/workspace"
    _pushes_images: bool = False

    # On the class, since subclasses may skip `__init__`.
    __client: DockerClient | None = None

    def __init__(
        self, *args: object, docker_client: DockerClient | None = None, **kwargs: object
    ) -> None:
        super().__init__(*args, **kwargs)
        self.__client = docker_client

    @property
    def _docker_client(self) -> DockerClient:
        client = self.__client
        if client is None:
            from torchx.util.docker_client import docker_client

            client = self.__client = docker_client()
        return client

    def workspace_opts(self) -> runopts:
        """Declares ``image_repo`` and ``quiet``.

        Returns:
            The run options.
        """
        opts = runopts()
        opts.add(
            "image_repo",
            type_=str,
            help="repository that images with local code are pushed to by remote jobs, such as"
            " registry.example.com/team/project; you need to have push access",
        )
        opts.add("quiet", type_=bool, default=False, help="do not show the output of image builds")
        return opts

    def build_workspaces(self, roles: list[Role], cfg: Mapping[str, CfgVal]) -> None:
        """Builds the workspaces of all roles that have one and gives the roles their new images.

        Args:
            roles: The roles; changed in place.
            cfg: Resolved run config.

        Raises:
            ImageRepoError: The images would have to be pushed, but ``image_repo`` is not set.
        """
        if self._pushes_images and not cfg.get("image_repo") and self._builds_itself():
            # A build may take minutes.
            for role in roles:
                if role.workspace:
                    raise _no_image_repo(role)
        super().build_workspaces(roles, cfg)

    def caching_build_workspace_and_update_role(
        self, role: Role, cfg: Mapping[str, CfgVal], build_cache: dict[object, object]
    ) -> None:
        """Builds the workspace of a role, once for all roles with the same image and workspace.

        Args:
            role: The role; its image becomes the id of the new one.
            cfg: Resolved run config.
            build_cache: Images built for this app.
        """
        if not role.workspace:
            return
        if not self._builds_itself():
            super().caching_build_workspace_and_update_role(role, cfg, build_cache)
            return
        key = (role.image, role.workspace)
        if key not in build_cache:
            build_cache[key] = self._image_with(role.image, role.workspace, cfg)
        role.image = str(build_cache[key])

    def build_workspace_and_update_role(
        self, role: Role, workspace: str, cfg: Mapping[str, CfgVal]
    ) -> None:
        """Builds a workspace of one directory.

        Args:
            role: The role; its image becomes the id of the new one.
            workspace: Path or fsspec URL of the directory.
            cfg: Resolved run config.
        """
        role.image = self._image_with(role.image, Workspace({workspace: ""}), cfg)

    def dryrun_push_images(
        self, app: AppDef, cfg: Mapping[str, CfgVal]
    ) -> dict[str, tuple[str, str]]:
        """Replaces local images in an app by the names they will have in ``image_repo``.

        Args:
            app: The app; changed in place.
            cfg: Resolved run config.

        Returns:
            Local image -> repository and tag to push it to.

        Raises:
            ImageRepoError: There are local images, but ``image_repo`` is not set; a ``KeyError``.
        """
        hash_prefix = "sha256:"
        to_push: dict[str, tuple[str, str]] = {}
        for role in app.roles:
            if not role.image.startswith(hash_prefix):
                continue
            image_repo = cfg.get("image_repo")
            if not image_repo:
                raise _no_image_repo(role)
            assert isinstance(image_repo, str), "image_repo must be str"
            tag = role.image.removeprefix(hash_prefix)
            to_push[role.image] = (image_repo, tag)
            role.image = f"{image_repo}:{tag}"
        return to_push

    def push_images(self, images_to_push: dict[str, tuple[str, str]]) -> None:
        """Pushes images, as the user that ``docker login`` has logged in.

        Args:
            images_to_push: What :meth:`dryrun_push_images` returned.

        Raises:
            ImagePushError: A push failed.
        """
        if not images_to_push:
            return
        client = self._docker_client
        for image, (repo, tag) in images_to_push.items():
            log.info("pushing image %s to %s:%s", image, repo, tag)
            with engine_errors(f"push {repo}:{tag}"):
                if not push_image(client, image, repo, tag):
                    log.info("%s has image %s already", repo, tag)

    def preview_workspaces(
        self, roles: list[Role], cfg: Mapping[str, CfgVal]
    ) -> list[WorkspacePreview] | None:
        """Tells what would be built, and gives the roles the images that they would get.

        The id of an image that has not been built is not known; a name says so in its place.

        Args:
            roles: The roles; their images are changed in place.
            cfg: Resolved run config.

        Returns:
            A preview for each image; ``None`` if a subclass builds in its own way.
        """
        if overrides_hooks(type(self), DockerWorkspaceMixin):
            return None
        found: dict[tuple[str, Workspace], WorkspacePreview] = {}
        for role in roles:
            if not role.workspace:
                continue
            key = (role.image, role.workspace)
            if key in found:
                found[key].roles.append(role.name)
            else:
                found[key] = self._preview(role)
            role.image = found[key].image
        return list(found.values())

    def _preview(self, role: Role) -> WorkspacePreview:
        assert role.workspace
        projects, manifest = look_at(role.workspace, DOCKER_IGNORES, _never_sent())
        everything = [entry for project in projects for entry in project.entries]
        if manifest is None:
            return preview_of(role, "sha256:to-be-built", projects, None, everything)
        unbuilt = f"sha256:to-be-built-{manifest.digest[:12]}"
        try:
            client = self._docker_client
            with engine_errors("ask the Docker engine what it has"):
                source = Source(manifest, find_image(client, role.image), str(role.workspace))
                built = self._built_image(client, source)
                layer = plan_layer(client, source, role.image)
        except TorchXError as error:
            log.info("it is not known what would have to be built: %s", error)
            return preview_of(role, unbuilt, projects, manifest, everything)
        sent = [] if built else [item.entry for item in layer.items.values()]
        return preview_of(role, built or unbuilt, projects, manifest, sent)

    def _builds_itself(self) -> bool:
        """Tells whether no subclass has a way of its own to build."""
        own = DockerWorkspaceMixin.build_workspace_and_update_role
        return type(self).build_workspace_and_update_role is own

    def _image_with(self, image: str, workspace: Workspace, cfg: Mapping[str, CfgVal]) -> str:
        limit = SizeLimit()
        return until_unchanged(lambda: self._find_or_build(image, workspace, cfg, limit))

    def _find_or_build(
        self, image: str, workspace: Workspace, cfg: Mapping[str, CfgVal], limit: SizeLimit
    ) -> str:
        client = self._docker_client
        with shown_progress() as progress, engine_errors("build the image of the workspace"):
            manifest = _manifest(workspace, limit, progress)
            log.info(
                "workspace %s: %d files in %s", workspace, len(manifest.items), _roots(manifest)
            )
            source = Source(manifest, pull_base(client, image), str(workspace))
            built = self._built_image(client, source)
            if built is not None:
                log.info("nothing has changed: image %s is used", built)
                mark_used(source)
                return built
            layer = plan_layer(client, source, image)
            limit.check("send along", [item.entry for item in layer.items.values()])
            warn_of_contents(layer.items)
            with _packed(layer.items, progress) as context:
                image_id = self._build(source, layer, context, progress, cfg)
            if source.base_id:
                client.api.tag(image_id, WORKSPACE_REPO, tag=source.key, force=True)
                remember_layer(source, layer, image_id)
            return image_id

    def _built_image(self, client: DockerClient, source: Source) -> str | None:
        if not source.base_id:
            return None
        found = find_image(client, f"{WORKSPACE_REPO}:{source.key}")
        if found is None or found.labels.get(self.LABEL_WORKSPACE) != source.manifest.digest:
            return None
        return with_algorithm(str(found.id))

    def _build(
        self,
        source: Source,
        layer: Layer,
        context: IO[bytes],
        progress: Progress,
        cfg: Mapping[str, CfgVal],
    ) -> str:
        log.info(
            "building an image: %d of %d files of %s are put on %s",
            len(layer.items),
            len(source.manifest.items),
            source.workspace,
            layer.parent,
        )
        with SentFile(context.name, progress) as sent:
            events = self._docker_client.api.build(
                fileobj=sent,
                custom_context=True,
                dockerfile=TORCHX_DOCKERFILE,
                buildargs={"IMAGE": layer.parent, "WORKSPACE": source.workspace},
                pull=False,
                rm=True,
                decode=True,
                labels={
                    self.LABEL_VERSION: torchx.__version__,
                    self.LABEL_WORKSPACE: source.manifest.digest,
                },
            )
            on_line = _no_line if cfg.get("quiet", False) else _log_line
            try:
                return image_id_of(events, on_line, layer.parent)
            except TorchXError:
                # An engine that is being stopped ends builds with errors that do not say so.
                self._docker_client.ping()
                raise


def _no_image_repo(role: Role) -> ImageRepoError:
    return ImageRepoError(
        f"the image of role `{role.name}` holds local code and has to be pushed, but the run option"
        " `image_repo` is not set",
        hint="set image_repo to a repository that you can push to, or run without a workspace"
        ' (--workspace "")',
    )


def _log_line(message: str) -> None:
    log.info(message)


def _no_line(message: str) -> None:
    """Keeps a line of output to itself."""


def _manifest(workspace: Workspace, limit: SizeLimit, progress: Progress) -> Manifest:
    return manifest_of(
        workspace,
        DOCKER_IGNORES,
        _never_sent(),
        progress=progress,
        before_reading=lambda unread: limit.check("read", unread),
    )


def _never_sent() -> list[str]:
    return [str(TORCHX_HOME()), *known_job_dirs()]


def _roots(manifest: Manifest) -> str:
    return ", ".join(project.root for project in manifest.projects)


def _packed(items: Mapping[str, Item], progress: Progress) -> IO[bytes]:
    context = tempfile.NamedTemporaryFile(  # noqa: SIM115 - the caller closes it
        prefix="torchx-context", suffix=".tar"
    )
    try:
        with open_archive(context) as archive:
            pack(items, archive, progress)
            if TORCHX_DOCKERFILE not in items:
                info = tarfile.TarInfo(TORCHX_DOCKERFILE)
                info.size = len(DEFAULT_DOCKERFILE)
                archive.addfile(info, io.BytesIO(DEFAULT_DOCKERFILE))
        context.seek(0)
    except BaseException:
        context.close()
        raise
    return context


def _build_context(img: str, workspace: str) -> IO[bytes]:
    """Packs a workspace, with a Dockerfile if it has none; closing the file removes it."""
    return _packed(_items_of(workspace), no_progress)


def _copy_to_tarfile(workspace: str, tf: tarfile.TarFile) -> None:
    """Adds the files of a workspace to an archive."""
    pack(_items_of(workspace), tf)


def _items_of(workspace: str) -> Mapping[str, Item]:
    manifest = _manifest(Workspace({workspace: ""}), SizeLimit(), no_progress)
    log.info("workspace %s: %d files in %s", workspace, len(manifest.items), _roots(manifest))
    return manifest.items
