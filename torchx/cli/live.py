"""The status line that stays at the bottom of a terminal while a command waits."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from typing import TextIO

_CLEAR_LINE = "\r\033[K"
_LAST_TEXT_S = 1.0
_lock = threading.RLock()
_shown: LiveLine | None = None


class LiveLine:
    """Shows a line that is drawn again every second while the ``with`` block runs.

    Whatever else is written to the terminal meanwhile is written inside :func:`hidden`.

    Args:
        stream: A terminal.
        text: Makes the text; called in a thread of its own, so it may take its time.
        interval_s: Seconds between two drawings.
    """

    def __init__(self, stream: TextIO, text: Callable[[], str], interval_s: float = 1.0) -> None:
        self._stream = stream
        self._text = text
        self._interval_s = interval_s
        self._current = ""
        self._at_line_start = True
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._refresh, name="torchx-status", daemon=True)

    def __enter__(self) -> LiveLine:
        global _shown
        with _lock:
            _shown = self
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        global _shown
        self._ended.set()
        self._thread.join(_LAST_TEXT_S)
        with _lock:
            self.clear()
            _shown = None

    def clear(self) -> None:
        """Takes the line off the terminal."""
        if self._current and self._at_line_start:
            self._write(_CLEAR_LINE)

    def draw(self, at_line_start: bool = True) -> None:
        """Puts the line on the terminal, at its last line.

        Args:
            at_line_start: False if the cursor stands behind a line that has not ended; the line
                is then left out until it has.
        """
        self._at_line_start = at_line_start
        if self._current and at_line_start and not self._ended.is_set():
            self._write(_CLEAR_LINE + self._current)

    def _refresh(self) -> None:
        while not self._ended.is_set():
            text = _fit(self._text(), self._stream)
            with _lock:
                self._current = text
                self.draw(self._at_line_start)
            self._ended.wait(self._interval_s)

    def _write(self, text: str) -> None:
        # A terminal that went away must not end the wait for the job.
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(text)
            self._stream.flush()


@contextlib.contextmanager
def hidden(ends_line: Callable[[], bool] | None = None) -> Iterator[None]:
    """Takes the status line away while something else is written to the terminal.

    Args:
        ends_line: Asked afterwards whether what was written ended with a new line; None says yes.
    """
    with _lock:
        line = _shown
        if line is not None:
            line.clear()
        try:
            yield
        finally:
            if line is not None:
                line.draw(ends_line is None or ends_line())


def _fit(text: str, stream: TextIO) -> str:
    """Cuts a text to the width of the terminal: a wrapped line could not be taken away again."""
    try:
        columns = os.get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError):
        columns = 80
    return text[: max(1, (columns or 80) - 1)]
