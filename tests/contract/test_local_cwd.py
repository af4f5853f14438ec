"""The conformance suite on the scheduler ``local_cwd``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from torchx.testing import Capability, SchedulerContract, SchedulerHarness
from torchx.testing.cases.logs import LogCases

MISSING = {
    Capability.CANCEL_PENDING: "processes start at once, nothing waits for resources",
    Capability.JOB_OUTLIVES_LAUNCHER: "a job that is not detached ends with its launcher",
    Capability.MOUNTS: "replicas see the file system of this machine as it is",
    Capability.WORKSPACE: "replicas run in the working directory itself",
}


@pytest.fixture
def harness(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SchedulerHarness]:
    # Everything happens in a place that a shell would trip over.
    place = tmp_path / "a'; echo foo"
    (place / "shared").mkdir(parents=True)
    monkeypatch.chdir(place)
    monkeypatch.setenv("TORCHX_HOME", str(place / "$HOME `id`"))
    with SchedulerHarness(
        "local_cwd", missing=MISSING, image="/", shared_dir=place / "shared"
    ) as harness:
        yield harness


class TestLocalCwd(SchedulerContract):
    pass


class TestLocalCwdWithLogDirectory(LogCases):
    """Logs that are kept where the user says."""

    @pytest.fixture(autouse=True)
    def log_directory(self, harness: SchedulerHarness, tmp_path: Path) -> None:
        harness.cfg = {"log_dir": str(tmp_path / "a'; echo logs" / "%d")}
