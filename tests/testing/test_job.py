from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from torchx.testing import LogFollower


def test_a_follower_returns_as_soon_as_the_line_has_come() -> None:
    gate = threading.Event()

    def lines() -> Iterator[str]:
        yield "first\n"
        gate.wait()
        yield "second\n"

    follower = LogFollower(lines(), timeout_s=10)
    follower.wait_for_line("first")
    gate.set()
    assert follower.until_the_end() == ["first\n", "second\n"]


def test_a_log_that_never_ends_fails_in_time() -> None:
    never = threading.Event()

    def lines() -> Iterator[str]:
        yield "only\n"
        never.wait()

    follower = LogFollower(lines(), timeout_s=0.05)
    with pytest.raises(TimeoutError, match=r"end of the log.*0.05 s.*only"):
        follower.until_the_end()
    never.set()


def test_a_log_that_ends_without_the_line_fails_at_once() -> None:
    with pytest.raises(AssertionError, match="ended without 'second'"):
        LogFollower(["first\n"], timeout_s=10).wait_for_line("second")


def test_an_error_while_reading_reaches_the_test() -> None:
    def lines() -> Iterator[str]:
        yield "first\n"
        raise OSError("connection lost")

    with pytest.raises(OSError, match="connection lost"):
        LogFollower(lines(), timeout_s=10).until_the_end()
