from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from tests.runner.conftest import MemoryScheduler
from torchx.errors import BackendError
from torchx.runner import Runner
from torchx.runner.refresh import NEVER_SUBMITTED
from torchx.runner.remembered import ShortHandleError
from torchx.runner.store import JobStore
from torchx.schedulers.api import DescribeAppResponse
from torchx.schedulers.local.processes import process_identity
from torchx.specs import AppDef, AppState, MalformedAppHandleException


class ManyScheduler(MemoryScheduler):
    """Describes any number of apps at once, and finds submissions by their mark."""

    def __init__(self) -> None:
        super().__init__()
        self.queries: list[int] = []
        self.marks: dict[str, str] = {}

    def describe_many(self, app_ids: Sequence[str]) -> Mapping[str, DescribeAppResponse]:
        self.queries.append(len(app_ids))
        return {
            app_id: DescribeAppResponse(app_id, self.states[app_id])
            for app_id in app_ids
            if app_id in self.states
        }

    def find_submission(self, submission_id: str) -> str | None:
        return self.marks.get(submission_id)


@pytest.fixture
def many() -> ManyScheduler:
    return ManyScheduler()


@pytest.fixture
def runner_of_many(many: ManyScheduler, memory: MemoryScheduler) -> Iterator[Runner]:
    factories: dict[str, Callable[..., Any]] = {
        "many": lambda session_name, **_: many,
        "memory": lambda session_name, **_: memory,
    }
    with Runner("test", factories) as runner:
        yield runner


