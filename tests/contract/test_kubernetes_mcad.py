"""The conformance suite on the scheduler ``kubernetes_mcad``, on a small cluster of processes.

The same suite runs on real clusters by ``scripts/test-kubernetes --mcad``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.kubernetes.cases import ReasonCases
from tests.servers.kubernetes.cluster import Cluster
from tests.servers.kubernetes.harness import (
    MCAD_MISSING,
    SMALL,
    SMALL_REQUESTS,
    TOO_LARGE,
    KubernetesHarness,
)
from tests.servers.kubernetes.http_api import write_kubeconfig
from torchx.testing import Capability, SchedulerContract

PROCESSES = {
    Capability.MOUNTS: "the pods of the test's cluster are processes of this machine",
    Capability.WORKSPACE: "the pods of the test's cluster have no images",
}


@pytest.fixture
def harness(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KubernetesHarness]:
    place = tmp_path / "a'; echo foo"
    (place / "shared").mkdir(parents=True)
    monkeypatch.chdir(place)
    monkeypatch.setenv("TORCHX_HOME", str(place / "$HOME `id`"))
    monkeypatch.setenv("KUBECONFIG", str(place / "kubeconfig"))
    with Cluster(has_volcano=False) as cluster:
        write_kubeconfig(place / "kubeconfig", cluster.server)
        with KubernetesHarness(
            "kubernetes_mcad",
            missing={**MCAD_MISSING, **PROCESSES},
            runner="tests.servers.kubernetes.harness:make_unstamped_runner",
            cfg={"requeue_after_s": 1, **SMALL_REQUESTS},
            image="image",
            resource=SMALL,
            held_resource=TOO_LARGE,
            shared_dir=place / "shared",
            unknown_app_id="default:does-not-exist",
        ) as harness:
            yield harness


class TestAppWrappers(ReasonCases, SchedulerContract):
    pass
