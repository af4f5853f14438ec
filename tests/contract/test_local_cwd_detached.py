"""The conformance suite on apps of ``local_cwd`` that are not tied to their launcher."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from torchx.testing import Capability, SchedulerContract, SchedulerHarness

MISSING = {
    Capability.CANCEL_PENDING: "processes start at once, nothing waits for resources",
    Capability.MOUNTS: "replicas see the file system of this machine as it is",
    Capability.WORKSPACE: "replicas run in the working directory itself",
}


@pytest.fixture
def harness(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SchedulerHarness]:
    place = tmp_path / "a'; echo foo"
    (place / "shared").mkdir(parents=True)
    monkeypatch.chdir(place)
    monkeypatch.setenv("TORCHX_HOME", str(place / "$HOME `id`"))
    with SchedulerHarness(
        "local_cwd",
        missing=MISSING,
        cfg={"detach": True},
        image="/",
        shared_dir=place / "shared",
    ) as harness:
        yield harness


class TestDetachedLocalCwd(SchedulerContract):
    pass
