"""Reads a log file that grows, for schedulers that write logs into files of this machine."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Iterator
from typing import Any

from torchx.schedulers.api import Scheduler
from torchx.specs.api import is_terminal

_CHUNK_BYTES = 64000
_POLL_S = 0.1


class LogIterator:
    """Reads a log file that grows, asking a scheduler whether the app has ended.

    Made for schedulers that write a log into a file of this machine. Subclasses may set the
    attributes below themselves, and may override ``_check_finished`` to fetch the file.

    Args:
        app_id: Id of the app.
        log_file: The file.
        scheduler: Knows the state of the app.
        should_tail: Go on until the app has ended, instead of to the end of what is there.
    """

    # A line whose end has not been written yet.
    _held: bytes = b""

    def __init__(
        self, app_id: str, log_file: str, scheduler: Scheduler[Any], should_tail: bool = True
    ) -> None:
        self._app_id = app_id
        self._log_file = log_file
        self._log_fp: io.BufferedReader | None = None
        self._scheduler = scheduler
        self._app_finished = not should_tail

    def _check_finished(self) -> None:
        description = self._scheduler.describe(self._app_id)
        if not description or is_terminal(description.state):
            self._app_finished = True

    def __iter__(self) -> Iterator[str]:
        while True:
            self._check_finished()
            if os.path.isfile(self._log_file):
                self._log_fp = open(self._log_file, "rb")  # noqa: SIM115 (closed at its end)
                return self
            if self._app_finished:
                raise RuntimeError(
                    f"app: {self._app_id} finished without writing: {self._log_file}"
                )
            time.sleep(_POLL_S)

    def __next__(self) -> str:
        log = self._log_fp
        while log is not None:
            # Older than the read that follows it: what came before the end is read.
            was_finished = self._app_finished
            data = log.read(_CHUNK_BYTES)
            if data:
                whole, newline, self._held = (self._held + data).rpartition(b"\n")
                if newline:
                    return (whole + newline).decode("utf-8", "replace")
            elif was_finished:
                return self._end(log)
            else:
                time.sleep(_POLL_S)
                self._check_finished()
        raise StopIteration

    def _end(self, log: io.BufferedReader) -> str:
        log.close()
        self._log_fp = None
        rest, self._held = self._held, b""
        if not rest:
            raise StopIteration
        return rest.decode("utf-8", "replace")
