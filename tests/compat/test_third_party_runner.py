"""Runners and schedulers of other packages, written the way published ones are written.

NeMo-Run overrides ``dryrun``, ``run`` and ``schedule`` of the runner, hands run options that are no
mapping to its schedulers, and defines ``_validate`` with two arguments and ``list`` without any.
Monarch, torchft and others build ``Runner`` by position and use only what is public.
"""

from __future__ import annotations

import builtins
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from torchx.runner.api import Runner
from torchx.runner.events import TorchxEvent, log_event
from torchx.schedulers.api import (
    AppDryRunInfo,
    DescribeAppResponse,
    ListAppResponse,
    Scheduler,
    Stream,
)
from torchx.specs import AppDef, AppState, Resource, Role, parse_app_handle


@dataclass
class Executor:
    """Run options as an object."""

    partition: str = "debug"


class OldScheduler(Scheduler[Any]):
    """As written for a release in which these methods took fewer arguments."""

    def __init__(self, session_name: str) -> None:
        super().__init__("old", session_name)
        self.validated: list[str] = []
        self.cfgs: list[object] = []

    def _validate(self, app: AppDef, scheduler: str) -> None:  # type: ignore[override]  # the older form
        self.validated.append(scheduler)

    def list(self) -> builtins.list[ListAppResponse]:  # type: ignore[override]  # the older form
        return [ListAppResponse("job-1", AppState.RUNNING)]

    def submit_dryrun(self, app: AppDef, cfg: Any) -> AppDryRunInfo[Any]:
        self.cfgs.append(cfg)
        info = self._submit_dryrun(app, cfg)
        for role in app.roles:
            info = role.pre_proc(self.backend, info)
        info._app = app
        return info

    def _submit_dryrun(self, app: AppDef, cfg: Any) -> AppDryRunInfo[Any]:
        return AppDryRunInfo({"app": app.name, "cfg": cfg}, str)

    def schedule(self, dryrun_info: AppDryRunInfo[Any]) -> str:
        return "job-1"

    def describe(self, app_id: str) -> DescribeAppResponse | None:
        return DescribeAppResponse(app_id, AppState.SUCCEEDED) if app_id == "job-1" else None

    def _cancel_existing(self, app_id: str) -> None:
        raise AssertionError("a job that has ended was cancelled")

    def log_iter(
        self,
        app_id: str,
        role_name: str,
        k: int = 0,
        regex: str | None = None,
        since: object = None,
        until: object = None,
        should_tail: bool = False,
        streams: Stream | None = None,
    ) -> Iterable[str]:
        return iter(["line\n"])


class ForgetfulScheduler(OldScheduler):
    """Does not say which app its request was made from."""

    def submit_dryrun(self, app: AppDef, cfg: Any) -> AppDryRunInfo[Any]:
        return self._submit_dryrun(app, cfg)


def create_old(session_name: str, **kwargs: object) -> OldScheduler:
    return OldScheduler(session_name)


def create_forgetful(session_name: str, **kwargs: object) -> OldScheduler:
    return ForgetfulScheduler(session_name)


class ThirdPartyRunner(Runner):
    """Composes the parts of the runner itself."""

    def dryrun(  # type: ignore[override]  # with run options of its own
        self,
        app: AppDef,
        scheduler: str,
        cfg: Executor | None = None,
        workspace: str | None = None,
        parent_run_id: str | None = None,
    ) -> AppDryRunInfo[Any]:
        sched = self._scheduler(scheduler)
        sched._validate(app, scheduler)
        info = sched.submit_dryrun(app, cfg)
        info._scheduler = scheduler
        return info

    def schedule(self, dryrun_info: AppDryRunInfo[Any]) -> str:
        scheduler = dryrun_info._scheduler
        assert scheduler is not None
        with log_event("schedule") as ctx:
            app_id = self._scheduler(scheduler).schedule(dryrun_info)
            handle = f"{scheduler}://{self._name}/{app_id}"
            app = dryrun_info._app
            assert app is not None
            self._apps[handle] = app
            ctx._torchx_event.scheduler = scheduler
            ctx._torchx_event.app_image = app.roles[0].image
            ctx._torchx_event.app_id = parse_app_handle(handle).app_id
            return handle


@pytest.fixture(autouse=True)
def nothing_configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHXCONFIG", "")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def app() -> AppDef:
    role = Role("r", "img", entrypoint="x", resource=Resource(1, 0, 1))
    made = AppDef("job", [role])
    made.metadata = None  # type: ignore[assignment]  # published launchers do that
    return made


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> list[TorchxEvent]:
    events: list[TorchxEvent] = []
    monkeypatch.setattr("torchx.runner.events.record", events.append)
    return events


@pytest.fixture(params=[Runner, ThirdPartyRunner])
def runner(request: pytest.FixtureRequest) -> Iterator[Runner]:
    made: Runner = request.param("", {"old": create_old})
    with made as opened:
        yield opened


def test_a_job_goes_its_way(runner: Runner, app: AppDef, recorded: list[TorchxEvent]) -> None:
    handle = runner.run(app, "old")
    assert handle == "old:///job-1"
    status = runner.wait(handle, wait_interval=2)
    assert status is not None
    assert status.state == AppState.SUCCEEDED
    runner.cancel(handle)
    assert list(runner.log_lines(handle, "r", 0)) == ["line\n"]
    described = runner.describe(handle)
    assert described is not None
    assert vars(described)["metadata"] is None
    assert [event.api for event in recorded if event.app_id == "job-1"][-1] == "describe"


def test_a_check_without_run_options_is_called(runner: Runner, app: AppDef) -> None:
    runner.run(app, "old")
    scheduler: Any = runner._scheduler("old")
    assert scheduler.validated == ["old"]


def test_a_list_without_run_options_is_called(runner: Runner) -> None:
    assert [item.app_handle for item in runner.list("old")] == ["old:///job-1"]
    assert [item.app_handle for item in runner.list("old", {"a": "b"})] == ["old:///job-1"]


def test_run_options_that_are_no_mapping_reach_the_scheduler(
    app: AppDef, recorded: list[TorchxEvent]
) -> None:
    executor: Any = Executor("gpu")
    with ThirdPartyRunner("mine", {"old": create_old}) as runner:
        handle = runner.run(app, "old", cfg=executor)
        scheduler: Any = runner._scheduler("old")
    assert handle == "old://mine/job-1"
    assert scheduler.cfgs == [executor]
    assert [event.api for event in recorded] == ["schedule", "run"]
    assert recorded[1].runcfg == '{"partition": "gpu"}'


def test_a_request_with_run_options_that_are_no_mapping_is_submitted(app: AppDef) -> None:
    options: Any = Executor("gpu")
    with Runner("mine", {"old": create_old}) as runner:
        info = runner.dryrun(app, "old")
        info._cfg = options
        assert runner.schedule(info) == "old://mine/job-1"


def test_a_scheduler_that_sets_no_app_keeps_its_job(app: AppDef) -> None:
    with Runner("mine", {"old": create_forgetful}) as runner:
        handle = runner.run(app, "old")
        described = runner.describe(handle)
    assert described is not None
    assert described.name == "job-1"
