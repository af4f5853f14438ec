"""Points in time."""

from __future__ import annotations

import time

_DAY_S = 24 * 60 * 60


def get_past_epoch_time(days_past: int) -> int:
    """Returns when a number of days ago was.

    Args:
        days_past: Days of 24 hours.

    Returns:
        Seconds since the epoch.
    """
    return int(time.time()) - days_past * _DAY_S
