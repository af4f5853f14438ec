"""Reads the process table of this machine and signals processes without hitting a reused id.

The supervisor imports this module in a bare interpreter: only cheap standard modules here.
Where there is no ``/proc`` every function answers as if nothing could be seen.
"""

from __future__ import annotations

import os
import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from torchx.schedulers.local.messages import MachineRecord, OwnerRecord

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class ProcessStat:
    """What the kernel says about one process.

    Attributes:
        pid: Process id.
        state: One letter, ``Z`` for a process that ended but was not collected.
        parent: Process id of the parent.
        group: Id of the process group.
        session: Id of the session.
        cpu_ticks: Processor time used by it and by its collected children, in clock ticks.
        start_ticks: When it started, in clock ticks since boot; with ``pid`` it is unique.
        rss_pages: Resident memory in pages.
    """

    __slots__ = (
        "cpu_ticks",
        "group",
        "parent",
        "pid",
        "rss_pages",
        "session",
        "start_ticks",
        "state",
    )

    def __init__(self, pid: int, stat: bytes) -> None:
        fields = stat[stat.rindex(b")") + 2 :].split()
        self.pid = pid
        self.state = fields[0].decode()
        self.parent = int(fields[1])
        self.group = int(fields[2])
        self.session = int(fields[3])
        self.cpu_ticks = sum(int(field) for field in fields[11:15])
        self.start_ticks = int(fields[19])
        self.rss_pages = int(fields[21])

    @property
    def ended(self) -> bool:
        """True for a process that ended and only waits to be collected."""
        return self.state in "ZX"


def read_stat(pid: int) -> ProcessStat | None:
    """Reads one process.

    Args:
        pid: Process id.

    Returns:
        Its numbers, or ``None`` if there is no such process (or no ``/proc``).
    """
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            return ProcessStat(pid, file.read(4096))
    except (OSError, ValueError, IndexError):
        return None


def process_table() -> dict[int, ProcessStat]:
    """Reads all processes.

    Returns:
        Process id to its numbers; empty where there is no ``/proc``.
    """
    try:
        names = os.listdir("/proc")
    except OSError:
        return {}
    found = (read_stat(int(name)) for name in names if name.isdigit())
    return {stat.pid: stat for stat in found if stat is not None}


def descendants(root: int, table: dict[int, ProcessStat]) -> list[ProcessStat]:
    """Finds the children of a process, their children, and so on.

    Args:
        root: Process id of the ancestor, which is not part of the result.
        table: All processes.

    Returns:
        The descendants, ancestors first.
    """
    children: dict[int, list[ProcessStat]] = {}
    for stat in table.values():
        children.setdefault(stat.parent, []).append(stat)
    found: list[ProcessStat] = []
    pending = [root]
    while pending:
        for child in children.pop(pending.pop(), ()):
            found.append(child)
            pending.append(child.pid)
    return found


def is_running(pid: int, start_ticks: int | None) -> bool:
    """Tells whether exactly this process still runs.

    Args:
        pid: Process id.
        start_ticks: When it started; ``None`` where that is unknown, then the id has to do.

    Returns:
        False if it ended, also if its id went to another process since.
    """
    if start_ticks is None:
        return _exists(pid)
    stat = read_stat(pid)
    return stat is not None and stat.start_ticks == start_ticks and not stat.ended


def send_signal(pid: int, start_ticks: int | None, signum: int) -> bool:
    """Signals exactly this process, never one that got its id later.

    Args:
        pid: Process id.
        start_ticks: When it started; ``None`` where that is unknown.
        signum: The signal.

    Returns:
        True if the process was there to be signalled.

    Raises:
        PermissionError: The process belongs to somebody else.
    """
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    except (AttributeError, OSError):
        return _send_without_pidfd(pid, start_ticks, signum)
    try:
        if not is_running(pid, start_ticks):
            return False
        signal.pidfd_send_signal(pidfd, signum)
    except ProcessLookupError:
        return False
    finally:
        os.close(pidfd)
    return True


def _send_without_pidfd(pid: int, start_ticks: int | None, signum: int) -> bool:
    if not is_running(pid, start_ticks):
        return False
    try:
        os.kill(pid, signum)
    except ProcessLookupError:
        return False
    return True


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def process_identity(pid: int) -> OwnerRecord:
    """Describes a process so that another one can tell later whether it is the same.

    Args:
        pid: Process id.

    Returns:
        Plain data: ``pid``, ``start_ticks``, ``boot_id``, ``pid_namespace``, ``host``.
    """
    stat = read_stat(pid)
    return {
        "pid": pid,
        "start_ticks": stat.start_ticks if stat else None,
        **machine_identity(),
    }


def machine_identity() -> MachineRecord:
    """Describes where process ids of this process are valid.

    Returns:
        Plain data: ``boot_id``, ``pid_namespace``, ``host``; empty text for what is unknown.
    """
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            boot_id = file.read().strip()
        pid_namespace = os.readlink("/proc/self/ns/pid")
    except OSError:
        boot_id = pid_namespace = ""
    return {"boot_id": boot_id, "pid_namespace": pid_namespace, "host": os.uname().nodename}
