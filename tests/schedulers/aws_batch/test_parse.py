"""Jobs of any kind, whoever submitted them, as descriptions for people."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchx.schedulers.aws_batch import parse
from torchx.schedulers.aws_batch.nodes import node_properties
from torchx.schedulers.aws_batch.reasons import explain
from torchx.specs import (
    NONE,
    AppState,
    BindMount,
    DeviceMount,
    Resource,
    Role,
    VolumeMount,
)
from torchx.specs.named_resources_aws import aws_p3_2xlarge

CONTAINER = {
    "image": "i",
    "command": ["echo", "x"],
    "environment": [{"name": "TORCHX_ROLE_NAME", "value": "trainer"}],
    "resourceRequirements": [
        {"type": "VCPU", "value": "0.25"},
        {"type": "MEMORY", "value": "512"},
    ],
}


def node_job(**changes: Any) -> dict[str, Any]:
    groups = [
        {"targetNodes": "0", "container": {"image": "a"}},
        {"targetNodes": "1:", "container": CONTAINER},
    ]
    return {
        "jobArn": "arn:aws:batch:us-east-1:1:job/x",
        "status": "RUNNING",
        "nodeProperties": {"numNodes": 3, "nodeRangeProperties": groups},
        **changes,
    }


@pytest.mark.parametrize(
    ("job", "state"),
    [
        ({"status": "STARTING"}, AppState.PENDING),
        ({"status": "FAILED"}, AppState.FAILED),
        ({"status": "FAILED", "isCancelled": True}, AppState.CANCELLED),
        ({"status": "FAILED", "isTerminated": True}, AppState.CANCELLED),
        ({"status": "FAILED", "statusReason": "killed via torchx CLI"}, AppState.CANCELLED),
        ({"status": "SUCCEEDED", "isTerminated": True}, AppState.SUCCEEDED),
        ({"status": "HIBERNATING"}, AppState.UNKNOWN),
        ({}, AppState.UNKNOWN),
    ],
)
def test_states(job: dict[str, Any], state: AppState) -> None:
    assert parse.app_state(job) == state


def test_a_new_state_is_told() -> None:
    status = parse.describe_job("q:x", {"status": "HIBERNATING"})
    assert status.state == AppState.UNKNOWN
    assert "HIBERNATING" in status.msg


def test_a_job_of_one_container_that_torchx_has_not_made() -> None:
    job = {
        "jobArn": "arn:aws:batch:us-east-1:1:job/x",
        "status": "SUCCEEDED",
        "container": {"image": "busybox", "vcpus": 2, "memory": 128, "command": []},
    }
    status = parse.describe_job("q:x", job)
    (role,) = status.roles
    assert (role.name, role.num_replicas, role.image) == ("node", 1, "busybox")
    assert role.resource == Resource(2, 0, 128)
    assert status.ui_url == (
        "https://us-east-1.console.aws.amazon.com/batch/home?region=us-east-1#jobs/detail/x"
    )


def test_a_job_of_several_nodes() -> None:
    nodes = [
        {"status": "SUCCEEDED", "nodeProperties": {"nodeIndex": 0}},
        {
            "status": "FAILED",
            "nodeProperties": {"nodeIndex": 2},
            "container": {"exitCode": 137},
            "statusReason": "Essential container in task exited",
        },
    ]
    status = parse.describe_job("q:x", node_job(status="FAILED"), nodes)
    assert [(role.name, role.num_replicas) for role in status.roles] == [
        ("node", 1),
        ("trainer", 2),
    ]
    assert [
        (role.role, [(item.id, item.state.name) for item in role.replicas])
        for role in status.roles_statuses
    ] == [
        ("node", [(0, "SUCCEEDED")]),
        ("trainer", [(0, "FAILED"), (1, "FAILED")]),
    ]
    assert status.msg == "trainer/1: exit code 137 (signal 9)"


def test_what_was_submitted_is_told_again() -> None:
    role = Role(
        "trainer",
        "image",
        entrypoint="python",
        args=["-m", "x"],
        env={"TORCHX_ROLE_NAME": "trainer", "A": "1"},
        num_replicas=2,
        max_retries=3,
        resource=aws_p3_2xlarge(),
        mounts=[
            BindMount("/a", "/b", read_only=True),
            VolumeMount("fs-1@fsap-2:/d", "/e"),
            VolumeMount("fs-3", "/f", read_only=True),
            DeviceMount("/dev/x", "/dev/y", "rw"),
        ],
    )
    groups = [node_properties(role, 0)]
    job = {
        "status": "RUNNING",
        "retryStrategy": {"attempts": 3},
        "nodeProperties": {"numNodes": 2, "nodeRangeProperties": groups},
    }
    assert parse.describe_job("q:x", job).roles == [role]


@pytest.mark.parametrize(
    ("job", "restarts"),
    [
        ({"status": "RUNNABLE"}, 0),
        ({"status": "RUNNING", "attempts": [{"stoppedAt": 1}]}, 1),
        ({"status": "RUNNING", "attempts": [{"startedAt": 1}]}, 0),
        ({"status": "FAILED", "attempts": [{"stoppedAt": 1}, {"stoppedAt": 2}]}, 1),
        ({"status": "FAILED"}, 0),
    ],
)
def test_restarts_are_counted(job: dict[str, Any], restarts: int) -> None:
    assert parse.describe_job("q:x", job).num_restarts == restarts


@pytest.mark.parametrize(
    ("job", "said"),
    [
        (
            {"statusReason": "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - Service cannot fulfill"},
            "AWS has no free instance of these types now",
        ),
        (
            {"statusReason": "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT - too large"},
            "no instance type of the compute environment is large enough",
        ),
        ({"statusReason": "Host EC2 (instance i-1) terminated."}, "retry_on=host"),
        ({"statusReason": "Job attempt duration exceeded timeout"}, "longer than its time limit"),
        (
            {"container": {"reason": "CannotPullContainerError: no such image x"}},
            "could not pull its image: check the name, and the rights of execution_role_arn (Can",
        ),
        (
            {
                "statusReason": "Essential container in task exited",
                "container": {
                    "reason": "OutOfMemoryError: Container killed due to memory usage",
                    "exitCode": 137,
                },
            },
            "exit code 137: it used more memory than it had asked for",
        ),
        (
            {"attempts": [{"container": {"exitCode": 3}}], "container": {}},
            "exit code 3",
        ),
        ({"statusReason": "Something  new\nhappened"}, "Something new happened"),
    ],
)
def test_reasons_are_sentences(job: dict[str, Any], said: str) -> None:
    assert said in explain({"status": "FAILED", **job})
    assert said in parse.describe_job("q:x", {"status": "FAILED", **job}).msg


@pytest.mark.parametrize(
    ("job", "message"),
    [
        ({"status": "SUCCEEDED"}, NONE),
        ({"status": "RUNNABLE"}, "waits for a free host in the environments of its queue"),
        ({"status": "STARTING"}, "has a host, and pulls its image"),
        ({"status": "FAILED"}, "AWS Batch gives no reason for the status FAILED"),
    ],
)
def test_without_a_reason_the_state_is_explained(job: dict[str, Any], message: str) -> None:
    assert parse.describe_job("q:x", job).msg == message


def test_how_long_ago_a_job_has_ended() -> None:
    assert parse.stopped_for_s({"status": "RUNNING"}, 5000) is None
    assert parse.stopped_for_s({"status": "SUCCEEDED", "stoppedAt": 2000}, 5000) == 3.0
    assert parse.stopped_for_s({"status": "SUCCEEDED"}, 5000) == 0.0


TEXT = st.text(max_size=5)
FOREIGN = st.fixed_dictionaries(
    {},
    optional={
        "status": st.sampled_from(["RUNNING", "FAILED", "NEW"]),
        "statusReason": TEXT,
        "jobArn": TEXT,
        "attempts": st.lists(
            st.fixed_dictionaries(
                {}, optional={"container": st.none(), "stoppedAt": st.integers()}
            ),
            max_size=2,
        ),
        "container": st.one_of(
            st.none(),
            st.fixed_dictionaries(
                {},
                optional={
                    "image": TEXT,
                    "command": st.one_of(st.none(), st.lists(TEXT, max_size=2)),
                    "environment": st.one_of(
                        st.none(), st.lists(st.fixed_dictionaries({"name": TEXT}), max_size=2)
                    ),
                    "vcpus": st.integers(0, 4),
                    "mountPoints": st.lists(st.fixed_dictionaries({"containerPath": TEXT})),
                    "linuxParameters": st.one_of(st.none(), st.just({"devices": None})),
                },
            ),
        ),
        "retryStrategy": st.sampled_from([None, {}, {"attempts": 2}]),
        "tags": st.sampled_from([None, {}]),
    },
)


@given(FOREIGN)
def test_no_job_is_too_strange_to_be_described(job: dict[str, Any]) -> None:
    status = parse.describe_job("q:x", job)
    assert status.app_id == "q:x"
    assert len(status.roles) == 1
    assert not parse.is_ours(job)
