"""Reads what is known about apps from disk, and tells whether it still holds."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Iterator
from enum import Enum

from torchx.schedulers.local import layout
from torchx.schedulers.local.messages import AppRecord, MachineRecord
from torchx.schedulers.local.processes import is_running, machine_identity
from torchx.schedulers.local.record import FORMAT, RECORD_FILE, TERMINAL

Signature = tuple[int, int, int]
"""Tells two versions of a file apart: inode, time of change in ns, size."""


class Owner(Enum):
    """What became of the process that keeps a record up to date."""

    ALIVE = "alive"
    GONE = "gone"
    ELSEWHERE = "elsewhere"
    """It is on another machine or in another container, so that nothing can be said."""


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
            record = json.loads(file.read())
    except (OSError, ValueError):
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
    owner = owner_of(found[0])
    if owner is Owner.GONE:
        # It may have written its last word after the record was read.
        found = read(directory) or found
    return found[0], owner, found[1]


def all_apps() -> Iterator[tuple[AppRecord, Owner]]:
    """Yields the records of all apps of this user, and what became of their owners."""
    for directory in layout.state_dirs():
        found = examine(directory)
        if found:
            yield found[0], found[1]


def owner_of(record: AppRecord) -> Owner:
    """Tells what became of the process that keeps a record up to date.

    Args:
        record: The record.

    Returns:
        Whether it runs.
    """
    owner, here = record["owner"], _machine_of(os.getpid())
    if owner["host"] != here["host"]:
        return Owner.ELSEWHERE
    if owner["boot_id"] != here["boot_id"]:
        return Owner.GONE
    if owner["pid_namespace"] != here["pid_namespace"]:
        return Owner.ELSEWHERE
    return Owner.ALIVE if is_running(owner["pid"], owner["start_ticks"]) else Owner.GONE


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
