"""The apps that a scheduler object has started: the part of the interface that others rely on."""

from __future__ import annotations

import io
import os
import signal
import time
from typing import TYPE_CHECKING, Protocol

from torchx.schedulers.error_files import first_error
from torchx.schedulers.local.processes import (
    ProcessStat,
    descendants,
    is_running,
    process_table,
    send_signal,
)
from torchx.schedulers.local.record import write_json
from torchx.specs.api import AppState
from torchx.util.records import record

if TYPE_CHECKING:
    from torchx.schedulers.local.messages import AppRecord

NA = "<N/A>"
"""Stands for the path of an error file that a replica does not have."""

_KILL_TIMEOUT_S = 10.0
_SURVIVORS_POLL_S = 0.02


class PopenProtocol(Protocol):
    """What the scheduler needs to know of a process: a part of :class:`subprocess.Popen`."""

    @property
    def pid(self) -> int:
        """Process id."""

    @property
    def returncode(self) -> int | None:
        """Exit code, negative for a signal; ``None`` while it runs."""

    def wait(self, timeout: float | None = None) -> int:
        """Waits for the end.

        Args:
            timeout: Longest time to wait in seconds.

        Returns:
            The exit code.
        """

    def poll(self) -> int | None:
        """Returns the exit code, or ``None`` while it runs."""

    def kill(self) -> None:
        """Sends SIGKILL."""


class Closable(Protocol):
    """An open log."""

    def close(self) -> None:
        """Closes it. Repeatable."""


@record
class LocalReplica:
    """One replica.

    Attributes:
        role_name: Name of its role.
        replica_id: Number within the role, from 0.
        proc: The process, which leads its own session.
        stdout: Open file of standard output, if this process holds it open.
        stderr: Open file of standard error.
        combined: What merges the two.
        error_file: Where the replica writes why it failed.
    """

    role_name: str
    replica_id: int
    proc: PopenProtocol
    stdout: io.FileIO | None
    stderr: io.FileIO | None
    combined: Closable | None
    error_file: str

    def terminate(self) -> None:
        """Sends SIGTERM to its process group and closes its logs. Repeatable."""
        self.signal_group(signal.SIGTERM)
        self.close_logs()

    def signal_group(self, signum: int) -> None:
        """Signals its process group, unless its leader was collected and the id may be reused.

        Args:
            signum: The signal.
        """
        if self.proc.returncode is None:
            try:
                os.killpg(self.proc.pid, signum)
            except ProcessLookupError:
                return

    def close_logs(self) -> None:
        """Closes the logs that this process holds open. Repeatable."""
        # What merges the two goes first: it still reads them.
        for log in (self.combined, self.stdout, self.stderr):
            if log is not None:
                log.close()

    def is_alive(self) -> bool:
        """Tells whether it runs."""
        return self.proc.poll() is None

    def failed(self) -> bool:
        """Tells whether it has ended with an exit code other than zero."""
        return bool(self.proc.poll())


def _family(replicas: list[LocalReplica]) -> list[ProcessStat]:
    """Finds the processes that replicas have started in turn."""
    if not replicas:
        return []
    table = process_table()
    family: dict[int, ProcessStat] = {}
    for replica in replicas:
        leader = replica.proc.pid
        if replica.proc.returncode is not None and leader in table:
            # The leader was collected, and its id went to another process.
            continue
        members = [stat for stat in table.values() if stat.session == leader]
        for stat in [*members, *descendants(leader, table)]:
            family[stat.pid] = stat
    return list(family.values())


def _end_survivors(family: list[ProcessStat], deadline_s: float) -> None:
    for stat in family:
        send_signal(stat.pid, stat.start_ticks, signal.SIGTERM)
    while left := [stat for stat in family if is_running(stat.pid, stat.start_ticks)]:
        if time.monotonic() >= deadline_s:
            for stat in left:
                send_signal(stat.pid, stat.start_ticks, signal.SIGKILL)
        time.sleep(_SURVIVORS_POLL_S)


