"""Starts the supervisor of an app and talks to it until the app runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from torchx.errors import JobStartError
from torchx.schedulers.local.messages import Answer, LaunchMessage
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


def open_supervisor(state_dir: str) -> subprocess.Popen[bytes]:
    """Starts a supervisor that waits for its message.

    Args:
        state_dir: State directory of the app, where complaints of the supervisor go.

    Returns:
        The process.

    Raises:
        OSError: The process cannot be started.
    """
    with open(os.path.join(state_dir, SUPERVISOR_LOG), "ab") as complaints:
        return subprocess.Popen(
            # Text that is no UTF-8 must be decoded and encoded the same way on both sides.
            [sys.executable, "-I", "-S", "-X", f"utf8={sys.flags.utf8_mode}", "-c", _BOOT],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=complaints,
            start_new_session=True,
        )


def hand_over(process: subprocess.Popen[bytes], message: LaunchMessage) -> Answer:
    """Sends an app to its supervisor and waits until all replicas have been started.

    Args:
        process: The supervisor.
        message: What to run.

    Returns:
        Its answer.

    Raises:
        OSError: A replica could not be started; nothing of the app is left running.
        ValueError: An argument or variable cannot be passed to a process.
        JobStartError: The supervisor died.
    """
    assert process.stdin is not None
    assert process.stdout is not None
    payload = json.dumps(message).encode()
    try:
        process.stdin.write(b"%d\n%s" % (len(payload), payload))
        process.stdin.flush()
        answer = process.stdout.readline()
    except BrokenPipeError:
        answer = b""
    finally:
        process.stdout.close()
    if not answer:
        raise _died(message["record"]["app_id"], message["state_dir"])
    reply = json.loads(answer)
    if "error" in reply:
        raise _start_error(reply["error"])
    started: Answer = reply
    if started["lease"] != "stdin":
        process.stdin.close()
    return started


def abandon(process: subprocess.Popen[bytes]) -> None:
    """Ends a supervisor whose app is not to run, with all that it may have started.

    Args:
        process: The supervisor.
    """
    process.terminate()
    try:
        process.communicate()
    except ValueError:
        # Its pipes are closed already.
        process.wait()


def _start_error(error: dict[str, str | int | None]) -> OSError | ValueError:
    reason = f"cannot start replica {error['label']}: {error['reason']}"
    if error["type"] == "ValueError":
        return ValueError(reason)
    return OSError(error["errno"], reason, error["filename"])


def _died(app_id: str, state_dir: str) -> JobStartError:
    with open(os.path.join(state_dir, SUPERVISOR_LOG), encoding="utf-8", errors="replace") as file:
        complaints = file.read().strip()
    return JobStartError(
        f"the supervisor of `{app_id}` died before the app was started",
        hint=f"it said: {complaints[-2000:]}" if complaints else "is there enough memory?",
    )
