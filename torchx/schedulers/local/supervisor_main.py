"""The entry point of the supervisor process: the talk with its launcher.

Imported in a bare interpreter: only cheap standard modules here.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys

from torchx.schedulers.local.ending import adopt_orphans
from torchx.schedulers.local.record import RECORD_FILE, SUPERVISOR_LOG
from torchx.schedulers.local.starting import StartFailure
from torchx.schedulers.local.supervisor import Supervisor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType

    from torchx.schedulers.local.messages import LaunchMessage


def main() -> None:
    """Receives an app, starts it, answers, and serves it to its end."""
    message = _receive()
    os.chdir("/")
    if message is None:
        _forget_app(state_dir=sys.argv[1])
        return
    lease = _open_lease(message["launcher_pid"]) if message["attached"] else -1
    wake_fd = _install_signals()
    soft_file_limit = _raise_file_limit()
    adopt_orphans()
    supervisor = Supervisor(message, lease, wake_fd, soft_file_limit)
    try:
        supervisor.start()
    except StartFailure as failure:
        _answer({"error": _describe_failure(failure)})
        return
    record = message["record"]
    lease_kind = "stdin" if lease == 0 else "pidfd" if lease > 0 else "none"
    _answer({"replicas": record["replicas"], "owner": record["owner"], "lease": lease_kind})
    _leave_terminal(keep_stdin=lease == 0)
    try:
        supervisor.run()
    except Exception as error:
        supervisor.give_up(error)
        raise
    _remove_empty_log(message["state_dir"])


def _receive() -> LaunchMessage | None:
    """Reads the message, or None if the launcher died before it had sent all of it."""
    length = int(sys.stdin.buffer.readline() or 0)
    payload = sys.stdin.buffer.read(length)
    if not length or len(payload) < length:
        return None
    message: LaunchMessage = json.loads(payload)
    return message


def _forget_app(state_dir: str) -> None:
    """Removes the directory of an app that nobody knows of yet."""
    if not os.path.exists(os.path.join(state_dir, RECORD_FILE)):
        for name in os.listdir(state_dir):
            os.unlink(os.path.join(state_dir, name))
        os.rmdir(state_dir)


def _answer(answer: dict[str, object]) -> None:
    rest = memoryview(json.dumps(answer).encode() + b"\n")
    try:
        while rest:
            rest = rest[os.write(1, rest) :]
    except BrokenPipeError:
        # The launcher has died meanwhile; its lease says so next, and the app is ended in order.
        return


def _describe_failure(failure: StartFailure) -> dict[str, object]:
    cause = failure.cause
    return {
        "label": failure.replica.label,
        "type": "OSError" if isinstance(cause, OSError) else "ValueError",
        "errno": cause.errno if isinstance(cause, OSError) else None,
        "reason": (cause.strerror if isinstance(cause, OSError) else None) or str(cause),
        "filename": cause.filename if isinstance(cause, OSError) else None,
    }


def _open_lease(launcher_pid: int) -> int:
    try:
        lease = os.pidfd_open(launcher_pid)
    except (AttributeError, OSError):
        # The launcher keeps the other end of stdin open: it closes when the launcher dies.
        return 0
    # If the launcher has died already, that file descriptor may be of another process.
    return lease if os.getppid() == launcher_pid else 0


def _install_signals() -> int:
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    for signum in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        # A disposition of "ignore" is inherited by the replicas, so it is left as it was.
        if signal.getsignal(signum) != signal.SIG_IGN or signum == signal.SIGCHLD:
            signal.signal(signum, _wake)
    return reader


def _wake(signum: int, frame: FrameType | None) -> None:
    """Does nothing: the number of the signal arrives through the wake-up pipe."""


def _raise_file_limit() -> int:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return soft


def _leave_terminal(*, keep_stdin: bool) -> None:
    os.dup2(2, 1)
    if not keep_stdin:
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.close(null)


def _remove_empty_log(state_dir: str) -> None:
    path = os.path.join(state_dir, SUPERVISOR_LOG)
    if os.path.exists(path) and not os.path.getsize(path):
        os.unlink(path)
