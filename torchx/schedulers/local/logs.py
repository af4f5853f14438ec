"""Reads the logs of replicas, of running apps and of those that have ended."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from torchx.errors import TorchXError
from torchx.schedulers.api import Scheduler, Stream
from torchx.schedulers.local import store
from torchx.schedulers.local.record import INDEX_FILE, RECORD_FILE
from torchx.schedulers.local.timeindex import COMBINED, STDERR, STDOUT, byte_range
from torchx.schedulers.streams import FileSource, LogStream
from torchx.specs.api import is_terminal
from torchx.specs.handle import UnknownAppException

if TYPE_CHECKING:
    from datetime import datetime

    from torchx.schedulers.local.messages import AppRecord, ReplicaRecord

_STREAM_NUMBERS = {Stream.STDOUT: STDOUT, Stream.STDERR: STDERR, Stream.COMBINED: COMBINED}
_SCAN_BYTES = 64 << 10
_CHUNK_BYTES = 64000
_POLL_S = 0.1


class UnknownLocalAppException(UnknownAppException, KeyError):
    """There is no such app on this machine; a ``KeyError``, too."""

    __str__ = Exception.__str__


class NoLogException(TorchXError, RuntimeError):
    """An app is there, but not the log that was asked for."""


def open_stream(
    directory: str,
    record: AppRecord,
    role_name: str,
    replica_id: int,
    stream: Stream,
    *,
    regex: str | None,
    since: datetime | None,
    until: datetime | None,
    follow: bool,
) -> LogStream:
    """Opens the log of one replica.

    Args:
        directory: State directory of the app.
        record: Its record.
        role_name: Name of the role.
        replica_id: Number of the replica within the role.
        stream: Which stream.
        regex: Keep only lines in which this is found.
        since: Keep only what was written from then on; without a time zone, local time.
        until: Keep only what was written before.
        follow: Go on until the app has ended.

    Returns:
        The log.

    Raises:
        NoLogException: There is no such role or replica, or it has no such log.
    """
    position = _position(record, role_name, replica_id)
    path = _log_path(record["replicas"][position], stream)
    if path is None or (store.is_terminal(record) and not os.path.exists(path)):
        raise NoLogException(
            f"the replica {role_name}/{replica_id} of `{record['app_id']}` has no"
            f" {stream.value} log{f': {path} is gone' if path else ''}",
            hint="was the app configured to log into a file, and has nobody removed it?",
        )
    since_s, until_s = _seconds(since), _seconds(until)
    start, end = 0, None
    if since_s is not None or until_s is not None:
        size = os.path.getsize(path) if os.path.exists(path) else 0
        index_path = os.path.join(directory, INDEX_FILE)
        number = _STREAM_NUMBERS[stream]
        first, last = byte_range(
            index_path, position, number, record["created"], size, since_s, until_s
        )
        start = _next_line_start(path, first, size)
        if until_s is not None and (last < size or until_s <= time.time()):
            end = max(start, _next_line_start(path, last, size))
    finished = _when_finished(directory, until_s) if follow else _at_once
    source = FileSource(
        path,
        finished=finished,
        start=start,
        end=end,
        wake_paths=[os.path.join(directory, RECORD_FILE)] if follow else [],
    )
    return LogStream(source, regex)


def open_file(path: str, finished: Callable[[], bool], regex: str | None) -> LogStream:
    """Opens the log of a replica that is a child of this process.

    Args:
        path: The file.
        finished: Tells whether the writer is done.
        regex: Keep only lines in which this is found.

    Returns:
        The log.
    """
    return LogStream(FileSource(path, finished=finished), regex)


def _at_once() -> bool:
    return True


def _when_finished(directory: str, until_s: float | None) -> Callable[[], bool]:
    def finished() -> bool:
        if until_s is not None and time.time() > until_s:
            return True
        found = store.examine(directory)
        return found is None or store.is_terminal(found[0]) or not found[1].writes

    return finished


def _seconds(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()


def _position(record: AppRecord, role_name: str, replica_id: int) -> int:
    for position, replica in enumerate(record["replicas"]):
        if replica["role"] == role_name and replica["id"] == replica_id:
            return position
    roles = [f"{role['name']} (0 to {role['num_replicas'] - 1})" for role in record["roles"]]
    raise NoLogException(
        f"the app `{record['app_id']}` has no replica {role_name}/{replica_id};"
        f" its roles and replicas are: {', '.join(roles)}",
        hint="name one of them",
    )


def _log_path(replica: ReplicaRecord, stream: Stream) -> str | None:
    paths = {
        Stream.STDOUT: replica["stdout"],
        Stream.STDERR: replica["stderr"],
        Stream.COMBINED: replica["combined"],
    }
    return paths[stream]


def _next_line_start(path: str, offset: int, size: int) -> int:
    """Returns the first start of a line at or behind an offset."""
    if offset == 0 or offset > size:
        return offset
    with open(path, "rb") as file:
        file.seek(offset - 1)
        position = offset - 1
        while block := file.read(_SCAN_BYTES):
            found = block.find(b"\n")
            if found >= 0:
                return position + found + 1
            position += len(block)
    return position


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
