"""One question for all jobs that anybody is interested in."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence

import pytest

from torchx.schedulers.api import DescribeAppResponse
from torchx.schedulers.batch.watch import Watcher
from torchx.specs import AppState
from torchx.testing.waiting import eventually


class System:
    """A batch system that notes what it is asked."""

    def __init__(self) -> None:
        self.states: dict[str, AppState] = {}
        self.questions: list[set[str]] = []
        self.error: Exception | None = None

    def describe_many(self, app_ids: Sequence[str]) -> Mapping[str, DescribeAppResponse]:
        self.questions.append(set(app_ids))
        if self.error is not None:
            raise self.error
        return {
            app_id: DescribeAppResponse(app_id=app_id, state=self.states[app_id])
            for app_id in app_ids
            if app_id in self.states
        }


@pytest.fixture
def system() -> System:
    return System()


@pytest.fixture
def watcher(system: System) -> Iterator[Watcher]:
    watcher = Watcher(system.describe_many)
    yield watcher
    watcher.close()


def test_all_jobs_are_asked_for_together(system: System, watcher: Watcher) -> None:
    system.states = dict.fromkeys("abc", AppState.RUNNING)
    assert not watcher.is_over("a")
    assert not watcher.is_over("b")
    found = watcher.ask("c")
    assert found is not None
    assert found.state == AppState.RUNNING
    assert {"a", "b", "c"} in system.questions
    assert watcher.is_shared()


def test_a_change_ends_the_waiting(system: System, watcher: Watcher) -> None:
    system.states = {"a": AppState.RUNNING}
    seen = watcher.ask("a")
    waiter = threading.Thread(target=watcher.wait_for_change, args=("a", seen, 60))
    waiter.start()
    system.states = {"a": AppState.SUCCEEDED}
    waiter.join(60)
    assert not waiter.is_alive()
    eventually(lambda: watcher.is_over("a"), "end of the app", 30)


def test_a_job_that_nobody_knows_is_over(watcher: Watcher) -> None:
    assert watcher.ask("unknown") is None
    assert watcher.is_over("unknown")


def test_a_failure_to_ask_is_told_to_who_asks(system: System, watcher: Watcher) -> None:
    system.error = RuntimeError("down")
    with pytest.raises(RuntimeError, match="down"):
        watcher.ask("a")
    assert not watcher.is_over("a")
    system.error, system.states = None, {"a": AppState.RUNNING}
    assert watcher.ask("a") is not None


def test_what_was_changed_from_here_is_asked_for_again(system: System, watcher: Watcher) -> None:
    system.states = {"a": AppState.SUCCEEDED}
    watcher.ask("a")
    assert watcher.is_over("a")
    watcher.forget("a")
    assert not watcher.is_over("a")
