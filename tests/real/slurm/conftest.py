"""Fixtures for tests on a real cluster."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.real.slurm.cluster import CountedCommands, need_root, use_cluster
from torchx.testing import SchedulerHarness


def _harness(directory: Path) -> SchedulerHarness:
    (directory / "shared").mkdir()
    return SchedulerHarness(
        "slurm", image="/", shared_dir=directory / "shared", timeout_s=240, many_lines=1000
    )


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TORCHX_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[SchedulerHarness]:
    with use_cluster(), _harness(tmp_path) as harness:
        yield harness


@pytest.fixture
def lone_harness(tmp_path: Path) -> Iterator[SchedulerHarness]:
    need_root()
    with use_cluster(alone=True), _harness(tmp_path) as harness:
        yield harness


@pytest.fixture
def counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CountedCommands:
    directory = tmp_path / "counted"
    directory.mkdir()
    return CountedCommands(directory, monkeypatch)
