"""A scheduler that keeps its apps in memory and whose next answers tests write down."""

from __future__ import annotations

import builtins
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from torchx.runner import Runner
from torchx.runner.events import TorchxEvent
from torchx.schedulers.api import DescribeAppResponse, ListAppResponse, Scheduler, Stream
from torchx.specs import AppDef, AppDryRunInfo, AppState, CfgVal, Resource, Role, runopts
from torchx.workspace.api import WorkspaceMixin


@dataclass
class MemoryRequest:
    app: AppDef
    cfg: Mapping[str, CfgVal]


@dataclass
class Calls:
    describe: int = 0
    cancel: list[str] = field(default_factory=list)
    delete: list[str] = field(default_factory=list)
    close: int = 0
    log_iter: list[tuple[object, ...]] = field(default_factory=list)
    list_cfg: list[object] = field(default_factory=list)
    wait_s: list[float] = field(default_factory=list)
    order: list[str] = field(default_factory=list)


class MemoryScheduler(Scheduler[Mapping[str, CfgVal]]):
    """Runs nothing; states change when a test says so, or one per wait from ``upcoming``."""

    def __init__(self, session_name: str = "test", **params: object) -> None:
        super().__init__("memory", session_name)
        self.params = params
        self.calls = Calls()
        self.submitted: list[MemoryRequest] = []
        self.states: dict[str, AppState] = {}
        self.upcoming: list[AppState | Exception | None] = []

    def _run_opts(self) -> runopts:
        opts = runopts()
        opts.add("queue", type_=str, help="where to run", default="default")
        opts.add("nodes", type_=int, help="how many nodes", default=1)
        opts.add("tags", type_=list[str], help="labels")
        opts.add("api_token", type_=str, help="a secret")
        return opts

    def _submit_dryrun(
        self, app: AppDef, cfg: Mapping[str, CfgVal]
    ) -> AppDryRunInfo[MemoryRequest]:
        return AppDryRunInfo(MemoryRequest(app, cfg), repr)

    def schedule(self, dryrun_info: AppDryRunInfo[MemoryRequest]) -> str:
        self.submitted.append(dryrun_info.request)
        app_id = f"{dryrun_info.request.app.name}-{len(self.submitted)}"
        self.states[app_id] = AppState.RUNNING
        return app_id

    def describe(self, app_id: str) -> DescribeAppResponse | None:
        self.calls.describe += 1
        if self.upcoming:
            answer = self.upcoming.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return None if answer is None else DescribeAppResponse(app_id, answer)
        if app_id not in self.states:
            return None
        return DescribeAppResponse(
            app_id,
            self.states[app_id],
            num_restarts=2,
            msg="as told",
            ui_url="http://ui",
            roles=[Role(name="seen", image="")],
        )

    def list(self, cfg: Mapping[str, CfgVal] | None = None) -> builtins.list[ListAppResponse]:
        self.calls.list_cfg.append(cfg)
        return [ListAppResponse(app_id, state) for app_id, state in self.states.items()]

    def _cancel_existing(self, app_id: str) -> None:
        self.calls.cancel.append(app_id)

    def _delete_existing(self, app_id: str) -> None:
        self.calls.delete.append(app_id)
        del self.states[app_id]

    def close(self) -> None:
        self.calls.close += 1

    def wait_for_change(self, app_id: str, timeout_s: float) -> None:
        self.calls.wait_s.append(timeout_s)

    def log_iter(
        self,
        app_id: str,
        role_name: str,
        k: int = 0,
        regex: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        should_tail: bool = False,
        streams: Stream | None = None,
    ) -> Iterable[str]:
        self.calls.log_iter.append(
            (app_id, role_name, k, regex, since, until, should_tail, streams)
        )
        return [f"{role_name}/{k}\n"]


class BuildingScheduler(WorkspaceMixin[None], MemoryScheduler):
    """Builds a workspace by appending it to the name of the image."""

    def build_workspace_and_update_role(
        self, role: Role, workspace: str, cfg: Mapping[str, CfgVal]
    ) -> None:
        self.calls.order.append("build")
        role.image = f"{role.image}+{workspace}"


@pytest.fixture(autouse=True)
def nothing_configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No configuration file of this machine, and no variable of a surrounding job, counts."""
    for name in list(os.environ):
        if name.upper().startswith("TORCHX"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("torchx.util.session.CURRENT_SESSION_ID", None)


@pytest.fixture
def memory() -> MemoryScheduler:
    return MemoryScheduler()


@pytest.fixture
def building() -> BuildingScheduler:
    return BuildingScheduler()


@pytest.fixture
def runner(memory: MemoryScheduler, building: BuildingScheduler) -> Iterator[Runner]:
    """A runner of the session ``test`` with the schedulers ``memory`` and ``building``."""

    def made(scheduler: Scheduler[Any]) -> Callable[..., Scheduler[Any]]:
        return lambda session_name, **_: scheduler

    with Runner("test", {"memory": made(memory), "building": made(building)}) as opened:
        yield opened


@pytest.fixture
def app() -> AppDef:
    return AppDef(
        name="train",
        roles=[
            Role(
                name="trainer",
                image="img",
                entrypoint="python",
                args=["-m", "main"],
                env={"LEVEL": "1"},
                resource=Resource(cpu=1, gpu=0, memMB=64),
            )
        ],
        metadata={"team": "ml"},
    )


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> list[TorchxEvent]:
    """The events of the test, in order."""
    events: list[TorchxEvent] = []
    monkeypatch.setattr("torchx.runner.events.record", events.append)
    return events
