"""A Docker engine, a registry and images of their own for the tests of workspaces."""

from __future__ import annotations

import contextlib
import io
import os
import tarfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from torchx.errors import TorchXError
from torchx.specs.api import Role, Workspace
from torchx.util.docker_client import docker_client
from torchx.workspace.docker_build import WORKSPACE_REPO
from torchx.workspace.docker_workspace import DockerWorkspaceMixin

if TYPE_CHECKING:
    from docker import DockerClient

REGISTRY = "127.0.0.1:" + os.environ.get("REGISTRY_PORT", "5000")


@pytest.fixture(scope="session")
def engine() -> Iterator[DockerClient]:
    """A client of the engine of this machine."""
    try:
        client = docker_client()
    except TorchXError as error:
        pytest.skip(f"{error} (scripts/services/dockerd-up.sh starts one)")
    yield client
    client.close()


@pytest.fixture
def base(engine: DockerClient) -> Iterator[str]:
    """Name of an image with one file, which nobody else uses. What is built on it is removed."""
    from docker.errors import ImageNotFound

    name = f"torchx-test-workspace:{uuid.uuid4().hex}"
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        info = tarfile.TarInfo("base")
        info.size = len(name)
        tar.addfile(info, io.BytesIO(name.encode()))
    repo, _, tag = name.partition(":")
    engine.api.import_image_from_data(archive.getvalue(), repository=repo, tag=tag)
    lowest = layers_of(engine, name)[0]
    yield name
    for summary in engine.api.images(WORKSPACE_REPO):
        # Other tests may remove theirs meanwhile.
        with contextlib.suppress(ImageNotFound):
            if layers_of(engine, summary["Id"])[0] == lowest:
                for built in summary["RepoTags"]:
                    engine.images.remove(built, force=True)
    with contextlib.suppress(ImageNotFound):
        engine.images.remove(name, force=True)


def layers_of(engine: DockerClient, image: str) -> list[str]:
    """Returns the digests of the layers of an image, the lowest first."""
    layers: list[str] = engine.images.get(image).attrs["RootFS"]["Layers"]
    return layers


@pytest.fixture
def registry() -> str:
    """Host and port of a registry that the engine may push to."""
    import requests

    try:
        requests.get(f"http://{REGISTRY}/v2/", timeout=10).raise_for_status()
    except requests.RequestException as error:
        pytest.skip(f"no registry answers: {error} (scripts/services/registry-up.sh starts one)")
    return REGISTRY


Files = dict[str, tarfile.TarInfo]


@pytest.fixture
def files_in(engine: DockerClient) -> Callable[[str], Files]:
    """Lists the files of an image, by their paths, without those that engines add themselves."""

    def listed(image: str) -> Files:
        container = engine.containers.create(image, command="none")
        try:
            blocks: Iterator[bytes] = iter(container.export())  # type: ignore[arg-type]  # stubs
            exported = io.BytesIO(b"".join(blocks))
        finally:
            container.remove()
        with tarfile.open(fileobj=exported, errors="surrogateescape", encoding="utf-8") as tar:
            own = ("dev/", "etc/", "proc/", "sys/", ".dockerenv")
            return {
                member.name: member
                for member in tar.getmembers()
                if not member.isdir() and not member.name.startswith(own)
            }

    return listed


@pytest.fixture
def build(engine: DockerClient, base: str, torchx_home: Path) -> Callable[..., str]:
    """Builds the workspace of a role on the image `base` and returns the image's id."""

    def built(*sources: Path, **cfg: bool) -> str:
        workspace = Workspace({str(source): "" for source in sources})
        role = Role(name="r", image=base, workspace=workspace)
        DockerWorkspaceMixin(docker_client=engine).build_workspaces([role], cfg)
        return role.image

    return built


@pytest.fixture
def torchx_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Caches of a test are its own."""
    home = tmp_path / "home"
    monkeypatch.setenv("TORCHX_HOME", str(home))
    return home


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """A small workspace."""
    root = tmp_path / "code"
    (root / "lib").mkdir(parents=True)
    (root / "main.py").write_text("print('hi')\n")
    (root / "run.sh").write_text("#!/bin/sh\n")
    (root / "run.sh").chmod(0o755)
    (root / "lib" / "a.py").write_text("A = 1\n")
    (root / "lib" / "big.py").write_text("B = 1\n" * 1000)
    return root
