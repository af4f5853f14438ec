"""Finds and opens the logs of training jobs in CloudWatch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torchx.schedulers.aws.cloudwatch import CloudWatchSource, LogPlace, LogWindow, Pacer
from torchx.schedulers.aws.errors import aws_errors, error_code, is_aws_error
from torchx.schedulers.aws_sagemaker import parse
from torchx.schedulers.aws_sagemaker.errors import NoSuchInstanceError
from torchx.schedulers.streams import LogStream

LOG_GROUP = "/aws/sagemaker/TrainingJobs"
"""Where all training jobs write, each instance to streams of its own."""


def open_log(
    client: Any,
    job_name: str,
    replica_id: int,
    window: LogWindow,
    regex: str | None,
    *,
    over_for_s: Callable[[], float | None] | None,
    pacer: Pacer,
) -> LogStream:
    """Opens the log of one instance.

    Args:
        client: Client of the service ``logs``.
        job_name: Name of the job.
        replica_id: Number of the instance, from 0.
        window: Which part of the log is wanted.
        regex: Keep only lines in which this is found.
        over_for_s: Tells for how many seconds the job has ended, ``None`` if it has not; without
            it, the log is read to the end of what is there.
        pacer: Shared by all sources of the client.

    Returns:
        The log.
    """
    source = CloudWatchSource(
        client,
        lambda: find_streams(client, job_name, replica_id),
        window,
        over_for_s=over_for_s,
        pacer=pacer,
    )
    return LogStream(source, regex)


def find_streams(client: Any, job_name: str, replica_id: int) -> Sequence[LogPlace]:
    """Finds the log streams of one instance: one for each time that it was started.

    Args:
        client: Client of the service ``logs``.
        job_name: Name of the job.
        replica_id: Number of the instance, from 0.

    Returns:
        The streams, the oldest first.

    Raises:
        AwsError: CloudWatch refuses, or does not answer.
    """
    prefix = f"{job_name}/algo-{replica_id + 1}-"
    names: list[str] = []
    token: dict[str, str] = {}
    with aws_errors(f"find the logs of the training job {job_name}", f"log group `{LOG_GROUP}`"):
        while True:
            try:
                answer = client.describe_log_streams(
                    logGroupName=LOG_GROUP, logStreamNamePrefix=prefix, **token
                )
            except Exception as error:
                # The group is made with the first job of an account.
                if is_aws_error(error) and error_code(error) == "ResourceNotFoundException":
                    return []
                raise
            names += [stream["logStreamName"] for stream in answer["logStreams"]]
            if not answer.get("nextToken"):
                break
            token = {"nextToken": answer["nextToken"]}
    names.sort(key=lambda name: (len(name), name))
    return [LogPlace(LOG_GROUP, name) for name in names]


def page_of(region: str, job_name: str) -> str:
    """Names the page that shows the logs of a job.

    Args:
        region: Region of the job.
        job_name: Its name.

    Returns:
        An address in the AWS console.
    """
    home = f"{parse.console_of(region)}/cloudwatch/home?region={region}"
    group = LOG_GROUP.replace("/", "$252F")
    return f"{home}#logsV2:log-groups/log-group/{group}$3FlogStreamNameFilter$3D{job_name}$252F"


def check_replica(answer: Mapping[str, Any], role: str, replica_id: int) -> None:
    """Checks that a training job has a replica.

    Args:
        answer: What DescribeTrainingJob says about it.
        role: Name of the role.
        replica_id: Number of the replica, from 0.

    Raises:
        NoSuchInstanceError: It has no such one.
    """
    known, count = parse.role_name_of(answer), parse.instance_count_of(answer)
    if role != known or not 0 <= replica_id < count:
        raise NoSuchInstanceError(
            f"the training job `{answer.get('TrainingJobName')}` has no replica"
            f" {role}/{replica_id}; its role is {known}, with the replicas 0 to {count - 1}",
            hint="name one of them",
        )
