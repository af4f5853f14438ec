"""One replica as its supervisor sees it: starting an attempt, its pipes, its end.

The supervisor imports this module in a bare interpreter: only cheap standard modules here.
"""

from __future__ import annotations

import errno
import fcntl
import os
import resource
import signal

from torchx.schedulers.local.processes import read_stat
from torchx.schedulers.local.record import ENV_STATE_DIR
from torchx.schedulers.local.sinks import READ_BYTES, Channel, LogFile
from torchx.schedulers.local.timeindex import STDERR, STDOUT, TimeIndexWriter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from torchx.schedulers.local.messages import ReplicaRecord, StartSpec

_DEFAULT_SIGNALS = [signal.SIGPIPE, signal.SIGXFSZ]


class Replica:
    """A replica over all its attempts.

    Args:
        position: Its place in the app's record.
        record: Its part of the app's record, which this object keeps up to date.
        spec: How to start it.
        base_env: The environment that ``spec`` changes.
        state_dir: State directory of the app.
        index: Where the times of its output go.
        on_fault: Called with a sentence when output could not be written.

    Attributes:
        pid: Process id, which is also its session and process group; 0 if it does not run.
        last_session: Session of the latest attempt, whose leftovers may outlive it.
        ending: True once the supervisor has decided to end this attempt.
    """

    def __init__(
        self,
        position: int,
        record: ReplicaRecord,
        spec: StartSpec,
        base_env: dict[str, str],
        state_dir: str,
        index: TimeIndexWriter,
        on_fault: Callable[[str], None],
    ) -> None:
        self.position = position
        self.record = record
        self.pid = 0
        self.last_session = 0
        self.ending = False
        self.channels: list[Channel] = []
        self._spec = spec
        self._base_env = base_env
        self._state_dir = state_dir
        self._index = index
        self._stdout = LogFile(record["stdout"], on_fault)
        self._stderr = LogFile(record["stderr"], on_fault)
        self._combined = LogFile(record["combined"], on_fault)
        self._logs = (self._stdout, self._stderr, self._combined)
        self._write_ends: list[int] = []

    @property
    def label(self) -> str:
        """The name people know it by: ``role/0``."""
        return f"{self.record['role']}/{self.record['id']}"

    @property
    def failed(self) -> bool:
        """True if its latest attempt ended by itself and not well."""
        return self.record["state"] == "FAILED"

    def create_files(self, created: list[str]) -> None:
        """Creates the directories and log files.

        Args:
            created: Gets the paths of the files that were created.

        Raises:
            FileExistsError: A log file is there already.
            OSError: A directory or file cannot be created.
        """
        logs = {log.path: log for log in self._logs if log.path is not None}
        for directory in {os.path.dirname(path) for path in logs}:
            os.makedirs(directory, exist_ok=True)
        for path, log in logs.items():
            log.create()
            created.append(path)

    def start(self, soft_file_limit: int) -> None:
        """Starts an attempt.

        Args:
            soft_file_limit: Limit on open files that the replica gets.

        Raises:
            OSError: The command cannot be started, or its directory cannot be entered.
            ValueError: An argument or variable cannot be passed to a process.
        """
        self.open_pipes()
        try:
            self.note_start(*self.spawn(soft_file_limit))
        except BaseException:
            for channel in self.channels:
                os.close(channel.fd)
            self.channels = []
            raise
        finally:
            self.close_write_ends()

    def open_pipes(self) -> None:
        """Opens the pipes for the output of an attempt.

        Raises:
            OSError: There can be no more open files.
        """
        out_read, out_write = _pipe()
        self._write_ends = [out_write]
        self.channels = [
            Channel(out_read, self.position, STDOUT, self._stdout, self._combined, self._index)
        ]
        err_read, err_write = _pipe()
        self._write_ends.append(err_write)
        self.channels.append(
            Channel(err_read, self.position, STDERR, self._stderr, self._combined, self._index)
        )

    def spawn(self, soft_file_limit: int) -> tuple[int, int | None]:
        """Starts the process of an attempt, perhaps from a copy of the supervisor.

        Args:
            soft_file_limit: Limit on open files that the replica gets.

        Returns:
            Its process id, and when it started in clock ticks since boot.

        Raises:
            OSError: The command cannot be started, or its directory cannot be entered.
            ValueError: An argument or variable cannot be passed to a process.
        """
        stdout, stderr = self._write_ends
        pid = _spawn(self._spec, self._env(), stdout, stderr, soft_file_limit)
        stat = read_stat(pid)
        return pid, stat.start_ticks if stat else None

    def note_start(self, pid: int, start_ticks: int | None) -> None:
        """Notes that an attempt runs.

        Args:
            pid: Its process id.
            start_ticks: When it started, in clock ticks since boot.
        """
        self.ending = False
        self.pid = self.last_session = pid
        self.record["pid"] = pid
        self.record["start_ticks"] = start_ticks
        self.record["exit_code"] = None
        self.record["state"] = "RUNNING"

    def close_write_ends(self) -> None:
        """Closes the ends of the pipes that belong to the process. Repeatable."""
        for fd in self._write_ends:
            os.close(fd)
        self._write_ends = []

    def prepare_restart(self) -> None:
        """Counts another attempt and removes what the former one said about its failure.

        Raises:
            OSError: The former error file cannot be removed.
        """
        self.record["attempt"] += 1
        self.record["state"] = "PENDING"
        try:
            os.unlink(self.record["error_file"])
        except FileNotFoundError:
            return

    def signal_group(self, signum: int) -> None:
        """Signals its process group. Its id is safe to use until the leader was collected.

        Args:
            signum: The signal.
        """
        if self.pid:
            try:
                os.killpg(self.pid, signum)
            except ProcessLookupError:
                return

    def on_exit(self, exit_code: int) -> None:
        """Notes that the leader was collected, after taking over what it had written.

        Args:
            exit_code: Its exit code, negative for a signal.
        """
        for channel in self.channels:
            channel.drain(2 * READ_BYTES)
        self.pid = 0
        self.record["exit_code"] = exit_code
        if self.ending:
            self.record["state"] = "CANCELLED"
        else:
            self.record["state"] = "FAILED" if exit_code else "SUCCEEDED"

    def close(self) -> None:
        """Closes its log files."""
        for log in self._logs:
            log.close()

    def _env(self) -> dict[str, str]:
        env = {**self._base_env, **self._spec["env"]}
        for name in self._spec["unset"]:
            del env[name]
        env[ENV_STATE_DIR] = self._state_dir
        return env


