"""Uses the ``slurm`` scheduler as published packages do (NeMo-Run and the like)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from torchx.runner import Runner
from torchx.schedulers.api import (
    AppDryRunInfo,
    DescribeAppResponse,
    ListAppResponse,
    Stream,
    filter_regex,
    split_lines_iterator,
)
from torchx.schedulers.local_scheduler import LogIterator
from torchx.schedulers.slurm_scheduler import SLURM_STATES, SlurmScheduler, create_scheduler
from torchx.specs import AppDef, AppState, Role, is_terminal


class Config:
    """Options that are no mapping."""

    account = "a"


class Tunnelled(SlurmScheduler):
    """A scheduler of another package that submits over a tunnel."""

    def __init__(self, session_name: str, experiment: str) -> None:
        self.experiment = experiment
        self.jobs: dict[str, AppState] = {}
        super().__init__(session_name)

    def submit_dryrun(self, app: AppDef, cfg: Any) -> AppDryRunInfo[Any]:
        info = self._submit_dryrun(app, cfg)
        for role in app.roles:
            info = role.pre_proc(self.backend, info)
        info._app = app
        return info

    def _submit_dryrun(self, app: AppDef, cfg: Any) -> AppDryRunInfo[Any]:
        return AppDryRunInfo((app.name, cfg), repr)

    def schedule(self, dryrun_info: AppDryRunInfo[Any]) -> str:
        self.jobs["7"] = AppState.RUNNING
        return "7"

    def _cancel_existing(self, app_id: str) -> None:
        self.jobs[app_id] = AppState.CANCELLED

    def describe(self, app_id: str) -> DescribeAppResponse | None:
        state = self.jobs.get(app_id)
        return None if state is None else DescribeAppResponse(app_id, state)

    def list(self) -> list[ListAppResponse]:  # type: ignore[override]  # as they define it
        return [ListAppResponse(app_id, state) for app_id, state in self.jobs.items()]

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
        lines = split_lines_iterator(FetchedLog(app_id, "fetched.log", self))
        return filter_regex(regex, lines) if regex else lines


class FetchedLog(LogIterator):
    """Fetches the log when it is asked whether the app has finished."""

    def __init__(self, app_id: str, log_file: str, scheduler: SlurmScheduler) -> None:
        self._app_id = app_id
        self._log_file = log_file
        self._log_fp = None
        self._scheduler = scheduler
        self._app_finished = False

    def _check_finished(self) -> None:
        Path("fetched.log").write_text("one\ntwo\n")
        description = self._scheduler.describe(self._app_id)
        self._app_finished = not description or is_terminal(description.state)


@pytest.fixture
def runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runner:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TORCHX_HOME", str(tmp_path / "home"))

    def make(session_name: str, **kwargs: object) -> Tunnelled:
        return Tunnelled(session_name, "experiment")

    return Runner("session", {"slurm_tunnel": make})


def test_a_subclass_submits_watches_and_reads_in_its_own_way(runner: Runner) -> None:
    app = AppDef("a", [Role("r", "/", entrypoint="true")])
    with runner:
        scheduler = runner._scheduler("slurm_tunnel")
        info = scheduler.submit_dryrun(app, Config())
        info._scheduler = "slurm_tunnel"
        handle = runner.schedule(info)
        assert [item.app_handle for item in runner.list("slurm_tunnel")] == [handle]
        runner.cancel(handle)
        status = runner.status(handle)
        assert status is not None
        assert status.state == AppState.CANCELLED
        assert list(runner.log_lines(handle, "r", 0)) == ["one\n", "two\n"]
        assert list(runner.log_lines(handle, "r", 0, regex="^t")) == ["two\n"]


@pytest.mark.parametrize(
    ("text", "state"),
    [("CANCELLED by 0", AppState.CANCELLED), ("COMPLETED", AppState.SUCCEEDED)],
)
def test_states_are_looked_up_by_the_begin_of_a_text(text: str, state: AppState) -> None:
    table: Mapping[str, AppState] = SLURM_STATES
    assert next(value for key, value in table.items() if text.startswith(key)) == state
    assert all(table.values())


def test_schedulers_are_made_by_class_and_by_factory() -> None:
    for scheduler in (SlurmScheduler("s"), create_scheduler("s", anything=1)):
        assert (scheduler.backend, scheduler.session_name) == ("slurm", "s")
        scheduler.close()
        scheduler.close()
