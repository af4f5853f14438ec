"""Waiting for an app in front of a person: status line, Ctrl-C, the end of its logs."""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from torchx.cli.failures import signal_number
from torchx.cli.live import LiveLine
from torchx.cli.log_output import LogOutput
from torchx.util.colors import is_terminal
from torchx.util.durations import format_elapsed

if TYPE_CHECKING:
    from torchx.runner.api import Runner
    from torchx.specs import AppStatus

logger: logging.Logger = logging.getLogger(__name__)

_LOCAL_POLL_S = 1.0
_REMOTE_POLL_S = 5.0
_SILENCE_S = 30.0
"""How long the logs of an app that has ended may say nothing before they are given up."""


def say_how_to_follow(app_handle: str) -> None:
    """Says that an app was launched which this process will not end.

    Args:
        app_handle: Its handle.
    """
    logger.info("launched app: `%s`", app_handle, extra={"hint": _how_to_follow(app_handle)})


@contextlib.contextmanager
def reported_if_interrupted(runner: Runner, app_handle: str, *, goes_on: bool) -> Iterator[None]:
    """Says what becomes of an app, or cancels it, when the process that waits is interrupted.

    Args:
        runner: The runner that launched the app.
        app_handle: Its handle.
        goes_on: Leave the app alone.

    Raises:
        BaseException: Whatever is raised inside.
    """
    try:
        yield
    except BaseException as error:
        if signal_number(error) is None:
            raise
        if goes_on:
            message, hint = "`%s` keeps running", _how_to_follow(app_handle)
        else:
            # An app may take all of its grace period to end.
            logger.info("cancelling the app...")
            runner.cancel(app_handle)
            message, hint = "`%s` was cancelled", f"its logs are kept: torchx log {app_handle}"
        logger.warning(message, app_handle, extra={"word": "interrupted", "hint": hint})
        raise


def _how_to_follow(app_handle: str) -> str:
    return f"follow it: torchx log -t {app_handle}; cancel it: torchx cancel {app_handle}"


def shown_status(runner: Runner, app_handle: str) -> AbstractContextManager[object]:
    """Shows the state of an app at the bottom of the terminal, if there is one.

    Args:
        runner: The runner to ask.
        app_handle: Handle of the app.

    Returns:
        A context manager; the line is there while its block runs.
    """
    if not is_terminal(sys.stderr):
        return contextlib.nullcontext()
    return LiveLine(sys.stderr, _StatusText(runner, app_handle))


def status_text(status: AppStatus, elapsed_s: float) -> str:
    """Writes the state of an app on one line.

    Args:
        status: Its status.
        elapsed_s: Seconds that it has been waited for.

    Returns:
        For example ``RUNNING  3/4 replicas running, 1 failed  12s``.
    """
    parts = [status.state.name]
    states = [replica.state.name for role in status.roles for replica in role.replicas]
    if states:
        counts = f"{states.count('RUNNING')}/{len(states)} replicas running"
        failed = states.count("FAILED")
        parts.append(f"{counts}, {failed} failed" if failed else counts)
    if status.num_restarts > 0:
        parts.append(f"{status.num_restarts} restarts")
    return "  ".join([*parts, format_elapsed(elapsed_s)])


def join_log_thread(thread: threading.Thread, silence_s: float = _SILENCE_S) -> None:
    """Waits for the logs of an app that has ended, as long as they go on.

    Args:
        thread: What follows the logs.
        silence_s: How long in seconds they may say nothing before they are given up.
    """
    ended_s = time.monotonic()
    while thread.is_alive():
        thread.join(timeout=0.1)
        quiet_since_s = max(ended_s, LogOutput.last_write_s)
        if thread.is_alive() and time.monotonic() - quiet_since_s > silence_s:
            logger.warning(
                "the app has ended, but its logs have not, and have been silent for %s",
                format_elapsed(silence_s),
            )
            return


class _StatusText:
    """Makes the text of the status line; asks the scheduler less often than the line is drawn."""

    def __init__(self, runner: Runner, app_handle: str) -> None:
        self._runner = runner
        self._app_handle = app_handle
        self._poll_s = _LOCAL_POLL_S if app_handle.startswith("local") else _REMOTE_POLL_S
        self._started_s = time.monotonic()
        self._next_poll_s = self._started_s
        self._status: AppStatus | None = None

    def __call__(self) -> str:
        now_s = time.monotonic()
        if now_s >= self._next_poll_s:
            self._next_poll_s = now_s + self._poll_s
            try:
                self._status = self._runner.status(self._app_handle) or self._status
            except Exception:
                # The wait itself decides when a scheduler that does not answer is given up.
                logger.debug("no status of `%s`", self._app_handle, exc_info=True)
        elapsed_s = now_s - self._started_s
        if self._status is None:
            return f"waiting  {format_elapsed(elapsed_s)}"
        return status_text(self._status, elapsed_s)