@pytest.fixture
def nothing_settles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Schedulers know at once what they have."""
    monkeypatch.setattr("torchx.runner.refresh._SETTLING_S", 0.0)


def test_states_are_those_of_now(runner: Runner, memory: MemoryScheduler, app: AppDef) -> None:
    runner.run(app, "memory")
    runner.run(app, "building")
    memory.states["train-1"] = AppState.SUCCEEDED
    states = {job.scheduler: job.state for job in runner.jobs()}
    assert states == {"memory": AppState.SUCCEEDED, "building": AppState.RUNNING}


def test_what_is_over_is_not_asked_for_again(
    runner: Runner, memory: MemoryScheduler, app: AppDef
) -> None:
    runner.run(app, "memory")
    memory.states["train-1"] = AppState.FAILED
    runner.jobs()
    asked = memory.calls.describe
    assert [job.state for job in runner.jobs()] == [AppState.FAILED]
    assert [job.reason for job in runner.jobs()] == ["as told"]
    assert memory.calls.describe == asked


def test_all_jobs_of_a_scheduler_cost_one_query(
    runner_of_many: Runner, many: ManyScheduler, app: AppDef
) -> None:
    for _ in range(60):
        runner_of_many.run(app, "many")
    assert len(runner_of_many.jobs()) == 60
    assert many.queries == [60]
    assert many.calls.describe == 0


def test_a_limit_asks_only_for_what_it_shows(
    runner_of_many: Runner, many: ManyScheduler, app: AppDef
) -> None:
    for _ in range(20):
        runner_of_many.run(app, "many")
    newest = runner_of_many.jobs(limit=3)
    assert [job.app_id for job in newest] == ["train-20", "train-19", "train-18"]
    assert many.queries == [3]


def test_states_are_filtered_after_asking(
    runner_of_many: Runner, many: ManyScheduler, app: AppDef
) -> None:
    for _ in range(6):
        runner_of_many.run(app, "many")
    many.states["train-2"] = many.states["train-1"] = AppState.FAILED
    found = runner_of_many.jobs(states=[AppState.FAILED], limit=1)
    assert [job.app_id for job in found] == ["train-2"]
    assert [job.app_id for job in runner_of_many.jobs(states=[AppState.FAILED])] == [
        "train-2",
        "train-1",
    ]


def test_name_and_time_filter(runner: Runner, app: AppDef) -> None:
    runner.run(app, "memory")
    now = datetime.now(timezone.utc)
    assert runner.jobs(name="tr*", since=now - timedelta(minutes=1))
    assert runner.jobs(name="eval") == []
    assert runner.jobs(since=now + timedelta(minutes=1)) == []


def test_a_scheduler_that_hangs_holds_up_nobody(
    runner: Runner, memory: MemoryScheduler, app: AppDef, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner.run(app, "memory")
    runner.run(app, "building")
    release = threading.Event()

    def hang(app_id: str) -> None:
        release.wait()

    monkeypatch.setattr(memory, "describe", hang)
    by_scheduler = {job.scheduler: job for job in runner.jobs(timeout=0.2)}
    release.set()
    assert by_scheduler["building"].reason == "as told"
    assert "did not answer" in by_scheduler["memory"].reason
    assert by_scheduler["memory"].state is AppState.SUBMITTED


def test_a_scheduler_that_fails_leaves_the_last_known_state(
    runner: Runner, memory: MemoryScheduler, app: AppDef
) -> None:
    runner.run(app, "memory")
    memory.upcoming = [BackendError("unreachable")]
    (job,) = runner.jobs()
    assert job.state is AppState.SUBMITTED
    assert "unreachable" in job.reason


def test_an_unknown_scheduler_is_told_of(runner: Runner, app: AppDef) -> None:
    runner.run(app, "memory")
    with Runner("test", {}) as other:
        (job,) = other.jobs()
    assert "memory" in job.reason


def test_a_job_that_its_scheduler_forgot_is_said_to_be_unknown(
    runner: Runner, memory: MemoryScheduler, app: AppDef, nothing_settles: None
) -> None:
    runner.run(app, "memory")
    runner.jobs()
    memory.states.clear()
    (job,) = runner.jobs()
    assert job.state is AppState.UNKNOWN
    assert job.reason == "`memory` does not know it any more; last seen RUNNING"
    assert job.is_over


def leave_unconfirmed(submission_id: str, *, is_running: bool, app_id: str | None = None) -> None:
    """Turns the only remembered job into one whose launcher ended, or is at work, in between."""
    store = JobStore()
    (job,) = store.newest()
    launcher = process_identity(os.getpid())
    if not is_running:
        launcher["start_ticks"] = 1
    import json

    store.change(
        job.submission_id,
        {
            "submission_id": submission_id,
            "is_confirmed": 0,
            "app_id": app_id,
            "launcher": json.dumps(launcher),
        },
    )


def test_a_job_that_is_being_submitted_is_left_alone(
    runner_of_many: Runner, app: AppDef, nothing_settles: None
) -> None:
    runner_of_many.run(app, "many")
    leave_unconfirmed("mark", is_running=True)
    (job,) = runner_of_many.jobs()
    assert (job.reason, job.is_confirmed, job.is_over) == ("being submitted", False, False)


def test_a_submission_is_found_by_its_mark(
    runner_of_many: Runner, many: ManyScheduler, app: AppDef, nothing_settles: None
) -> None:
    runner_of_many.run(app, "many")
    leave_unconfirmed("mark", is_running=False)
    many.marks["mark"] = "train-1"
    (job,) = runner_of_many.jobs()
    assert (job.app_id, job.is_confirmed, job.state) == ("train-1", True, AppState.RUNNING)
    assert runner_of_many.find_handle("train-1") == "many://test/train-1"


def test_a_submission_that_never_arrived_is_said_so(
    runner_of_many: Runner, app: AppDef, nothing_settles: None
) -> None:
    runner_of_many.run(app, "many")
    leave_unconfirmed("mark", is_running=False)
    for _ in range(2):
        (job,) = runner_of_many.jobs()
        assert (job.state, job.reason) == (AppState.UNSUBMITTED, NEVER_SUBMITTED)


def test_what_cannot_be_settled_says_where_to_look(
    runner_of_many: Runner, app: AppDef, nothing_settles: None
) -> None:
    runner_of_many.run(app, "memory")
    leave_unconfirmed("mark", is_running=False)
    (job,) = runner_of_many.jobs()
    assert job.state is AppState.UNKNOWN
    assert "torchx list -s memory" in job.reason


def test_handles_may_be_shortened(runner: Runner, app: AppDef) -> None:
    for _ in range(2):
        runner.run(app, "memory")
    assert runner.find_handle("train-1") == "memory://test/train-1"
    assert runner.find_handle("x:///anything") == "x:///anything"
    with pytest.raises(ShortHandleError, match=r"2 ids: memory://test/train-2, memory://test/trai"):
        runner.find_handle("train")
    with pytest.raises(MalformedAppHandleException, match="`eval`"):
        runner.find_handle("eval")
    with pytest.raises(MalformedAppHandleException):
        runner.find_handle("")


def test_pruning_forgets_what_ended_long_ago(
    runner: Runner, memory: MemoryScheduler, app: AppDef
) -> None:
    for _ in range(3):
        runner.run(app, "memory")
    store = JobStore()
    for job in store.newest():
        if job.app_id != "train-3":
            store.change(job.submission_id, {"submitted_at_s": time.time() - 100})
    memory.states["train-1"] = memory.states["train-3"] = AppState.SUCCEEDED
    age = timedelta(seconds=50)
    assert [job.app_id for job in runner.prune(age, dryrun=True)] == ["train-1"]
    assert len(list(store.newest())) == 3
    assert [job.app_id for job in runner.prune(age)] == ["train-1"]
    assert {job.app_id for job in store.newest()} == {"train-2", "train-3"}
    assert memory.calls.delete == []


def test_pruning_spares_what_may_still_come_to_run(
    runner_of_many: Runner, app: AppDef, nothing_settles: None
) -> None:
    runner_of_many.run(app, "memory")
    leave_unconfirmed("mark", is_running=True)
    assert runner_of_many.prune(timedelta(0)) == []
    with Runner("test", {}) as other:
        assert other.prune(timedelta(0)) == []
    leave_unconfirmed("mark", is_running=False)
    assert [job.submission_id for job in runner_of_many.prune(timedelta(0))] == ["mark"]
