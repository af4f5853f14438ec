"""What SageMaker answers, in the words of torchx."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchx.schedulers.aws_sagemaker import parse
from torchx.specs import AppState

ARN = "arn:aws:sagemaker:us-west-2:123456789012:training-job/"
CONSOLE = "us-west-2.console.aws.amazon.com/sagemaker/home?region=us-west-2#jobs/"


@pytest.mark.parametrize(
    ("status", "detail", "state"),
    [
        ("InProgress", "", AppState.RUNNING),
        ("InProgress", "Pending", AppState.PENDING),
        ("InProgress", "Starting", AppState.PENDING),
        ("InProgress", "DownloadingTrainingImage", AppState.PENDING),
        ("InProgress", "Interrupted", AppState.PENDING),
        ("InProgress", "Training", AppState.RUNNING),
        ("InProgress", "Uploading", AppState.RUNNING),
        ("InProgress", "SomethingNew", AppState.RUNNING),
        ("Stopping", "Stopping", AppState.RUNNING),
        ("Stopped", "Stopped", AppState.CANCELLED),
        ("Stopped", "MaxRuntimeExceeded", AppState.FAILED),
        ("Stopped", "MaxWaitTimeExceeded", AppState.FAILED),
        ("Completed", "Completed", AppState.SUCCEEDED),
        ("Failed", "Failed", AppState.FAILED),
        ("Deleting", "", AppState.UNKNOWN),
        ("", "", AppState.UNKNOWN),
    ],
)
def test_states(status: str, detail: str, state: AppState) -> None:
    assert parse.state_of({"TrainingJobStatus": status, "SecondaryStatus": detail}) == state


@pytest.mark.parametrize(
    ("reason", "sentence"),
    [
        ("AlgorithmError: , exit code: 42", "the program failed with exit code 42"),
        (
            "AlgorithmError: CUDA out of memory, exit code: 1",
            "the program failed with exit code 1: CUDA out of memory",
        ),
        (
            'AlgorithmError: {"message": {"message": "no cheese", "extraInfo": {}}}, exit code: 1',
            "the program failed with exit code 1: no cheese",
        ),
        (
            "CapacityError: Unable to provision requested ML compute capacity.",
            (
                "AWS has no such instances free now; try later, another `instance_type` or other"
                " `subnets`: Unable to provision requested ML compute capacity."
            ),
        ),
        (
            "InternalServerError: We encountered an internal error. Please try again.",
            (
                "SageMaker itself failed; see the run option `max_retry_attempts`: We encountered"
                " an internal error. Please try again."
            ),
        ),
        ("NewError: who knows", "NewError: who knows"),
        ("no kind at all", "no kind at all"),
        ("AlgorithmError: password=open-sesame", "the program failed: password=<redacted>"),
    ],
)
def test_reasons(reason: str, sentence: str) -> None:
    answer = {"TrainingJobStatus": "Failed", "FailureReason": reason}
    assert parse.message_of(answer) == sentence


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (
            {
                "TrainingJobStatus": "InProgress",
                "SecondaryStatus": "Pending",
                "SecondaryStatusTransitions": [
                    {"Status": "Starting", "StatusMessage": "Preparing"},
                    {"Status": "Pending", "StatusMessage": "Insufficient capacity, retrying"},
                ],
            },
            "it waits for instances (Insufficient capacity, retrying)",
        ),
        ({"TrainingJobStatus": "InProgress", "SecondaryStatus": "Training"}, ""),
        ({"TrainingJobStatus": "Stopping"}, "it is being stopped"),
        (
            {"TrainingJobStatus": "Stopped", "SecondaryStatus": "MaxRuntimeExceeded"},
            "it ran longer than the run option `max_run` allows, and was ended",
        ),
        ({"TrainingJobStatus": "Frozen"}, "SageMaker calls its state Frozen"),
    ],
)
def test_messages(answer: dict[str, Any], message: str) -> None:
    assert parse.message_of(answer) == message


def test_an_error_file_that_was_cut_is_still_told() -> None:
    cut = "AlgorithmError: " + json.dumps({"message": "x" * 100})[:60] + ", exit code: 1"
    answer = {"TrainingJobStatus": "Failed", "FailureReason": cut}
    error = json.loads(parse.describe(answer).structured_error_msg)
    assert error["message"].startswith('{"message": "xxx')


@pytest.mark.parametrize(
    ("arn", "url"),
    [
        (
            f"{ARN}job-id",
            "us-west-2.console.aws.amazon.com/sagemaker/home?region=us-west-2#jobs/job-id",
        ),
        (f"{ARN}42)", f"{CONSOLE}42"),
        (
            f"{ARN}Run-A",
            "us-west-2.console.aws.amazon.com/sagemaker/home?region=us-west-2#jobs/Run-A",
        ),
        (
            "arn:aws-cn:sagemaker:cn-north-1:1:training-job/x",
            "cn-north-1.console.amazonaws.cn/sagemaker/home?region=cn-north-1#jobs/x",
        ),
        ("invalid-arn", None),
        (ARN.rstrip("/"), None),
    ],
)
def test_pages(arn: str, url: str | None) -> None:
    assert parse.ui_url(arn) == (None if url is None else f"https://{url}")


def test_a_description_tells_all_that_sagemaker_tells() -> None:
    created = datetime(2026, 3, 3, tzinfo=timezone.utc)
    found = parse.describe(
        {
            "TrainingJobName": "run-1",
            "TrainingJobArn": f"{ARN}run-1",
            "TrainingJobStatus": "InProgress",
            "SecondaryStatus": "Training",
            "SecondaryStatusTransitions": [
                {"Status": "Training"},
                {"Status": "Interrupted"},
                {"Status": "Training"},
            ],
            "AlgorithmSpecification": {
                "TrainingImage": "image:1",
                "ContainerEntrypoint": ["python"],
                "ContainerArguments": ["x.py", "--token", "open-sesame"],
            },
            "Environment": {"TORCHX_ROLE_NAME": "trainer", "MY_SECRET": "open-sesame"},
            "ResourceConfig": {"InstanceType": "ml.p3.2xlarge", "InstanceCount": 2},
            "CreationTime": created,
            "BillableTimeInSeconds": 7,
        }
    )
    role = found.roles[0]
    assert (role.name, role.image, role.num_replicas) == ("trainer", "image:1", 2)
    assert (role.entrypoint, role.args[0], role.resource.gpu) == ("python", "x.py", 1)
    assert "open-sesame" not in repr(found)
    assert [item.hostname for item in found.roles_statuses[0].replicas] == ["algo-1", "algo-2"]
    assert found.num_restarts == 1
    assert found.metadata["created_at"] == created.isoformat()
    assert found.metadata["billable_seconds"] == "7"


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@given(
    status=st.text(),
    detail=st.text(),
    reason=st.text()
    | st.just("AlgorithmError: {")
    | _JSON.map(lambda x: f"AError: {json.dumps(x)}"),
)
def test_no_answer_is_an_error(status: str, detail: str, reason: str) -> None:
    answer = {"TrainingJobStatus": status, "SecondaryStatus": detail, "FailureReason": reason}
    assert isinstance(parse.describe(answer).state, AppState)


def test_a_job_that_torchx_did_not_make_is_described() -> None:
    found = parse.describe(
        {
            "TrainingJobName": "other",
            "TrainingJobStatus": "Completed",
            "AlgorithmSpecification": {"AlgorithmName": "xgboost", "TrainingInputMode": "File"},
            "ResourceConfig": {
                "InstanceGroups": [
                    {"InstanceType": "ml.m5.large", "InstanceCount": 2, "InstanceGroupName": "a"},
                    {"InstanceType": "ml.m5.large", "InstanceCount": 1, "InstanceGroupName": "b"},
                ]
            },
        }
    )
    assert (found.roles[0].name, found.roles[0].image) == ("training", "xgboost")
    assert found.roles[0].num_replicas == 3
