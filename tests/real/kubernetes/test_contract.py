"""The conformance suite with real pods; see ``scripts/test-kubernetes``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.real.kubernetes.conftest import need, open_harness
from tests.servers.kubernetes.cases import ReasonCases
from tests.servers.kubernetes.harness import (
    MCAD_MISSING,
    PLAIN_MISSING,
    VOLCANO_MISSING,
    KubernetesHarness,
)
from torchx.specs import AppState
from torchx.testing import SchedulerContract
from torchx.testing.cases.lifecycle import LifecycleCases

HOARD = "held = [bytearray(1 << 20) for _ in range(4096)]; print(len(held))"


class TestPlainJobs(ReasonCases, SchedulerContract):
    @pytest.fixture
    def harness(self, tmp_path: Path) -> Iterator[KubernetesHarness]:
        with open_harness(tmp_path, PLAIN_MISSING, {}) as harness:
            yield harness

    def test_running_out_of_memory_is_said(self, harness: KubernetesHarness) -> None:
        status = harness.launch(harness.role(HOARD)).wait()
        assert status.state == AppState.FAILED
        assert "ran out of memory" in status.msg
        assert "128M" in status.msg


@pytest.mark.filterwarnings("ignore:role `job` has max_retries")
class TestVolcanoJobs(ReasonCases, SchedulerContract):
    @pytest.fixture
    def harness(self, tmp_path: Path) -> Iterator[KubernetesHarness]:
        need("VOLCANO", "--volcano")
        with open_harness(
            tmp_path,
            VOLCANO_MISSING,
            {"queue": need("VOLCANO_QUEUE", "--volcano-queue QUEUE")},
            runner="tests.servers.kubernetes.harness:make_unstamped_runner",
        ) as harness:
            yield harness


class TestPlainJobsThroughKueue(LifecycleCases):
    @pytest.fixture
    def harness(self, tmp_path: Path) -> Iterator[KubernetesHarness]:
        queue = need("KUEUE", "--kueue QUEUE")
        with open_harness(tmp_path, PLAIN_MISSING, {"kueue_queue": queue}) as harness:
            yield harness


class TestAppWrappers(ReasonCases, SchedulerContract):
    @pytest.fixture
    def harness(self, tmp_path: Path) -> Iterator[KubernetesHarness]:
        need("MCAD", "--mcad")
        # All pods have to run by then, or MCAD starts the app again.
        cfg = {"requeue_after_s": 30}
        with open_harness(
            tmp_path,
            MCAD_MISSING,
            cfg,
            "kubernetes_mcad",
            runner="tests.servers.kubernetes.harness:make_unstamped_runner",
        ) as harness:
            yield harness
