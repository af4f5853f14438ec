"""Remembers when each part of a log was written, so that logs can be cut by time.

The index of an app is one file of fixed-size entries ``(replica, stream, time, offset)``: the
bytes of that stream from ``offset`` on arrived at ``time`` or at most :func:`span_s` later.
The supervisor imports this module in a bare interpreter: only cheap standard modules here.
"""

from __future__ import annotations

import os
import struct

STDOUT, STDERR, COMBINED = 0, 1, 2

_ENTRY = struct.Struct("<IIdQ")
_FINEST_SPAN_S = 0.01
_COARSEST_SPAN_S = 1.0


def span_s(age_s: float) -> float:
    """Returns how much time one entry covers, growing with age so that the file stays small.

    Args:
        age_s: Seconds since the app was created.

    Returns:
        Seconds, from 0.01 in the first minutes to 1.0 after some hours.
    """
    return min(_COARSEST_SPAN_S, max(_FINEST_SPAN_S, age_s * 1e-4))


class TimeIndexWriter:
    """Appends to the index of one app; a disk that is full costs precision, never the app.

    Args:
        path: The file.
        created: When the app was created, seconds since the epoch.
    """

    def __init__(self, path: str, created: float) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._fd = os.open(path, flags, 0o600)
        self._created = created
        self._next_s: dict[tuple[int, int], float] = {}
        self._pending: list[bytes] = []

    def note(self, replica: int, stream: int, now: float, offset: int) -> None:
        """Remembers that the bytes from ``offset`` on arrive now.

        Args:
            replica: Position of the replica in the app's record.
            stream: ``STDOUT``, ``STDERR`` or ``COMBINED``.
            now: Seconds since the epoch.
            offset: Size of the log before these bytes.
        """
        key = (replica, stream)
        if now >= self._next_s.get(key, 0.0):
            self._next_s[key] = now + span_s(now - self._created)
            self._pending.append(_ENTRY.pack(replica, stream, now, offset))

    def flush(self) -> None:
        """Writes what was noted since the last call.

        Raises:
            OSError: It cannot be written; the entries are dropped.
        """
        if self._pending:
            data = b"".join(self._pending)
            self._pending.clear()
            written = os.write(self._fd, data)
            if written % _ENTRY.size:
                # A torn entry would shift all that follow it.
                os.ftruncate(self._fd, os.fstat(self._fd).st_size // _ENTRY.size * _ENTRY.size)

    def close(self) -> None:
        """Closes the file."""
        os.close(self._fd)


def byte_range(
    path: str,
    replica: int,
    stream: int,
    created: float,
    size: int,
    since: float | None,
    until: float | None,
) -> tuple[int, int]:
    """Maps a span of time to a range of bytes of one log.

    Args:
        path: The index file; it need not exist.
        replica: Position of the replica in the app's record.
        stream: ``STDOUT``, ``STDERR`` or ``COMBINED``.
        created: When the app was created, seconds since the epoch.
        size: Size of the log, taken before this call.
        since: Start, seconds since the epoch; ``None`` for the beginning.
        until: End, seconds since the epoch; ``None`` for no end.

    Returns:
        First byte and end (exclusive), not yet cut at lines.
    """
    start = 0 if since is None else size
    end = size
    for time, offset in _entries(path, replica, stream):
        if since is not None and time + span_s(time - created) > since:
            start = min(start, offset)
        if until is not None and time > until:
            end = min(end, offset)
            break
    return start, max(start, end)


def _entries(path: str, replica: int, stream: int) -> list[tuple[float, int]]:
    try:
        with open(path, "rb") as file:
            data = file.read()
    except FileNotFoundError:
        return []
    whole = data[: len(data) // _ENTRY.size * _ENTRY.size]
    return [
        (time, offset)
        for entry_replica, entry_stream, time, offset in _ENTRY.iter_unpack(whole)
        if entry_replica == replica and entry_stream == stream
    ]
