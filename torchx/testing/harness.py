"""Describes a back end to the conformance suite."""

from __future__ import annotations

import socket
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

import pytest

from torchx.specs import (
    AppDef,
    BindMount,
    CfgVal,
    DeviceMount,
    Resource,
    RetryPolicy,
    Role,
    VolumeMount,
    make_app_handle,
)
from torchx.testing.capabilities import Capability
from torchx.testing.job import Job
from torchx.testing.peer import Peer, make_runner

if TYPE_CHECKING:
    from torchx.runner import Runner

H = TypeVar("H", bound="SchedulerHarness")


@dataclass
class SchedulerHarness:
    """A back end, as the cases see it. A context manager: whatever was launched ends with it.

    Only ``scheduler`` is needed. Subclass it where a value is not enough: every method may be
    overridden.

    Args:
        scheduler: Name of the scheduler.
        missing: What the back end cannot do -> the reason, which the skipped cases print.
        runner: A function without arguments that makes a runner on the back end, as
            ``module:name``: it is called in other processes too.
        cfg: Run options for all launches.
        list_cfg: Options that listing needs.
        image: Image of the roles. It needs a Python 3.8 or newer.
        python: The Python of the image.
        resource: What each replica asks for; the cases launch up to 20 replicas at a time.
        held_cfg: Run options, added to ``cfg``, with which an app stays pending.
        held_resource: A resource that keeps an app pending; ``None`` uses ``resource``.
        workspace_cfg: Run options, added to ``cfg``, that launching with a workspace needs.
        workspace_image: Image of roles with a workspace; ``None`` uses ``image``.
        shared_dir: An empty directory that replicas can write to and tests can read.
        shared_dir_in_job: The same directory as replicas see it; ``None``: at the same path.
        shared_mounts: Mounts that every role needs for ``shared_dir``.
        timeout_s: Longest time that a small app may take from launch to end, in seconds.
        many_lines: How many lines the case with the long log writes.
        longest_argument_bytes: Longest argument and longest environment value that can be passed.
        log_time_resolution_s: How exactly logs can be limited by time, in seconds.
        unknown_app_id: An id that no app has.
    """

    scheduler: str
    missing: Mapping[Capability, str] = field(default_factory=dict)
    runner: str = "torchx.runner:get_runner"
    cfg: Mapping[str, CfgVal] = field(default_factory=dict)
    list_cfg: Mapping[str, CfgVal] | None = None
    image: str = ""
    python: str = sys.executable
    resource: Resource = field(default_factory=lambda: Resource(cpu=1, gpu=0, memMB=128))
    held_cfg: Mapping[str, CfgVal] = field(default_factory=dict)
    held_resource: Resource | None = None
    workspace_cfg: Mapping[str, CfgVal] = field(default_factory=dict)
    workspace_image: str | None = None
    shared_dir: Path | None = None
    shared_dir_in_job: str | None = None
    shared_mounts: Sequence[BindMount | VolumeMount | DeviceMount] = ()
    timeout_s: float = 60.0
    many_lines: int = 1_000_000
    longest_argument_bytes: int = 100_000
    log_time_resolution_s: float = 0.1
    unknown_app_id: str = "does-not-exist"

    def __post_init__(self) -> None:
        self._resources = ExitStack()
        self._launched: list[str] = []
        self._session: Runner | None = None

    def __enter__(self: H) -> H:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def need(self, *capabilities: Capability) -> None:
        """Skips the running test if the back end lacks something.

        Args:
            *capabilities: What the test needs.
        """
        for capability in capabilities:
            if capability in self.missing:
                reason = self.missing[capability]
                pytest.skip(f"{self.scheduler}: {capability.name.lower()}: {reason}")

    def can(self, capability: Capability) -> bool:
        """Tells whether the back end can do something.

        Args:
            capability: What it may be able to do.

        Returns:
            True unless it is said to be missing.
        """
        return capability not in self.missing

    def session(self) -> Runner:
        """Opens this process's runner, once.

        Returns:
            The runner.
        """
        if self._session is None:
            self._session = self._resources.enter_context(make_runner(self.runner))
        return self._session

    def second_process(self) -> Peer:
        """Opens another process on the same back end.

        Returns:
            The process; it ends with this harness.
        """
        return self._resources.enter_context(Peer(self.runner, self.timeout_s))

    def command(self, program: str, args: Sequence[str]) -> tuple[str, list[str]]:
        """Tells how a Python program is started in the image.

        Args:
            program: Source of the program.
            args: Its arguments.

        Returns:
            Entrypoint and arguments of a role.
        """
        return self.python, ["-c", program, *args]

    def role(
        self,
        program: str,
        *args: str,
        name: str = "job",
        num_replicas: int = 1,
        env: Mapping[str, str] | None = None,
        max_retries: int = 0,
        retry_policy: RetryPolicy = RetryPolicy.APPLICATION,
        mounts: Sequence[BindMount | VolumeMount | DeviceMount] = (),
    ) -> Role:
        """Makes a role that runs a Python program.

        Args:
            program: Source of the program.
            *args: Its arguments.
            name: Name of the role.
            num_replicas: Number of replicas.
            env: Environment variables.
            max_retries: How often to try again after a failure.
            retry_policy: What to start again.
            mounts: Mounts besides the shared directory.

        Returns:
            The role.
        """
        entrypoint, arguments = self.command(program, args)
        return Role(
            name=name,
            image=self.image,
            entrypoint=entrypoint,
            args=arguments,
            env=dict(env or {}),
            num_replicas=num_replicas,
            max_retries=max_retries,
            retry_policy=retry_policy,
            resource=Resource.copy(self.resource),
            mounts=[*self.shared_mounts, *mounts],
        )

    def launch(
        self,
        *roles: Role,
        name: str = "contract",
        cfg: Mapping[str, CfgVal] | None = None,
        workspace: str | None = None,
    ) -> Job:
        """Launches an app from this process.

        Args:
            *roles: Its roles.
            name: Its name.
            cfg: Run options besides those of the harness.
            workspace: Local directory that goes with it.

        Returns:
            The app.
        """
        app = AppDef(name=name, roles=list(roles))
        options = {**self.cfg, **(cfg or {})}
        handle = self.session().run(app, self.scheduler, cfg=options, workspace=workspace)
        return self.job(handle)

    def job(self, handle: str) -> Job:
        """Takes over an app that was launched elsewhere; it is deleted with the harness.

        Args:
            handle: Its handle.

        Returns:
            The app.
        """
        self._launched.append(handle)
        return Job(self.session(), handle, self.timeout_s)

    def unknown_handle(self) -> str:
        """Makes a handle that is well formed and that no app has.

        Returns:
            The handle.
        """
        return make_app_handle(self.scheduler, self.session().name(), self.unknown_app_id)

    def listed(self) -> dict[str, str]:
        """Lists the apps of the back end.

        Returns:
            Handle -> name of the state.
        """
        cfg = None if self.list_cfg is None else dict(self.list_cfg)
        return {app.app_handle: app.state.name for app in self.session().list(self.scheduler, cfg)}

    def shared(self) -> tuple[Path, str]:
        """Returns the directory that tests and replicas share, or skips the test.

        Returns:
            Its path here, and its path in the job.
        """
        self.need(Capability.SHARED_DIRECTORY)
        assert self.shared_dir is not None, (
            "give the harness a shared_dir, or name SHARED_DIRECTORY as missing"
        )
        return self.shared_dir, self.shared_dir_in_job or str(self.shared_dir)

    def free_port(self) -> int:
        """Picks a port that the first replica of the first role can listen on.

        Returns:
            A TCP port that nothing on this machine listens on.
        """
        with socket.create_server(("", 0)) as server:
            port: int = server.getsockname()[1]
        return port

    def close(self) -> None:
        """Ends and deletes all that was launched, and closes all runners. Repeatable."""
        with self._resources:
            for handle in self._launched:
                self.session().cancel(handle)
                if self.can(Capability.DELETE):
                    self.session().delete(handle)
            self._launched.clear()
