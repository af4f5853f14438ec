"""Acts on an app from outside of its supervisor: watching it, ending it, forgetting it."""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import time

from torchx.errors import BackendError
from torchx.schedulers.local import store
from torchx.schedulers.local.messages import AppRecord
from torchx.schedulers.local.processes import ProcessStat, is_running, process_table, send_signal
from torchx.schedulers.local.record import RECORD_FILE, write_json, write_markers

SUPERVISOR_GONE = (
    "the supervisor of this app ended without a word (killed, or the machine was restarted);"
    " exit codes are unknown"
)
"""What is said of an app whose record nobody keeps any more."""

_PATIENCE_BEYOND_GRACE_S = 20.0
_LONGEST_POLL_S = 0.05
_START_POLL_S = 0.005


def cancel(directory: str, record: AppRecord) -> None:
    """Ends an app, whoever started it. Returns when nothing of it runs.

    Args:
        directory: State directory of the app.
        record: Its record.

    Raises:
        BackendError: The app runs on another machine.
        PermissionError: It belongs to somebody else.
    """
    record = _after_start(directory, record)
    if store.is_terminal(record):
        return
    owner = store.owner_of(record)
    if owner is store.Owner.ELSEWHERE:
        raise BackendError(
            f"the app `{record['app_id']}` runs on {record['owner']['host']!r}, not here",
            hint="cancel it on that machine, or in that container",
        )
    if owner is store.Owner.ALIVE:
        request_cancel(record)
        if not wait_for_owner(record, record["grace_period_s"] + _PATIENCE_BEYOND_GRACE_S):
            send_signal(record["owner"]["pid"], record["owner"]["start_ticks"], signal.SIGKILL)
    found = store.read(directory)
    if found and not store.is_terminal(found[0]):
        _clean_up(directory, found[0])


def request_cancel(record: AppRecord) -> None:
    """Asks the supervisor of an app to end it, without waiting.

    Args:
        record: The record of an app whose owner is alive.
    """
    send_signal(record["owner"]["pid"], record["owner"]["start_ticks"], signal.SIGTERM)


def wait_for_owner(record: AppRecord, timeout_s: float) -> bool:
    """Waits until the supervisor of an app has ended.

    Args:
        record: The record.
        timeout_s: Longest time to wait.

    Returns:
        False if the time was up.
    """
    pid, start_ticks = record["owner"]["pid"], record["owner"]["start_ticks"]
    deadline_s = time.monotonic() + timeout_s
    try:
        pidfd = os.pidfd_open(pid)
    except (AttributeError, OSError):
        while is_running(pid, start_ticks) and time.monotonic() < deadline_s:
            time.sleep(_LONGEST_POLL_S)
        return not is_running(pid, start_ticks)
    try:
        if is_running(pid, start_ticks):
            poll = select.poll()
            poll.register(pidfd, select.POLLIN)
            poll.poll(timeout_s * 1000)
    finally:
        os.close(pidfd)
    return not is_running(pid, start_ticks)


def delete(directory: str, record: AppRecord) -> None:
    """Removes the state and the logs of an app that has ended.

    Args:
        directory: State directory of the app.
        record: Its record.

    Raises:
        OSError: Something could not be removed.
    """
    if not record["owns_logs"] and os.path.isdir(record["log_dir"]):
        shutil.rmtree(record["log_dir"])
    shutil.rmtree(directory)


def _after_start(directory: str, record: AppRecord) -> AppRecord:
    """Waits until all replicas have been started: before, their ids are not on record."""
    while record["generation"] == 0 and store.owner_of(record) is store.Owner.ALIVE:
        time.sleep(_START_POLL_S)
        found = store.read(directory)
        record = found[0] if found else record
    return record


