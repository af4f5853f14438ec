"""Measures the memory and the processor time of running replicas."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torchx.schedulers.local.processes import (
    PAGE_BYTES,
    TICKS_PER_S,
    descendants,
)
from torchx.schedulers.local.survivors import recent_snapshot
from torchx.specs.status import ReplicaUsage

if TYPE_CHECKING:
    from torchx.schedulers.local.messages import AppRecord


def measure(record: AppRecord) -> dict[int, ReplicaUsage]:
    """Measures the running replicas of an app.

    Args:
        record: The record of an app that runs on this machine.

    Returns:
        Position of a replica in the record -> what its processes use. Replicas that do not run,
        or have only just started, are missing.
    """
    table = recent_snapshot().table
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
