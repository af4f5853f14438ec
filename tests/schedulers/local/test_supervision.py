"""Real processes under a real supervisor: how they start, fail, are restarted and end."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from torchx.schedulers.api import DescribeAppResponse
from torchx.schedulers.local import store, survivors
from torchx.schedulers.local.layout import find_state_dir
from torchx.schedulers.local.messages import AppRecord
from torchx.schedulers.local.processes import read_stat
from torchx.schedulers.local_scheduler import LocalScheduler, create_scheduler
from torchx.specs.api import AppDef, AppState, RetryPolicy, Role, is_terminal
from torchx.specs.status import MeasuredReplicaStatus

PATIENCE_S = 30.0


def shell(script: str, name: str = "worker", **fields: object) -> Role:
    role = Role(name, "", entrypoint="/bin/sh", args=["-c", script])
    for field, value in fields.items():
        assert hasattr(role, field)
        setattr(role, field, value)
    return role


def submit(scheduler: LocalScheduler, *roles: Role, **cfg: int | str) -> str:
    return scheduler.submit(AppDef("app", list(roles)), cfg)


def finish(scheduler: LocalScheduler, app_id: str) -> DescribeAppResponse:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        description = scheduler.describe(app_id)
        assert description is not None
        if is_terminal(description.state):
            return description
        scheduler.wait_for_change(app_id, 5)
    raise AssertionError(f"{app_id} did not end")


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def runs(pid: int) -> bool:
    stat = read_stat(pid)
    return stat is not None and not stat.ended


def number_in(path: Path) -> int:
    until(lambda: path.exists() and path.read_text().endswith("\n"))
    return int(path.read_text())


def record_of(app_id: str) -> AppRecord:
    directory = find_state_dir(app_id)
    found = store.read(directory) if directory else None
    assert found is not None
    return found[0]


def supervisor_pid(app_id: str) -> int:
    return record_of(app_id)["owner"]["pid"]


def states(description: DescribeAppResponse) -> dict[str, list[AppState]]:
    return {s.role: [replica.state for replica in s.replicas] for s in description.roles_statuses}


class TestEnd:
    def test_exit_codes_and_signals_are_told(self, scheduler: LocalScheduler) -> None:
        assert finish(scheduler, submit(scheduler, shell("exit 7"))).msg == (
            "worker/0 exited with code 7"
        )
        killed = finish(scheduler, submit(scheduler, shell("kill -9 $$$$")))
        assert killed.msg == "worker/0 was killed by SIGKILL (out of memory?)"
        assert killed.state == AppState.FAILED

    def test_a_failed_replica_ends_a_hung_peer(self, scheduler: LocalScheduler) -> None:
        app_id = submit(scheduler, shell("exit 3", "quick"), shell("sleep 1000", "hung"))
        description = finish(scheduler, app_id)
        assert description.state == AppState.FAILED
        assert description.msg == "quick/0 exited with code 3"
        assert states(description) == {"quick": [AppState.FAILED], "hung": [AppState.CANCELLED]}

    def test_with_the_replica_policy_the_others_run_on(
        self, scheduler: LocalScheduler, tmp_path: Path
    ) -> None:
        roles = [
            shell(f"touch {tmp_path}/failing; exit 3", "bad", retry_policy=RetryPolicy.REPLICA),
            shell(f"until [ -e {tmp_path}/go ]; do sleep 0.02; done", "good"),
        ]
        app_id = submit(scheduler, *roles)
        until(
            lambda: (
                states(scheduler.describe(app_id) or DescribeAppResponse()).get("bad")
                == [AppState.FAILED]
            )
        )
        description = scheduler.describe(app_id)
        assert description is not None
        assert description.state == AppState.RUNNING
        (tmp_path / "go").touch()
        description = finish(scheduler, app_id)
        assert description.state == AppState.FAILED
        assert states(description)["good"] == [AppState.SUCCEEDED]

    def test_a_timeout_fails_the_app(self, scheduler: LocalScheduler) -> None:
        description = finish(scheduler, submit(scheduler, shell("sleep 1000"), timeout_s=1))
        assert description.state == AppState.FAILED
        assert description.msg == "the app was ended after its timeout of 1 s"

    def test_the_combined_log_has_the_last_writes_of_a_process_that_just_ended(
        self, scheduler: LocalScheduler
    ) -> None:
        app_id = submit(scheduler, shell("seq 20000; printf last", num_replicas=4))
        finish(scheduler, app_id)
        expected = [f"{number}\n" for number in range(1, 20001)] + ["last"]
        for k in range(4):
            assert list(scheduler.log_iter(app_id, "worker", k)) == expected

    def test_success_is_written_once_with_the_true_state(
        self, scheduler: LocalScheduler, tmp_path: Path
    ) -> None:
        app_id = submit(scheduler, shell("sleep 1000"), log_dir=str(tmp_path / "logs"))
        marker = tmp_path / "logs" / "session" / app_id / "SUCCESS"
        assert not marker.exists()
        scheduler.cancel(app_id)
        content = json.loads(marker.read_text())
        assert content["final_state"] == "CANCELLED"
        assert content["roles"]["worker"][0]["exitcode"] == -signal.SIGTERM
        written = marker.stat().st_mtime_ns
        scheduler.describe(app_id)
        scheduler.cancel(app_id)
        assert marker.stat().st_mtime_ns == written


class TestNothingIsLeft:
    def test_a_grandchild_that_ignores_sigterm_does_not_survive_cancel(
        self, scheduler: LocalScheduler, tmp_path: Path
    ) -> None:
        deaf = f'trap "" TERM; echo $$$$ > {tmp_path}/pid; while :; do sleep 0.1; done'
        script = f"sh -c '{deaf}' & wait"
        app_id = submit(scheduler, shell(script), grace_period_s=1)
        pid = number_in(tmp_path / "pid")
        scheduler.cancel(app_id)
        assert not runs(pid)
        description = scheduler.describe(app_id)
        assert description is not None
        assert description.state == AppState.CANCELLED

    def test_a_daemon_ends_with_its_app(self, scheduler: LocalScheduler, tmp_path: Path) -> None:
        # It leaves the session, loses its parent and keeps the output open.
        daemon = f"echo \\$\\$ > {tmp_path}/pid; exec sleep 1000"
        script = f'(setsid sh -c "{daemon}" &) ; until [ -s {tmp_path}/pid ]; do sleep 0.01; done'
        app_id = submit(scheduler, shell(script))
        pid = number_in(tmp_path / "pid")
        assert finish(scheduler, app_id).state == AppState.SUCCEEDED
        assert not runs(pid)

    def test_a_daemon_that_keeps_the_output_open_does_not_delay_the_end_of_a_replica(
        self, scheduler: LocalScheduler, tmp_path: Path
    ) -> None:
        roles = [shell("sleep 1000 & echo started; exit 0", "a"), shell("sleep 1000", "b")]
        app_id = submit(scheduler, *roles)
        until(
            lambda: (
                states(scheduler.describe(app_id) or DescribeAppResponse()).get("a")
                == [AppState.SUCCEEDED]
            )
        )
        assert list(scheduler.log_iter(app_id, "a", should_tail=False)) == ["started\n"]

    def test_close_ends_all_apps(self) -> None:
        scheduler = create_scheduler("session")
        apps = [submit(scheduler, shell("sleep 1000", num_replicas=2)) for _ in range(2)]
        pids = [r.proc.pid for app in apps for r in scheduler._apps[app].replicas()]
        assert all(map(runs, pids))
        scheduler.close()
        assert not any(map(runs, pids))
        scheduler.close()

    def test_a_replica_that_cannot_start_leaves_nothing(
        self, scheduler: LocalScheduler, tmp_path: Path
    ) -> None:
        marker = f"left-over-{os.getpid()}"
        roles = [
            shell(f"exec sleep 1000 {marker}", "a", num_replicas=3),
            Role("b", "", entrypoint="no such command"),
        ]
        with pytest.raises(FileNotFoundError, match=r"cannot start replica b/0.*no such command"):
            submit(scheduler, *roles, log_dir=str(tmp_path / "logs"))
        assert not scheduler._apps
        assert scheduler.list() == []
        assert not list((tmp_path / "logs").rglob("*.log"))
        commands = subprocess.run(["ps", "-ef"], capture_output=True, text=True, check=True).stdout
        assert marker not in commands

    @pytest.mark.parametrize("bad", [Role("b", "", entrypoint="no such"), shell("\0", "b")])
    def test_one_of_many_replicas_that_cannot_start_ends_the_others(
        self, scheduler: LocalScheduler, tmp_path: Path, home: Path, bad: Role
    ) -> None:
        info = scheduler.submit_dryrun(
            AppDef("app", [shell("sleep 1000", "a", num_replicas=90), bad]),
            {"log_dir": str(tmp_path / "logs")},
        )
        mine = Path(info.request.log_dir, "a", "7", "stderr.log")
        mine.parent.mkdir(parents=True)
        mine.write_text("mine")
        with pytest.raises(FileExistsError, match="cannot start replica a/7"):
            scheduler.schedule(info)
        mine.unlink()
        with pytest.raises((FileNotFoundError, ValueError), match="cannot start replica b/0"):
            scheduler.schedule(info)
        assert [path for path in (tmp_path / "logs").rglob("*") if path.is_file()] == []
        assert list((home / "local").iterdir()) == []
        assert not [name for name in survivors.Snapshot().by_state_dir if str(home) in name]

    def test_a_failed_start_can_be_repeated_with_the_same_request(
        self, scheduler: LocalScheduler, tmp_path: Path
    ) -> None:
        command = tmp_path / "command"
        info = scheduler.submit_dryrun(AppDef("app", [Role("r", "", entrypoint=str(command))]), {})
        before = repr(info)
        with pytest.raises(FileNotFoundError):
            scheduler.schedule(info)
        command.write_text("#!/bin/sh\nexit 0\n")
        with pytest.raises(PermissionError):
            scheduler.schedule(info)
        command.chmod(0o755)
        assert repr(info) == before
        assert finish(scheduler, scheduler.schedule(info)).state == AppState.SUCCEEDED


class TestRetries:
    @pytest.mark.parametrize(
        ("policy", "attempts"),
        [
            (RetryPolicy.REPLICA, {"a/0": 3, "a/1": 1, "b/0": 1}),
            (RetryPolicy.ROLE, {"a/0": 3, "a/1": 3, "b/0": 1}),
            (RetryPolicy.APPLICATION, {"a/0": 3, "a/1": 3, "b/0": 3}),
        ],
    )
    def test_the_policy_says_what_is_started_again(
        self,
        scheduler: LocalScheduler,
        tmp_path: Path,
        policy: RetryPolicy,
        attempts: dict[str, int],
    ) -> None:
        wait = f"until [ -e {tmp_path}/done ]; do sleep 0.02; done"
        fail = f'n={tmp_path}/n; echo x >> "$n"; [ $(wc -l < "$n") -ge 3 ] || exit 1'
        roles = [
            shell(
                f"if [ $ID = 0 ]; then {fail}; touch {tmp_path}/done; else {wait}; fi",
                "a",
                num_replicas=2,
                env={"ID": "${replica_id}"},
                max_retries=2,
                retry_policy=policy,
            ),
            shell(wait, "b"),
        ]
        app_id = submit(scheduler, *roles)
        description = finish(scheduler, app_id)
        assert description.state == AppState.SUCCEEDED
        assert description.num_restarts == 2
        replicas = record_of(app_id)["replicas"]
        assert {f"{r['role']}/{r['id']}": r["attempt"] + 1 for r in replicas} == attempts

    def test_logs_of_all_attempts_are_kept_and_stale_errors_are_not(
        self, scheduler: LocalScheduler, tmp_path: Path
    ) -> None:
        script = (
            f"echo x >> {tmp_path}/n; n=$(wc -l < {tmp_path}/n); echo attempt $n;"
            '[ -e "$TORCHELASTIC_ERROR_FILE" ] && echo stale;'
            ' [ $n = 2 ] || { echo {} > "$TORCHELASTIC_ERROR_FILE"; exit 1; }'
        )
        app_id = submit(scheduler, shell(script, max_retries=1))
        description = finish(scheduler, app_id)
        assert description.state == AppState.SUCCEEDED
        assert description.structured_error_msg == "<NONE>"
        assert list(scheduler.log_iter(app_id, "worker")) == ["attempt 1\n", "attempt 2\n"]

    def test_a_replica_that_cannot_be_restarted_fails_the_app(
        self, scheduler: LocalScheduler, tmp_path: Path
    ) -> None:
        command = tmp_path / "command"
        command.write_text('#!/bin/sh\nrm "$0"\nexit 1\n')
        command.chmod(0o755)
        app_id = submit(scheduler, Role("r", "", entrypoint=str(command), max_retries=3))
        description = finish(scheduler, app_id)
        assert description.state == AppState.FAILED
        assert "r/0 could not be restarted" in description.msg

    def test_a_leftover_of_a_failed_attempt_is_ended_before_the_next(
        self, scheduler: LocalScheduler, tmp_path: Path
    ) -> None:
        script = (
            f"if [ -e {tmp_path}/pid ]; then kill -0 $(cat {tmp_path}/pid) 2>/dev/null && exit 9;"
            f" exit 0; fi; sleep 1000 & echo $! > {tmp_path}/pid; exit 1"
        )
        role = shell(script, max_retries=1, retry_policy=RetryPolicy.REPLICA)
        assert finish(scheduler, submit(scheduler, role)).state == AppState.SUCCEEDED


class TestLaunchers:
    LAUNCHER = """
