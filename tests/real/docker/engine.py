"""The Docker engine that tests use, and engines of their own for tests that stop or kill them."""

from __future__ import annotations

import functools
import os
import shutil
import signal
import subprocess
import uuid
from dataclasses import dataclass
from pathlib import Path

import pytest

from torchx.errors import TorchXError
from torchx.runner import Runner
from torchx.schedulers import get_scheduler_factories
from torchx.schedulers.docker.request import DockerJob
from torchx.specs import AppDryRunInfo, Role
from torchx.util.docker_client import docker_client

IMAGE = "torchx-test/python:3"
"""Made by ``scripts/services/base-image.sh``."""

SESSION_VARIABLE = "TEST_DOCKER_SESSION"
"""Environment variable that tells other processes the session of a test."""

SERVICES = Path(__file__).parents[3] / "scripts" / "services"


def need_engine() -> None:
    """Skips the running test unless an engine with the test image answers."""
    reason = _why_not()
    if reason:
        pytest.skip(reason)


@functools.cache
def _why_not() -> str:
    from docker.errors import ImageNotFound

    try:
        client = docker_client()
    except TorchXError as error:
        return f"{error} (scripts/services/dockerd-up.sh starts one)"
    try:
        client.images.get(IMAGE)
    except ImageNotFound:
        return f"the engine has no image {IMAGE} (scripts/services/base-image.sh makes it)"
    finally:
        client.close()
    return ""


def own_session() -> str:
    """Makes a name for the session of one test, by which its apps can be told from others."""
    return f"test-{uuid.uuid4().hex[:12]}"


def make_runner() -> Runner:
    """Makes a runner with the session that the environment names."""
    return Runner(os.environ[SESSION_VARIABLE], get_scheduler_factories())


@dataclass
class OfflineRole(Role):
    """A role whose containers have no network, for engines that have none to give."""

    def pre_proc(
        self, scheduler: str, dryrun_info: AppDryRunInfo[DockerJob]
    ) -> AppDryRunInfo[DockerJob]:
        for container in dryrun_info.request.containers:
            container.kwargs["network"] = "none"
        return dryrun_info


class OwnEngine:
    """An engine that belongs to one test module, with no network but ``none``.

    Args:
        root: Directory for all of its state.
        flags: More flags for ``dockerd``.

    Attributes:
        host: What ``DOCKER_HOST`` has to be to use it.
    """

    def __init__(self, root: Path, flags: str = "") -> None:
        self.host = f"unix://{root}/docker.sock"
        self._root = root
        self._env = {
            **os.environ,
            "DOCKERD_ROOT": str(root),
            "DOCKERD_FLAGS": flags,
            "DOCKER_HOST": self.host,
        }

    def up(self) -> None:
        """Starts the engine, with the test image."""
        self._run(str(SERVICES / "dockerd-up.sh"))
        self._run(str(SERVICES / "base-image.sh"))

    def down(self) -> None:
        """Stops the engine."""
        self._run(str(SERVICES / "dockerd-down.sh"))

    def kill(self) -> None:
        """Kills the engine, so that it can do nothing about it."""
        os.kill(int((self._root / "docker.pid").read_text()), signal.SIGKILL)

    def remove_containers(self) -> None:
        """Removes all containers."""
        ids = self._run("docker", "ps", "--all", "--quiet").split()
        if ids:
            self._run("docker", "rm", "--force", *ids)

    def destroy(self) -> None:
        """Stops the engine and removes what it kept."""
        self.up()
        self.remove_containers()
        self.down()
        shutil.rmtree(self._root)

    def _run(self, *command: str) -> str:
        done = subprocess.run(command, env=self._env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout
