"""Cases that only a cluster has: why pods wait or fail."""

from __future__ import annotations

import re

from torchx.specs import AppState
from torchx.testing import SchedulerHarness
from torchx.testing.cases.programs import SUCCEED
from torchx.testing.waiting import eventually


class ReasonCases:
    """The status of an app says why, in words."""

    def test_an_image_that_cannot_be_pulled_is_named(self, harness: SchedulerHarness) -> None:
        role = harness.role(SUCCEED)
        role.image = "registry.invalid/no-such-image:1"
        job = harness.launch(role)
        said = f"its image `{role.image}` cannot be pulled"
        eventually(lambda: said in job.status().msg, said, harness.timeout_s)
        assert job.status().state == AppState.PENDING
        job.cancel()
        assert job.wait().state == AppState.CANCELLED

    def test_what_no_node_has_is_named(self, harness: SchedulerHarness) -> None:
        role = harness.role(SUCCEED)
        assert harness.held_resource is not None
        role.resource = harness.held_resource
        job = harness.launch(role, cfg=harness.held_cfg)
        reason = re.compile("Insufficient|insufficient|overused|unschedulable|no room")
        eventually(lambda: reason.search(job.status().msg), "the reason", harness.timeout_s)
        assert job.status().state == AppState.PENDING

    def test_the_last_words_of_a_replica_that_failed_are_told(
        self, harness: SchedulerHarness
    ) -> None:
        status = harness.launch(harness.role("print('so long'); raise SystemExit('thanks')")).wait()
        assert status.state == AppState.FAILED
        # The pods of Volcano Jobs and of AppWrappers are as they always were.
        if harness.scheduler == "kubernetes" and "queue" not in harness.cfg:
            assert "failed with exit code 1: " in status.msg
            assert "so long" in status.msg
            assert "thanks" in status.msg

    def test_a_program_that_is_not_in_the_image_is_named(self, harness: SchedulerHarness) -> None:
        role = harness.role(SUCCEED)
        role.entrypoint = "no-such-program"
        status = harness.launch(role).wait()
        assert status.state == AppState.FAILED
        assert re.search("could not be started: .*no-such-program", status.msg), status.msg
