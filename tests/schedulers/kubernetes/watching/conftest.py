"""Clusters for the tests of the scheduler ``kubernetes``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.servers.kubernetes.cluster import Cluster
from tests.servers.kubernetes.http_api import ApiServer, write_kubeconfig
from tests.servers.kubernetes.kubelet import Kubelet
from tests.servers.kubernetes.playback import Playback
from tests.servers.kubernetes.store import Store
from torchx.schedulers.kubernetes_scheduler import KubernetesScheduler, create_scheduler

Played = Callable[..., tuple[Playback, KubernetesScheduler]]


@pytest.fixture
def kubeconfig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "kubeconfig"
    monkeypatch.setenv("KUBECONFIG", str(path))
    monkeypatch.setenv("TORCHX_HOME", str(tmp_path / "home"))
    return path


@pytest.fixture
def scheduler() -> Iterator[KubernetesScheduler]:
    scheduler = create_scheduler("test")
    yield scheduler
    scheduler.close()


@pytest.fixture
def cluster(kubeconfig: Path) -> Iterator[Cluster]:
    with Cluster() as cluster:
        write_kubeconfig(kubeconfig, cluster.server)
        yield cluster


@pytest.fixture
def play(kubeconfig: Path, scheduler: KubernetesScheduler) -> Iterator[Played]:
    """Gives a function that opens a recorded scenario, and a scheduler that looks at it."""
    with ExitStack() as stack:

        def opened(
            scenario: str, apps: dict[str, str] | None = None
        ) -> tuple[Playback, KubernetesScheduler]:
            playback = stack.enter_context(Playback(scenario, apps))
            write_kubeconfig(kubeconfig, playback.server)
            return playback, scheduler

        yield opened


@pytest.fixture
def server(kubeconfig: Path) -> Iterator[ApiServer]:
    """An API server without controllers: what happens is what a test does."""
    store = Store()
    kubelet = Kubelet(store)
    server = ApiServer(store, kubelet, lambda kind, namespace, item: None)
    server.thread.start()
    write_kubeconfig(kubeconfig, server)
    yield server
    server.is_stopping.set()
    kubelet.stop()
    server.shutdown()
    server.server_close()


def requests_of(server: ApiServer) -> list[str]:
    """Takes the requests since the last call."""
    taken = list(server.requests)
    server.requests.clear()
    return taken
