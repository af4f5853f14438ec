"""Images of workspaces, pushed to a real registry."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from torchx.specs.api import AppDef, Role
from torchx.workspace.docker_push import ImagePushError
from torchx.workspace.docker_workspace import DockerWorkspaceMixin

if TYPE_CHECKING:
    from docker import DockerClient

Build = Callable[..., str]


@pytest.fixture
def repo(registry: str, engine: DockerClient) -> Iterator[str]:
    """A repository of the registry that nobody else uses."""
    name = f"{registry}/torchx-test/{uuid.uuid4().hex}"
    yield name
    for image in engine.images.list(name):
        for tag in image.tags:
            engine.images.remove(tag)


@pytest.fixture
def pushes(monkeypatch: pytest.MonkeyPatch, engine: DockerClient) -> list[str]:
    """Tags that are pushed."""
    pushed: list[str] = []
    original: Callable[..., object] = engine.api.push

    def recorded(repository: str, tag: str | None = None, **kwargs: object) -> object:
        pushed.append(f"{repository}:{tag}")
        return original(repository, tag=tag, **kwargs)

    monkeypatch.setattr(engine.api, "push", recorded)
    return pushed


def submit(engine: DockerClient, image: str, repo: str) -> str:
    mixin = DockerWorkspaceMixin(docker_client=engine)
    app = AppDef(name="a", roles=[Role(name="r", image=image)])
    to_push = mixin.dryrun_push_images(app, {"image_repo": repo})
    mixin.push_images(to_push)
    return app.roles[0].image


def test_a_pushed_image_can_be_pulled_by_the_name_in_the_app(
    build: Build, code: Path, engine: DockerClient, repo: str
) -> None:
    image = build(code)
    remote = submit(engine, image, repo)
    assert remote == f"{repo}:{image.removeprefix('sha256:')}"
    assert engine.images.get_registry_data(remote).id
    assert engine.images.pull(remote).id == image


def test_unchanged_code_is_not_pushed_again(
    build: Build, code: Path, engine: DockerClient, repo: str, pushes: list[str]
) -> None:
    first = submit(engine, build(code), repo)
    assert submit(engine, build(code), repo) == first
    assert pushes == [first]
    (code / "main.py").write_text("print('ho')\n")
    second = submit(engine, build(code), repo)
    assert pushes == [first, second]


def test_another_registry_gets_what_one_registry_has(
    build: Build, code: Path, engine: DockerClient, repo: str, pushes: list[str]
) -> None:
    image = build(code)
    submit(engine, image, repo)
    submit(engine, image, f"{repo}-other")
    assert len(pushes) == 2


def test_a_push_that_fails_is_an_error_that_says_why(
    build: Build, code: Path, engine: DockerClient, repo: str
) -> None:
    with pytest.raises(ImagePushError, match="failed to push docker image") as caught:
        submit(engine, build(code), "127.0.0.1:9/nobody/listens")
    assert caught.value.transient
    assert isinstance(caught.value, RuntimeError)
