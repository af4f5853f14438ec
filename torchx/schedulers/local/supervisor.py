"""The process that runs one app: it starts the replicas, restarts them, and ends all of them.

It is started by ``launch`` in a bare interpreter (only cheap standard modules here), receives
what to run through its stdin, and answers once on its stdout. From then on the app's record is
its voice, and SIGTERM the only thing it listens to.
"""

from __future__ import annotations

import os
import selectors
import signal
import time

from torchx.schedulers.local.ending import Ending, has_children
from torchx.schedulers.local.processes import process_identity
from torchx.schedulers.local.record import INDEX_FILE, RECORD_FILE, write_json, write_markers
from torchx.schedulers.local.replica import Replica, describe_exit
from torchx.schedulers.local.sinks import READ_BYTES, Channel
from torchx.schedulers.local.starting import StartFailure, start_all
from torchx.schedulers.local.timeindex import TimeIndexWriter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from torchx.schedulers.local.messages import LaunchMessage

_BATCH_BYTES = 64 << 10
_BATCH_PAUSE_S = 0.001
_RECORD_RETRY_S = 0.5
_RECORD_PATIENCE_S = 30.0


class Supervisor:
    """Runs one app to its end.

    Args:
        message: What to run.
        lease: A file descriptor that becomes readable when the launcher has died; -1 for an app
            that does not end with its launcher.
        wake_fd: A pipe that yields the numbers of signals.
        soft_file_limit: Limit on open files that the replicas get.
    """

    def __init__(
        self, message: LaunchMessage, lease: int, wake_fd: int, soft_file_limit: int
    ) -> None:
        self._record = message["record"]
        self._state_dir = message["state_dir"]
        self._record_path = os.path.join(self._state_dir, RECORD_FILE)
        self._selector = selectors.DefaultSelector()
        self._index = TimeIndexWriter(
            os.path.join(self._state_dir, INDEX_FILE), self._record["created"]
        )
        self._replicas = _make_replicas(message, self._index, self._on_fault)
        self._by_pid: dict[int, Replica] = {}
        self._endings: list[Ending] = []
        self._outcome: tuple[str, str] | None = None
        self._faults: list[str] = []
        self._dirty = False
        self._next_write_s = 0.0
        self._timeout_s = message["timeout_s"]
        self._deadline_s = (
            time.monotonic() + self._timeout_s if self._timeout_s is not None else None
        )
        self._winding_down = False
        self._soft_file_limit = soft_file_limit
        self._wake_fd = wake_fd
        self._selector.register(self._wake_fd, selectors.EVENT_READ)
        self._lease = lease
        if self._lease >= 0:
            self._selector.register(self._lease, selectors.EVENT_READ)

    def start(self) -> None:
        """Starts all replicas, or none.

        Raises:
            StartFailure: One could not be started; nothing is left running and no log file made.
        """
        created: list[str] = []
        try:
            start_all(self._replicas, self._soft_file_limit, created)
        except StartFailure:
            Ending(self._replicas, everything=True, grace_period_s=0.0).run_to_end()
            for path in created:
                os.unlink(path)
            raise
        for replica in self._replicas:
            self._watch(replica)
        self._record["owner"] = process_identity(os.getpid())
        self._record["state"] = "RUNNING"
        self._dirty = True

    def run(self) -> None:
        """Serves the app until it has ended and its record says so."""
        self._write_record()
        while True:
            moved = self._serve(self._patience_s())
            self._collect()
            self._check_deadline()
            if self._step_endings():
                break
            self._flush()
            if 0 < moved < _BATCH_BYTES:
                # Many small writes: let them gather instead of waking up for each.
                time.sleep(_BATCH_PAUSE_S)
        self._finish()

    def give_up(self, error: Exception) -> None:
        """Ends the app at once, for a reason that nobody has foreseen.

        Args:
            error: The reason.
        """
        Ending(self._replicas, everything=True, grace_period_s=0.0).run_to_end()
        self._record["state"] = "FAILED"
        self._record["msg"] = f"the supervisor of this app failed: {error!r}"
        self._record["ended"] = time.time()
        for replica in self._replicas:
            if replica.record["state"] == "RUNNING":
                replica.record["state"] = "CANCELLED"
        self._write_record(sync=True)

    def _watch(self, replica: Replica) -> None:
        self._by_pid[replica.pid] = replica
        for channel in replica.channels:
            self._selector.register(channel.fd, selectors.EVENT_READ, channel)

    def _serve(self, patience_s: float | None) -> int:
        moved = 0
        for key, _ in self._selector.select(patience_s):
            if isinstance(key.data, Channel):
                step = key.data.pump()
                if step is None:
                    self._close_channel(key.data)
                moved += step or 0
            elif key.fd == self._lease:
                self._selector.unregister(self._lease)
                self._lease = -1
                self._end_app("CANCELLED", "the process that launched the app ended")
            elif signal.SIGTERM in os.read(self._wake_fd, 4096):
                self._end_app("CANCELLED", "")
        return moved

    def _close_channel(self, channel: Channel) -> None:
        if channel.fd >= 0:
            self._selector.unregister(channel.fd)
            channel.close()

    def _collect(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            replica = self._by_pid.pop(pid, None)
            if replica is not None:
                replica.on_exit(os.waitstatus_to_exitcode(status))
                self._dirty = True
                if replica.failed and self._outcome is None:
                    self._on_failure(replica)

    def _on_failure(self, failed: Replica) -> None:
        role = next(r for r in self._record["roles"] if r["name"] == failed.record["role"])
        policy = role["retry_policy"]
        group = self._group(failed, policy)
        if max(replica.record["attempt"] for replica in group) < role["max_retries"]:
            self._record["num_restarts"] += 1
            self._end_group(group, restart=True)
            return
        why = describe_exit(failed.label, failed.record["exit_code"] or 0)
        if policy == "REPLICA":
            if not self._record["msg"]:
                self._record["msg"] = why
            return
        self._end_app("FAILED", self._record["msg"] or why)

    def _group(self, replica: Replica, policy: str) -> list[Replica]:
        if policy == "REPLICA":
            return [replica]
        if policy == "ROLE":
            return [r for r in self._replicas if r.record["role"] == replica.record["role"]]
        return self._replicas

    def _end_group(self, group: list[Replica], *, restart: bool) -> None:
        everything = len(group) == len(self._replicas)
        if everything:
            self._endings.clear()
        if any(set(group) <= set(ending.replicas) for ending in self._endings):
            return
        grace_period_s = self._record["grace_period_s"]
        self._endings.append(
            Ending(group, everything=everything, grace_period_s=grace_period_s, restart=restart)
        )

    def _end_app(self, state: str, msg: str) -> None:
        if self._outcome is not None or self._winding_down:
            return
        self._outcome = (state, msg)
        self._record["msg"] = msg
        self._dirty = True
        self._endings.clear()
        self._end_group(self._replicas, restart=False)

    def _check_deadline(self) -> None:
        if self._deadline_s is not None and time.monotonic() >= self._deadline_s:
            self._deadline_s = None
            self._end_app("FAILED", f"the app was ended after its timeout of {self._timeout_s:g} s")

    def _step_endings(self) -> bool:
        for ending in list(self._endings):
            if not ending.step():
                continue
            self._endings.remove(ending)
            if not ending.restart:
                return True
            self._restart(ending.replicas)
        if self._by_pid or self._endings:
            return False
        self._winding_down = True
        if not has_children():
            return True
        self._endings.append(
            Ending(
                self._replicas,
                everything=True,
                grace_period_s=self._record["grace_period_s"],
            )
        )
        return False

    def _restart(self, replicas: list[Replica]) -> None:
        self._dirty = True
        for replica in replicas:
            self._close_replica(replica)
            try:
                replica.prepare_restart()
                replica.start(self._soft_file_limit)
            except (OSError, ValueError) as error:
                replica.record["state"] = "FAILED"
                self._end_app("FAILED", f"{replica.label} could not be restarted: {error}")
                return
            self._watch(replica)

    def _close_replica(self, replica: Replica) -> None:
        for channel in replica.channels:
            if channel.fd >= 0:
                channel.drain(2 * READ_BYTES)
                self._close_channel(channel)
        replica.close()

    def _patience_s(self) -> float | None:
        waits = [ending.patience_s() for ending in self._endings]
        if self._deadline_s is not None:
            waits.append(self._deadline_s - time.monotonic())
        if self._dirty:
            waits.append(self._next_write_s - time.monotonic())
        return max(0.0, min(waits)) if waits else None

    def _flush(self) -> None:
        self._flush_index()
        if self._dirty and time.monotonic() >= self._next_write_s:
            self._write_record()

    def _flush_index(self) -> None:
        try:
            self._index.flush()
        except OSError as error:
            self._on_fault(f"times of output were lost: {error.strerror}")

    def _write_record(self, *, sync: bool = False) -> bool:
        before = time.monotonic()
        self._record["generation"] += 1
        try:
            write_json(self._record_path, self._record, sync=sync)
        except OSError:
            self._next_write_s = before + _RECORD_RETRY_S
            return False
        now = time.monotonic()
        # A large record is written rarely, so that writing takes a twentieth of the time at most.
        self._next_write_s = now + 20 * (now - before)
        self._dirty = False
        return True

    def _on_fault(self, fault: str) -> None:
        if fault not in self._faults:
            self._faults.append(fault)
            self._dirty = True

    def _finish(self) -> None:
        for replica in self._replicas:
            self._close_replica(replica)
        self._flush_index()
        self._index.close()
        state, msg = self._outcome or self._natural_outcome()
        self._record["state"] = state
        self._record["msg"] = "; ".join(filter(None, [msg, *self._faults]))
        self._record["ended"] = time.time()
        try:
            write_markers(self._record)
        except OSError as error:
            self._record["msg"] += f"; SUCCESS was not written: {error.strerror}"
        deadline_s = time.monotonic() + _RECORD_PATIENCE_S
        while not self._write_record(sync=True) and time.monotonic() < deadline_s:
            time.sleep(_RECORD_RETRY_S)

    def _natural_outcome(self) -> tuple[str, str]:
        if any(replica.failed for replica in self._replicas):
            return "FAILED", self._record["msg"]
        return "SUCCEEDED", ""


def _make_replicas(
    message: LaunchMessage, index: TimeIndexWriter, on_fault: Callable[[str], None]
) -> list[Replica]:
    pairs = zip(message["record"]["replicas"], message["specs"], strict=True)
    return [
        Replica(position, record, spec, message["base_env"], message["state_dir"], index, on_fault)
        for position, (record, spec) in enumerate(pairs)
    ]
