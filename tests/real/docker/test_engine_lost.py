"""The engine is stopped, killed and started again while jobs run and logs are followed.

The engine is one of its own, so that no other test is hurt.
"""

from __future__ import annotations

import gc
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.real.docker.engine import IMAGE, OfflineRole, OwnEngine
from torchx.schedulers.docker.client import Engine
from torchx.schedulers.docker.request import DockerContainer
from torchx.schedulers.docker_scheduler import DockerScheduler, Opts, create_scheduler
from torchx.specs import AppDef, AppState, BindMount, Resource
from torchx.testing.job import LogFollower
from torchx.util.docker_client import DockerEngineError

# The `docker` package leaves sockets that could not be connected to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")

TIMEOUT_S = 60.0

# Writes numbered lines until a file appears.
COUNT_UNTIL = """
import os, time
number = 0
while not os.path.exists("/test/stop"):
    print(number, flush=True)
    number += 1
    time.sleep(0.005)
print("end", flush=True)
"""


@pytest.fixture(scope="module")
def own_engine() -> Iterator[OwnEngine]:
    if os.getuid() != 0 or shutil.which("dockerd") is None:
        pytest.skip("starting a Docker engine takes root and dockerd")
    # Paths of sockets are short.
    engine = OwnEngine(Path(tempfile.mkdtemp(prefix="dockerd-")), "--live-restore")
    engine.up()
    yield engine
    engine.destroy()


@pytest.fixture
def engine(own_engine: OwnEngine, monkeypatch: pytest.MonkeyPatch) -> Iterator[OwnEngine]:
    monkeypatch.setenv("DOCKER_HOST", own_engine.host)
    own_engine.up()
    yield own_engine
    own_engine.up()
    own_engine.remove_containers()


@pytest.fixture
def scheduler(engine: OwnEngine) -> Iterator[DockerScheduler]:
    scheduler = create_scheduler("test")
    yield scheduler
    scheduler.close()
    gc.collect()


@pytest.fixture
def stop_file(tmp_path: Path) -> Path:
    return tmp_path / "stop"


def submit(scheduler: DockerScheduler, stop_file: Path, num_replicas: int = 1) -> str:
    role = OfflineRole(
        "job",
        IMAGE,
        entrypoint="python3",
        args=["-c", COUNT_UNTIL],
        num_replicas=num_replicas,
        resource=Resource(cpu=1, gpu=0, memMB=64),
        mounts=[BindMount(str(stop_file.parent), "/test")],
    )
    return scheduler.schedule(scheduler.submit_dryrun(AppDef("lost", [role]), Opts()))


def in_background(function: Callable[[], object]) -> Future[object]:
    pool = ThreadPoolExecutor(1)
    future: Future[object] = pool.submit(function)
    pool.shutdown(wait=False)
    return future


def numbers(lines: list[str]) -> list[str]:
    return [f"{number}\n" for number in range(len(lines))]


@pytest.mark.parametrize("end", ["kill", "down"])
def test_a_followed_log_is_whole_whatever_happens_to_the_engine(
    engine: OwnEngine, scheduler: DockerScheduler, stop_file: Path, end: str
) -> None:
    app_id = submit(scheduler, stop_file)
    follower = LogFollower(scheduler.log_iter(app_id, "job", should_tail=True), TIMEOUT_S)
    for last_line in ("100", "300"):
        follower.wait_for_line(last_line)
        getattr(engine, end)()
        engine.up()
    follower.wait_for_line("1000")
    stop_file.touch()
    got = follower.until_the_end()
    assert got[-1] == "end\n"
    assert got[:-1] == numbers(got[:-1])
    assert list(scheduler.log_iter(app_id, "job")) == got


