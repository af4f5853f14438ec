from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from torchx.schedulers.kubernetes_mcad_scheduler import KubernetesMCADScheduler, create_scheduler


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whoever runs the tests may have a cluster."""
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "no-kubeconfig"))
    monkeypatch.setenv("TORCHX_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)


@pytest.fixture
def scheduler() -> Iterator[KubernetesMCADScheduler]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "failed to load kube config")
        yield create_scheduler("test")


@pytest.fixture
def kubeconfig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "kubeconfig"
    monkeypatch.setenv("KUBECONFIG", str(path))
    return path


@pytest.fixture
def real() -> Iterator[KubernetesMCADScheduler]:
    """A scheduler on the cluster of the test."""
    scheduler = create_scheduler("test")
    yield scheduler
    scheduler.close()