class Supervised(Protocol):
    """An app that a supervisor looks after."""

    @property
    def directory(self) -> str:
        """State directory of the app."""

    def current(self, record: AppRecord) -> AppRecord:
        """Returns what is known of the app, given what was read from disk."""

    @property
    def outlives_launcher(self) -> bool:
        """True if the app goes on when this process ends."""

    def request_cancel(self) -> None:
        """Asks for its end, without waiting."""

    def collect(self, *, wait: bool = True) -> None:
        """Collects the supervisor of an app that has ended."""

    def cancel(self) -> None:
        """Ends it; returns when nothing of it runs."""


class LocalAppDef:
    """One app.

    Args:
        id: Id of the app.
        log_dir: Directory of its logs.
    """

    def __init__(self, id: str, log_dir: str) -> None:
        self.id = id
        self.log_dir = log_dir
        self.role_replicas: dict[str, list[LocalReplica]] = {}
        self.state: AppState = AppState.PENDING
        self.last_updated: float = -1
        self.supervised: Supervised | None = None

    def add_replica(self, role_name: str, replica: LocalReplica) -> None:
        """Adds a replica.

        Args:
            role_name: Name of its role.
            replica: The replica.
        """
        self.role_replicas.setdefault(role_name, []).append(replica)

    def set_state(self, state: AppState) -> None:
        """Notes a state and when it was seen.

        Args:
            state: The state.
        """
        self.state = state
        self.last_updated = time.time()

    @property
    def outlives_launcher(self) -> bool:
        """True if the app goes on when this process ends."""
        return self.supervised is not None and self.supervised.outlives_launcher

    def begin_kill(self) -> None:
        """Asks all replicas to end, without waiting."""
        if self.supervised is not None:
            self.supervised.request_cancel()
            return
        for replica in self.replicas():
            replica.signal_group(signal.SIGTERM)

    def kill(self) -> None:
        """Ends all replicas and waits for their end. Repeatable."""
        if self.supervised is not None:
            self.supervised.cancel()
            return
        from subprocess import TimeoutExpired

        replicas = self.replicas()
        family = _family(replicas)
        self.begin_kill()
        deadline_s = time.monotonic() + _KILL_TIMEOUT_S
        for replica in replicas:
            try:
                replica.proc.wait(max(0.0, deadline_s - time.monotonic()))
            except TimeoutExpired:
                replica.signal_group(signal.SIGKILL)
                replica.proc.wait()
        _end_survivors([*family, *_family(replicas)], deadline_s)
        for replica in replicas:
            replica.close_logs()

    def replicas(self) -> list[LocalReplica]:
        """Returns all replicas, role by role."""
        return [replica for replicas in self.role_replicas.values() for replica in replicas]

    def get_structured_error_msg(self) -> str:
        """Returns the content of the error file that was written first, as JSON.

        Returns:
            The JSON, or ``"<NONE>"`` if no replica wrote one.
        """
        return first_error(replica.error_file for replica in self.replicas())

    def close(self) -> None:
        """Ends all replicas and writes the ``SUCCESS`` file, if no supervisor does."""
        self.kill()
        if self.supervised is None and os.path.isdir(self.log_dir):
            write_json(os.path.join(self.log_dir, "SUCCESS"), self._summary(), indent=2)

    def _summary(self) -> dict[str, object]:
        return {
            "app_id": self.id,
            "log_dir": self.log_dir,
            "final_state": self.state.name,
            "last_updated": self.last_updated,
            "roles": {
                role_name: [
                    {
                        "replica_id": replica.replica_id,
                        "pid": replica.proc.pid,
                        "exitcode": replica.proc.returncode,
                        "stdout": replica.stdout.name if replica.stdout else "<CONSOLE>",
                        "stderr": replica.stderr.name if replica.stderr else "<CONSOLE>",
                        "error_file": replica.error_file,
                    }
                    for replica in replicas
                ]
                for role_name, replicas in self.role_replicas.items()
            },
        }

    def __repr__(self) -> str:
        pids = {
            role_name: [replica.proc.pid for replica in replicas]
            for role_name, replicas in self.role_replicas.items()
        }
        return f"{{app_id:{self.id}, state:{self.state}, pid_map:{pids}}}"
