"""Submits one app again and again, and kills itself a step later each time.

Usage: ``crashing_launcher.py DIRECTORY CFG``. A step is the first time that a line of torchx runs
while an app is being submitted. After each kill, what is remembered is compared with what exists;
one line of JSON per step is printed.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import torchx
from torchx.runner import Runner, get_runner, refresh
from torchx.schedulers.local_scheduler import LocalScheduler
from torchx.specs import AppDef, Role, is_terminal
from torchx.testing.waiting import eventually

PACKAGE = str(Path(torchx.__file__).parent)
APP = AppDef("job", roles=[Role("r", image="/", entrypoint="/bin/sh", args=["-c", "exit 0"])])


class Steps:
    """Counts the lines of torchx that run for the first time; dies at one of them."""

    def __init__(self, fatal: int) -> None:
        self.fatal = fatal
        self.seen: set[tuple[str, int]] = set()

    def __call__(self, frame: FrameType, event: str, _: object) -> Any:
        path = frame.f_code.co_filename
        if not path.startswith(PACKAGE):
            return None
        if event == "line" and (path, frame.f_lineno) not in self.seen:
            self.seen.add((path, frame.f_lineno))
            if len(self.seen) == self.fatal:
                os.kill(os.getpid(), signal.SIGKILL)
        return self


def submit(runner: Runner, cfg: dict[str, Any], fatal: int) -> None:
    info = runner.dryrun(APP, "local_cwd", cfg)
    sys.settrace(Steps(fatal))
    handle = runner.schedule(info)
    sys.settrace(None)
    runner.wait(handle)


def in_child(work: Any, *args: Any) -> int:
    """Runs a function in a child process.

    Returns:
        How the child ended, in the form of ``os.wait``.
    """
    pid = os.fork()
    if pid == 0:
        try:
            work(*args)
        except BaseException as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
            os._exit(1)
        sys.stdout.flush()
        os._exit(0)
    return os.waitpid(pid, 0)[1]


def compare() -> None:
    """Prints what exists and what is remembered, after both have come to rest."""
    scheduler = LocalScheduler("check", get_provider())
    refresh._SETTLING_S = 0.0  # nothing else is being submitted here
    with get_runner() as runner:
        eventually(lambda: not supervisors(), "no supervisor is left", timeout_s=60)
        eventually(lambda: at_rest(scheduler), "all apps have ended", timeout_s=60)
        apps = {app.app_id: app.state.name for app in scheduler.list()}
        jobs = [
            {"app_id": job.app_id, "state": job.state.name, "is_confirmed": job.is_confirmed}
            for job in runner.jobs(timeout=120)
        ]
    print(json.dumps({"apps": apps, "jobs": jobs}))


def at_rest(scheduler: LocalScheduler) -> bool:
    return all(is_terminal(app.state) for app in scheduler.list())


def get_provider() -> Any:
    from torchx.schedulers.local_scheduler import CWDImageProvider

    return CWDImageProvider


def supervisors() -> list[int]:
    """Lists processes that work for the current ``TORCHX_HOME``, this one aside."""
    marker = f"TORCHX_HOME={os.environ['TORCHX_HOME']}".encode()
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) not in (os.getpid(), os.getppid()):
            try:
                environment = Path(f"/proc/{name}/environ").read_bytes()
            except OSError:
                continue
            if marker in environment.split(b"\0"):
                found.append(int(name))
    return found


def main(directory: str, cfg_text: str) -> None:
    cfg = json.loads(cfg_text)
    fatal = 0
    while True:
        fatal += 1
        os.environ["TORCHX_HOME"] = os.path.join(directory, str(fatal))
        with get_runner() as runner:
            ended = in_child(submit, runner, cfg, fatal)
        if in_child(compare) != 0:
            sys.exit(f"step {fatal} cannot be judged")
        if os.WIFEXITED(ended):
            sys.exit(os.WEXITSTATUS(ended))


if __name__ == "__main__":
    main(*sys.argv[1:])
