"""An app belongs to nobody's memory: any process sees it, and losing the launcher loses nothing."""

# ruff: noqa: D102 (the names of the cases say what they are about)

from __future__ import annotations

import fcntl
from pathlib import Path

import pytest

from torchx.specs import (
    AppDef,
    AppState,
    UnknownAppException,
    is_terminal,
    macros,
    parse_app_handle,
)
from torchx.testing.capabilities import Capability
from torchx.testing.cases.programs import EXIT_WITH, PRINT_AND_HANG, SUCCEED
from torchx.testing.harness import SchedulerHarness
from torchx.testing.job import WAIT_INTERVAL_S, Job
from torchx.testing.waiting import eventually

# Holds a lock for as long as it lives, so that a test can tell whether it really runs.
HOLD_LOCK = """
import fcntl, sys, time
with open(sys.argv[1], "w") as lock:
    fcntl.flock(lock, fcntl.LOCK_EX)
    print("started", flush=True)
    time.sleep(3600)
"""


def is_alive(lock: Path) -> bool:
    """Tells whether the replica that holds a lock still lives.

    Args:
        lock: Path of the lock.

    Returns:
        True if the lock is held.
    """
    with lock.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


class ProcessCases:
    """What one process knows about an app, every process knows."""

    def test_another_process_sees_a_running_app(self, harness: SchedulerHarness) -> None:
        harness.need(Capability.SECOND_PROCESS)
        job = harness.launch(harness.role(PRINT_AND_HANG, num_replicas=2))
        job.follow().wait_for_line("started")
        with harness.second_process() as other:
            assert other.call("status", job.handle).state == AppState.RUNNING
            assert other.call("log_lines", job.handle, "job", 0) == ["started\n"]
            if harness.can(Capability.LIST):
                listed = other.call("list", harness.scheduler, harness.list_cfg)
                assert (job.handle, AppState.RUNNING) in [
                    (app.app_handle, app.state) for app in listed
                ]
            if harness.can(Capability.DESCRIBE_ROLES):
                app = other.call("describe", job.handle)
                assert [(role.name, role.num_replicas) for role in app.roles] == [("job", 2)]

    def test_another_process_cancels_an_app(self, harness: SchedulerHarness) -> None:
        harness.need(Capability.SECOND_PROCESS)
        job = harness.launch(harness.role(PRINT_AND_HANG))
        job.follow().wait_for_line("started")
        with harness.second_process() as other:
            other.call("cancel", job.handle)
            assert job.wait().state == AppState.CANCELLED
            assert other.call("status", job.handle).state == AppState.CANCELLED

    def test_another_process_waits_for_the_end_and_reads_the_log(
        self, harness: SchedulerHarness
    ) -> None:
        harness.need(Capability.SECOND_PROCESS)
        job = harness.launch(harness.role(EXIT_WITH, "42"))
        with harness.second_process() as other:
            status = other.call("wait", job.handle, WAIT_INTERVAL_S)
            assert status.state == AppState.FAILED
            assert status.msg == job.wait().msg
            assert other.call("log_lines", job.handle, "job", 0, should_tail=True) == []

    def test_another_process_deletes_an_app(self, harness: SchedulerHarness) -> None:
        harness.need(Capability.SECOND_PROCESS, Capability.DELETE)
        job = harness.launch(harness.role(SUCCEED))
        job.wait()
        with harness.second_process() as other:
            other.call("delete", job.handle)
            assert other.call("status", job.handle) is None
        assert harness.session().status(job.handle) is None

    def test_another_process_knows_nothing_of_an_unknown_app(
        self, harness: SchedulerHarness
    ) -> None:
        harness.need(Capability.SECOND_PROCESS)
        with harness.second_process() as other:
            assert other.call("status", harness.unknown_handle()) is None
            with pytest.raises(UnknownAppException):
                other.call("log_lines", harness.unknown_handle(), "job", 0)

    def test_an_app_of_a_launcher_that_has_ended_is_known(self, harness: SchedulerHarness) -> None:
        harness.need(Capability.SECOND_PROCESS)
        app = AppDef("contract", [harness.role(SUCCEED)])
        with harness.second_process() as launcher:
            job = harness.job(launcher.call("run", app, harness.scheduler, dict(harness.cfg)))
            launcher.call("wait", job.handle, WAIT_INTERVAL_S)
        assert job.status().state == AppState.SUCCEEDED
        assert job.log() == ["hello\n"]

    def test_a_killed_launcher_loses_nothing(self, harness: SchedulerHarness) -> None:
        harness.need(Capability.SECOND_PROCESS)
        launcher = harness.second_process()
        app = AppDef("contract", [harness.role(PRINT_AND_HANG, num_replicas=2)])
        job = harness.job(launcher.call("run", app, harness.scheduler, dict(harness.cfg)))
        follower = job.follow()
        follower.wait_for_line("started")
        launcher.kill()
        if harness.can(Capability.JOB_OUTLIVES_LAUNCHER):
            assert job.status().state == AppState.RUNNING
            job.cancel()
        assert job.wait().state == AppState.CANCELLED
        assert follower.until_the_end() == ["started\n"]
        if harness.can(Capability.CANCELLED_LOG):
            assert job.log() == ["started\n"]

    def test_what_is_told_after_a_kill_in_the_middle_of_a_launch_is_true(
        self, harness: SchedulerHarness
    ) -> None:
        harness.need(Capability.SECOND_PROCESS, Capability.LIST)
        here, in_job = harness.shared()
        known = harness.listed()
        role = harness.role(HOLD_LOCK, f"{in_job}/{macros.replica_id}", num_replicas=20)
        launcher = harness.second_process()
        launcher.start("run", AppDef("contract", [role]), harness.scheduler, dict(harness.cfg))
        eventually(lambda: any(here.iterdir()), "start of a replica", harness.timeout_s)
        launcher.kill()
        new = eventually(
            lambda: [handle for handle in harness.listed() if handle not in known],
            "an app in the list",
            harness.timeout_s,
        )
        (job,) = [harness.job(handle) for handle in new]
        if harness.can(Capability.JOB_OUTLIVES_LAUNCHER):
            job.cancel()
        assert is_terminal(job.wait().state)
        assert [path.name for path in here.iterdir() if is_alive(path)] == []

    def test_a_cancelled_app_really_has_ended(self, harness: SchedulerHarness) -> None:
        here, in_job = harness.shared()
        job = harness.launch(
            harness.role(HOLD_LOCK, f"{in_job}/{macros.replica_id}", num_replicas=2)
        )
        for k in range(2):
            job.follow(k=k).wait_for_line("started")
        assert all(is_alive(here / str(k)) for k in range(2))
        job.cancel()
        assert job.wait().state == AppState.CANCELLED
        assert not any(is_alive(here / str(k)) for k in range(2))

    def test_a_handle_names_scheduler_and_app(self, harness: SchedulerHarness) -> None:
        job: Job = harness.launch(harness.role(SUCCEED))
        assert parse_app_handle(job.handle).scheduler_backend == harness.scheduler
        assert parse_app_handle(job.handle).app_id
