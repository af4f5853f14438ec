"""The conformance suite on the scheduler ``kubernetes``, on a small cluster that runs processes.

The same suite runs on real clusters by ``scripts/test-kubernetes``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.kubernetes.cases import ReasonCases
from tests.servers.kubernetes.cluster import Cluster
from tests.servers.kubernetes.harness import (
    PLAIN_MISSING,
    SMALL,
    SMALL_REQUESTS,
    TOO_LARGE,
    VOLCANO_MISSING,
    KubernetesHarness,
)
from tests.servers.kubernetes.http_api import write_kubeconfig
from torchx.testing import Capability, SchedulerContract

PROCESSES = {
    Capability.MOUNTS: "the pods of the test's cluster are processes of this machine",
    Capability.WORKSPACE: "the pods of the test's cluster have no images",
}


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    place = tmp_path / "a'; echo foo"
    (place / "shared").mkdir(parents=True)
    monkeypatch.chdir(place)
    monkeypatch.setenv("TORCHX_HOME", str(place / "$HOME `id`"))
    monkeypatch.setenv("KUBECONFIG", str(place / "kubeconfig"))
    with Cluster() as cluster:
        write_kubeconfig(place / "kubeconfig", cluster.server)
        yield cluster


@pytest.mark.usefixtures("cluster")
class TestPlainJobs(ReasonCases, SchedulerContract):
    @pytest.fixture
    def harness(self, cluster: Cluster, tmp_path: Path) -> Iterator[KubernetesHarness]:
        with KubernetesHarness(
            "kubernetes",
            missing={**PLAIN_MISSING, **PROCESSES},
            cfg=SMALL_REQUESTS,
            image="image",
            resource=SMALL,
            held_resource=TOO_LARGE,
            shared_dir=tmp_path / "a'; echo foo" / "shared",
            unknown_app_id="default:does-not-exist",
        ) as harness:
            yield harness


@pytest.mark.filterwarnings("ignore:role `job` has max_retries")
@pytest.mark.usefixtures("cluster")
class TestVolcanoJobs(ReasonCases, SchedulerContract):
    @pytest.fixture
    def harness(self, cluster: Cluster, tmp_path: Path) -> Iterator[KubernetesHarness]:
        with KubernetesHarness(
            "kubernetes",
            missing={**VOLCANO_MISSING, **PROCESSES},
            runner="tests.servers.kubernetes.harness:make_unstamped_runner",
            cfg={"queue": "q", **SMALL_REQUESTS},
            image="image",
            resource=SMALL,
            held_resource=TOO_LARGE,
            shared_dir=tmp_path / "a'; echo foo" / "shared",
            unknown_app_id="default:does-not-exist",
        ) as harness:
            yield harness
