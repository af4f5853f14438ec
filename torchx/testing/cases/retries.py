"""What failed is tried again, as often as allowed, and only what the policy says."""

# ruff: noqa: D102 (the names of the cases say what they are about)

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from torchx.specs import AppState, RetryPolicy, macros
from torchx.testing.capabilities import Capability
from torchx.testing.cases.programs import PRINT_AND_HANG
from torchx.testing.harness import SchedulerHarness

# Notes each attempt as a file. The second replica of the first role fails once, when all others
# are there; they hang in their first attempt, unless the third argument says that a restart does
# not concern them: those go on until the second attempt of the failed one.
FAIL_ONCE = """
import os, sys, time
directory, me, unconcerned, peers = sys.argv[1:5]
attempt = sum(name.startswith(me + "@") for name in os.listdir(directory))
open(os.path.join(directory, f"{me}@{attempt}"), "x").close()
def wait_for(*names):
    while not set(names) <= set(os.listdir(directory)):
        time.sleep(0.01)
if attempt == 0:
    if me == "first-1":
        wait_for(*(f"{peer}@0" for peer in peers.split()))
        sys.exit(3)
    elif me.split("-")[0] in unconcerned.split() or me in unconcerned.split():
        wait_for("first-1@1")
    else:
        time.sleep(3600)
"""

FAIL_ALWAYS = """
import os, sys
directory, me = sys.argv[1:3]
attempt = len(os.listdir(directory))
open(os.path.join(directory, f"{me}@{attempt}"), "x").close()
sys.exit(3)
"""

PEERS = ["first-0", "first-1", "second-0", "second-1"]

POLICIES = {
    RetryPolicy.APPLICATION: (Capability.RETRY_APPLICATION, ""),
    RetryPolicy.ROLE: (Capability.RETRY_ROLE, "second"),
    RetryPolicy.REPLICA: (Capability.RETRY_REPLICA, "first-0 second"),
}


def attempts(directory: Path) -> dict[str, int]:
    """Counts the attempts that replicas have noted.

    Args:
        directory: Where they did.

    Returns:
        Replica -> number of attempts.
    """
    return dict(Counter(path.name.partition("@")[0] for path in directory.iterdir()))


class RetryCases:
    """Retries by policy."""

    @pytest.mark.parametrize("policy", list(POLICIES), ids=lambda policy: str(policy.value))
    def test_a_failure_restarts_what_the_policy_says(
        self, harness: SchedulerHarness, policy: RetryPolicy
    ) -> None:
        capability, unconcerned = POLICIES[policy]
        harness.need(capability)
        here, in_job = harness.shared()
        roles = [
            harness.role(
                FAIL_ONCE,
                in_job,
                f"{name}-{macros.replica_id}",
                unconcerned,
                " ".join(PEERS),
                name=name,
                num_replicas=2,
                max_retries=2,
                retry_policy=policy,
            )
            for name in ("first", "second")
        ]
        status = harness.launch(*roles).wait()
        assert status.state == AppState.SUCCEEDED, status.msg
        spared = {peer for peer in PEERS if {peer, peer.split("-")[0]} & set(unconcerned.split())}
        assert attempts(here) == {peer: 1 if peer in spared else 2 for peer in PEERS}
        assert status.num_restarts == 1

    @pytest.mark.parametrize("policy", list(POLICIES), ids=lambda policy: str(policy.value))
    @pytest.mark.parametrize("max_retries", [0, 2])
    def test_retries_end(
        self, harness: SchedulerHarness, policy: RetryPolicy, max_retries: int
    ) -> None:
        harness.need(POLICIES[policy][0])
        here, in_job = harness.shared()
        role = harness.role(
            FAIL_ALWAYS, in_job, "job-0", max_retries=max_retries, retry_policy=policy
        )
        status = harness.launch(role).wait()
        assert status.state == AppState.FAILED
        assert attempts(here) == {"job-0": max_retries + 1}

    def test_a_cancelled_app_is_not_tried_again(self, harness: SchedulerHarness) -> None:
        job = harness.launch(harness.role(PRINT_AND_HANG, max_retries=3))
        follower = job.follow()
        follower.wait_for_line("started")
        job.cancel()
        assert job.wait().state == AppState.CANCELLED
        assert follower.until_the_end() == ["started\n"]
