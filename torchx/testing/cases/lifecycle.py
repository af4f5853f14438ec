"""From launch to end: states, reasons, cancelling, deleting, finding again."""

# ruff: noqa: D102 (the names of the cases say what they are about)

from __future__ import annotations

import re

import pytest

from torchx.specs import AppState, UnknownAppException, macros
from torchx.testing.capabilities import Capability
from torchx.testing.cases.programs import EXIT_WITH, PRINT_AND_HANG, PRINT_WHO, SUCCEED
from torchx.testing.harness import SchedulerHarness

FAIL_WITH_ERROR_FILE = """
import json, os, sys
message = {"message": sys.argv[1], "extraInfo": {"timestamp": "1700000000", "py_callstack": ""}}
with open(os.environ["TORCHELASTIC_ERROR_FILE"], "w") as file:
    json.dump({"message": message}, file)
sys.exit(1)
"""


class LifecycleCases:
    """Every app ends in the state that is true, and anyone can ask for it."""

    def test_an_app_that_exits_with_0_succeeds(self, harness: SchedulerHarness) -> None:
        job = harness.launch(harness.role(SUCCEED))
        status = job.wait()
        assert status.state == AppState.SUCCEEDED
        assert job.status().state == AppState.SUCCEEDED
        status.raise_for_status()

    def test_an_app_that_fails_tells_its_exit_code(self, harness: SchedulerHarness) -> None:
        status = harness.launch(harness.role(EXIT_WITH, "42")).wait()
        assert status.state == AppState.FAILED
        harness.need(Capability.EXIT_CODE)
        assert re.search(r"\b42\b", status.msg), status.msg

    def test_the_reason_that_a_replica_wrote_reaches_the_status(
        self, harness: SchedulerHarness
    ) -> None:
        harness.need(Capability.ERROR_FILE)
        role = harness.role(FAIL_WITH_ERROR_FILE, "out of cheese")
        status = harness.launch(role).wait()
        assert status.state == AppState.FAILED
        assert "out of cheese" in status.structured_error_msg

    def test_one_failed_replica_fails_the_app(self, harness: SchedulerHarness) -> None:
        good = harness.role(SUCCEED, name="good", num_replicas=2)
        bad = harness.role(EXIT_WITH, macros.replica_id, name="bad", num_replicas=2)
        assert harness.launch(good, bad).wait().state == AppState.FAILED

    def test_many_replicas_of_many_roles_run(self, harness: SchedulerHarness) -> None:
        roles = [
            harness.role(
                PRINT_WHO, macros.replica_id, name=name, num_replicas=size, env={"WHO": name}
            )
            for name, size in (("reader", 3), ("trainer", 9), ("writer", 1))
        ]
        job = harness.launch(*roles)
        status = job.wait()
        assert status.state == AppState.SUCCEEDED
        for role in roles:
            for k in range(role.num_replicas):
                assert job.log(role.name, k) == [f"{k} says {role.name}\n"]
        if harness.can(Capability.REPLICA_STATUS):
            told = {
                role.role: [(item.id, item.state) for item in role.replicas]
                for role in status.roles
            }
            assert told == {
                role.name: [(k, AppState.SUCCEEDED) for k in range(role.num_replicas)]
                for role in roles
            }

    def test_an_app_is_cancelled_while_it_waits(self, harness: SchedulerHarness) -> None:
        harness.need(Capability.CANCEL_PENDING)
        role = harness.role(SUCCEED)
        role.resource = harness.held_resource or role.resource
        job = harness.launch(role, cfg=harness.held_cfg)
        assert job.status().state in (AppState.SUBMITTED, AppState.PENDING)
        job.cancel()
        assert job.wait().state == AppState.CANCELLED

    def test_an_app_is_cancelled_while_it_runs(self, harness: SchedulerHarness) -> None:
        job = harness.launch(harness.role(PRINT_AND_HANG, num_replicas=2))
        for k in range(2):
            job.follow(k=k).wait_for_line("started")
        assert job.status().state == AppState.RUNNING
        job.cancel()
        assert job.wait().state == AppState.CANCELLED

    def test_cancelling_twice_is_cancelling_once(self, harness: SchedulerHarness) -> None:
        job = harness.launch(harness.role(PRINT_AND_HANG))
        job.cancel()
        job.cancel()
        assert job.wait().state == AppState.CANCELLED
        job.cancel()
        assert job.status().state == AppState.CANCELLED

    @pytest.mark.parametrize(
        ("exit_code", "state"), [("0", AppState.SUCCEEDED), ("1", AppState.FAILED)]
    )
    def test_cancelling_after_the_end_changes_nothing(
        self, harness: SchedulerHarness, exit_code: str, state: AppState
    ) -> None:
        job = harness.launch(harness.role(EXIT_WITH, exit_code))
        assert job.wait().state == state
        job.cancel()
        assert job.status().state == state

    def test_a_deleted_app_is_forgotten(self, harness: SchedulerHarness) -> None:
        harness.need(Capability.DELETE)
        job = harness.launch(harness.role(SUCCEED))
        job.wait()
        harness.session().delete(job.handle)
        assert harness.session().status(job.handle) is None
        if harness.can(Capability.LIST):
            assert job.handle not in harness.listed()

    def test_deleting_a_running_app_ends_it(self, harness: SchedulerHarness) -> None:
        harness.need(Capability.DELETE)
        job = harness.launch(harness.role(PRINT_AND_HANG))
        follower = job.follow()
        follower.wait_for_line("started")
        harness.session().delete(job.handle)
        assert harness.session().status(job.handle) is None

    def test_an_unknown_app_is_none_or_said_to_be_unknown(self, harness: SchedulerHarness) -> None:
        runner, handle = harness.session(), harness.unknown_handle()
        assert runner.status(handle) is None
        assert runner.describe(handle) is None
        assert runner.wait(handle, 0.01) is None
        runner.cancel(handle)
        runner.delete(handle)
        with pytest.raises(UnknownAppException, match=re.escape(handle)):
            runner.log_lines(handle, "job")

    def test_apps_are_listed_with_their_states(self, harness: SchedulerHarness) -> None:
        harness.need(Capability.LIST)
        ended = harness.launch(harness.role(SUCCEED))
        running = harness.launch(harness.role(PRINT_AND_HANG))
        running.follow().wait_for_line("started")
        ended.wait()
        listed = harness.listed()
        assert listed[ended.handle] == "SUCCEEDED"
        assert listed[running.handle] == "RUNNING"

    def test_a_launch_does_not_change_the_app(self, harness: SchedulerHarness) -> None:
        role = harness.role(SUCCEED, macros.app_id, env={"ID": macros.app_id})
        first, second = harness.launch(role), harness.launch(role)
        assert role == harness.role(SUCCEED, macros.app_id, env={"ID": macros.app_id})
        assert first.handle != second.handle
        assert {first.wait().state, second.wait().state} == {AppState.SUCCEEDED}
