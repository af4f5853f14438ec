"""Time stamps that the node puts before each line of a log. Pure."""

from __future__ import annotations

import io
import re
from datetime import datetime, timezone

from torchx.schedulers.lines import LineFilter

_STAMPS = re.compile(rb"(?m)^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d) ?")
_PARTS = re.compile(rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)(?= |$|\n)")
_NANOS = 9
_NANOS_PER_S = 1_000_000_000


def strip_stamps(block: bytes) -> bytes:
    """Takes the stamps off.

    Args:
        block: Whole lines.

    Returns:
        The lines as the program wrote them.
    """
    return _STAMPS.sub(b"", block)


def lines_of(block: bytes) -> list[bytes]:
    r"""Cuts a block behind each ``\n``, and nowhere else.

    Args:
        block: Lines.

    Returns:
        The lines, each with its newline if it has one.
    """
    return io.BytesIO(block).readlines()


def nanos_of(line: bytes) -> int | None:
    """Reads the stamp of a line.

    Args:
        line: The line.

    Returns:
        Nanoseconds since the epoch; ``None`` if it has no stamp.
    """
    found = _PARTS.match(line)
    if found is None:
        return None
    whole, fraction, zone = found.groups()
    offset = "+00:00" if zone == b"Z" else zone.decode()
    try:
        seconds = int(datetime.fromisoformat(f"{whole.decode()}{offset}").timestamp())
    except ValueError:
        return None
    return seconds * _NANOS_PER_S + int((fraction or b"0")[:_NANOS].ljust(_NANOS, b"0"))


def nanos(moment: datetime | None) -> int | None:
    """Turns a moment into nanoseconds.

    Args:
        moment: The moment; without a time zone it is one of the local clock.

    Returns:
        Nanoseconds since the epoch; ``None`` for none.
    """
    if moment is None:
        return None
    whole = moment.replace(microsecond=0)
    return int(whole.timestamp()) * _NANOS_PER_S + moment.microsecond * 1000


def since_time(moment_ns: int) -> str:
    """Writes a moment for the API server, which takes whole seconds only.

    Args:
        moment_ns: Nanoseconds since the epoch.

    Returns:
        The second that it lies in.
    """
    moment = datetime.fromtimestamp(moment_ns // _NANOS_PER_S, timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


class StampFilter:
    """Keeps lines in which a regular expression is found, with their stamp or without.

    Args:
        regex: The regular expression.

    Raises:
        re.error: If it is malformed.
    """

    def __init__(self, regex: str) -> None:
        self._filter = LineFilter(regex)

    def select(self, block: bytes) -> bytes:
        """Selects lines.

        Args:
            block: Whole lines with stamps.

        Returns:
            The matching lines, byte for byte.
        """
        return b"".join(
            line
            for line in lines_of(block)
            if self._filter.select(line) or self._filter.select(strip_stamps(line))
        )
