from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import pytest

from torchx.runner import Runner
from torchx.runner.events import TorchxEvent
from torchx.schedulers.api import ListAppResponse, Stream
from torchx.specs import (
    AppDef,
    AppState,
    MalformedAppHandleException,
    UnknownAppException,
)

if TYPE_CHECKING:
    from tests.runner.conftest import MemoryScheduler

UNKNOWN = "memory://test/gone"


@pytest.fixture
def handle(runner: Runner, app: AppDef) -> str:
    return runner.run(app, "memory")


def test_status_tells_what_the_scheduler_told(runner: Runner, handle: str) -> None:
    status = runner.status(handle)
    assert status is not None
    assert (status.state, status.num_restarts) == (AppState.RUNNING, 2)
    assert (status.msg, status.ui_url) == ("as told", "http://ui")


def test_handles_of_other_sessions_work(runner: Runner, handle: str) -> None:
    status = runner.status(handle.replace("//test/", "//somebody/"))
    assert status is not None


def test_an_app_that_is_gone_is_forgotten(
    runner: Runner, handle: str, memory: MemoryScheduler
) -> None:
    memory.states.clear()
    assert runner.status(handle) is None
    assert runner.describe(handle) is None


def test_a_malformed_handle_is_refused_before_any_event(
    runner: Runner, recorded: list[TorchxEvent]
) -> None:
    with pytest.raises(MalformedAppHandleException):
        runner.status("train-1")
    assert recorded == []


def test_wait_polls_until_the_end_and_tells_the_interval(
    runner: Runner, handle: str, memory: MemoryScheduler, recorded: list[TorchxEvent]
) -> None:
    memory.upcoming = [AppState.PENDING, AppState.RUNNING, AppState.SUCCEEDED]
    status = runner.wait(handle, wait_interval=2)
    assert status is not None
    assert status.state == AppState.SUCCEEDED
    assert memory.calls.wait_s == [2, 2]
    assert [event.api for event in recorded] == ["status"] * 3 + ["wait"]


def test_waiting_for_what_never_was_ends_at_once(runner: Runner, memory: MemoryScheduler) -> None:
    assert runner.wait(UNKNOWN) is None
    assert memory.calls.describe == 1


def test_wait_ends_in_time(runner: Runner, handle: str) -> None:
    with pytest.raises(TimeoutError, match="RUNNING"):
        runner.wait(handle, timeout=0)


def test_cancel_asks_once_whether_there_is_something_to_cancel(
    runner: Runner, handle: str, memory: MemoryScheduler
) -> None:
    runner.cancel(handle)
    assert memory.calls.cancel == ["train-1"]
    assert memory.calls.describe == 1


def test_an_app_that_has_ended_is_not_cancelled_but_deleted(
    runner: Runner, handle: str, memory: MemoryScheduler
) -> None:
    memory.states["train-1"] = AppState.FAILED
    runner.cancel(handle)
    assert memory.calls.cancel == []
    runner.delete(handle)
    assert memory.calls.delete == ["train-1"]
    assert memory.calls.describe == 2


def test_nothing_is_done_to_an_unknown_app(runner: Runner, memory: MemoryScheduler) -> None:
    runner.cancel(UNKNOWN)
    runner.delete(UNKNOWN)
    assert memory.calls.cancel == memory.calls.delete == []


def test_an_overridden_cancel_of_a_scheduler_is_called(
    runner: Runner, handle: str, memory: MemoryScheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[str] = []
    monkeypatch.setattr(type(memory), "cancel", lambda self, app_id: ended.append(app_id))
    monkeypatch.setattr(type(memory), "delete", lambda self, app_id: ended.append(app_id))
    runner.cancel(handle)
    runner.delete(handle)
    assert ended == ["train-1", "train-1"]


def test_stop_is_deprecated(runner: Runner, handle: str, memory: MemoryScheduler) -> None:
    with pytest.warns(PendingDeprecationWarning, match="cancel") as warned:
        runner.stop(handle)
    assert warned[0].filename == __file__
    assert memory.calls.cancel == ["train-1"]


def test_describe_asks_the_scheduler_about_apps_of_others(
    runner: Runner, memory: MemoryScheduler
) -> None:
    memory.states["other-1"] = AppState.RUNNING
    described = runner.describe("memory://other/other-1")
    assert described is not None
    assert (described.name, described.roles[0].name) == ("other-1", "seen")


def test_log_lines_hands_all_arguments_on(
    runner: Runner, handle: str, memory: MemoryScheduler
) -> None:
    since, until = datetime(2026, 1, 1), datetime(2026, 1, 2)
    lines = runner.log_lines(handle, "trainer", 3, "re", since, until, True, Stream.STDERR)
    assert list(lines) == ["trainer/3\n"]
    assert memory.calls.log_iter == [
        ("train-1", "trainer", 3, "re", since, until, True, Stream.STDERR)
    ]


def test_logs_of_many_replicas_ask_for_the_status_once(
    runner: Runner, handle: str, memory: MemoryScheduler
) -> None:
    for k in range(64):
        runner.log_lines(handle, "trainer", k)
    assert memory.calls.describe == 1


def test_log_lines_of_an_unknown_app_fail_at_the_call(runner: Runner, handle: str) -> None:
    with pytest.raises(UnknownAppException, match="gone"):
        runner.log_lines(UNKNOWN, "trainer")
    runner.status(handle)
    runner.delete(handle)
    with pytest.raises(UnknownAppException, match="train-1"):
        runner.log_lines(handle, "trainer")


def test_list_gives_handles(runner: Runner, handle: str, memory: MemoryScheduler) -> None:
    assert [item.app_handle for item in runner.list("memory", {"queue": "q"})] == [handle]
    assert memory.calls.list_cfg == [{"queue": "q"}]


def test_list_keeps_the_session_that_the_scheduler_names(
    runner: Runner, memory: MemoryScheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = [
        ListAppResponse("a", AppState.RUNNING, app_handle="memory://theirs/a"),
        ListAppResponse("b", AppState.RUNNING, app_handle="b"),
    ]
    monkeypatch.setattr(memory, "list", lambda cfg: items)
    handles = [item.app_handle for item in runner.list("memory")]
    assert handles == ["memory://theirs/a", "memory://test/b"]


def test_a_runner_remembers_a_limited_number_of_apps(
    runner: Runner, app: AppDef, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torchx.runner.submitted._MAX_REMEMBERED_APPS", 2)
    handles = [runner.run(app, "memory") for _ in range(3)]
    assert list(runner._apps) == handles[1:]
