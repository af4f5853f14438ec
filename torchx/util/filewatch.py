"""Waiting until a file changes, without asking all the time."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterable
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torchx.util.inotify import Inotify

_SHORTEST_PAUSE_S = 0.005
_LONGEST_PAUSE_S = 0.05
_SWEEP_INTERVAL_S = 0.5

_Signature = tuple[int, int, int]


class FileWatch:
    """Waits until one of several files changes, appears or vanishes.

    On Linux the kernel reports changes (inotify), so that waiting costs nothing. Twice a second the
    files are looked at as well, because a network file system does not report what other machines
    write. Where there is no inotify, and while a directory does not exist yet, the files are
    looked at every 5 to 50 ms.

    A change between construction and the first wait is not lost. One thread at a time may wait;
    any thread may close.

    Args:
        paths: The files. Neither they nor their directories need to exist yet.
    """

    def __init__(self, paths: Iterable[str]) -> None:
        self._closed = threading.Event()
        self._waiting = threading.Lock()
        self._unwatched = set(paths)
        self._entries: dict[tuple[int, str], set[str]] = {}
        self._inotify = _open_inotify()
        self._watch_directories()
        self._signatures = {path: _signature(path) for path in (*self._unwatched, *self._watched())}
        self._next_sweep_s = time.monotonic() + _SWEEP_INTERVAL_S

    def wait(self, timeout_s: float) -> bool:
        """Blocks until one of the files changes.

        Args:
            timeout_s: Longest time to block; 0 only looks.

        Returns:
            True if something changed, False if the time was up or the watch was closed.
        """
        return bool(self.changes(timeout_s))

    def changes(self, timeout_s: float) -> frozenset[str]:
        """Blocks until some of the files change, and names them.

        Args:
            timeout_s: Longest time to block; 0 only looks.

        Returns:
            The changed paths, spelled as they were given; empty if the time was up or the watch
            was closed.
        """
        deadline_s = time.monotonic() + timeout_s
        pause_s = _SHORTEST_PAUSE_S
        with self._waiting:
            while not self._closed.is_set():
                changed = self._collect()
                left_s = deadline_s - time.monotonic()
                if changed or left_s <= 0:
                    return frozenset(changed)
                self._pause(left_s, pause_s)
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
        return frozenset()

    def close(self) -> None:
        """Ends the watch and every wait on it; repeatable, and callable from any thread."""
        if self._closed.is_set():
            return
        self._closed.set()
        if self._inotify is not None:
            self._inotify.wake()
            with self._waiting:
                self._inotify.close()

    def __enter__(self) -> FileWatch:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _watched(self) -> set[str]:
        return set().union(*self._entries.values())

    def _watch_directories(self) -> None:
        if self._inotify is None:
            return
        for path in tuple(self._unwatched):
            directory, name = os.path.split(os.path.realpath(path))
            try:
                number = self._inotify.add_directory(directory)
            except OSError:
                continue
            self._entries.setdefault((number, name), set()).add(path)
            self._unwatched.discard(path)

    def _collect(self) -> set[str]:
        is_blind = bool(self._unwatched)
        if is_blind:
            self._watch_directories()
        changed = self._reported()
        now_s = time.monotonic()
        if changed:
            self._signatures.update({path: _signature(path) for path in changed})
        elif is_blind or self._unwatched or now_s >= self._next_sweep_s:
            changed = self._sweep()
            self._next_sweep_s = now_s + _SWEEP_INTERVAL_S
        return changed

    def _reported(self) -> set[str]:
        if self._inotify is None:
            return set()
        entries, gone, overflowed = self._inotify.read()
        changed: set[str] = set()
        for entry in entries:
            changed |= self._entries.get(entry, set())
        if overflowed:
            changed |= self._watched()
        if gone:
            for entry in [entry for entry in self._entries if entry[0] in gone]:
                self._unwatched |= self._entries.pop(entry)
        return changed

    def _sweep(self) -> set[str]:
        changed = set()
        for path, before in self._signatures.items():
            now = _signature(path)
            if now != before:
                changed.add(path)
                self._signatures[path] = now
        return changed

    def _pause(self, left_s: float, polling_pause_s: float) -> None:
        if self._inotify is None:
            self._closed.wait(min(left_s, polling_pause_s))
            return
        longest_s = polling_pause_s if self._unwatched else self._next_sweep_s - time.monotonic()
        self._inotify.wait(min(left_s, longest_s))


def _signature(path: str) -> _Signature | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _open_inotify() -> Inotify | None:
    if sys.platform != "linux":
        return None
    from torchx.util.inotify import Inotify

    try:
        return Inotify()
    except OSError:
        return None
