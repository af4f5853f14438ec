"""Ends processes for good: politely first, then by force, until none is left.

The supervisor imports this module in a bare interpreter: only cheap standard modules here.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time

from torchx.schedulers.local.processes import (
    ProcessStat,
    descendants,
    process_table,
    send_signal,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from torchx.schedulers.local.replica import Replica

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_FIRST_LOOK_S = 0.005
_LONGEST_LOOK_S = 0.1


def adopt_orphans() -> None:
    """Makes this process the parent of every descendant whose own parent dies.

    Without it (outside Linux) only the process groups of replicas can be ended.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_with_parent(parent: int) -> None:
    """Makes this process end when its parent does, where that can be had.

    Args:
        parent: Process id of the parent.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)


def has_children() -> bool:
    """Tells whether any child is left, also one that ended but was not collected.

    With orphans adopted, no child means no descendant.
    """
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


class Ending:
    """Ends some replicas, or all that this process has ever started.

    Args:
        replicas: The replicas to end.
        everything: End every descendant of this process, whoever started it.
        grace_period_s: Seconds between SIGTERM and SIGKILL, over all.
        restart: What comes next: a restart of these replicas, or the end of the app.
    """

    def __init__(
        self,
        replicas: list[Replica],
        *,
        everything: bool,
        grace_period_s: float,
        restart: bool = False,
    ) -> None:
        self.replicas = replicas
        self.restart = restart
        self._everything = everything
        self._kill_at_s = time.monotonic() + grace_period_s
        self._signum = signal.SIGTERM if grace_period_s > 0 else signal.SIGKILL
        self._signalled: set[tuple[int, int]] = set()
        self._untouchable: set[tuple[int, int]] = set()
        self._look_s = _FIRST_LOOK_S
        self._next_look_s = 0.0
        for replica in replicas:
            replica.ending = replica.ending or replica.pid != 0
        self._signal_leaders()

    def step(self) -> bool:
        """Does what is due now.

        Returns:
            True once nothing that this object has to end is left.
        """
        if self._everything and not has_children():
            return True
        now = time.monotonic()
        if self._signum == signal.SIGTERM and now >= self._kill_at_s:
            self._signum = signal.SIGKILL
            self._signalled.clear()
            self._next_look_s = 0.0
            self._signal_leaders()
        if now < self._next_look_s:
            return False
        self._next_look_s = now + self._look_s
        self._look_s = min(2 * self._look_s, _LONGEST_LOOK_S)
        left = self._signal_survivors()
        return not left and not any(replica.pid for replica in self.replicas)

    def patience_s(self) -> float:
        """Returns the seconds until :meth:`step` has something to do."""
        due_s = self._next_look_s
        if self._signum == signal.SIGTERM:
            due_s = min(due_s, self._kill_at_s)
        return due_s - time.monotonic()

    def run_to_end(self) -> None:
        """Ends everything before returning, collecting all that ends."""
        while not self.step():
            try:
                while os.waitpid(-1, os.WNOHANG)[0]:
                    continue
            except ChildProcessError:
                return
            time.sleep(_FIRST_LOOK_S)

    def _signal_leaders(self) -> None:
        for replica in self.replicas:
            replica.signal_group(self._signum)

    def _signal_survivors(self) -> bool:
        any_left = False
        for stat in self._survivors():
            key = (stat.pid, stat.start_ticks)
            if key not in self._signalled:
                self._signalled.add(key)
                self._signal(stat, key)
            any_left = any_left or key not in self._untouchable
        return any_left

    def _signal(self, stat: ProcessStat, key: tuple[int, int]) -> None:
        leaders = {replica.pid for replica in self.replicas}
        if self._signum == signal.SIGTERM and stat.group in leaders:
            # The signal to the group has reached it.
            return
        try:
            send_signal(stat.pid, stat.start_ticks, self._signum)
        except PermissionError:
            # It runs as somebody else (sudo): ending it is beyond our rights.
            self._untouchable.add(key)

    def _survivors(self) -> list[ProcessStat]:
        table = process_table()
        found = {stat.pid: stat for stat in descendants(os.getpid(), table)}
        if not self._everything:
            sessions = {replica.last_session for replica in self.replicas}
            roots = [stat for stat in found.values() if stat.session in sessions]
            known = [stat for stat in found.values() if self._is_known(stat)]
            family = {stat.pid: stat for stat in [*roots, *known]}
            for root in roots:
                family.update((stat.pid, stat) for stat in descendants(root.pid, table))
            found = family
        return [stat for stat in found.values() if not stat.ended]

    def _is_known(self, stat: ProcessStat) -> bool:
        return (stat.pid, stat.start_ticks) in self._signalled
