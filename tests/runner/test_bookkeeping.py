from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.runner.conftest import MemoryRequest, MemoryScheduler
from torchx.errors import BackendError
from torchx.runner import Runner
from torchx.runner.store import JobStore
from torchx.specs import AppDef, AppDryRunInfo, AppState, CfgVal


class PlanningScheduler(MemoryScheduler):
    """Knows its ids beforehand, and refuses whatever a test wants it to refuse."""

    refusal: Exception | None = None

    def planned_app_id(self, dryrun_info: AppDryRunInfo[MemoryRequest]) -> str:
        return f"{dryrun_info.request.app.name}-{len(self.submitted) + 1}"

    def schedule(self, dryrun_info: AppDryRunInfo[MemoryRequest]) -> str:
        if self.refusal is not None:
            raise self.refusal
        return super().schedule(dryrun_info)


@pytest.fixture
def planning() -> PlanningScheduler:
    return PlanningScheduler()


@pytest.fixture
def planner(planning: PlanningScheduler) -> Iterator[Runner]:
    with Runner("test", {"memory": lambda session_name, **_: planning}) as runner:
        yield runner


def remembered() -> list[Any]:
    return list(JobStore().newest())


def test_what_was_submitted_is_remembered(
    runner: Runner, app: AppDef, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle = runner.run(app, "memory", {"queue": "short"}, workspace="/w", parent_run_id="p")
    (job,) = remembered()
    assert job.handle == handle
    assert (job.name, job.is_confirmed, job.state) == ("train", True, AppState.SUBMITTED)
    assert job.cfg["nodes"] == 1
    assert job.launch.cfg == {"queue": "short"}
    assert (job.launch.workspace, job.launch.parent_run_id) == ("/w", "p")
    assert job.app["roles"][0]["args"] == ["-m", "main"]


def test_a_component_is_remembered_with_its_arguments(runner: Runner) -> None:
    runner._component_defaults["utils.echo"] = {"num_replicas": "2"}
    runner.run_component("utils.echo", ["--msg", "hi"], "memory")
    (job,) = remembered()
    assert job.launch.component == "utils.echo"
    assert job.launch.component_args == ["--msg", "hi"]
    assert job.launch.component_defaults == {"num_replicas": "2"}


def test_the_state_of_the_code_that_was_sent_along_is_remembered(
    runner: Runner, app: AppDef, tmp_path: Path
) -> None:
    code = tmp_path / "code"
    code.mkdir()
    (code / "train.py").write_text("print(1)")
    git = ["git", "-C", str(code), "-c", "user.name=a", "-c", "user.email=a@b"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "first"]):
        subprocess.run([*git, *words], check=True)
    (code / "train.py").write_text("print(2)")
    runner.run(app, "building", workspace=str(code))
    (job,) = remembered()
    (source,) = job.sources
    assert source["path"] == str(code)
    assert len(source["git_revision"]) == 40
    assert source["is_dirty"]
    assert "+print(2)" in source["diff"]


def test_each_submission_carries_a_mark_of_its_own(
    runner: Runner, memory: MemoryScheduler, app: AppDef
) -> None:
    info = runner.dryrun(app, "memory")
    marks = set()
    for _ in range(2):
        runner.schedule(info)
        marks.add(info._submission_id)
    assert {job.submission_id for job in remembered()} == marks
    assert len(marks) == 2


def test_nothing_is_remembered_if_that_is_switched_off(
    runner: Runner, app: AppDef, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHX_JOB_STORE", "off")
    assert runner.run(app, "memory") == "memory://test/train-1"
    monkeypatch.delenv("TORCHX_JOB_STORE")
    assert remembered() == []


@pytest.mark.parametrize("method", ["add", "change"])
def test_no_submission_fails_over_its_record(
    runner: Runner,
    app: AppDef,
    method: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("the disk is on fire")

    monkeypatch.setattr(JobStore, method, fail)
    assert runner.run(app, "memory") == "memory://test/train-1"
    assert "the disk is on fire" in caplog.text


def test_run_options_of_any_kind_are_remembered(
    runner: Runner, memory: MemoryScheduler, app: AppDef
) -> None:
    class Options:
        def __init__(self) -> None:
            self.queue = "short"
            self.handler = object()

    info = runner.dryrun(app, "memory")
    info._cfg = Options()  # type: ignore[assignment]  # schedulers of other packages do this
    runner.schedule(info)
    (job,) = remembered()
    assert job.cfg["queue"] == "short"


def test_a_refused_submission_is_forgotten(runner: Runner, app: AppDef, memory: Any) -> None:
    memory.schedule = _raising(ValueError("no such queue"))
    with pytest.raises(ValueError, match="no such queue"):
        runner.run(app, "memory")
    assert remembered() == []


def test_a_submission_whose_outcome_is_unknown_is_settled_by_asking(
    planner: Runner, planning: PlanningScheduler, app: AppDef, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torchx.runner.refresh._SETTLING_S", 0.0)
    planning.refusal = BackendError("the connection broke", transient=True)
    for _ in range(2):
        with pytest.raises(BackendError):
            planner.run(app, "memory")
    # The first one did arrive after all.
    planning.states["train-1"] = AppState.RUNNING
    first, second = remembered()
    assert first.app_id == second.app_id == "train-1"
    assert "the connection broke" in first.reason
    assert {job.state for job in planner.jobs()} == {AppState.RUNNING}
    del planning.states["train-1"]


def test_a_refused_submission_that_left_nothing_vanishes_when_asked_for(
    planner: Runner, planning: PlanningScheduler, app: AppDef, monkeypatch: pytest.MonkeyPatch
) -> None:
    planning.refusal = BackendError("no")
    with pytest.raises(BackendError):
        planner.run(app, "memory")
    assert [job.state for job in planner.jobs()] == [AppState.UNSUBMITTED]
    monkeypatch.setattr("torchx.runner.refresh._SETTLING_S", 0.0)
    assert planner.jobs() == []
    assert remembered() == []


def test_the_end_is_remembered_by_whoever_waits_for_it(
    runner: Runner, memory: MemoryScheduler, app: AppDef
) -> None:
    handle = runner.run(app, "memory")
    memory.states["train-1"] = AppState.FAILED
    runner.wait(handle)
    (job,) = remembered()
    assert (job.state, job.reason, job.is_over) == (AppState.FAILED, "as told", True)


def test_a_deleted_app_is_forgotten(runner: Runner, app: AppDef) -> None:
    runner.delete(runner.run(app, "memory"))
    assert remembered() == []


def test_a_runner_of_another_package_without_our_constructor_still_submits(
    memory: MemoryScheduler, app: AppDef
) -> None:
    class Other(Runner):
        def __init__(self) -> None:
            self._name = "other"
            self._apps = {}

        def _scheduler(self, scheduler: str) -> MemoryScheduler:
            return memory

    other = Other()
    info = memory.submit_dryrun(app, {})
    info._scheduler = "memory"
    assert other.schedule(info) == "memory://other/train-1"
    assert [job.handle for job in remembered()] == ["memory://other/train-1"]


def _raising(error: Exception) -> Callable[..., str]:
    def schedule(dryrun_info: AppDryRunInfo[Mapping[str, CfgVal]]) -> str:
        raise error

    return schedule
