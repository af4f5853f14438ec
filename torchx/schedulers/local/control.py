"""Acts on an app from outside of its supervisor: watching it, ending it, forgetting it."""

from __future__ import annotations

import errno
import fcntl
import os
import select
import shutil
import signal
import time
from typing import TYPE_CHECKING

from torchx.errors import BackendError
from torchx.schedulers.local import store
from torchx.schedulers.local.processes import is_running, send_signal
from torchx.schedulers.local.record import RECORD_FILE, write_json, write_markers
from torchx.schedulers.local.survivors import Snapshot

if TYPE_CHECKING:
    from torchx.schedulers.local.messages import AppRecord, OwnerRecord

_PATIENCE_BEYOND_GRACE_S = 20.0
_LONGEST_POLL_S = 0.05
_LOCK_FILE = "end.lock"


def cancel(directory: str, record: AppRecord) -> None:
    """Ends an app, whoever started it. Returns when nothing of it runs.

    Args:
        directory: State directory of the app.
        record: Its record.

    Raises:
        BackendError: The app runs on another machine.
        PermissionError: It belongs to somebody else.
    """
    if store.is_terminal(record):
        return
    owner = store.owner_of(directory, record)
    if owner is store.Owner.ELSEWHERE:
        raise BackendError(
            f"the app `{record['app_id']}` runs on {record['owner']['host']!r}, not here",
            hint="cancel it on that machine, or in that container",
        )
    if owner is store.Owner.ALIVE:
        # Also while the app is being started: the supervisor ends what it has started until then.
        request_cancel(record)
        if not wait_for_owner(record["owner"], record["grace_period_s"] + _PATIENCE_BEYOND_GRACE_S):
            send_signal(record["owner"]["pid"], record["owner"]["start_ticks"], signal.SIGKILL)
            wait_for_owner(record["owner"], _PATIENCE_BEYOND_GRACE_S)
    try:
        _speak_for_owner(directory)
    except FileNotFoundError:
        # Its launcher has given it up, or somebody else has deleted it.
        return


def request_cancel(record: AppRecord) -> None:
    """Asks the supervisor of an app to end it, without waiting.

    Args:
        record: The record of an app whose owner is alive.
    """
    send_signal(record["owner"]["pid"], record["owner"]["start_ticks"], signal.SIGTERM)


def wait_for_owner(owner: OwnerRecord, timeout_s: float) -> bool:
    """Waits until the supervisor of an app has ended.

    Args:
        owner: The supervisor, as it stands in the record of the app.
        timeout_s: Longest time to wait.

    Returns:
        False if the time was up.
    """
    pid, start_ticks = owner["pid"], owner["start_ticks"]
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
    """Removes the state and the logs of an app that has ended. Others may do the same meanwhile.

    Args:
        directory: State directory of the app.
        record: Its record.

    Raises:
        OSError: Something could not be removed; the app can still be deleted then.
    """
    # The supervisor tidies up after its last word.
    if store.owner_of(directory, record) is store.Owner.ALIVE:
        wait_for_owner(record["owner"], _PATIENCE_BEYOND_GRACE_S)
    _delete_logs(record)
    for name in _names_in(directory):
        # What makes the app known goes last.
        if name != RECORD_FILE:
            remove(os.path.join(directory, name))
    remove(directory)


def remove(path: str) -> None:
    """Removes a file or a directory with all that is in it; it may be gone already.

    Args:
        path: The file or directory.

    Raises:
        OSError: It cannot be removed.
    """
    while os.path.lexists(path):
        try:
            if os.path.isdir(path) and not os.path.islink(path):
                shutil.rmtree(path)
            else:
                os.unlink(path)
        except OSError as error:
            # Somebody else removes it, too, or was about to write into it.
            if error.errno not in (errno.ENOENT, errno.ENOTEMPTY):
                raise


def _names_in(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except FileNotFoundError:
        return []


def _delete_logs(record: AppRecord) -> None:
    log_dir = record["log_dir"]
    if record.get("made_log_dir", not record["owns_logs"]):
        remove(log_dir)
    inside = os.path.join(log_dir, "")
    files = [os.path.join(log_dir, "SUCCESS")]
    for replica in record["replicas"]:
        files += [log for log in (replica["stdout"], replica["stderr"], replica["combined"]) if log]
        files += [path for path in [replica["error_file"]] if path.startswith(inside)]
    for path in files:
        remove(path)
        _remove_empty(os.path.dirname(path), inside)


def _remove_empty(directory: str, above: str) -> None:
    """Removes a directory and those that it is in, as long as they hold nothing."""
    while directory.startswith(above):
        try:
            os.rmdir(directory)
        except OSError:
            return
        directory = os.path.dirname(directory)


def _speak_for_owner(directory: str) -> None:
    """Ends what is left of an app whose supervisor cannot, and writes its final record."""
    lock = os.open(
        os.path.join(directory, _LOCK_FILE), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
    )
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = store.examine(directory)
        if found is not None and not store.is_terminal(found[0]):
            _clean_up(directory, found[0], found[1])
    finally:
        os.close(lock)


def _clean_up(directory: str, record: AppRecord, owner: store.Owner) -> None:
    has_rebooted = owner is store.Owner.REBOOTED
    had_leftovers = not has_rebooted and _end_leftovers(directory, record)
    record["state"] = "CANCELLED" if had_leftovers else "FAILED"
    record["msg"] = store.why_lost(record, owner if has_rebooted else store.Owner.GONE)
    record["ended"] = time.time()
    record["generation"] += 1
    for replica in record["replicas"]:
        if replica["state"] in ("RUNNING", "PENDING"):
            replica["state"] = "CANCELLED" if had_leftovers else "UNKNOWN"
    if os.path.isdir(record["log_dir"]):
        write_markers(record)
    write_json(os.path.join(directory, RECORD_FILE), record, sync=True)


def _end_leftovers(directory: str, record: AppRecord) -> bool:
    found_any = False
    signum = signal.SIGTERM
    kill_at_s = time.monotonic() + record["grace_period_s"]
    signalled: set[tuple[int, int]] = set()
    while leftovers := Snapshot().survivors(directory, record):
        found_any = True
        if signum == signal.SIGTERM and time.monotonic() >= kill_at_s:
            signum = signal.SIGKILL
            signalled.clear()
        if time.monotonic() >= kill_at_s + _PATIENCE_BEYOND_GRACE_S:
            raise BackendError(
                f"processes of the app `{record['app_id']}` do not end:"
                f" {', '.join(str(stat.pid) for stat in leftovers)}",
                hint="they wait for a device or a file system that does not answer; try later",
                transient=True,
            )
        for stat in leftovers:
            if (stat.pid, stat.start_ticks) not in signalled:
                signalled.add((stat.pid, stat.start_ticks))
                send_signal(stat.pid, stat.start_ticks, signum)
        time.sleep(_LONGEST_POLL_S)
    return found_any


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
                from subprocess import TimeoutExpired

                raise TimeoutExpired(f"pid {self._pid}", timeout or 0.0)
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_POLL_S)
        return code

    def kill(self) -> None:
        """Sends SIGKILL to the replica; its supervisor decides what comes next."""
        found = store.read(self._directory)
        replica = found[0]["replicas"][self._position] if found else None
        if replica and replica["state"] == "RUNNING" and replica["pid"] is not None:
            send_signal(replica["pid"], replica["start_ticks"], signal.SIGKILL)
