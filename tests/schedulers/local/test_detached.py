"""Apps that are not tied to the process that launched them."""

from __future__ import annotations

import os
import pty
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from torchx.errors import JobStartError
from torchx.runner import get_runner
from torchx.schedulers.api import Stream
from torchx.schedulers.local import store
from torchx.schedulers.local.layout import find_state_dir
from torchx.schedulers.local.messages import AppRecord
from torchx.schedulers.local.processes import read_stat
from torchx.schedulers.local_scheduler import LocalScheduler, create_scheduler
from torchx.specs.api import AppDef, AppState, Role, parse_app_handle
from torchx.testing import Peer
from torchx.testing.waiting import eventually

PATIENCE_S = 30.0
DETACHED = {"detach": True}


def shell(script: str, max_retries: int = 0) -> AppDef:
    return AppDef(
        "app",
        [Role("worker", "", entrypoint="/bin/sh", args=["-c", script], max_retries=max_retries)],
    )


def until(condition: Callable[[], object]) -> None:
    eventually(condition, "a condition of the test", PATIENCE_S)


def record_of(app_id: str) -> AppRecord:
    directory = find_state_dir(app_id)
    found = store.read(directory) if directory else None
    assert found is not None
    return found[0]


def runs(pid: int) -> bool:
    stat = read_stat(pid)
    return stat is not None and not stat.ended


def state_of(app_id: str) -> AppState:
    description = create_scheduler("other").describe(app_id)
    assert description is not None
    return description.state


@pytest.fixture
def app_ids() -> Iterator[list[str]]:
    """Apps that the test launches; they end with it."""
    found: list[str] = []
    yield found
    for app_id in found:
        create_scheduler("tidy").delete(app_id)


def test_it_goes_on_when_the_scheduler_is_closed(app_ids: list[str], tmp_path: Path) -> None:
    launcher = create_scheduler("launcher")
    app_id = launcher.submit(shell(f"until [ -e {tmp_path}/go ]; do sleep 0.01; done"), DETACHED)
    app_ids.append(app_id)
    launcher.close()
    assert state_of(app_id) == AppState.RUNNING
    (tmp_path / "go").touch()
    with get_runner() as other:
        status = other.wait(f"local_cwd://any/{app_id}")
    assert status is not None
    assert status.state == AppState.SUCCEEDED


def test_an_app_of_the_same_scheduler_that_is_not_detached_ends(app_ids: list[str]) -> None:
    launcher = create_scheduler("launcher")
    detached = launcher.submit(shell("sleep 1000"), DETACHED)
    attached = launcher.submit(shell("sleep 1000"), {})
    app_ids += [detached, attached]
    launcher.close()
    assert state_of(detached) == AppState.RUNNING
    assert state_of(attached) == AppState.CANCELLED


def test_a_replica_that_cannot_start_leaves_nothing(home: Path) -> None:
    app = AppDef("app", [Role("a", "", entrypoint="sleep", args=["1000"], num_replicas=3)])
    app.roles.append(Role("b", "", entrypoint="no such command"))
    launcher = create_scheduler("launcher")
    with pytest.raises(FileNotFoundError, match="cannot start replica b/0"):
        launcher.submit(app, DETACHED)
    assert list((home / "local").iterdir()) == []


def test_children_of_a_subclass_cannot_be_detached(scheduler: LocalScheduler) -> None:
    class Own(LocalScheduler):
        def run_local_job(self, *args: object, **kwargs: object) -> subprocess.Popen[bytes]:
            raise AssertionError("started")

    own = Own("session", scheduler._image_provider_class)
    with pytest.raises(JobStartError, match="cannot be detached"):
        own.submit(shell("true"), DETACHED)


