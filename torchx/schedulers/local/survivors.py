"""Finds the processes of an app whose supervisor was killed."""

from __future__ import annotations

import functools
import os
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from torchx.schedulers.local.processes import TICKS_PER_S, ProcessStat, process_table
from torchx.schedulers.local.record import ENV_STATE_DIR

if TYPE_CHECKING:
    from torchx.schedulers.local.messages import AppRecord, ReplicaRecord

_MARK = f"{ENV_STATE_DIR}=".encode()


class Snapshot:
    """All processes of this machine at one moment.

    Attributes:
        table: Process id to process.
        taken_ticks: When it was taken, in clock ticks since boot.
    """

    def __init__(self) -> None:
        self.taken_ticks = int(time.clock_gettime(time.CLOCK_BOOTTIME) * TICKS_PER_S)
        self.table = process_table()

    @functools.cached_property
    def by_state_dir(self) -> dict[str, list[ProcessStat]]:
        """State directory of an app -> the processes that have inherited its mark."""
        found: dict[str, list[ProcessStat]] = {}
        for stat in self.table.values():
            if directory := _marked_with(stat.pid):
                found.setdefault(directory, []).append(stat)
        return found

    def survivors(self, directory: str, record: AppRecord) -> list[ProcessStat]:
        """Finds what still runs of an app whose supervisor is gone.

        Args:
            directory: State directory of the app.
            record: Its record, written on this machine since it was last started.

        Returns:
            The processes, without this one.
        """
        found = {stat.pid: stat for stat in self.by_state_dir.get(directory, ())}
        for replica in record["replicas"]:
            found.update((stat.pid, stat) for stat in self._session_of(replica))
        return [stat for stat in found.values() if not stat.ended and stat.pid != os.getpid()]

    def _session_of(self, replica: ReplicaRecord) -> list[ProcessStat]:
        session, started = replica["pid"], replica["start_ticks"]
        if session is None or started is None:
            return []
        leader = self.table.get(session)
        if leader is not None and leader.start_ticks != started:
            # The id went to another process, which can only be since the session was empty.
            return []
        members = self._sessions.get(session, ())
        return [stat for stat in members if stat.start_ticks >= started]

    @functools.cached_property
    def _sessions(self) -> dict[int, list[ProcessStat]]:
        found: dict[int, list[ProcessStat]] = {}
        for stat in self.table.values():
            found.setdefault(stat.session, []).append(stat)
        return found


class _Recent:
    """The latest snapshot, taken again when it is old compared with what taking one costs."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._snapshot: Snapshot | None = None
        self._fresh_until_s = 0.0

    def snapshot(self, is_good: Callable[[Snapshot], bool]) -> Snapshot:
        with self._lock:
            before_s = time.monotonic()
            found = self._snapshot
            if found is None or before_s >= self._fresh_until_s or not is_good(found):
                found = self._snapshot = Snapshot()
                now_s = time.monotonic()
                self._fresh_until_s = now_s + max(0.1, 20 * (now_s - before_s))
            return found


_recent = _Recent()


def recent_snapshot() -> Snapshot:
    """Returns all processes, as they were a moment ago at most.

    Returns:
        A snapshot, perhaps the same as before.
    """
    return _recent.snapshot(lambda _: True)


def snapshot_since_end_of(pid: int, start_ticks: int | None) -> Snapshot:
    """Returns all processes as they were after one had ended, so that no child of it is missed.

    Args:
        pid: Process id of one that has ended.
        start_ticks: When it started.

    Returns:
        A snapshot, perhaps the same as before.
    """

    def is_later(snapshot: Snapshot) -> bool:
        ended = snapshot.table.get(pid)
        was_running = ended is not None and ended.start_ticks == start_ticks and not ended.ended
        return not was_running and snapshot.taken_ticks > (start_ticks or 0) + 1

    return _recent.snapshot(is_later)


def _marked_with(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/environ", "rb", buffering=0) as file:
            variables = file.readall().split(b"\0")
    except OSError:
        # It belongs to somebody else, or has ended meanwhile.
        return ""
    marks = (item[len(_MARK) :] for item in variables if item.startswith(_MARK))
    return os.fsdecode(next(marks, b""))