import sys, time
from torchx.schedulers.local_scheduler import create_scheduler
from torchx.specs.api import AppDef, Role
scheduler = create_scheduler("session")
try:
    role = Role("worker", "", entrypoint="/bin/sh", args=["-c", sys.argv[1]])
    app_id = scheduler.submit(AppDef("app", [role]), {})
    print(app_id, scheduler._apps[app_id].role_replicas["worker"][0].proc.pid, flush=True)
    time.sleep(1000)
finally:
    scheduler.close()
"""

    def launch(self, script: str) -> tuple[subprocess.Popen[str], str, int]:
        command = [sys.executable, "-c", self.LAUNCHER, script]
        launcher = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert launcher.stdout is not None
        app_id, pid = launcher.stdout.readline().split()
        return launcher, app_id, int(pid)

    def end(self, launcher: subprocess.Popen[str], signum: int) -> None:
        launcher.send_signal(signum)
        launcher.wait(PATIENCE_S)
        assert launcher.stdout is not None
        launcher.stdout.close()

    @pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
    def test_the_app_ends_with_its_launcher(self, scheduler: LocalScheduler, signum: int) -> None:
        launcher, app_id, pid = self.launch("sleep 1000")
        assert runs(pid)
        self.end(launcher, signum)
        description = finish(scheduler, app_id)
        assert description.state == AppState.CANCELLED
        assert not runs(pid)

    def test_a_launcher_that_ends_well_leaves_the_result(self, scheduler: LocalScheduler) -> None:
        launcher, app_id, _ = self.launch("echo hello")
        assert finish(scheduler, app_id).state == AppState.SUCCEEDED
        self.end(launcher, signal.SIGKILL)
        description = scheduler.describe(app_id)
        assert description is not None
        assert description.state == AppState.SUCCEEDED
        assert list(scheduler.log_iter(app_id, "worker")) == ["hello\n"]

    def test_another_process_cancels(self, scheduler: LocalScheduler) -> None:
        launcher, app_id, pid = self.launch("sleep 1000")
        scheduler.cancel(app_id)
        assert not runs(pid)
        assert scheduler.list()[0].state == AppState.CANCELLED
        assert scheduler.list()[0].name == "app"
        self.end(launcher, signal.SIGTERM)

    def test_a_forked_copy_of_the_launcher_does_not_end_its_apps(
        self, scheduler: LocalScheduler
    ) -> None:
        app_id = submit(scheduler, shell("sleep 1000"))
        child = os.fork()
        if not child:
            scheduler.close()
            os._exit(0)
        os.waitpid(child, 0)
        description = scheduler.describe(app_id)
        assert description is not None
        assert description.state == AppState.RUNNING


class TestKilledSupervisor:
    def test_it_is_told_truthfully_and_the_rest_can_be_cancelled(
        self, scheduler: LocalScheduler
    ) -> None:
        app_id = submit(scheduler, shell("sleep 1000"))
        pid = scheduler._apps[app_id].role_replicas["worker"][0].proc.pid
        until(lambda: record_of(app_id)["generation"])
        supervisor = supervisor_pid(app_id)
        os.kill(supervisor, signal.SIGKILL)
        until(lambda: not runs(supervisor))
        description = scheduler.describe(app_id)
        assert description is not None
        assert description.state == AppState.RUNNING
        assert "cancel the app to end them" in description.msg
        assert states(description) == {"worker": [AppState.UNKNOWN]}
        assert runs(pid)
        scheduler.cancel(app_id)
        assert not runs(pid)
        description = scheduler.describe(app_id)
        assert description is not None
        assert description.state == AppState.CANCELLED
        assert "the supervisor of this app was killed" in description.msg

    def test_without_any_process_left_it_has_failed(self, scheduler: LocalScheduler) -> None:
        app_id = submit(scheduler, shell("exec sleep 1000"))
        pid = scheduler._apps[app_id].role_replicas["worker"][0].proc.pid
        supervisor = supervisor_pid(app_id)
        os.kill(supervisor, signal.SIGSTOP)
        os.kill(pid, signal.SIGKILL)
        os.kill(supervisor, signal.SIGKILL)
        description = finish(scheduler, app_id)
        assert description.state == AppState.FAILED
        assert "exit codes are unknown" in description.msg

    def test_following_its_log_ends(self, scheduler: LocalScheduler) -> None:
        app_id = submit(scheduler, shell("echo one; exec sleep 1000"))
        lines = iter(scheduler.log_iter(app_id, "worker", should_tail=True))
        assert next(lines) == "one\n"
        os.kill(supervisor_pid(app_id), signal.SIGKILL)
        assert list(lines) == []


class TestOutput:
    def test_a_full_disk_is_reported_and_stops_nothing(
        self, scheduler: LocalScheduler, tmp_path: Path
    ) -> None:
        script = f"until [ -e {tmp_path}/go ]; do sleep 0.02; done; seq 100000; echo done >&2"
        app_id = submit(scheduler, shell(script), log_dir=str(tmp_path / "logs"))
        logs = tmp_path / "logs" / "session" / app_id / "worker" / "0"
        # The only log that is always full, in place of a file system that is.
        (logs / "stdout.log").unlink()
        (logs / "stdout.log").symlink_to("/dev/full")
        (tmp_path / "go").touch()
        description = finish(scheduler, app_id)
        assert description.state == AppState.SUCCEEDED
        assert re.search(r"cannot write .*stdout.log: No space left on device", description.msg)
        assert (logs / "stderr.log").read_text() == "done\n"

    def test_lines_of_both_streams_stay_whole_in_the_combined_log(
        self, scheduler: LocalScheduler
    ) -> None:
        writer = (
            "import os,sys\n"
            "for i in range(3000):\n"
            "    for part in (b'%d-' % i, b'x' * 50, b'\\n'): os.write(FD, part)\n"
        )
        program = "import os\nFD = 1 if os.fork() else 2\n" + writer
        program += "if FD == 1: os.wait()\n"
        role = Role("r", "", entrypoint=sys.executable, args=["-c", program])
        app_id = submit(scheduler, role)
        assert finish(scheduler, app_id).state == AppState.SUCCEEDED
        lines = list(scheduler.log_iter(app_id, "r"))
        expected = [f"{number}-{'x' * 50}\n" for number in range(3000)]
        assert sorted(lines) == sorted(expected * 2)

    def test_a_limit_on_open_files_reaches_the_replicas_unchanged(
        self, scheduler: LocalScheduler
    ) -> None:
        here = subprocess.run(["sh", "-c", "ulimit -n"], capture_output=True, text=True, check=True)
        app_id = submit(scheduler, shell("ulimit -n", num_replicas=3))
        finish(scheduler, app_id)
        assert list(scheduler.log_iter(app_id, "worker", 2)) == [here.stdout]

    def test_memory_and_processor_time_of_running_replicas_are_shown(
        self, scheduler: LocalScheduler
    ) -> None:
        script = "python3 -c 'import time; b = bytearray(50 << 20); time.sleep(1000)' & wait"
        app_id = submit(scheduler, shell(script))

        def resident() -> int:
            description = scheduler.describe(app_id)
            assert description is not None
            replica = description.roles_statuses[0].replicas[0]
            assert isinstance(replica, MeasuredReplicaStatus)
            return replica.usage.rss_bytes if replica.usage else 0

        until(lambda: resident() > 50 << 20)

    def test_200_replicas_run_at_once(self, scheduler: LocalScheduler) -> None:
        app_id = submit(scheduler, shell("echo $ID", num_replicas=200, env={"ID": "${replica_id}"}))
        assert finish(scheduler, app_id).state == AppState.SUCCEEDED
        assert [list(scheduler.log_iter(app_id, "worker", k)) for k in range(200)] == [
            [f"{k}\n"] for k in range(200)
        ]
