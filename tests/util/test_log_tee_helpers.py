from __future__ import annotations

import io
import logging
from collections.abc import Iterable
from typing import Any

import pytest

from torchx.runner.api import Runner
from torchx.schedulers.api import Stream
from torchx.specs import AppDef, Role
from torchx.util import log_tee_helpers
from torchx.util.log_tee_helpers import _find_role_replicas, _prefix_line, tee_logs

APP = AppDef(
    "app",
    roles=[Role("trainer", image="", num_replicas=2), Role("reader", image="", num_replicas=1)],
)


class LogRunner(Runner):
    """Hands out fixed lines, as runners of other packages do that do not call the base."""

    def __init__(self, app: AppDef | None = APP, failing: bool = False) -> None:
        self._app = app
        self._failing = failing
        self.calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    def describe(self, app_handle: str) -> AppDef | None:
        return self._app

    def log_lines(self, *args: Any, **kwargs: Any) -> Iterable[str]:
        self.calls.append((args, kwargs))
        if self._failing:
            raise RuntimeError(f"no log of {args[1]}/{args[2]}")
        return ["one\n", "  two \n"]


@pytest.mark.parametrize(
    ("line", "prefixed"),
    [
        ("a\n", "P a\n"),
        ("a\nb\n", "P a\nP b\n"),
        ("\ra", "\rP a"),
        ("a\rb\n", "P a\rP b\n"),
        ("", "P "),
    ],
)
def test_a_prefix_stands_before_every_line_and_after_every_carriage_return(
    line: str, prefixed: str
) -> None:
    assert _prefix_line("P ", line) == prefixed


def test_replicas_are_listed_by_role() -> None:
    assert _find_role_replicas(APP, None) == [("trainer", 0), ("trainer", 1), ("reader", 0)]
    assert _find_role_replicas(APP, "reader") == [("reader", 0)]


def test_all_replicas_are_copied_with_their_names_and_indentation() -> None:
    dst = io.StringIO()
    thread = tee_logs(dst, "sched://s/app", "o", LogRunner(), True, Stream.STDOUT)
    assert thread.daemon
    assert not thread.is_alive()
    thread.start()
    thread.join()
    assert sorted(dst.getvalue().splitlines()) == sorted(
        f"{name} {line}"
        for name in ("trainer/0", "trainer/1", "reader/0")
        for line in ("one", "  two")
    )


def test_regex_tail_and_streams_reach_the_runner() -> None:
    runner = LogRunner()
    thread = tee_logs(io.StringIO(), "sched://s/app", "x.*", runner, True, Stream.STDERR)
    thread.run()
    assert runner.calls[0] == (
        ("sched://s/app", "trainer", 0, "x.*"),
        {"should_tail": True, "streams": Stream.STDERR},
    )


def test_prefixes_are_green_on_request() -> None:
    dst = io.StringIO()
    tee_logs(dst, "sched://s/app", None, LogRunner(), colorize=True).run()
    assert "\033[32mtrainer/0\033[0m one\n" in dst.getvalue()


def test_an_unknown_role_is_named_with_the_valid_ones() -> None:
    runner = LogRunner()
    with pytest.raises(
        ValueError, match=r"chief is not a valid role name\. Available: \['trainer'"
    ):
        log_tee_helpers._start_threads_to_monitor_role_replicas(
            io.StringIO(), "sched://s/app", None, runner, which_role="chief"
        )
    assert not runner.calls


def test_a_missing_app_is_an_error() -> None:
    with pytest.raises(AssertionError, match="does not exist"):
        tee_logs(io.StringIO(), "sched://s/app", None, LogRunner(app=None)).run()


def test_the_first_failure_is_raised_and_the_others_are_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.ERROR), pytest.raises(RuntimeError, match="no log of"):
        tee_logs(io.StringIO(), "sched://s/app", None, LogRunner(failing=True)).run()
    assert len(caplog.records) == 2
