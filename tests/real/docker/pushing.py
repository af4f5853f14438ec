"""A scheduler like those of clusters: containers start from images that were pushed and pulled."""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping
from typing import Any, cast

import pytest

from tests.real.docker.engine import SESSION_VARIABLE
from torchx.runner import Runner
from torchx.schedulers.docker.options import Opts
from torchx.schedulers.docker.request import DockerJob
from torchx.schedulers.docker_scheduler import DockerScheduler
from torchx.specs import AppDef, AppDryRunInfo, CfgVal

REGISTRY = "127.0.0.1:" + os.environ.get("REGISTRY_PORT", "5000")


class PushingScheduler(DockerScheduler):
    """Takes images of workspaces through a registry before it starts containers from them."""

    def _submit_dryrun(self, app: AppDef, cfg: Opts) -> AppDryRunInfo[DockerJob]:
        self._to_push = self.dryrun_push_images(app, cast(Mapping[str, CfgVal], cfg))
        return super()._submit_dryrun(app, cfg)

    def schedule(self, dryrun_info: AppDryRunInfo[DockerJob]) -> str:
        self.push_images(self._to_push)
        for repo, tag in self._to_push.values():
            # Only the name: another name keeps the layers, and what is missing is pulled.
            self._docker_client.images.remove(f"{repo}:{tag}")
            self._docker_client.images.pull(repo, tag)
        return super().schedule(dryrun_info)


def make_runner() -> Runner:
    """Makes a runner that pushes, with the session that the environment names."""

    def make(session_name: str, **_: Any) -> PushingScheduler:
        return PushingScheduler(session_name)

    return Runner(os.environ[SESSION_VARIABLE], {"local_docker": make})


def need_registry() -> str:
    """Skips the running test unless a registry answers.

    Returns:
        A repository that nobody else uses.
    """
    import requests

    try:
        requests.get(f"http://{REGISTRY}/v2/", timeout=10).raise_for_status()
    except requests.RequestException as error:
        pytest.skip(f"no registry answers: {error} (scripts/services/registry-up.sh starts one)")
    return f"{REGISTRY}/torchx-test/{uuid.uuid4().hex}"
