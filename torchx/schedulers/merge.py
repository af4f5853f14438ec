"""Follows many logs at once and writes them as one, a whole line at a time."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from queue import SimpleQueue

from torchx.schedulers.streams import LogStream, WatchedSource
from torchx.util.filewatch import FileWatch

logger: logging.Logger = logging.getLogger(__name__)

MAX_THREADS = 64
"""How many logs that can only be read by blocking are followed at the same time."""

_MAX_HELD_BYTES = 32 << 20
_LEAST_HELD_BYTES = 64 << 10
_IDLE_WAIT_S = 0.5
_SHORTEST_WAIT_S = 0.005

ErrorHandler = Callable[[bytes, Exception], object]
"""Told the prefix of a log that could not be read further, and why."""


def follow_all(
    streams: Sequence[tuple[bytes, Iterable[str]]],
    write: Callable[[bytes], object],
    *,
    on_error: ErrorHandler | None = None,
) -> None:
    r"""Writes several logs as they come, until all have ended.

    All logs that are read from files are followed by the calling thread, which sleeps until a file
    changes. Any other one has a thread of its own, at most 64 at once. A slow ``write`` slows the
    reading: nothing is queued.

    Lines of different logs are never mixed. A last line without newline gets one if another line
    follows or if there are several logs. Of a line so long that it cannot be held (32 MiB divided
    by the number of logs, at least 64 KiB) parts are written, and another log may cut in there.

    Args:
        streams: The logs, each with the prefix of its lines (and of what follows a lone ``\r``).
        write: Called with blocks of lines, never by two threads at once.
        on_error: Called when a log cannot be read further; the others go on. ``None`` raises the
            first such error at the end and reports the others by log.

    Raises:
        Exception: Whatever ``write`` raises, at once; what reading raised, at the end.
    """
    output = _Output(write, threading.Event(), is_merged=len(streams) > 1)
    entries = [_Entry(prefix, lines, output) for prefix, lines in streams]
    _follow_entries(entries, [output], _Failures(on_error))


def copy_all(
    copies: Sequence[tuple[Callable[[bytes], object], Iterable[str]]],
    *,
    on_error: ErrorHandler | None = None,
) -> None:
    """Writes several logs as they come, each to a place of its own, until all have ended.

    Args:
        copies: For each log what to call with blocks of its lines, and the log.
        on_error: As for :func:`follow_all`; the prefix is empty.

    Raises:
        Exception: Whatever writing raises, at once; what reading raised, at the end.
    """
    stopped = threading.Event()
    outputs = [_Output(write, stopped, is_merged=False) for write, _ in copies]
    entries = [
        _Entry(b"", lines, output) for (_, lines), output in zip(copies, outputs, strict=True)
    ]
    _follow_entries(entries, outputs, _Failures(on_error))


def _follow_entries(
    entries: Sequence[_Entry], outputs: Sequence[_Output], failures: _Failures
) -> None:
    for entry in entries:
        entry.limit_held_bytes(max(_LEAST_HELD_BYTES, _MAX_HELD_BYTES // len(entries)))
    workers = _Workers([entry for entry in entries if not entry.is_watched], failures)
    poller = _Poller([entry for entry in entries if entry.is_watched], failures)
    try:
        workers.start()
        poller.run()
        workers.join()
        for output in outputs:
            output.finish()
    finally:
        for output in outputs:
            output.stop()
        for entry in entries:
            entry.close()
    failures.raise_first()


class _Stopped(Exception):
    """Nothing is written any more: another thread met an error, or the caller was interrupted."""


class _Entry:
    """One log on its way to the output."""

    def __init__(self, prefix: bytes, lines: Iterable[str], output: _Output) -> None:
        self.prefix = prefix
        self.lines = lines
        self.output = output
        self.stream = lines if isinstance(lines, LogStream) else None
        self.is_watched = self.stream is not None and isinstance(self.stream.source, WatchedSource)

    def limit_held_bytes(self, max_held_bytes: int) -> None:
        if self.stream is not None:
            self.stream.limit_held_bytes(max_held_bytes)

    def blocks(self) -> Iterator[bytes]:
        if self.stream is not None:
            return self.stream.blocks()
        return (line.encode("utf-8", "replace") for line in self.lines if line)

    def close(self) -> None:
        if self.stream is not None:
            self.stream.close()


class _Failures:
    """Collects what went wrong while reading."""

    def __init__(self, on_error: ErrorHandler | None) -> None:
        self._on_error = on_error
        self._lock = threading.Lock()
        self._first: Exception | None = None

    def add(self, entry: _Entry, error: Exception) -> None:
        with self._lock:
            if self._on_error is not None:
                self._on_error(entry.prefix, error)
            elif self._first is None:
                self._first = error
            else:
                name = entry.prefix.decode("utf-8", "replace").strip()
                logger.error("cannot read the log %s further: %s", name, error)

    def raise_first(self) -> None:
        if self._first is not None:
            raise self._first


class _Output:
    """Where all threads write; keeps lines whole and puts the prefixes in."""

    def __init__(
        self, write: Callable[[bytes], object], stopped: threading.Event, *, is_merged: bool
    ) -> None:
        self._write = write
        self._stopped = stopped
        self._is_merged = is_merged
        self._lock = threading.Lock()
        self._unfinished: _Entry | None = None

    @property
    def is_stopped(self) -> bool:
        return self._stopped.is_set()

    def put(self, entry: _Entry, block: bytes) -> None:
        with self._lock:
            if self.is_stopped:
                raise _Stopped
            # Items of a plain iterable are lines, even if they lack their newline.
            continues = entry.stream is not None and self._unfinished is entry
            text = _prefixed(block, entry.prefix, continues=continues)
            if self._unfinished is not None and not continues:
                text = b"\n" + text
            self._call_write(text)
            self._unfinished = None if block.endswith(b"\n") else entry

    def finish(self) -> None:
        with self._lock:
            if self._unfinished is not None and self._is_merged:
                self._call_write(b"\n")

    def stop(self) -> None:
        with self._lock:
            self._stopped.set()

    def _call_write(self, text: bytes) -> None:
        try:
            self._write(text)
        except BaseException:
            self._stopped.set()
            raise


class _Poller:
    """Follows all logs that are read from files, on the calling thread."""

    def __init__(self, entries: Sequence[_Entry], failures: _Failures) -> None:
        self._active = dict.fromkeys(entries)
        self._failures = failures
        self._by_path: dict[str, list[_Entry]] = {}
        for entry in entries:
            if entry.stream is not None and isinstance(entry.stream.source, WatchedSource):
                for path in entry.stream.source.watched_paths():
                    self._by_path.setdefault(path, []).append(entry)

    def run(self) -> None:
        if not self._active:
            return
        with FileWatch(self._by_path) as watch:
            due = dict(self._active)
            next_sweep_s = time.monotonic() + _IDLE_WAIT_S
            while self._active and not next(iter(self._active)).output.is_stopped:
                passed_at_s = time.monotonic()
                due = dict.fromkeys([entry for entry in due if self._has_more(entry)])
                if not self._active:
                    break
                changed = watch.changes(0 if due else _IDLE_WAIT_S)
                if not due and changed:
                    # A writer that flushes every line would else cause a pass for each of them.
                    time.sleep(max(0.0, passed_at_s + _SHORTEST_WAIT_S - time.monotonic()))
                for path in changed:
                    due.update(dict.fromkeys(self._by_path[path]))
                if time.monotonic() >= next_sweep_s:
                    due = dict(self._active)
                    next_sweep_s = time.monotonic() + _IDLE_WAIT_S

    def _has_more(self, entry: _Entry) -> bool:
        if entry.stream is None or entry not in self._active:
            return False
        try:
            block = entry.stream.poll()
        except Exception as error:
            self._failures.add(entry, error)
            block = None
        if block is None:
            del self._active[entry]
            return False
        if block:
            # Why it was stopped is what the thread that did it reports.
            with contextlib.suppress(_Stopped):
                entry.output.put(entry, block)
        return not entry.stream.idle


class _Workers:
    """Follows all other logs, on threads that block in reading."""

    def __init__(self, entries: Sequence[_Entry], failures: _Failures) -> None:
        self._waiting = iter(list(entries))
        self._failures = failures
        self._done: SimpleQueue[BaseException | None] = SimpleQueue()
        self._threads = [
            threading.Thread(target=self._run, name=f"log-{number}", daemon=True)
            for number in range(min(MAX_THREADS, len(entries)))
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        for _ in self._threads:
            error = self._done.get()
            if error is not None:
                raise error

    def _run(self) -> None:
        try:
            for entry in self._waiting:
                self._follow(entry)
        except _Stopped:
            return
        except BaseException as error:
            self._done.put(error)
        else:
            self._done.put(None)

    def _follow(self, entry: _Entry) -> None:
        blocks = entry.blocks()
        while True:
            try:
                block = next(blocks, None)
            except Exception as error:
                self._failures.add(entry, error)
                return
            if block is None:
                return
            entry.output.put(entry, block)


def _prefixed(block: bytes, prefix: bytes, *, continues: bool) -> bytes:
    if not prefix:
        return block
    end = b"\n" if block.endswith(b"\n") else b""
    if block.endswith(b"\r" + end):
        end = b"\r" + end
    body = block[: len(block) - len(end)]
    if b"\r" in body:
        # A prefix goes behind every \r; those that came between \r and \n go out again.
        body = body.replace(b"\r", b"\r" + prefix).replace(b"\r" + prefix + b"\n", b"\r\n")
    body = body.replace(b"\n", b"\n" + prefix)
    return b"".join((b"" if continues else prefix, body, end))
