"""What is told of apps that did not come to their end in order, and what can still be done."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from torchx.runner import get_runner
from torchx.schedulers.local import store, survivors
from torchx.schedulers.local.layout import find_state_dir
from torchx.schedulers.local.messages import AppRecord
from torchx.schedulers.local.processes import read_stat
from torchx.schedulers.local_scheduler import LocalScheduler, create_scheduler
from torchx.specs.api import AppDef, AppState, Role
from torchx.testing.waiting import eventually

PATIENCE_S = 30.0


def shell(script: str, num_replicas: int = 1) -> AppDef:
    role = Role("worker", "", entrypoint="/bin/sh", args=["-c", script], num_replicas=num_replicas)
    return AppDef("app", [role])


def until(condition: Callable[[], object]) -> None:
    eventually(condition, "a condition of the test", PATIENCE_S)


def directory_of(app_id: str) -> str:
    directory = find_state_dir(app_id)
    assert directory is not None
    return directory


def record_of(app_id: str) -> AppRecord:
    found = store.read(directory_of(app_id))
    assert found is not None
    return found[0]


def rewrite(app_id: str, **changes: Any) -> None:
    path = Path(directory_of(app_id), "record.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def runs(pid: int | None) -> bool:
    stat = read_stat(pid or 0)
    return stat is not None and not stat.ended


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    until(lambda: not runs(pid))


def kill_supervisor(app_id: str) -> None:
    until(lambda: record_of(app_id)["generation"])
    kill(record_of(app_id)["owner"]["pid"])


def all_at_once(*actions: Callable[[], object]) -> None:
    failures: list[BaseException] = []

    def act(action: Callable[[], object]) -> None:
        try:
            action()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=act, args=[action]) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert failures == []


class TestKilledSupervisor:
    def test_the_runner_waits_for_what_is_left_and_then_tells_the_failure(
        self, scheduler: LocalScheduler, tmp_path: Path
    ) -> None:
        script = f"until [ -e {tmp_path}/go ]; do sleep 0.01; done"
        app_id = scheduler.submit(shell(script), {"detach": True})
        kill_supervisor(app_id)
        handle = f"local_cwd://any/{app_id}"
        with get_runner() as runner:
            with pytest.raises(TimeoutError):
                runner.wait(handle, timeout=0.2)
            (tmp_path / "go").touch()
            status = runner.wait(handle)
        assert status is not None
        assert status.state == AppState.FAILED
        assert status.msg == "the supervisor of this app was killed; exit codes are unknown"

    def test_cancel_by_handle_finds_also_what_has_left_its_session(
        self, scheduler: LocalScheduler, tmp_path: Path
    ) -> None:
        daemon = (
            f"echo \\$\\$ > {tmp_path}/pid.new; mv {tmp_path}/pid.new {tmp_path}/pid; sleep 1000"
        )
        app_id = scheduler.submit(shell(f'setsid sh -c "{daemon}" & sleep 1000'), {"detach": True})
        until((tmp_path / "pid").exists)
        kill_supervisor(app_id)
        with get_runner() as runner:
            runner.cancel(f"local_cwd://any/{app_id}")
        assert not runs(int((tmp_path / "pid").read_text()))
        assert survivors.Snapshot().by_state_dir.get(directory_of(app_id)) is None
        assert record_of(app_id)["state"] == "CANCELLED"

    @pytest.mark.parametrize("action", ["cancel", "delete"])
    def test_many_end_it_at_once(self, scheduler: LocalScheduler, action: str) -> None:
        app_id = scheduler.submit(shell("sleep 1000", 3), {"detach": True})
        kill_supervisor(app_id)
        directory = directory_of(app_id)
        others = [create_scheduler("other") for _ in range(8)]
        all_at_once(*[lambda other=other: getattr(other, action)(app_id) for other in others])
        assert survivors.Snapshot().by_state_dir.get(directory) is None
        if action == "cancel":
            assert record_of(app_id)["state"] == "CANCELLED"
        assert os.path.exists(directory) == (action == "cancel")

    def test_one_that_was_killed_while_it_started_replicas_hides_none(
        self, scheduler: LocalScheduler
    ) -> None:
        app_id = scheduler.submit(shell("sleep 1000", 2), {"detach": True})
        kill_supervisor(app_id)
        # As it is before the first word of the supervisor.
        unknown = [{**r, "pid": None, "start_ticks": None} for r in record_of(app_id)["replicas"]]
        rewrite(app_id, generation=0, state="PENDING", replicas=unknown)
        other = create_scheduler("other")
        description = other.describe(app_id)
        assert description is not None
        assert description.state == AppState.RUNNING
        other.cancel(app_id)
        assert survivors.Snapshot().by_state_dir.get(directory_of(app_id)) is None
        description = other.describe(app_id)
        assert description is not None
        assert description.state == AppState.CANCELLED


class TestRestartedMachine:
    def test_it_is_told_and_nobody_with_the_same_id_is_harmed(
        self, scheduler: LocalScheduler
    ) -> None:
        app_id = scheduler.submit(shell("sleep 1000"), {"detach": True})
        kill_supervisor(app_id)
        record = record_of(app_id)
        rewrite(app_id, owner={**record["owner"], "boot_id": "another"})
        description = scheduler.describe(app_id)
        assert description is not None
        assert description.state == AppState.FAILED
        assert description.msg == (
            "the machine was restarted while this app ran; exit codes are unknown"
        )
        pid = record["replicas"][0]["pid"]
        scheduler.cancel(app_id)
        assert runs(pid)
        assert record_of(app_id)["state"] == "FAILED"
        assert "restarted" in record_of(app_id)["msg"]
        rewrite(app_id, owner=record["owner"], state="RUNNING")
        scheduler.cancel(app_id)
        assert not runs(pid)

    def test_a_process_that_got_the_id_of_the_supervisor_is_none(
        self, scheduler: LocalScheduler
    ) -> None:
        app_id = scheduler.submit(shell("exec sleep 1000"), {"detach": True})
        kill_supervisor(app_id)
        record = record_of(app_id)
        kill(record["replicas"][0]["pid"] or 0)
        rewrite(app_id, owner={**record["owner"], "pid": os.getpid()})
        description = scheduler.describe(app_id)
        assert description is not None
        assert description.state == AppState.FAILED
        scheduler.cancel(app_id)


class TestRaces:
    def test_an_app_whose_launcher_hangs_in_the_middle_of_the_start_can_be_cancelled(
        self, scheduler: LocalScheduler, home: Path
    ) -> None:
        program = (
            "import os, signal\n"
            "from torchx.schedulers.local import supervised\n"
            "from torchx.schedulers.local_scheduler import create_scheduler\n"
            "from torchx.specs.api import AppDef, Role\n"
            "make = supervised._message\n"
            "def stop(*args):\n"
            "    os.kill(os.getpid(), signal.SIGSTOP)\n"
            "    return make(*args)\n"
            "supervised._message = stop\n"
            "role = Role('r', '', entrypoint='sleep', args=['1000'])\n"
            "create_scheduler('s').submit(AppDef('app', [role]), {})\n"
        )
        launcher = subprocess.Popen(
            [sys.executable, "-c", program], stderr=subprocess.PIPE, text=True
        )
        until(scheduler.list)
        (entry,) = scheduler.list()
        assert entry.state == AppState.PENDING
        scheduler.cancel(entry.app_id)
        assert scheduler.list()[0].state == AppState.FAILED
        launcher.send_signal(signal.SIGCONT)
        _, complaint = launcher.communicate(timeout=PATIENCE_S)
        assert "ended before the app was started" in complaint
        assert scheduler.list() == []

    @pytest.mark.parametrize("cfg", [{}, {"detach": True}])
    def test_many_delete_a_running_app_at_once(
        self, scheduler: LocalScheduler, cfg: dict[str, bool]
    ) -> None:
        app_id = scheduler.submit(shell("sleep 1000", 3), cfg)
        directory = directory_of(app_id)
        others = [create_scheduler("other") for _ in range(8)]
        all_at_once(*[lambda other=other: other.delete(app_id) for other in others])
        assert not os.path.exists(directory)
        assert survivors.Snapshot().by_state_dir.get(directory) is None
        assert scheduler.list() == []

    def test_two_cancels_are_one(self, scheduler: LocalScheduler) -> None:
        app_id = scheduler.submit(shell("trap 'exit 0' TERM; sleep 1000 & wait", 3), {})
        others = [create_scheduler("other") for _ in range(8)]
        all_at_once(*[lambda other=other: other.cancel(app_id) for other in others])
        assert {other.list()[0].state for other in others} == {AppState.CANCELLED}

    def test_a_status_is_never_in_between(self, scheduler: LocalScheduler) -> None:
        known = {AppState.PENDING, AppState.RUNNING, AppState.SUCCEEDED}
        for _ in range(20):
            app_id = scheduler.submit(shell("true"), {"detach": True})
            other = create_scheduler("other")
            seen = set()
            while AppState.SUCCEEDED not in seen:
                description = other.describe(app_id)
                assert description is not None
                seen.add(description.state)
                assert seen <= known, description


class TestDelete:
    def test_logs_below_a_directory_of_the_user_go_and_nothing_else_does(
        self, scheduler: LocalScheduler, tmp_path: Path
    ) -> None:
        (tmp_path / "logs" / "session").mkdir(parents=True)
        (tmp_path / "logs" / "session" / "mine").touch()
        app_ids = [
            scheduler.submit(shell("echo $$$$"), {"log_dir": str(tmp_path / "logs")})
            for _ in range(2)
        ]
        scheduler.delete(app_ids[0])
        found = sorted(path.name for path in (tmp_path / "logs" / "session").iterdir())
        assert found == sorted(["mine", app_ids[1]])

    def test_a_log_directory_that_was_there_before_keeps_what_is_not_of_the_app(
        self, scheduler: LocalScheduler, tmp_path: Path
    ) -> None:
        info = scheduler.submit_dryrun(shell("echo hello", 2), {"log_dir": str(tmp_path / "logs")})
        directory = Path(info.request.log_dir)
        directory.mkdir(parents=True)
        (directory / "mine").touch()
        app_id = scheduler.schedule(info)
        assert list(scheduler.log_iter(app_id, "worker", 1)) == ["hello\n"]
        assert len(list(directory.rglob("*.log"))) == 6
        scheduler.delete(app_id)
        assert list(directory.rglob("*")) == [directory / "mine"]

    def test_what_cannot_be_deleted_is_still_known(
        self, scheduler: LocalScheduler, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        app_id = scheduler.submit(shell("true"), {})
        scheduler.cancel(app_id)

        def refuse(path: str) -> None:
            raise PermissionError(path)

        with monkeypatch.context() as patch:
            patch.setattr(shutil, "rmtree", refuse)
            with pytest.raises(PermissionError):
                scheduler.delete(app_id)
        assert create_scheduler("other").exists(app_id)
        create_scheduler("other").delete(app_id)
        assert not create_scheduler("other").exists(app_id)
