"""Logs as pages in the form that CloudWatch documents, replayed to the real client."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.schedulers.aws_sagemaker.service import Answer, Refused, Service
from torchx.schedulers.api import Stream
from torchx.schedulers.aws_sagemaker_scheduler import create_scheduler
from torchx.specs.handle import UnknownAppException

RECORDED = Path(__file__).parents[2] / "fixtures" / "aws_sagemaker" / "logs.json"
ENDED: Answer = {
    "TrainingJobName": "run-x1",
    "TrainingJobArn": "arn:aws:sagemaker:us-west-2:123456789012:training-job/run-x1",
    "TrainingJobStatus": "Completed",
    "SecondaryStatus": "Completed",
    "AlgorithmSpecification": {"TrainingInputMode": "File"},
    "ResourceConfig": {"InstanceCount": 1},
    "Environment": {"TORCHX_ROLE_NAME": "trainer"},
    "TrainingEndTime": 1772536735.0,
}
LINES = [
    "epoch 1: loss 2.31\n",
    "  99%|█████████▉| 99/100 [00:01<00:00]\r 100%|██████████| 100/100 [00:01<00:00]\n",
    "restored s3://bucket/checkpoints/epoch-1\n",
    "\n",
    "epoch 2: loss 1.97\n",
]


class Replay(Service):
    """Answers what was recorded for a request, and nothing else."""

    def answer(self, operation: str, request: Answer) -> Answer:
        self.calls.append(operation)
        if operation == "DescribeTrainingJob":
            if request["TrainingJobName"] != ENDED["TrainingJobName"]:
                raise Refused("ValidationException", "Requested resource not found.")
            return ENDED
        if operation == "ListTrainingJobs":
            return {"TrainingJobSummaries": [ENDED]}
        found = [
            item["response"]
            for item in json.loads(RECORDED.read_text())
            if (item["operation"], item["request"]) == (operation, request)
        ]
        assert found, f"{operation} was not recorded with {request}"
        answer: Answer = found[0]
        return answer


@pytest.fixture
def scheduler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    with Replay(tmp_path) as service:
        for name, value in service.env.items():
            monkeypatch.setenv(name, value)
        scheduler = create_scheduler("session")
        yield scheduler
        scheduler.close()


@pytest.mark.parametrize("follows", [False, True])
def test_all_pages_of_all_starts_are_read_in_order(scheduler: Any, follows: bool) -> None:
    assert list(scheduler.log_iter("run-x1", "trainer", should_tail=follows)) == LINES


def test_lines_are_filtered(scheduler: Any) -> None:
    lines = list(scheduler.log_iter("run-x1", "trainer", regex="^epoch"))
    assert lines == [LINES[0], LINES[4]]


@pytest.mark.parametrize("stream", [Stream.STDOUT, Stream.STDERR])
def test_one_of_the_outputs_alone_is_refused(scheduler: Any, stream: Stream) -> None:
    with pytest.raises(ValueError, match="only supports COMBINED"):
        scheduler.log_iter("run-x1", "trainer", streams=stream)


@pytest.mark.parametrize(("role", "k"), [("other", 0), ("trainer", 1), ("trainer", -1)])
def test_a_replica_that_there_is_not_is_an_error_at_once(scheduler: Any, role: str, k: int) -> None:
    with pytest.raises(RuntimeError, match="its role is trainer, with the replicas 0 to 0"):
        scheduler.log_iter("run-x1", role, k)


def test_a_job_that_there_is_not_is_an_error_at_once(scheduler: Any) -> None:
    with pytest.raises(UnknownAppException):
        scheduler.log_iter("unknown", "trainer", should_tail=True)
