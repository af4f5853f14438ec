"""The conformance suite on `aws_sagemaker`, on a server that runs its containers as processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.schedulers.aws_sagemaker.jobs import NO_CAPACITY
from tests.schedulers.aws_sagemaker.service import ROLE, Service
from torchx.testing import Capability, SchedulerContract, SchedulerHarness

MISSING = {
    Capability.MOUNTS: "a training job has no mounts",
    Capability.RANK0_HOST: "only the network of SageMaker resolves the names of its instances",
    Capability.RETRY_APPLICATION: "SageMaker tries again only when it fails itself",
    Capability.RETRY_REPLICA: "SageMaker tries again only when it fails itself",
    Capability.RETRY_ROLE: "SageMaker tries again only when it fails itself",
    Capability.SEPARATE_STREAMS: "both outputs of an instance are one log",
}


@pytest.fixture
def harness(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SchedulerHarness]:
    # Everything happens in a place that a shell would trip over.
    place = tmp_path / "a'; echo foo"
    (place / "shared").mkdir(parents=True)
    monkeypatch.setenv("TORCHX_HOME", str(place / "$HOME `id`"))
    with Service(tmp_path / "instances") as service:
        for name, value in service.env.items():
            monkeypatch.setenv(name, value)
        with SchedulerHarness(
            "aws_sagemaker",
            missing=MISSING,
            image="image:1",
            cfg={
                "role": ROLE,
                "instance_type": "ml.m5.large",
                "output_path": "s3://bucket/results",
            },
            held_cfg={"instance_type": NO_CAPACITY},
            shared_dir=place / "shared",
        ) as harness:
            yield harness


class TestSageMaker(SchedulerContract):
    pass
