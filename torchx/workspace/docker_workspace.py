"""Overlays local code on Docker images: the mix-in of all schedulers that run containers.

An image is built for each state of the code on each base image, once: its name tells both. What is
built already is neither built nor packed nor pushed again.
"""

from __future__ import annotations

import hashlib
import io
import logging
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

import torchx
from torchx.specs.api import AppDef, CfgVal, Role, Workspace, runopts
from torchx.workspace.api import WorkspaceMixin
from torchx.workspace.context import SentFile, open_archive, pack
from torchx.workspace.docker_build import find_image, image_id_of, pull_base
from torchx.workspace.docker_push import print_push_events, push_image
from torchx.workspace.manifest import FileChanged, Manifest, keeps_changing, manifest_of
from torchx.workspace.progress import Progress, no_progress, shown_progress

if TYPE_CHECKING:
    from docker import DockerClient

__all__ = [
    "DEFAULT_DOCKERFILE",
    "TORCHX_DOCKERFILE",
    "DockerWorkspaceMixin",
    "print_push_events",
]

log: logging.Logger = logging.getLogger(__name__)

TORCHX_DOCKERFILE = "Dockerfile.torchx"
"""Name of the file at the root of a workspace that tells how to build its image."""

DEFAULT_DOCKERFILE = b"ARG IMAGE\nFROM $IMAGE\nCOPY . .\n"
"""What is used if there is no such file."""

WORKSPACE_REPO = "torchx-workspace"
"""Local repository in which built images are named by what they were built from."""

_ATTEMPTS = 3


def __getattr__(name: str) -> Any:
    # Published here, but `docker` must not be needed to import this module.
    if name == "BuildError":
        from docker.errors import BuildError

        return BuildError
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


@dataclass(frozen=True)
class _Build:
    """What determines an image.

    Attributes:
        manifest: The code.
        base: Id of the base image; ``""`` if it is not known.
        workspace: The workspace, as text.
    """

    manifest: Manifest
    base: str
    workspace: str

    @property
    def key(self) -> str:
        """Digest of all of it, in hex."""
        parts = [self.base, self.manifest.digest]
        if TORCHX_DOCKERFILE in self.manifest.items:
            parts.append(self.workspace)  # it may use the build argument
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()

    @property
    def name(self) -> str:
        return f"{WORKSPACE_REPO}:{self.key}"


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
        LABEL_KEY: Label of images with the digest of all that they were built from.
    """

    LABEL_VERSION: str = "torchx.pytorch.org/version"
    LABEL_WORKSPACE: str = "torchx.pytorch.org/workspace"
    LABEL_KEY: str = "torchx.pytorch.org/workspace-key"

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
        own_hook = DockerWorkspaceMixin.build_workspace_and_update_role
        if type(self).build_workspace_and_update_role is not own_hook:
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
            KeyError: There are local images, but ``image_repo`` is not set.
        """
        hash_prefix = "sha256:"
        to_push: dict[str, tuple[str, str]] = {}
        for role in app.roles:
            if not role.image.startswith(hash_prefix):
                continue
            image_repo = cfg.get("image_repo")
            if not image_repo:
                raise KeyError(
                    f"role `{role.name}` has local code in its image, which has to be pushed:"
                    " set the run option `image_repo` to a repository, or run without workspace"
                )
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
            if not push_image(client, image, repo, tag):
                log.info("%s has image %s already", repo, tag)

    def _image_with(self, image: str, workspace: Workspace, cfg: Mapping[str, CfgVal]) -> str:
        for _ in range(_ATTEMPTS):
            try:
                return self._find_or_build(image, workspace, cfg)
            except FileChanged as error:
                changed = str(error)
        raise keeps_changing(changed)

    def _find_or_build(self, image: str, workspace: Workspace, cfg: Mapping[str, CfgVal]) -> str:
        client = self._docker_client
        with shown_progress() as progress:
            manifest = manifest_of(workspace, progress=progress)
            _log_resolved(workspace, manifest)
            base = pull_base(client, image)
            build = _Build(manifest, _id_of(base), str(workspace))
            found = find_image(client, build.name) if build.base else None
            if found is not None and found.labels.get(self.LABEL_KEY) == build.key:
                log.info("nothing has changed: image %s is used", found.id)
                return str(found.id)
            with _packed(manifest, progress) as context:
                built = self._build(image, build, context, progress, cfg)
        if build.base:
            client.api.tag(built, WORKSPACE_REPO, tag=build.key, force=True)
        return built

    def _build(
        self,
        image: str,
        build: _Build,
        context: IO[bytes],
        progress: Progress,
        cfg: Mapping[str, CfgVal],
    ) -> str:
        log.info("building an image from %s and %s", image, build.workspace)
        with SentFile(context.name, progress) as sent:
            events = self._docker_client.api.build(
                fileobj=sent,
                custom_context=True,
                dockerfile=TORCHX_DOCKERFILE,
                buildargs={"IMAGE": image, "WORKSPACE": build.workspace},
                pull=False,
                rm=True,
                decode=True,
                labels={
                    self.LABEL_VERSION: torchx.__version__,
                    self.LABEL_WORKSPACE: build.manifest.digest,
                    self.LABEL_KEY: build.key,
                },
            )
            return image_id_of(events, _no_line if cfg.get("quiet", False) else _log_line)


def _log_line(message: str) -> None:
    log.info(message)


def _no_line(message: str) -> None:
    """Keeps a line of output to itself."""


def _log_resolved(workspace: Workspace, manifest: Manifest) -> None:
    roots = ", ".join(project.root for project in manifest.projects)
    log.info("workspace %s: %d files in %s", workspace, len(manifest.items), roots)


def _id_of(image: object) -> str:
    found = getattr(image, "id", None)
    return found if isinstance(found, str) else ""


def _packed(manifest: Manifest, progress: Progress) -> IO[bytes]:
    context = tempfile.NamedTemporaryFile(  # noqa: SIM115 - the caller closes it
        prefix="torchx-context", suffix=".tar"
    )
    try:
        with open_archive(context) as archive:
            pack(manifest.items, archive, progress)
            if TORCHX_DOCKERFILE not in manifest.items:
                _add_default_dockerfile(archive)
        context.seek(0)
    except BaseException:
        context.close()
        raise
    return context


def _add_default_dockerfile(archive: tarfile.TarFile) -> None:
    info = tarfile.TarInfo(TORCHX_DOCKERFILE)
    info.size = len(DEFAULT_DOCKERFILE)
    archive.addfile(info, io.BytesIO(DEFAULT_DOCKERFILE))


def _build_context(img: str, workspace: str) -> IO[bytes]:
    """Packs a workspace, with a Dockerfile if it has none; closing the file removes it."""
    manifest = manifest_of(Workspace({workspace: ""}))
    _log_resolved(Workspace({workspace: ""}), manifest)
    return _packed(manifest, no_progress)


def _copy_to_tarfile(workspace: str, tf: tarfile.TarFile) -> None:
    """Adds the files of a workspace to an archive."""
    manifest = manifest_of(Workspace({workspace: ""}))
    _log_resolved(Workspace({workspace: ""}), manifest)
    pack(manifest.items, tf)
