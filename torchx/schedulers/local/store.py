"""Reads what is known about apps from disk, and tells whether it still holds."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from enum import Enum
from typing import TYPE_CHECKING

from torchx.schedulers.local import layout
from torchx.schedulers.local.processes import is_running, machine_identity
from torchx.schedulers.local.record import FORMAT, RECORD_FILE, TERMINAL
from torchx.schedulers.local.survivors import snapshot_since_end_of

if TYPE_CHECKING:
    from torchx.schedulers.local.messages import AppRecord, MachineRecord

Signature = tuple[int, int, int]
"""Tells two versions of a file apart: inode, time of change in ns, size."""


class Owner(Enum):
    """What became of the process that keeps a record up to date."""

    ALIVE = "alive"
    GONE = "gone"
    ORPHANED = "orphaned"
    """It is gone, but processes of the app still run."""
    REBOOTED = "rebooted"
    """It is gone like all of the app: the machine was restarted."""
    ELSEWHERE = "elsewhere"
    """It is on another machine or in another container, so that nothing can be said."""

    @property
    def writes(self) -> bool:
        """True if the record may still change."""
        return self in (Owner.ALIVE, Owner.ELSEWHERE)

    @property
    def holds_nothing(self) -> bool:
        """True if no process of the app can be left."""
        return self in (Owner.GONE, Owner.REBOOTED)


def read(directory: str) -> tuple[AppRecord, Signature] | None:
    """Reads the record of an app.

    Args:
        directory: State directory of the app.

    Returns:
        The record and the version of the file; ``None`` if there is none that can be understood.
    """
    try:
        with open(os.path.join(directory, RECORD_FILE), "rb") as file:
            found = os.fstat(file.fileno())
            text = file.read()
    except OSError:
        return None
    import json

    try:
        record = json.loads(text)
    except ValueError:
        return None
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        return None
    return record, (found.st_ino, found.st_mtime_ns, found.st_size)  # type: ignore[return-value]


def examine(directory: str) -> tuple[AppRecord, Owner, Signature] | None:
    """Reads the record of an app, and tells what became of its owner.

    Args:
        directory: State directory of the app.

    Returns:
        Record, owner and version; a final record counts whatever its owner.
    """
    found = read(directory)
    if found is None or is_terminal(found[0]):
        return (found[0], Owner.GONE, found[1]) if found else None
    owner = owner_of(directory, found[0])
    if not owner.writes:
        # It may have written its last word after the record was read.
        found = read(directory) or found
    return found[0], owner, found[1]


def all_apps() -> Iterator[tuple[AppRecord, Owner]]:
    """Yields the records of all apps of this user, and what became of their owners."""
    for directory in layout.state_dirs():
        found = examine(directory)
        if found:
            yield found[0], found[1]


def owner_of(directory: str, record: AppRecord) -> Owner:
    """Tells what became of the process that keeps a record up to date.

    Args:
        directory: State directory of the app.
        record: Its record.

    Returns:
        Whether it runs, and if not, whether anything else of the app does.
    """
    owner, here = record["owner"], _machine_of(os.getpid())
    if owner["host"] != here["host"]:
        return Owner.ELSEWHERE
    if owner["boot_id"] != here["boot_id"]:
        return Owner.REBOOTED
    if owner["pid_namespace"] != here["pid_namespace"]:
        return Owner.ELSEWHERE
    if is_running(owner["pid"], owner["start_ticks"]):
        return Owner.ALIVE
    processes = snapshot_since_end_of(owner["pid"], owner["start_ticks"])
    left = processes.survivors(directory, record)
    return Owner.ORPHANED if left else Owner.GONE


def why_lost(record: AppRecord, owner: Owner) -> str:
    """Says what is known of an app that did not come to its end in order.

    Args:
        record: Its record, which is not final.
        owner: What became of the process that kept it.

    Returns:
        A sentence without a full stop.
    """
    if owner is Owner.REBOOTED:
        return "the machine was restarted while this app ran; exit codes are unknown"
    if owner is Owner.ORPHANED:
        return (
            "the supervisor of this app was killed; processes of the app still run, but their"
            " output is lost and none is restarted: cancel the app to end them"
        )
    if not record["generation"]:
        return "this app was killed, or its launcher was, before all replicas had been started"
    return "the supervisor of this app was killed; exit codes are unknown"


def is_terminal(record: AppRecord) -> bool:
    """Tells whether a record is final.

    Args:
        record: The record.

    Returns:
        True if the app has ended and said so.
    """
    return record["state"] in TERMINAL


@functools.lru_cache(maxsize=1)
def _machine_of(process_id: int) -> MachineRecord:
    """Asks once per process: a forked copy may have been put into a container."""
    return machine_identity()
