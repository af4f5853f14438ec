"""Shows on a terminal how far the work on a workspace is; elsewhere nothing is shown."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from typing import TextIO

from torchx.util.colors import is_terminal

Progress = Callable[[str, int, int], None]
"""Told what is being done, how many bytes of it are done, and how many there are."""

_CLEAR_LINE = "\r\033[K"
_FIRST_AFTER_S = 0.3
_INTERVAL_S = 0.1


def no_progress(work: str, done_bytes: int, total_bytes: int) -> None:
    """Shows nothing.

    Args:
        work: What is being done.
        done_bytes: How many bytes of it are done.
        total_bytes: How many there are.
    """


class ProgressLine:
    """One line of a terminal, drawn again at most ten times a second.

    Args:
        stream: The terminal.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._next_s = time.monotonic() + _FIRST_AFTER_S
        self._is_shown = False

    def __call__(self, work: str, done_bytes: int, total_bytes: int) -> None:
        """Draws the line, if it is time to.

        Args:
            work: What is being done.
            done_bytes: How many bytes of it are done.
            total_bytes: How many there are.
        """
        now_s = time.monotonic()
        if now_s < self._next_s:
            return
        self._next_s = now_s + _INTERVAL_S
        self._is_shown = True
        text = f"{work}: {size_text(done_bytes)} of {size_text(total_bytes)}"
        self._write(_CLEAR_LINE + text[: _columns(self._stream) - 1])

    def clear(self) -> None:
        """Takes the line off the terminal."""
        if self._is_shown:
            self._is_shown = False
            self._write(_CLEAR_LINE)

    def _write(self, text: str) -> None:
        # A terminal that went away must not end the build.
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(text)
            self._stream.flush()


@contextlib.contextmanager
def shown_progress(stream: TextIO | None = None) -> Iterator[Progress]:
    """Shows the progress of what happens in the ``with`` block.

    Args:
        stream: Where; by default standard error.

    Yields:
        What is to be told of the progress. It does nothing if the stream is no terminal.
    """
    stream = sys.stderr if stream is None else stream
    if not is_terminal(stream):
        yield no_progress
        return
    line = ProgressLine(stream)
    try:
        yield line
    finally:
        line.clear()


def size_text(size_bytes: int) -> str:
    """Writes a size for people.

    Args:
        size_bytes: The size in bytes.

    Returns:
        For example ``12.3 MB``.
    """
    if size_bytes < 1000:
        return f"{size_bytes} B"
    size = float(size_bytes)
    for unit in ("kB", "MB", "GB", "TB"):
        size /= 1000
        if size < 999.95 or unit == "TB":
            break
    return f"{size:.1f} {unit}"


def _columns(stream: TextIO) -> int:
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except (OSError, ValueError):
        return 80
