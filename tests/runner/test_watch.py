from __future__ import annotations

import pytest

from torchx.errors import BackendError
from torchx.runner.watch import WaitTimeoutError, change_waiter, is_transient, wait_until_terminal
from torchx.specs import AppState, AppStatus

RUNNING = AppStatus(AppState.RUNNING)
SUCCEEDED = AppStatus(AppState.SUCCEEDED)
BUSY = BackendError("try again", transient=True)


@pytest.fixture(autouse=True)
def paused_s(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Pauses are written down instead of slept through."""
    pauses: list[float] = []
    monkeypatch.setattr("torchx.runner.watch.time.sleep", pauses.append)
    return pauses


def waited(
    answers: list[AppStatus | Exception | None],
    was_known: bool = False,
    timeout_s: float | None = None,
) -> AppStatus | None:
    def poll() -> AppStatus | None:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return wait_until_terminal(
        poll, lambda seconds: None, interval_s=10, timeout_s=timeout_s, was_known=was_known
    )


def test_an_app_that_has_ended_is_not_waited_for(paused_s: list[float]) -> None:
    assert waited([SUCCEEDED]) is SUCCEEDED
    assert paused_s == []


def test_two_failures_in_a_row_are_tolerated() -> None:
    assert waited([BUSY, BUSY, RUNNING, BUSY, BUSY, SUCCEEDED]) is SUCCEEDED


def test_the_third_failure_in_a_row_is_raised() -> None:
    with pytest.raises(BackendError, match="try again"):
        waited([RUNNING, BUSY, BUSY, BUSY, SUCCEEDED])


def test_what_will_not_pass_is_raised_at_once() -> None:
    with pytest.raises(BackendError, match="no access"):
        waited([BackendError("no access"), SUCCEEDED])


def test_an_app_that_was_known_must_be_missing_twice() -> None:
    assert waited([RUNNING, None, RUNNING, None, None]) is None
    assert waited([None, SUCCEEDED], was_known=True) is SUCCEEDED


def test_an_app_that_was_never_known_is_missing_at_once(paused_s: list[float]) -> None:
    assert waited([None]) is None
    assert paused_s == []


@pytest.mark.parametrize(
    ("answer", "told"), [(RUNNING, "RUNNING"), (BUSY, "did not answer"), (None, "not found")]
)
def test_the_time_limit_counts_whatever_the_answers_are(
    answer: AppStatus | Exception | None, told: str
) -> None:
    with pytest.raises(WaitTimeoutError, match=told):
        waited([answer] * 9, was_known=True, timeout_s=0)


def test_the_wait_for_a_change_outlasts_neither_interval_nor_limit() -> None:
    asked_s: list[float] = []
    for interval_s, timeout_s in ((3600.0, 5.0), (2.0, None)):
        wait_until_terminal(
            iter([RUNNING, SUCCEEDED]).__next__,
            asked_s.append,
            interval_s=interval_s,
            timeout_s=timeout_s,
            was_known=True,
        )
    assert 0 < asked_s[0] <= 5
    assert asked_s[1] == 2


def test_a_scheduler_that_fails_to_report_changes_is_polled(paused_s: list[float]) -> None:
    answers = iter([RUNNING] * 9 + [SUCCEEDED])

    def fail(seconds: float) -> None:
        raise BUSY

    ended = wait_until_terminal(
        answers.__next__, fail, interval_s=0.1, timeout_s=None, was_known=True
    )
    assert ended is SUCCEEDED
    assert paused_s == [0.1] * 9


def test_a_failure_to_report_changes_that_will_not_pass_is_raised() -> None:
    def fail(seconds: float) -> None:
        raise LookupError("a bug")

    with pytest.raises(LookupError, match="a bug"):
        wait_until_terminal(
            iter([RUNNING]).__next__, fail, interval_s=1, timeout_s=None, was_known=True
        )


def test_connection_errors_may_pass() -> None:
    assert is_transient(ConnectionResetError())
    assert is_transient(TimeoutError())
    assert not is_transient(FileNotFoundError())


def test_a_scheduler_without_events_is_slept_for(paused_s: list[float]) -> None:
    change_waiter(object(), "a")(7)
    assert paused_s == [7]