def _clean_up(directory: str, record: AppRecord) -> None:
    had_leftovers = _kill_leftovers(record)
    record["state"] = "CANCELLED" if had_leftovers else "FAILED"
    record["msg"] = SUPERVISOR_GONE
    record["ended"] = time.time()
    record["generation"] += 1
    for replica in record["replicas"]:
        if replica["state"] in ("RUNNING", "PENDING"):
            replica["state"] = "CANCELLED" if had_leftovers else "UNKNOWN"
    write_markers(record)
    write_json(os.path.join(directory, RECORD_FILE), record, sync=True)


def _kill_leftovers(record: AppRecord) -> bool:
    found_any = False
    signum = signal.SIGTERM
    kill_at_s = time.monotonic() + record["grace_period_s"]
    signalled: set[tuple[int, int]] = set()
    while leftovers := _leftovers(record):
        found_any = True
        if signum == signal.SIGTERM and time.monotonic() >= kill_at_s:
            signum = signal.SIGKILL
            signalled.clear()
        for stat in leftovers:
            if (stat.pid, stat.start_ticks) not in signalled:
                signalled.add((stat.pid, stat.start_ticks))
                send_signal(stat.pid, stat.start_ticks, signum)
        time.sleep(_LONGEST_POLL_S)
    return found_any


def _leftovers(record: AppRecord) -> list[ProcessStat]:
    """Finds processes in the sessions of an app whose supervisor is gone."""
    if store.owner_of(record) is not store.Owner.GONE:
        return []
    table = process_table()
    found: list[ProcessStat] = []
    for replica in record["replicas"]:
        session, started = replica["pid"], replica["start_ticks"]
        if session is None or started is None:
            continue
        leader = table.get(session)
        if leader is not None and leader.start_ticks != started:
            # The id went to another process, which can only be since the session was empty.
            continue
        found += [
            stat
            for stat in table.values()
            if stat.session == session and stat.start_ticks >= started and not stat.ended
        ]
    return found


class SupervisedProcess:
    """A replica that runs under a supervisor, shaped like :class:`subprocess.Popen`.

    Args:
        directory: State directory of the app.
        position: Place of the replica in the app's record.
        pid: Process id of its first attempt.
    """

    def __init__(self, directory: str, position: int, pid: int) -> None:
        self._directory = directory
        self._position = position
        self._pid = pid
        self._exit_code: int | None = None

    @property
    def pid(self) -> int:
        """Process id of the latest attempt that has been recorded."""
        self.poll()
        return self._pid

    @property
    def returncode(self) -> int | None:
        """Exit code, negative for a signal; ``None`` while it runs."""
        return self.poll()

    def poll(self) -> int | None:
        """Returns the exit code, or ``None`` while it runs (or will be started again)."""
        if self._exit_code is not None:
            return self._exit_code
        found = store.read(self._directory)
        if found is None:
            return None
        replica = found[0]["replicas"][self._position]
        self._pid = replica["pid"] or self._pid
        is_final = store.is_terminal(found[0]) or replica["state"] == "SUCCEEDED"
        if is_final or replica["state"] == "FAILED":
            code = replica["exit_code"]
            if is_final:
                self._exit_code = code
            return code
        return None

    def wait(self, timeout: float | None = None) -> int:
        """Waits for the end.

        Args:
            timeout: Longest time to wait in seconds.

        Returns:
            The exit code.

        Raises:
            subprocess.TimeoutExpired: The time was up.
        """
        deadline_s = None if timeout is None else time.monotonic() + timeout
        pause_s = 0.001
        while (code := self.poll()) is None:
            if deadline_s is not None and time.monotonic() >= deadline_s:
                raise subprocess.TimeoutExpired(f"pid {self._pid}", timeout or 0.0)
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_POLL_S)
        return code

    def kill(self) -> None:
        """Sends SIGKILL to the replica; its supervisor decides what comes next."""
        found = store.read(self._directory)
        replica = found[0]["replicas"][self._position] if found else None
        if replica and replica["state"] == "RUNNING" and replica["pid"] is not None:
            send_signal(replica["pid"], replica["start_ticks"], signal.SIGKILL)
