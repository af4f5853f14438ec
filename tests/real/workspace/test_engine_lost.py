"""An engine that is killed in the middle of a build."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.real.docker.engine import IMAGE, OwnEngine, need_engine
from torchx.errors import BackendError
from torchx.specs.api import Role, Workspace
from torchx.util.docker_client import docker_client
from torchx.workspace.docker_workspace import DockerWorkspaceMixin, log


class AtLine(logging.Handler):
    """Does something when a build has come to a line of its output."""

    def __init__(self, start: str, action: Callable[[], None]) -> None:
        super().__init__()
        self._start = start
        self._action = action

    def emit(self, record: logging.LogRecord) -> None:
        if record.getMessage().startswith(self._start):
            self._action()


def test_a_build_tells_that_the_engine_is_gone_and_works_when_it_is_back(
    code: Path,
    torchx_home: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    need_engine()
    # The names of sockets must be short.
    own = OwnEngine(Path(tempfile.mkdtemp(prefix="dockerd-")))
    monkeypatch.setenv("DOCKER_HOST", own.host)
    caplog.set_level(logging.INFO, logger=log.name)
    handler = AtLine("Step 4/", own.kill)
    log.addHandler(handler)
    dockerfile = code / "Dockerfile.torchx"
    dockerfile.write_text("ARG IMAGE\nFROM $IMAGE\nCOPY . .\nRUN sleep 600\n")
    role = Role(name="r", image=IMAGE, workspace=Workspace({str(code): ""}))
    try:
        own.up()
        client = docker_client()
        mixin = DockerWorkspaceMixin(docker_client=client)
        with pytest.raises(BackendError, match="cannot build the image of the workspace") as lost:
            mixin.build_workspaces([role], {})
        assert lost.value.transient
        log.removeHandler(handler)
        own.up()
        dockerfile.unlink()
        mixin.build_workspaces([role], {})
        assert role.image.startswith("sha256:")
        client.close()
    finally:
        log.removeHandler(handler)
        own.destroy()
