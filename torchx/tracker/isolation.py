"""Keeps what goes wrong in a tracker away from the job, and from the other trackers."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from torchx.settings import ENV_TORCHX_TRACKER_STRICT
from torchx.util.redact import redact_text

T = TypeVar("T")

logger: logging.Logger = logging.getLogger(__name__)

_SLOW_S = 1.0
_PAUSE_FACTOR = 10
_LONGEST_PAUSE_S = 600.0


def is_strict() -> bool:
    """Tells whether errors of trackers are to reach the program.

    Returns:
        True if the environment variable ``TORCHX_TRACKER_STRICT`` is set to something but ``0``.
    """
    return os.environ.get(ENV_TORCHX_TRACKER_STRICT, "0").lower() not in ("", "0", "false")


def describe(error: BaseException) -> str:
    """Puts an error into one line that shows no secrets.

    Args:
        error: The error.

    Returns:
        Its type and the first line of its text.
    """
    first_line = str(error).strip().partition("\n")[0]
    return redact_text(f"{type(error).__name__}: {first_line}")


@dataclass
class _Failures:
    paused_until_s: float = 0.0
    count: int = 0


class Isolation:
    """Calls trackers for a job.

    The first failure of a tracker is a warning, further ones are logged at level DEBUG. A tracker
    that failed slowly, such as one whose server cannot be reached, is left alone for ten times as
    long as that took: it costs the job a tenth of its time at most.
    """

    def __init__(self) -> None:
        self._failures: dict[int, _Failures] = {}

    def call(self, tracker: object, what: str, action: Callable[[], T]) -> T | None:
        """Calls a tracker.

        Args:
            tracker: The tracker.
            what: What it is to do, for the warning.
            action: Does it.

        Returns:
            What the action returned; None if it failed, or if the tracker is left alone.

        Raises:
            Exception: What the action raised, in strict mode only.
        """
        failures = self._failures.setdefault(id(tracker), _Failures())
        start_s = time.monotonic()
        if start_s < failures.paused_until_s:
            logger.debug("%s: %s is left out", tracker, what)
            return None
        try:
            return action()
        except Exception as error:
            if is_strict():
                raise
            failures.count += 1
            failures.paused_until_s = _end_of_pause_s(start_s)
            _report(tracker, what, error, first=failures.count == 1)
            return None


def _end_of_pause_s(start_s: float) -> float:
    now_s = time.monotonic()
    took_s = now_s - start_s
    if took_s < _SLOW_S:
        return 0.0
    return now_s + min(_PAUSE_FACTOR * took_s, _LONGEST_PAUSE_S)


def _report(tracker: object, what: str, error: Exception, first: bool) -> None:
    logger.log(
        logging.WARNING if first else logging.DEBUG,
        "tracker %s: %s failed, the job goes on without it: %s%s",
        type(tracker).__name__,
        what,
        describe(error),
        f" (further failures are logged at level DEBUG; {ENV_TORCHX_TRACKER_STRICT}=1 raises them)"
        if first
        else "",
        exc_info=error if not first else None,
    )
