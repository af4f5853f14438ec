"""A simulated cluster, in a place that a shell would trip over."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.schedulers.lsf.simulator import Cluster
from torchx.schedulers.lsf_scheduler import LsfScheduler, create_scheduler


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "a'; echo foo"
    place.mkdir()
    monkeypatch.chdir(place)
    monkeypatch.setenv("TORCHX_HOME", str(place / "$HOME `id`"))
    return place


@pytest.fixture
def cluster(place: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    cluster = Cluster(place / "cluster")
    monkeypatch.setenv("PATH", f"{cluster.install()}{os.pathsep}{os.environ['PATH']}")
    return cluster


@pytest.fixture
def scheduler(cluster: Cluster) -> Iterator[LsfScheduler]:
    scheduler = create_scheduler("session")
    yield scheduler
    for app in scheduler.list():
        scheduler.cancel(app.app_id)
    scheduler.close()
