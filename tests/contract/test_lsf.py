"""The conformance suite on the scheduler ``lsf``, on a simulated cluster."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.schedulers.lsf.simulator import Cluster
from torchx.testing import Capability, SchedulerContract, SchedulerHarness
from torchx.testing.waiting import eventually

MISSING = {
    Capability.LOG_TIME_RANGE: "the log files hold no times",
    Capability.MOUNTS: "the docker of the simulator runs programs without containers",
}


@pytest.fixture
def harness(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SchedulerHarness]:
    # Everything happens in a place that a shell would trip over.
    place = tmp_path / "a'; echo foo"
    (place / "shared").mkdir(parents=True)
    monkeypatch.chdir(place)
    monkeypatch.setenv("TORCHX_HOME", str(place / "$HOME `id`"))
    commands = Cluster(place / "cluster").install()
    monkeypatch.setenv("PATH", f"{commands}{os.pathsep}{os.environ['PATH']}")
    with SchedulerHarness(
        "lsf",
        missing=MISSING,
        image="/",
        held_cfg={"lsf_queue": "held"},
        workspace_cfg={"jobdir": str(place / "job; dir")},
        shared_dir=place / "shared",
    ) as harness:
        yield harness
    # A log that is still followed would ask the cluster of the next test.
    eventually(nobody_asks, "end of the questions", 60)


def nobody_asks() -> bool:
    return not any(thread.name == "job-watch" for thread in threading.enumerate())


class TestLsf(SchedulerContract):
    pass