def test_a_wait_survives_a_restart_of_the_engine(
    engine: OwnEngine, scheduler: DockerScheduler, stop_file: Path
) -> None:
    app_id = submit(scheduler, stop_file)

    def wait() -> AppState:
        while True:
            description = scheduler.describe(app_id)
            assert description is not None
            if description.state != AppState.RUNNING:
                return description.state
            scheduler.wait_for_change(app_id, TIMEOUT_S)

    waiting = in_background(wait)
    engine.kill()
    engine.up()
    stop_file.touch()
    assert waiting.result(TIMEOUT_S) == AppState.SUCCEEDED


def test_a_question_waits_for_an_engine_that_is_away(
    engine: OwnEngine, scheduler: DockerScheduler, stop_file: Path
) -> None:
    app_id = submit(scheduler, stop_file)
    engine.down()
    asking = in_background(lambda: scheduler.describe(app_id))
    engine.up()
    description = asking.result(TIMEOUT_S)
    assert getattr(description, "state", None) == AppState.RUNNING


def test_an_engine_that_stays_away_is_told(
    engine: OwnEngine, scheduler: DockerScheduler, stop_file: Path
) -> None:
    app_id = submit(scheduler, stop_file)
    engine.down()
    scheduler._engine.patience_s = 0.2
    with pytest.raises(DockerEngineError, match=r"no Docker engine answers at unix://") as raised:
        scheduler.describe(app_id)
    assert raised.value.transient
    assert "DOCKER_HOST" in raised.value.hint


def test_a_new_process_is_told_at_once_that_there_is_no_engine(
    engine: OwnEngine, stop_file: Path
) -> None:
    engine.down()
    with pytest.raises(DockerEngineError, match="no Docker engine answers"):
        submit(create_scheduler("test"), stop_file)


def test_a_submit_goes_on_when_the_engine_is_back(
    engine: OwnEngine,
    scheduler: DockerScheduler,
    stop_file: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    create = Engine.create
    lock = threading.Lock()
    created: list[str] = []

    def create_and_kill(self: Engine, container: DockerContainer) -> str:
        container_id = create(self, container)
        with lock:
            created.append(container_id)
            if len(created) == 2:
                engine.kill()
                engine.up()
        return container_id

    monkeypatch.setattr(Engine, "create", create_and_kill)
    app_id = submit(scheduler, stop_file, num_replicas=4)
    description = scheduler.describe(app_id)
    assert description is not None
    (role,) = description.roles_statuses
    assert [(item.id, item.state) for item in role.replicas] == [
        (number, AppState.RUNNING) for number in range(4)
    ]


def test_a_submit_that_loses_the_engine_leaves_nothing_that_runs(
    engine: OwnEngine,
    scheduler: DockerScheduler,
    stop_file: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    start = Engine.start

    def kill_and_start(self: Engine, container_id: str) -> None:
        engine.down()
        start(self, container_id)

    monkeypatch.setattr(Engine, "start", kill_and_start)
    scheduler._docker_client  # noqa: B018 (connects)
    scheduler._engine.patience_s = 0.2
    with pytest.raises(DockerEngineError):
        submit(scheduler, stop_file, num_replicas=2)
    assert "docker rm -f" in caplog.text
    engine.up()
    assert {app.state for app in scheduler.list()} == {AppState.SUBMITTED}


def test_what_an_engine_without_live_restore_ends_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_engine: OwnEngine, stop_file: Path
) -> None:
    engine = OwnEngine(Path(tempfile.mkdtemp(prefix="dockerd-")))
    monkeypatch.setenv("DOCKER_HOST", engine.host)
    engine.up()
    scheduler = create_scheduler("test")
    try:
        app_id = submit(scheduler, stop_file)
        follower = LogFollower(scheduler.log_iter(app_id, "job", should_tail=True), TIMEOUT_S)
        follower.wait_for_line("20")
        engine.kill()
        engine.up()
        lines = follower.until_the_end()
        assert lines == numbers(lines)
        description = scheduler.describe(app_id)
        assert description is not None
        assert description.state == AppState.FAILED
        assert "replica job/0 failed with exit code 1" in description.msg  # 137 or 143
    finally:
        scheduler.close()
        engine.destroy()
