"""Waits for an app to end: by the scheduler's events where it has them, and patiently.

A back end that fails to answer once, or forgets an app for a moment, does not end the wait.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from torchx.errors import TorchXError
from torchx.specs import AppStatus

logger: logging.Logger = logging.getLogger(__name__)

TOLERATED_FAILURES = 2
"""How many polls in a row may fail for a transient reason."""

_RETRY_PAUSE_S = 0.5


class WaitTimeoutError(TorchXError, TimeoutError):
    """An app had not ended when the time to wait for it was over. It goes on."""


def wait_until_terminal(
    poll: Callable[[], AppStatus | None],
    wait_for_change: Callable[[float], object],
    *,
    interval_s: float,
    timeout_s: float | None,
    was_known: bool,
) -> AppStatus | None:
    """Polls until an app has ended.

    Args:
        poll: Returns the status of the app; None if it is unknown.
        wait_for_change: Returns when the app may have changed, at the latest after the seconds
            given to it.
        interval_s: Longest time between two polls, in seconds.
        timeout_s: Longest time to wait in all, in seconds; None for ever.
        was_known: True if the app is known to have existed, so that one poll that does not find it
            proves nothing.

    Returns:
        The final status, or None if the app does not exist (any more).

    Raises:
        WaitTimeoutError: The time is over.
    """
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    failures = 0
    was_missing = False
    while True:
        try:
            status = poll()
        except Exception as error:
            failures += 1
            if failures > TOLERATED_FAILURES or not is_transient(error):
                raise
            logger.warning("the scheduler failed to answer, trying again: %s", error)
            _pause(_RETRY_PAUSE_S * failures, interval_s, deadline, "its scheduler did not answer")
            continue
        failures = 0
        if status is None:
            if was_missing or not was_known:
                return None
            was_missing = True
            _pause(_RETRY_PAUSE_S, interval_s, deadline, "it was not found")
            continue
        was_known, was_missing = True, False
        if status.is_terminal():
            return status
        left_s = _until(deadline, interval_s, f"it is {status.state}")
        try:
            wait_for_change(left_s)
        except Exception as error:
            if not is_transient(error):
                raise
            # Without news of changes there are still the polls.
            logger.warning("the scheduler failed to report changes: %s", error)
            time.sleep(min(_RETRY_PAUSE_S, left_s))


def is_transient(error: BaseException) -> bool:
    """Tells whether the same call may succeed later without any change.

    Args:
        error: What the call raised.

    Returns:
        True for errors that say so and for failures of a connection.
    """
    return bool(getattr(error, "transient", False)) or isinstance(
        error, (ConnectionError, TimeoutError)
    )


def change_waiter(scheduler: object, app_id: str) -> Callable[[float], object]:
    """Returns what waits for a change of an app.

    Args:
        scheduler: The scheduler. One that does not derive from our base class may lack
            ``wait_for_change``.
        app_id: Id of the app.

    Returns:
        A function that takes the longest time to wait, in seconds.
    """
    wait_for_change = getattr(scheduler, "wait_for_change", None)
    if wait_for_change is None:
        return time.sleep
    return lambda timeout_s: wait_for_change(app_id, timeout_s)


def _pause(pause_s: float, interval_s: float, deadline: float | None, state: str) -> None:
    time.sleep(_until(deadline, min(pause_s, interval_s), state))


def _until(deadline: float | None, longest_s: float, state: str) -> float:
    if deadline is None:
        return longest_s
    left_s = deadline - time.monotonic()
    if left_s <= 0:
        raise WaitTimeoutError(
            f"the app had not ended when the time to wait for it was over: {state}",
            hint="the app goes on: wait again, or cancel it",
        )
    return min(longest_s, left_s)
