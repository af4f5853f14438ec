from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import FrameType
from typing import NoReturn, TypeVar

import pytest

from torchx.util.time_limit import TimeLimitExceeded, call_within

T = TypeVar("T")
LONG_S = 60.0


def here(function: Callable[[], T]) -> T:
    return function()


def on_another_thread(function: Callable[[], T]) -> T:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function).result()


where = pytest.mark.parametrize("call", [here, on_another_thread])


def wait_for_ever() -> None:
    threading.Event().wait()


def spin() -> NoReturn:
    while True:
        pass


def swallow_everything() -> None:
    for _ in range(2):
        try:
            wait_for_ever()
        except BaseException:
            continue


@where
def test_a_call_that_ends_returns_its_result(call: Callable[[Callable[[], int]], int]) -> None:
    assert call(lambda: call_within(LONG_S, "x", lambda: 3)) == 3


@where
@pytest.mark.parametrize("error", [ValueError("v"), SystemExit(2)])
def test_a_call_that_raises_raises(
    call: Callable[[Callable[[], object]], object], error: BaseException
) -> None:
    def fail() -> NoReturn:
        raise error

    with pytest.raises(type(error)) as raised:
        call(lambda: call_within(LONG_S, "x", fail))
    assert raised.value is error


@where
def test_a_call_that_waits_for_ever_is_given_up(
    call: Callable[[Callable[[], object]], object],
) -> None:
    with pytest.raises(TimeLimitExceeded, match=r"importing x took longer than 0\.01 s"):
        call(lambda: call_within(0.01, "importing x", wait_for_ever))


def test_an_endless_loop_is_given_up() -> None:
    with pytest.raises(TimeLimitExceeded):
        call_within(0.01, "x", spin)


def test_a_call_that_swallows_the_interrupt_is_interrupted_again() -> None:
    # It returns after the second one, which proves that there were two.
    assert call_within(0.01, "x", swallow_everything) is None


def test_without_a_limit_the_call_is_made_as_it_is() -> None:
    before = threading.active_count()
    assert call_within(0, "x", threading.active_count) == before


def test_the_inner_limit_of_two_ends_only_the_inner_call() -> None:
    def outer() -> str:
        with pytest.raises(TimeLimitExceeded, match="inner"):
            call_within(0.01, "inner", wait_for_ever)
        return "done"

    assert call_within(LONG_S, "outer", outer) == "done"


def test_the_outer_limit_of_two_ends_both_calls() -> None:
    with pytest.raises(TimeLimitExceeded, match="outer"):
        call_within(0.01, "outer", lambda: call_within(LONG_S, "inner", wait_for_ever))


def test_signals_of_the_program_get_through_and_its_handler_is_put_back() -> None:
    received: list[int] = []

    def handler(number: int, frame: FrameType | None) -> None:
        received.append(number)

    before = signal.signal(signal.SIGURG, handler)
    try:
        call_within(LONG_S, "x", lambda: signal.raise_signal(signal.SIGURG))
        assert received == [signal.SIGURG]
        assert signal.getsignal(signal.SIGURG) is handler
    finally:
        signal.signal(signal.SIGURG, before)


def test_ctrl_c_gets_through() -> None:
    # Not what it may have been started with: shells make background jobs ignore it.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            call_within(LONG_S, "x", lambda: signal.raise_signal(signal.SIGINT))
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_long_wait_is_announced(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(TimeLimitExceeded):
        call_within(0.02, "importing x", wait_for_ever, notice_s=0.001)
    assert "importing x takes long; it is given up after 0.02 s" in caplog.text