def test_everything_else_is_inherited(app_ids: list[str], tmp_path: Path) -> None:
    directory = tmp_path / "here"
    directory.mkdir()
    program = (
        "import os, resource\n"
        "print(os.getcwd(), oct(os.umask(0)), os.environ['MINE'],"
        " resource.getrlimit(resource.RLIMIT_CORE), resource.getrlimit(resource.RLIMIT_NOFILE))"
    )
    before = os.umask(0o027)
    core = resource.getrlimit(resource.RLIMIT_CORE)
    files = resource.getrlimit(resource.RLIMIT_NOFILE)
    here = os.getcwd()
    os.chdir(directory)
    os.environ["MINE"] = "a b"
    try:
        launcher = create_scheduler("launcher")
        role = Role("worker", "", entrypoint=sys.executable, args=["-c", program])
        app_id = launcher.submit(AppDef("app", [role]), DETACHED)
    finally:
        os.umask(before)
        os.chdir(here)
        del os.environ["MINE"]
    app_ids.append(app_id)
    assert list(launcher.log_iter(app_id, "worker")) == [f"{directory} 0o27 a b {core} {files}\n"]


LAUNCH_AND_WAIT = """
import sys, time
from torchx.runner import get_runner
from torchx.specs import AppDef, Role
with get_runner() as runner:
    role = Role("worker", "", entrypoint="/bin/sh", args=["-c", "echo started; exec sleep 1000"])
    print(runner.run(AppDef("app", [role]), "local_cwd", {"detach": True}), flush=True)
    time.sleep(1000)
"""


def test_it_survives_the_terminal_and_signals_to_the_group_of_its_launcher(
    app_ids: list[str],
) -> None:
    master, slave = pty.openpty()
    # Makes the terminal its own, as a login shell does.
    program = "import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY)\n" + LAUNCH_AND_WAIT
    launcher = subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
    )
    os.close(slave)
    with open(master, "rb", buffering=0) as terminal:
        app_id = parse_app_handle(terminal.readline().decode().strip()).app_id
        app_ids.append(app_id)
        until(lambda: record_of(app_id)["generation"])
        owner, (replica,) = record_of(app_id)["owner"], record_of(app_id)["replicas"]
        for pid in (owner["pid"], replica["pid"]):
            assert pid is not None
            stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            parent, group, session, terminal_number = map(int, stat[1:5])
            assert terminal_number == 0
            assert launcher.pid not in (parent, group, session)
            opened = [os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir()]
            assert not [name for name in opened if "/pts/" in name or "ptmx" in name]
        os.killpg(launcher.pid, signal.SIGINT)
    # The terminal is gone.
    launcher.wait(PATIENCE_S)
    assert state_of(app_id) == AppState.RUNNING
    assert runs(replica["pid"] or 0)
    other = create_scheduler("other")
    assert [entry.app_id for entry in other.list()] == [app_id]
    follower = iter(other.log_iter(app_id, "worker", should_tail=True, streams=Stream.STDOUT))
    assert next(follower) == "started\n"
    other.cancel(app_id)
    assert list(follower) == []
    assert not runs(replica["pid"] or 0)


def test_retries_and_time_limits_hold_without_a_launcher(
    app_ids: list[str], tmp_path: Path
) -> None:
    again = (
        f"echo attempt >> {tmp_path}/attempts; until [ -e {tmp_path}/go ]; do sleep 0.01; done;"
        f" [ $(wc -l < {tmp_path}/attempts) = 3 ]"
    )
    with Peer("torchx.runner:get_runner", PATIENCE_S) as launcher:
        handles = [
            launcher.call("run", shell(again, max_retries=2), "local_cwd", DETACHED),
            launcher.call("run", shell("sleep 1000"), "local_cwd", {**DETACHED, "timeout_s": 1}),
        ]
        app_ids += [parse_app_handle(handle).app_id for handle in handles]
        launcher.kill()
    (tmp_path / "go").touch()
    with get_runner() as runner:
        retried, timed_out = map(runner.wait, handles)
    assert retried is not None
    assert (retried.state, retried.num_restarts) == (AppState.SUCCEEDED, 2)
    assert timed_out is not None
    assert timed_out.msg == "the app was ended after its timeout of 1 s"
