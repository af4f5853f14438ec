"""Submits small apps for tests, and removes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.real.docker.engine import IMAGE
from torchx.schedulers.api import DescribeAppResponse
from torchx.schedulers.docker.request import DockerJob
from torchx.schedulers.docker_scheduler import DockerScheduler, Opts, create_scheduler
from torchx.specs import AppDef, AppDryRunInfo, Resource, Role, is_terminal

TIMEOUT_S = 60.0


class Jobs:
    """A scheduler and what was submitted to it.

    Args:
        session: Name of the session.

    Attributes:
        scheduler: The scheduler.
        client: The client of its engine.
    """

    def __init__(self, session: str) -> None:
        self.scheduler: DockerScheduler = create_scheduler(session)
        self.client = self.scheduler._docker_client
        self._submitted: list[str] = []

    def role(self, program: str, *args: str, name: str = "job", **fields: Any) -> Role:
        """Makes a role that runs a Python program in the test image."""
        fields = {"image": IMAGE, "resource": Resource(cpu=1, gpu=0, memMB=64), **fields}
        return Role(name, entrypoint="python3", args=["-c", program, *args], **fields)

    def request(
        self, *roles: Role, name: str = "docker", cfg: Mapping[str, Any] | None = None
    ) -> AppDryRunInfo[DockerJob]:
        """Makes the request for an app."""
        return self.scheduler.submit_dryrun(AppDef(name, list(roles)), Opts.from_cfg(cfg or {}))

    def schedule(self, info: AppDryRunInfo[DockerJob]) -> str:
        """Submits a request; whatever comes of it is removed."""
        self._submitted.append(info.request.app_id)
        return self.scheduler.schedule(info)

    def submit(
        self, *roles: Role, name: str = "docker", cfg: Mapping[str, Any] | None = None
    ) -> str:
        """Submits an app."""
        return self.schedule(self.request(*roles, name=name, cfg=cfg))

    def describe(self, app_id: str) -> DescribeAppResponse:
        """Describes an app that exists."""
        description = self.scheduler.describe(app_id)
        assert description is not None, f"{app_id} is unknown"
        return description

    def wait(self, app_id: str) -> DescribeAppResponse:
        """Waits until an app has ended."""
        while not is_terminal((description := self.describe(app_id)).state):
            self.scheduler.wait_for_change(app_id, TIMEOUT_S)
        return description

    def log(self, app_id: str, role: str = "job", k: int = 0) -> list[str]:
        """Reads the log of a replica."""
        return list(self.scheduler.log_iter(app_id, role, k))

    def run(self, *roles: Role, cfg: Mapping[str, Any] | None = None) -> list[str]:
        """Submits an app that has to succeed, and reads the log of its first replica."""
        app_id = self.submit(*roles, cfg=cfg)
        description = self.wait(app_id)
        log = self.log(app_id, roles[0].name)
        assert description.state.name == "SUCCEEDED", (description.msg, log)
        return log

    def containers(self, app_id: str) -> list[dict[str, Any]]:
        """Inspects the containers of an app, by replica."""
        found = self.client.containers.list(
            all=True, filters={"label": f"torchx.pytorch.org/app-id={app_id}"}
        )
        return sorted((container.attrs for container in found), key=lambda item: str(item["Name"]))

    def close(self) -> None:
        """Deletes all that was submitted."""
        for app_id in self._submitted:
            self.scheduler.delete(app_id)
        self.scheduler.close()
