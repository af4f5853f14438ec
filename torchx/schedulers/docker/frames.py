"""Reads the engine's log format: frames, each one entry of a log with its time. Pure.

A frame is one byte that names the stream, three zeros, the length in four bytes, then the entry:
its time, a blank, and a line or a part of a long line.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from torchx.schedulers.lines import LineFramer
from torchx.schedulers.streams import MAX_HELD_BYTES

_HEADER_BYTES = 8
_MARKS = 3
_TO_THE_SECOND = len("2026-01-01T00:00:00")


class Entry(NamedTuple):
    """One entry of a log.

    Attributes:
        stream: 1 for standard output, 2 for standard error.
        time: When it was written, as text that sorts by time.
        data: A line, or a part of a long one.
    """

    stream: int
    time: bytes
    data: bytes


class FrameReader:
    """Cuts a stream of bytes into entries, whatever pieces it arrives in."""

    def __init__(self) -> None:
        self._held = b""

    def feed(self, data: bytes) -> Iterator[Entry]:
        """Takes the next bytes.

        Args:
            data: The bytes.

        Yields:
            The entries that are complete.
        """
        if self._held:
            data = self._held + data
        start, size = 0, len(data)
        while size - start >= _HEADER_BYTES:
            end = start + _HEADER_BYTES + int.from_bytes(data[start + 4 : start + 8], "big")
            if end > size:
                break
            time, _, text = data[start + _HEADER_BYTES : end].partition(b" ")
            yield Entry(data[start], time, text)
            start = end
        self._held = data[start:]


class Position:
    """Knows where in a log to go on when it has to be opened again.

    A log can be opened from a moment on, and entries of the two streams may stand in it slightly
    out of order. So it goes on at a moment some seconds back, and skips as many entries as have
    been read from that moment on.
    """

    def __init__(self) -> None:
        self._latest = b""
        self._skip = 0
        # Moments, the oldest first, each with the number of entries read from then on. The empty
        # moment is the start of the log.
        self._marks: list[tuple[bytes, int]] = [(b"", 0)]

    def reopen(self) -> str | None:
        """Prepares for reading the log again.

        Returns:
            The moment from which to open it, as the engine writes it; ``None`` for the start.
        """
        moment, self._skip = self._marks[0]
        return moment.decode() or None

    def is_new(self, entry: Entry) -> bool:
        """Takes note of the next entry.

        Args:
            entry: The entry.

        Returns:
            True unless it had been read before the log was opened again.
        """
        if self._skip:
            self._skip -= 1
            return False
        time = entry.time
        self._marks = [(mark, count + (time >= mark)) for mark, count in self._marks]
        if time > self._latest:
            self._latest = time
            if time[:_TO_THE_SECOND] > self._marks[-1][0] and time.endswith(b"Z"):
                self._marks = [*self._marks[1 - _MARKS :], (time, 1)]
        return True


class StreamMerger:
    """Puts the two streams of a container together without tearing lines."""

    def __init__(self) -> None:
        self._framers: dict[int, LineFramer] = {}

    def feed(self, entry: Entry) -> bytes:
        """Takes the next entry.

        Args:
            entry: The entry.

        Returns:
            What may be handed on: whole lines, or a part of a line of more than 16 MiB.
        """
        framer = self._framers.get(entry.stream)
        if framer is None:
            framer = self._framers[entry.stream] = LineFramer(MAX_HELD_BYTES)
        return framer.feed(entry.data)

    def flush(self) -> bytes:
        """Takes the end of the log.

        Returns:
            The last lines of both streams, if they lack a newline.
        """
        rests = [rest for framer in self._framers.values() if (rest := framer.flush())]
        return b"\n".join(rests)
