"""Reads points in time as people type them: ``10m``, ``2h30m``, ``2026-01-31T12:00:00``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime, timedelta

_UNIT_SECONDS = {"w": 604_800.0, "d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0}
_PART = r"(?P<count>[0-9]{1,9}(?:\.[0-9]{1,9})?)(?P<unit>[wdhms])"


def parse_duration(text: str) -> timedelta:
    """Reads a length of time.

    Args:
        text: Counts with units from large to small, such as ``45s``, ``10m``, ``2h30m`` or
            ``1.5d``; the units are ``w``, ``d``, ``h``, ``m`` and ``s``.

    Returns:
        The length of time.

    Raises:
        ValueError: The text is no length of time.
    """
    from datetime import timedelta

    units = list(_UNIT_SECONDS)
    seconds, position = 0.0, 0
    for part in re.finditer(_PART, text):
        if part.start() != position or part["unit"] not in units:
            break
        position = part.end()
        seconds += float(part["count"]) * _UNIT_SECONDS[part["unit"]]
        units = units[units.index(part["unit"]) + 1 :]
    if position == 0 or position != len(text):
        raise ValueError(f"`{text}` is not a length of time such as 45s, 10m, 2h30m or 1d")
    try:
        return timedelta(seconds=seconds)
    except OverflowError:
        raise ValueError(f"`{text}` is too long ago") from None


def parse_moment(text: str, now: datetime | None = None) -> datetime:
    """Reads a point in time.

    Args:
        text: A length of time before now (``10m``, ``2h30m``, ``1d``), or a date and time in ISO
            format; without a zone it is local time.
        now: The present, with a zone; the clock by default.

    Returns:
        The moment, with a zone.

    Raises:
        ValueError: The text is neither.
    """
    from datetime import datetime, timezone

    text = text.strip()
    if re.match(_PART, text):
        present = now or datetime.now(timezone.utc)
        try:
            return (present - parse_duration(text)).astimezone()
        except OverflowError:
            raise ValueError(f"`{text}` is too long ago") from None
    try:
        # Python 3.10 does not know the suffix for UTC.
        return datetime.fromisoformat(re.sub(r"[zZ]$", "+00:00", text)).astimezone()
    except (ValueError, OverflowError, OSError):
        raise ValueError(
            f"`{text}` is not a time: give a length of time before now (10m, 2h30m, 1d) or an"
            " ISO date and time (2026-01-31T12:00:00)"
        ) from None


def format_elapsed(seconds: float) -> str:
    """Writes a length of time for a person, in full seconds.

    Args:
        seconds: Its length; negative values count as 0.

    Returns:
        For example ``12s``, ``3m04s``, ``1h00m09s`` or ``2d03h00m00s``.
    """
    minutes, second = divmod(max(0, int(seconds)), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    if days:
        return f"{days}d{hour:02}h{minute:02}m{second:02}s"
    if hours:
        return f"{hour}h{minute:02}m{second:02}s"
    if minutes:
        return f"{minute}m{second:02}s"
    return f"{second}s"
