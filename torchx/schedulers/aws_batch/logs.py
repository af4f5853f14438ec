"""Finds and opens the logs of replicas."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torchx.errors import TorchXError
from torchx.schedulers.aws.cloudwatch import CloudWatchSource, LogPlace, LogWindow, Pacer
from torchx.schedulers.aws_batch.jobs import Jobs
from torchx.schedulers.aws_batch.parse import groups_of, stopped_for_s
from torchx.schedulers.streams import LogStream

DEFAULT_LOG_GROUP = "/aws/batch/job"


class NoSuchReplicaError(TorchXError, ValueError):
    """An app has no such role or replica."""


class NoLogException(TorchXError, ValueError):
    """A job writes its log to another place than CloudWatch."""


@dataclass(frozen=True)
class Replica:
    """Whose log is wanted.

    Attributes:
        app_id: Id of the app.
        role: Name of the role.
        number: Number of the replica within the role.
    """

    app_id: str
    role: str
    number: int


def node_of(job: Mapping[str, Any], replica: Replica) -> int | None:
    """Finds the node that a replica is.

    Args:
        job: Description of the job.
        replica: The replica.

    Returns:
        Number of the node; ``None`` if the job has no nodes.

    Raises:
        NoSuchReplicaError: The job has no such replica.
    """
    groups = groups_of(job)
    for name, start, number, _ in groups:
        if name == replica.role and 0 <= replica.number < number:
            return start + replica.number if "nodeProperties" in job else None
    known = ", ".join(f"{name} (0 to {number - 1})" for name, _, number, _ in groups)
    raise NoSuchReplicaError(
        f"the app `{replica.app_id}` has no replica {replica.role}/{replica.number};"
        f" its roles and replicas are: {known}",
        hint="name one of them",
    )


def log_places(job: Mapping[str, Any], replica: Replica) -> list[LogPlace]:
    """Finds the log streams of a replica, one for each attempt.

    Args:
        job: Description of its node, or of a job of one container.
        replica: The replica.

    Returns:
        The streams that are known by now, in order.

    Raises:
        NoLogException: The log goes elsewhere.
    """
    container = job.get("container") or {}
    config = container.get("logConfiguration") or {}
    driver = config.get("logDriver", "awslogs")
    if driver != "awslogs":
        raise NoLogException(
            f"the log of `{replica.app_id}` is written by the driver {driver}, not to CloudWatch",
            hint="look where that driver writes to",
        )
    group = (config.get("options") or {}).get("awslogs-group") or DEFAULT_LOG_GROUP
    containers = [attempt.get("container") or {} for attempt in job.get("attempts") or ()]
    # That of the running attempt, which is not among the others yet.
    containers.append(container)
    names = [each.get("logStreamName") for each in containers]
    return [LogPlace(group, name) for name in dict.fromkeys(names) if name]


def open_log(
    jobs: Jobs,
    logs_client: Callable[[], Any],
    job: Mapping[str, Any],
    replica: Replica,
    window: LogWindow,
    regex: str | None,
    is_over: Callable[[], bool] | None,
    pacer: Pacer,
) -> LogStream:
    """Opens the log of a replica.

    Args:
        jobs: Finds jobs.
        logs_client: Gives the client of CloudWatch.
        job: Description of the job.
        replica: The replica.
        window: Which part of the log.
        regex: Keep only lines in which this is found.
        is_over: Tells whether the app has ended; ``None`` reads to the end of what is there.
        pacer: Shared by all logs that are followed.

    Returns:
        The log.

    Raises:
        NoSuchReplicaError: There is no such replica.
    """
    node = node_of(job, replica)
    first = [job] if node is None else []

    def find_streams() -> list[LogPlace]:
        known = first.pop() if first else jobs.find(replica.app_id, node)
        return [] if known is None else log_places(known, replica)

    already_s = stopped_for_s(job, time.time() * 1000)

    def over_for_s() -> float | None:
        if already_s is not None:
            return already_s
        return 0.0 if is_over is not None and is_over() else None

    return LogStream(
        CloudWatchSource(
            logs_client(),
            find_streams,
            window,
            over_for_s=None if is_over is None else over_for_s,
            pacer=pacer,
        ),
        regex,
    )
