"""The conformance suite on the scheduler ``local_cwd``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from torchx.testing import Capability, SchedulerContract, SchedulerHarness

MISSING = {
    Capability.CANCEL_PENDING: "processes start at once, nothing waits for resources",
    Capability.JOB_OUTLIVES_LAUNCHER: "a job that is not detached ends with its launcher",
    Capability.MOUNTS: "replicas see the file system of this machine as it is",
    Capability.WORKSPACE: "replicas run in the working directory itself",
}


@pytest.fixture
def harness(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SchedulerHarness]:
    monkeypatch.setenv("TORCHX_HOME", str(tmp_path / "home"))
    (tmp_path / "shared").mkdir()
    with SchedulerHarness(
        "local_cwd", missing=MISSING, image="/", shared_dir=tmp_path / "shared"
    ) as harness:
        yield harness


class TestLocalCwd(SchedulerContract):
    pass