def describe_exit(label: str, exit_code: int) -> str:
    """Says how a process ended.

    Args:
        label: Its name.
        exit_code: Exit code, negative for a signal.

    Returns:
        A sentence without a full stop.
    """
    if exit_code >= 0:
        return f"{label} exited with code {exit_code}"
    try:
        name = signal.Signals(-exit_code).name
    except ValueError:
        name = f"signal {-exit_code}"
    guess = " (out of memory?)" if -exit_code == signal.SIGKILL else ""
    return f"{label} was killed by {name}{guess}"


def _pipe() -> tuple[int, int]:
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    if hasattr(fcntl, "F_SETPIPE_SZ"):
        try:
            fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, READ_BYTES)
        except OSError:
            # The user's share of pipe memory is used up: a small pipe works, only slower.
            return reader, writer
    return reader, writer


def _spawn(
    spec: StartSpec, env: dict[str, str], stdout: int, stderr: int, soft_file_limit: int
) -> int:
    if spec["cwd"]:
        os.chdir(spec["cwd"])
    executable = _find_executable(spec["args"][0], env.get("PATH"))
    own_soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft_file_limit, own_soft), hard))
    try:
        return os.posix_spawn(
            executable,
            spec["args"],
            env,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, stdout, 1),
                (os.POSIX_SPAWN_DUP2, stderr, 2),
            ],
            setsid=True,
            setsigmask=(),
            setsigdef=_DEFAULT_SIGNALS,
        )
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (own_soft, hard))
        os.chdir("/")


def _find_executable(command: str, search_path: str | None) -> str:
    if "/" in command:
        return command
    refused = False
    for directory in (os.defpath if search_path is None else search_path).split(os.pathsep):
        candidate = os.path.join(directory, command)
        if os.access(candidate, os.X_OK) and os.path.isfile(candidate):
            return candidate
        refused = refused or os.path.exists(candidate)
    code = errno.EACCES if refused else errno.ENOENT
    raise OSError(code, os.strerror(code), command)
