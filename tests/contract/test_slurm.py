"""The conformance suite on the scheduler ``slurm``, on a real cluster."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.real.slurm.cluster import use_cluster, without_accounting
from torchx.testing import Capability, SchedulerContract, SchedulerHarness
from torchx.testing.cases.lifecycle import LifecycleCases
from torchx.testing.cases.processes import ProcessCases
from torchx.testing.cases.retries import RetryCases

MISSING = {
    Capability.LOG_TIME_RANGE: "the log files hold no times",
    Capability.MOUNTS: "replicas see the file system of their node as it is",
}

# Takes any new app in the list for its own.
ALONE = "test_what_is_told_after_a_kill_in_the_middle_of_a_launch_is_true"


@pytest.fixture
def harness(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[SchedulerHarness]:
    # Everything happens in a place that a shell would trip over.
    place = tmp_path / "a'; echo foo"
    (place / "shared").mkdir(parents=True)
    monkeypatch.chdir(place)
    monkeypatch.setenv("TORCHX_HOME", str(place / "$HOME `id`"))
    with (
        use_cluster(alone=request.function.__name__ == ALONE),
        SchedulerHarness(
            "slurm",
            missing=MISSING,
            image="/",
            held_cfg={"sbatch_opts": {"begin": "now+1hour"}},
            workspace_cfg={"job_dir": str(place / "job; dir")},
            shared_dir=place / "shared",
            timeout_s=120,
            unknown_app_id="99999999",
        ) as harness,
    ):
        yield harness


class TestSlurm(SchedulerContract):
    pass


class TestSlurmWithoutAccounting(LifecycleCases, ProcessCases, RetryCases):
    @pytest.fixture(autouse=True)
    def accounting(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        without_accounting(tmp_path / "no-accounting", monkeypatch)
