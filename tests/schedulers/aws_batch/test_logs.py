"""Which log streams are read for which replica."""

from __future__ import annotations

from typing import Any

import pytest

from tests.schedulers.aws_batch.wire import FakeBatch
from torchx.schedulers.aws_batch.logs import NoLogException, NoSuchReplicaError
from torchx.schedulers.aws_batch_scheduler import AWSBatchScheduler

ROLES = [("reader", "0:1"), ("trainer", "2:4")]


def container_of(role: str) -> dict[str, Any]:
    return {"image": "i", "environment": [{"name": "TORCHX_ROLE_NAME", "value": role}]}


def add_nodes(service: FakeBatch, status: str = "SUCCEEDED") -> dict[str, Any]:
    groups = [{"targetNodes": target, "container": container_of(role)} for role, target in ROLES]
    nodes = {"numNodes": 5, "nodeRangeProperties": groups}
    job = service.add_job("x", status=status, nodeProperties=nodes, stoppedAt=1)
    del job["container"]
    for index in range(5):
        stream = f"s/{index}"
        service.jobs[f"{job['jobId']}#{index}"] = {
            "jobName": "x",
            "status": status,
            "attempts": [{"container": {"logStreamName": stream}}],
            "container": {"logStreamName": stream},
        }
        service.events[stream] = [(1, f"of node {index}")]
    return job


def read(scheduler: AWSBatchScheduler, role: str, k: int = 0, **options: Any) -> list[str]:
    return list(scheduler.log_iter("q:x", role, k, **options))


@pytest.mark.parametrize(
    ("role", "k", "node"),
    [("reader", 0, 0), ("reader", 1, 1), ("trainer", 0, 2), ("trainer", 2, 4)],
)
def test_each_replica_has_the_log_of_its_node(
    scheduler: AWSBatchScheduler, service: FakeBatch, role: str, k: int, node: int
) -> None:
    add_nodes(service)
    assert read(scheduler, role, k) == [f"of node {node}\n"]
    assert service.counts == {"listjobs": 1, "describejobs": 2, "getlogevents": 2}


@pytest.mark.parametrize(("role", "k"), [("writer", 0), ("reader", 2), ("reader", -1)])
def test_a_replica_that_does_not_exist_is_an_error_that_names_those_that_do(
    scheduler: AWSBatchScheduler, service: FakeBatch, role: str, k: int
) -> None:
    add_nodes(service)
    with pytest.raises(NoSuchReplicaError, match=r"reader \(0 to 1\), trainer \(0 to 2\)"):
        read(scheduler, role, k)


def test_all_attempts_are_read(scheduler: AWSBatchScheduler, service: FakeBatch) -> None:
    job = service.add_job("x", status="RUNNING", container=container_of("job"))
    job["attempts"] = [{"container": {"logStreamName": "first"}}]
    job["container"]["logStreamName"] = "second"
    service.events = {"first": [(1, "a")], "second": [(2, "b")]}
    assert read(scheduler, "job") == ["a\n", "b\n"]


def test_a_job_that_has_not_started_has_an_empty_log(
    scheduler: AWSBatchScheduler, service: FakeBatch
) -> None:
    service.add_job("x", container=container_of("job"))
    assert read(scheduler, "job") == []
    assert service.counts["getlogevents"] == 0


def test_a_node_that_is_not_known_has_an_empty_log(
    scheduler: AWSBatchScheduler, service: FakeBatch
) -> None:
    job = add_nodes(service)
    del service.jobs[f"{job['jobId']}#0"]
    assert read(scheduler, "reader") == []


def test_an_unknown_job_has_no_log(scheduler: AWSBatchScheduler) -> None:
    assert read(scheduler, "job") == []


def test_following_a_job_that_vanishes_ends(
    scheduler: AWSBatchScheduler, service: FakeBatch
) -> None:
    service.add_job("x", status="RUNNING", container=container_of("job"))
    lines = scheduler.log_iter("q:x", "job", should_tail=True)
    service.jobs.clear()
    assert list(lines) == []


def test_following_begins_before_the_job_does(
    scheduler: AWSBatchScheduler, service: FakeBatch
) -> None:
    job = service.add_job("x", container=container_of("job"))
    calls = service.call

    def call(operation: str, body: dict[str, Any], path: str) -> dict[str, Any]:
        if service.counts["describejobs"] == 3 and "logStreamName" not in job["container"]:
            job["status"] = "RUNNING"
            job["container"]["logStreamName"] = "s"
            service.events["s"] = [(1, "a")]
        if service.counts["getlogevents"] == 2:
            job.update(status="SUCCEEDED", stoppedAt=1)
            service.events["s"].append((2, "b"))
            service.counts["getlogevents"] += 1
        return calls(operation, body, path)

    service.call = call  # type: ignore[method-assign]
    assert read(scheduler, "job", should_tail=True) == ["a\n", "b\n"]


def test_the_log_group_of_the_job_is_used(scheduler: AWSBatchScheduler, service: FakeBatch) -> None:
    group = {"logDriver": "awslogs", "options": {"awslogs-group": "/my/group"}}
    container = {**container_of("job"), "logStreamName": "s", "logConfiguration": group}
    service.add_job("x", status="RUNNING", container=container)
    service.events["s"] = [(1, "a")]
    asked: list[str] = []
    calls = service.call

    def call(operation: str, body: dict[str, Any], path: str) -> dict[str, Any]:
        if operation == "getlogevents":
            asked.append(body["logGroupName"])
        return calls(operation, body, path)

    service.call = call  # type: ignore[method-assign]
    assert read(scheduler, "job") == ["a\n"]
    assert set(asked) == {"/my/group"}


def test_a_log_that_goes_elsewhere_is_an_error(
    scheduler: AWSBatchScheduler, service: FakeBatch
) -> None:
    container = {**container_of("job"), "logConfiguration": {"logDriver": "splunk"}}
    service.add_job("x", status="RUNNING", container=container)
    with pytest.raises(NoLogException, match="splunk"):
        read(scheduler, "job")
