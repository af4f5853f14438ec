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

    @property
    def label(self) -> str:
        """The name people know it by: ``role/0``."""
        return f"{self.record['role']}/{self.record['id']}"

    @property
    def failed(self) -> bool:
        """True if its latest attempt ended by itself and not well."""
        return self.record["state"] == "FAILED"

    def create_files(self) -> list[str]:
        """Creates the directories and log files.

        Returns:
            The files that were created.

        Raises:
            FileExistsError: A log file is there already.
            OSError: A directory or file cannot be created.
        """
        created: list[str] = []
        for log in (self._stdout, self._stderr, self._combined):
            if log.path is not None:
                os.makedirs(os.path.dirname(log.path), exist_ok=True)
                log.create()
                created.append(log.path)
        return created

    def start(self, soft_file_limit: int) -> None:
        """Starts an attempt.

        Args:
            soft_file_limit: Limit on open files that the replica gets.

        Raises:
            OSError: The command cannot be started, or its directory cannot be entered.
            ValueError: An argument or variable cannot be passed to a process.
        """
        self.ending = False
        out_read, out_write = _pipe()
        err_read, err_write = _pipe()
        try:
            self.pid = _spawn(self._spec, self._env(), out_write, err_write, soft_file_limit)
        except BaseException:
            os.close(out_read)
            os.close(err_read)
            raise
        finally:
            os.close(out_write)
            os.close(err_write)
        self.last_session = self.pid
        self.channels = [
            Channel(out_read, self.position, STDOUT, self._stdout, self._combined, self._index),
            Channel(err_read, self.position, STDERR, self._stderr, self._combined, self._index),
        ]
        stat = read_stat(self.pid)
        self.record["pid"] = self.pid
        self.record["start_ticks"] = stat.start_ticks if stat else None
        self.record["exit_code"] = None
        self.record["state"] = "RUNNING"

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
        for log in (self._stdout, self._stderr, self._combined):
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
