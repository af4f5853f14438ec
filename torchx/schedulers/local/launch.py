"""Starts the supervisor of an app and talks to it until the app runs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

from torchx.errors import JobStartError
from torchx.schedulers.local.control import wait_for_owner
from torchx.schedulers.local.messages import Answer, LaunchMessage
from torchx.schedulers.local.processes import process_identity, send_signal
from torchx.schedulers.local.record import SUPERVISOR_LOG

_PACKAGE_ROOT = os.path.dirname(
    os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
)

# Bare packages stand in for the real ones, whose imports would slow the start down.
_BOOT = f"""\
import sys
for name in ("torchx", "torchx.schedulers", "torchx.schedulers.local"):
    package = type(sys)(name)
    package.__path__ = [{_PACKAGE_ROOT!r} + "/" + name.replace(".", "/")]
    sys.modules[name] = package
from torchx.schedulers.local.supervisor_main import main
main()
"""

# The process that the launcher knows ends at once, and with it all ties to the launcher.
_LEAVE_PARENT = """\
import os
if os.fork():
    os._exit(0)
try:
    os.write(1, b"%d\\n" % os.getpid())
except BrokenPipeError:
    "The launcher has died, which the end of its message will tell."
"""

_ABANDON_PATIENCE_S = 60.0


class Launch:
    """A supervisor that is being started, and the pipes to it.

    Args:
        state_dir: State directory of the app, where complaints of the supervisor go.
        detached: Make it a child of nobody, instead of one of this process.

    Attributes:
        owner: The supervisor, as it stands in the record of its app.
        child: The supervisor if it is a child of this process.

    Raises:
        OSError: The process cannot be started.
        JobStartError: It died at once.
    """

    def __init__(self, state_dir: str, *, detached: bool) -> None:
        self._state_dir = state_dir
        self._process = _spawn(state_dir, (_LEAVE_PARENT if detached else "") + _BOOT)
        self.child = None if detached else self._process
        pid = self._pid_of_detached() if detached else self._process.pid
        self.owner = process_identity(pid)

    def hand_over(self, message: LaunchMessage) -> Answer:
        """Sends the app and waits until all replicas have been started.

        Args:
            message: What to run.

        Returns:
            The answer of the supervisor.

        Raises:
            OSError: A replica could not be started; nothing of the app is left running.
            ValueError: An argument or variable cannot be passed to a process.
            JobStartError: The supervisor died.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        payload = json.dumps(message).encode()
        try:
            self._process.stdin.write(b"%d\n%s" % (len(payload), payload))
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        except BrokenPipeError:
            answer = b""
        finally:
            self._process.stdout.close()
        if not answer:
            raise self._died()
        reply = json.loads(answer)
        if "error" in reply:
            raise _start_error(reply["error"])
        started: Answer = reply
        if started["lease"] != "stdin":
            self._process.stdin.close()
        return started

    def abandon(self) -> None:
        """Ends the supervisor of an app that is not to run, with all that it may have started."""
        send_signal(self.owner["pid"], self.owner["start_ticks"], signal.SIGTERM)
        try:
            self._process.communicate()
        except ValueError:
            # Its pipes are closed already.
            self._process.wait()
        wait_for_owner(self.owner, _ABANDON_PATIENCE_S)

    def _pid_of_detached(self) -> int:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        self._process.wait()
        if not line:
            raise self._died()
        return int(line)

    def _died(self) -> JobStartError:
        path = os.path.join(self._state_dir, SUPERVISOR_LOG)
        with open(path, encoding="utf-8", errors="replace") as file:
            complaints = file.read().strip()
        return JobStartError(
            f"the supervisor of the app in {self._state_dir} ended before the app was started",
            hint=f"it said: {complaints[-2000:]}"
            if complaints
            else "was it cancelled meanwhile, or is memory short?",
        )


def _spawn(state_dir: str, program: str) -> subprocess.Popen[bytes]:
    with open(os.path.join(state_dir, SUPERVISOR_LOG), "ab") as complaints:
        return subprocess.Popen(
            # Text that is no UTF-8 must be decoded and encoded the same way on both sides.
            [
                *(sys.executable, "-I", "-S", "-X", f"utf8={sys.flags.utf8_mode}"),
                *("-c", program, state_dir),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=complaints,
            start_new_session=True,
        )


def _start_error(error: dict[str, str | int | None]) -> OSError | ValueError:
    reason = f"cannot start replica {error['label']}: {error['reason']}"
    if error["type"] == "ValueError":
        return ValueError(reason)
    return OSError(error["errno"], reason, error["filename"])
