"""One thread asks for all jobs that anybody waits for."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from torchx.schedulers.api import DescribeAppResponse
from torchx.schedulers.batch import watch
from torchx.schedulers.batch.watch import Watcher
from torchx.specs import AppState
from torchx.testing.waiting import eventually


class Queue:
    """A queue of jobs that notes how it was asked."""

    def __init__(self) -> None:
        self.states: dict[str, AppState] = {}
        self.asked: list[list[str]] = []
        self.error: Exception | None = None
        self.answers = threading.Event()
        self.answers.set()

    def describe_many(self, app_ids: Sequence[str]) -> Mapping[str, DescribeAppResponse]:
        self.asked.append(list(app_ids))
        assert self.answers.wait(30)
        if self.error is not None:
            raise self.error
        return {
            app_id: DescribeAppResponse(app_id, self.states[app_id])
            for app_id in app_ids
            if app_id in self.states
        }


@pytest.fixture
def queue() -> Queue:
    return Queue()


@pytest.fixture
def watcher(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watcher]:
    monkeypatch.setattr(watch, "FIRST_PAUSE_S", 0.01)
    watcher = Watcher(queue.describe_many)
    yield watcher
    watcher.close()


def test_a_job_is_over_when_it_has_ended_or_is_gone(queue: Queue, watcher: Watcher) -> None:
    queue.states = {"1": AppState.RUNNING, "2": AppState.FAILED}
    assert not watcher.is_over("1"), "nothing is known yet"
    eventually(lambda: watcher.is_over("2"), "end of 2", 30)
    eventually(lambda: watcher.is_over("3"), "absence of 3", 30)
    assert not watcher.is_over("1")
    queue.states["1"] = AppState.SUCCEEDED
    eventually(lambda: watcher.is_over("1"), "end of 1", 30)


def test_waiting_ends_with_the_change(queue: Queue, watcher: Watcher) -> None:
    queue.states = {"1": AppState.PENDING}
    seen = DescribeAppResponse("1", AppState.PENDING)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(watcher.wait_for_change, "1", seen, 60)
        eventually(lambda: len(queue.asked) > 2, "questions", 30)
        assert not waiting.done()
        queue.states["1"] = AppState.RUNNING
        waiting.result(30)


def test_waiting_ends_at_its_limit(queue: Queue, watcher: Watcher) -> None:
    queue.states = {"1": AppState.RUNNING}
    watcher.wait_for_change("1", DescribeAppResponse("1", AppState.RUNNING), 0.05)


def test_a_change_before_the_wait_is_noticed(queue: Queue, watcher: Watcher) -> None:
    queue.states = {"1": AppState.SUCCEEDED}
    watcher.wait_for_change("1", DescribeAppResponse("1", AppState.RUNNING), 60)


def test_many_that_ask_at_once_share_a_question(queue: Queue, watcher: Watcher) -> None:
    app_ids = [str(number) for number in range(50)]
    queue.states = dict.fromkeys(app_ids, AppState.RUNNING)
    queue.answers.clear()
    with ThreadPoolExecutor(len(app_ids)) as pool:
        answers = [pool.submit(watcher.ask, app_id) for app_id in app_ids]
        eventually(lambda: len(watcher._jobs) == len(app_ids), "all questions", 30)
        queue.answers.set()
        found = [answer.result(30) for answer in answers]
    assert [each.app_id for each in found if each is not None] == app_ids
    assert len(queue.asked) <= 4
    assert set(queue.asked[-1]) == set(app_ids)


def test_an_answer_is_never_older_than_its_question(queue: Queue, watcher: Watcher) -> None:
    queue.states = {"1": AppState.RUNNING}
    watcher.ask("1")
    queue.states["1"] = AppState.CANCELLED
    found = watcher.ask("1")
    assert found is not None
    assert found.state == AppState.CANCELLED


def test_a_failure_is_raised_to_who_asks_and_survived_by_who_waits(
    queue: Queue, watcher: Watcher
) -> None:
    queue.error = ConnectionError("down")
    with pytest.raises(ConnectionError, match="down"):
        watcher.ask("1")
    assert not watcher.is_over("1")
    queue.error = None
    queue.states = {"1": AppState.SUCCEEDED}
    watcher.wait_for_change("1", None, 60)
    assert watcher.is_over("1")


def test_nobody_is_asked_when_nobody_waits(queue: Queue, watcher: Watcher) -> None:
    queue.states = {"1": AppState.RUNNING}
    watcher.ask("1")
    watcher.close()
    eventually(lambda: watcher._thread is None, "end of the thread", 30)


def test_a_sign_of_life_is_followed_up_at_once(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(watch, "_GROWTH", 10**6)
    monkeypatch.setattr(watch, "LONGEST_PAUSE_S", 3600.0)
    stamps = {"1": 0}
    watcher = Watcher(queue.describe_many, stamps.get)
    queue.states = {"1": AppState.RUNNING}
    with ThreadPoolExecutor(1) as pool:
        seen = DescribeAppResponse("1", AppState.RUNNING)
        waiting = pool.submit(watcher.wait_for_change, "1", seen, 60)
        eventually(lambda: watcher._pause_s == 3600.0, "long pause", 30)
        queue.states["1"] = AppState.SUCCEEDED
        stamps["1"] = 1
        waiting.result(30)
    watcher.close()
