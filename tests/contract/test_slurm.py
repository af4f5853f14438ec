"""The conformance suite on the scheduler ``slurm``, on a real cluster."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.real.slurm.cluster import need_cluster
from torchx.testing import Capability, SchedulerContract, SchedulerHarness

MISSING = {
    Capability.LOG_TIME_RANGE: "the files that srun writes hold no times",
    Capability.MOUNTS: "replicas see the file system of their node as it is",
}


@pytest.fixture
def harness(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SchedulerHarness]:
    need_cluster()
    # Everything happens in a place that a shell would trip over.
    place = tmp_path / "a'; echo foo"
    (place / "shared").mkdir(parents=True)
    monkeypatch.chdir(place)
    monkeypatch.setenv("TORCHX_HOME", str(place / "$HOME `id`"))
    with SchedulerHarness(
        "slurm",
        missing=MISSING,
        image="/",
        held_cfg={"sbatch_opts": {"begin": "now+1hour"}},
        workspace_cfg={"job_dir": str(place / "job; dir")},
        shared_dir=place / "shared",
        timeout_s=120,
        unknown_app_id="99999999",
    ) as harness:
        yield harness


class TestSlurm(SchedulerContract):
    pass
