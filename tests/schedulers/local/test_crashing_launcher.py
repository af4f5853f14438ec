"""A launcher that is killed anywhere in the middle of a start."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from torchx.schedulers.local import survivors
from torchx.schedulers.local_scheduler import LocalScheduler
from torchx.specs.api import AppState, is_terminal
from torchx.testing.waiting import eventually

PATIENCE_S = 30.0

# Starts the same app again and again, each time in a copy of this process that is killed one call
# later than the one before, until a copy lives to see the end of the start.
LAUNCHER = """
import json, os, signal, sys
from torchx.schedulers.local_scheduler import create_scheduler
from torchx.specs.api import AppDef, Role

PLACES = tuple(f"/local/{name}.py" for name in ("launch", "layout", "record", "supervised"))

def launch(deadly_call):
    calls = 0
    def count(frame, event, arg):
        nonlocal calls
        if event in ("call", "c_call") and frame.f_code.co_filename.endswith(PLACES):
            calls += 1
            if calls == deadly_call:
                os.kill(os.getpid(), signal.SIGKILL)
    scheduler = create_scheduler("session")
    role = Role("worker", "", entrypoint="sleep", args=["1000"], num_replicas=2)
    info = scheduler.submit_dryrun(AppDef("app", [role]), json.loads(sys.argv[1]))
    sys.setprofile(count)
    scheduler.schedule(info)
    sys.setprofile(None)
    os._exit(0)

deadly_call = 0
while True:
    deadly_call += 1
    child = os.fork()
    if not child:
        launch(deadly_call)
    if os.waitpid(child, 0)[1] == 0:
        print(deadly_call - 1)
        break
"""


def supervisors_of(home: Path) -> list[int]:
    found = []
    mark = f"TORCHX_HOME={home}".encode()
    for pid in survivors.Snapshot().table:
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
            environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"supervisor_main" in command and mark in environment:
            found.append(pid)
    return found


@pytest.mark.parametrize("cfg", ['{"detach": true}', "{}"], ids=["detached", "attached"])
def test_each_app_that_came_to_be_is_seen_and_can_be_cancelled(
    scheduler: LocalScheduler, home: Path, cfg: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LAUNCHER, cfg], stdout=subprocess.PIPE, text=True, check=True
    )
    assert int(done.stdout) > 50
    for entry in scheduler.list():
        scheduler.cancel(entry.app_id)
    assert all(is_terminal(entry.state) for entry in scheduler.list())
    assert {AppState.FAILED, AppState.CANCELLED} == {entry.state for entry in scheduler.list()}
    eventually(lambda: not supervisors_of(home), "the end of all supervisors", PATIENCE_S)
    left = survivors.Snapshot().by_state_dir
    assert not [directory for directory in left if directory.startswith(str(home))]
    for entry in scheduler.list():
        scheduler.delete(entry.app_id)
    assert scheduler.list() == []
    # Only a supervisor removes what an app that never came to be has left; here there was none.
    files = [path for path in (home / "local").rglob("*") if not path.is_dir()]
    assert [path.read_text() for path in files if path.stat().st_size] == []
