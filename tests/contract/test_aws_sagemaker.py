"""The conformance suite on `aws_sagemaker`, on a server that runs its containers as processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.schedulers.aws_sagemaker.jobs import NO_CAPACITY
from tests.schedulers.aws_sagemaker.service import ROLE, Service
from torchx.specs import AppState, macros
from torchx.testing import Capability, SchedulerContract, SchedulerHarness
from torchx.testing.cases.logs import WRITE_BYTES
from torchx.testing.cases.programs import EXIT_WITH

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
    """All cases but for those below, where SageMaker or CloudWatch is made otherwise."""

    def test_one_failed_replica_fails_the_app(self, harness: SchedulerHarness) -> None:
        """With one role, since a training job has no more."""
        role = harness.role(EXIT_WITH, macros.replica_id, num_replicas=2)
        assert harness.launch(role).wait().state == AppState.FAILED

    def test_many_replicas_of_many_roles_run(self, harness: SchedulerHarness) -> None:
        """With one role, since a training job has no more."""
        role = harness.role("import sys; print(sys.argv[1])", macros.replica_id, num_replicas=13)
        job = harness.launch(role)
        status = job.wait()
        assert [item.state for item in status.roles[0].replicas] == [AppState.SUCCEEDED] * 13
        assert [job.log(k=k) for k in range(13)] == [[f"{k}\n"] for k in range(13)]

    def test_several_roles_are_refused(self, harness: SchedulerHarness) -> None:
        roles = [harness.role("pass", name=name) for name in ("reader", "trainer")]
        with pytest.raises(
            ValueError, match=r"exactly one role, this app has 2 \(reader, trainer\)"
        ):
            harness.launch(*roles)

    @pytest.mark.parametrize("text", ["no newline", "one\nno newline", "a\rb", "\n\n", "a\n\n b"])
    def test_the_end_of_a_log_is_as_it_was_written(
        self, harness: SchedulerHarness, text: str
    ) -> None:
        """CloudWatch keeps lines without their newlines, so that the last one always has one."""
        job = harness.launch(harness.role(WRITE_BYTES, text.encode().hex()))
        job.wait()
        assert "".join(job.log()) == text.removesuffix("\n") + "\n"

    def test_binary_garbage_does_no_harm(self, harness: SchedulerHarness) -> None:
        """CloudWatch keeps lines without their newlines, so that the last one always has one."""
        garbage = bytes(range(256)) + b"\xc5\xd8\n\xf0\x9f\n" + bytes(reversed(range(256)))
        job = harness.launch(harness.role(WRITE_BYTES, garbage.hex()))
        assert job.wait().state == AppState.SUCCEEDED
        assert "".join(job.log()) == garbage.decode("utf-8", "replace") + "\n"
