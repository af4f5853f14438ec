"""Measures the memory and the processor time of running replicas."""

from __future__ import annotations

import threading
import time

from torchx.schedulers.local.messages import AppRecord
from torchx.schedulers.local.processes import (
    PAGE_BYTES,
    TICKS_PER_S,
    ProcessStat,
    descendants,
    process_table,
)
from torchx.specs.status import ReplicaUsage


class _Snapshot:
    """The process table, read again only when it is old compared with what reading costs."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._table: dict[int, ProcessStat] = {}
        self._fresh_until_s = 0.0

    def table(self) -> dict[int, ProcessStat]:
        """Returns all processes, at most a moment ago."""
        with self._lock:
            before_s = time.monotonic()
            if before_s >= self._fresh_until_s:
                self._table = process_table()
                now_s = time.monotonic()
                self._fresh_until_s = now_s + max(0.1, 20 * (now_s - before_s))
            return self._table


_snapshot = _Snapshot()


def measure(record: AppRecord) -> dict[int, ReplicaUsage]:
    """Measures the running replicas of an app.

    Args:
        record: The record of an app that runs on this machine.

    Returns:
        Position of a replica in the record -> what its processes use. Replicas that do not run,
        or have only just started, are missing.
    """
    table = _snapshot.table()
    usages: dict[int, ReplicaUsage] = {}
    for position, replica in enumerate(record["replicas"]):
        leader = table.get(replica["pid"] or 0)
        if replica["state"] != "RUNNING" or leader is None:
            continue
        if leader.start_ticks == replica["start_ticks"]:
            family = [leader, *descendants(leader.pid, table)]
            usages[position] = ReplicaUsage(
                rss_bytes=sum(stat.rss_pages for stat in family) * PAGE_BYTES,
                cpu_time_s=sum(stat.cpu_ticks for stat in family) / TICKS_PER_S,
            )
    return usages
