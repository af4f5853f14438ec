"""Reads what SageMaker answers about training jobs. Total: what is unknown is not an error."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from torchx.schedulers.api import DescribeAppResponse, ListAppResponse
from torchx.schedulers.aws_sagemaker.training_job import ENV_ROLE, TAG_APP, TAG_SESSION
from torchx.specs.api import (
    NONE,
    AppState,
    ReplicaStatus,
    Resource,
    Role,
    RoleStatus,
    make_app_handle,
)
from torchx.specs.named_resources_aws import NAMED_RESOURCES
from torchx.util.redact import redact_args, redact_env, redact_text

SCHEDULER = "aws_sagemaker"

JOB_STATE: dict[str, AppState] = {
    "InProgress": AppState.RUNNING,
    "Completed": AppState.SUCCEEDED,
    "Failed": AppState.FAILED,
    "Stopping": AppState.CANCELLED,
    "Stopped": AppState.CANCELLED,
}

UNNAMED_ROLE = "training"
"""Name of the role of jobs that do not say which role they run."""

_WAITING = {
    "Pending": "it waits for instances",
    "Starting": "its instances are being started",
    "LaunchingMLInstances": "its instances are being started",
    "PreparingTrainingStack": "its instances are being prepared",
    "Downloading": "its data are being downloaded",
    "DownloadingTrainingImage": "its image is being downloaded",
    "Interrupted": "AWS took its spare capacity away; it goes on when there is some again",
    "Restarting": "SageMaker failed, and starts it again",
}
_ACTIVE = {
    "Uploading": "the program has ended, its results are being uploaded",
    "Updating": "it is being changed",
}
_OVERTIME = {
    "MaxRuntimeExceeded": "it ran longer than the run option `max_run` allows, and was ended",
    "MaxWaitTimeExceeded": "it waited for spare capacity for longer than the run option `max_wait`"
    " allows",
}
_STARTED_AGAIN = ("Interrupted", "Restarting")

_REASON = re.compile(r"(?P<kind>\w*(Error|Exceeded))\s*:\s*(?P<text>.*)", re.DOTALL)
_EXIT_CODE = re.compile(r"[,;]?\s*exit\s*code:?\s*(?P<code>-?\d+)\.?", re.IGNORECASE)
_KINDS = {
    "AlgorithmError": "the program failed",
    "CapacityError": "AWS has no such instances free now; try later, another `instance_type` or"
    " other `subnets`",
    "ClientError": "SageMaker cannot run it the way it was asked for",
    "InternalServerError": "SageMaker itself failed; see the run option `max_retry_attempts`",
    "ResourceLimitExceeded": "the account has no quota for that; ask AWS for a higher one",
}

_ARN = re.compile(
    r"arn:aws[a-z-]*:sagemaker:(?P<region>[a-z0-9-]+):\d+:training-job/(?P<name>[a-zA-Z0-9-]+)"
)
_CONSOLES = {"cn-": "console.amazonaws.cn", "us-gov-": "console.amazonaws-us-gov.com"}


def describe(answer: Mapping[str, Any]) -> DescribeAppResponse:
    """Describes a training job.

    Args:
        answer: What DescribeTrainingJob, Search or ListTrainingJobs says about it.

    Returns:
        The description; without roles if the answer does not tell them.
    """
    state = state_of(answer)
    response = DescribeAppResponse(
        app_id=str(answer.get("TrainingJobName", "")),
        state=state,
        num_restarts=_restarts(answer),
        msg=message_of(answer) or NONE,
        structured_error_msg=_structured_error(answer),
        ui_url=ui_url(str(answer.get("TrainingJobArn", ""))),
        metadata=_metadata(answer),
    )
    if "AlgorithmSpecification" in answer:
        role = _role(answer)
        response.roles = [role]
        response.roles_statuses = [_role_status(role, state, response.structured_error_msg)]
    return response


def list_entry(answer: Mapping[str, Any]) -> ListAppResponse:
    """Makes a line of a list of a training job that torchx has launched.

    Args:
        answer: What Search says about it.

    Returns:
        The line.
    """
    tags = {tag["Key"]: tag["Value"] for tag in answer.get("Tags", [])}
    entry = ListAppResponse(
        app_id=str(answer["TrainingJobName"]),
        state=state_of(answer),
        name=tags.get(TAG_APP, ""),
    )
    if tags.get(TAG_SESSION):
        entry.app_handle = make_app_handle(SCHEDULER, tags[TAG_SESSION], entry.app_id)
    return entry


def state_of(answer: Mapping[str, Any]) -> AppState:
    """Tells the state of a training job.

    Args:
        answer: What SageMaker says about it.

    Returns:
        The state; ``UNKNOWN`` for a word that is not known.
    """
    status, detail = answer.get("TrainingJobStatus", ""), answer.get("SecondaryStatus", "")
    if status == "Stopping":
        # The program has up to two minutes to end, and may still write.
        return AppState.RUNNING
    if status == "InProgress" and detail in _WAITING:
        return AppState.PENDING
    if status == "Stopped" and detail in _OVERTIME:
        return AppState.FAILED
    return JOB_STATE.get(status, AppState.UNKNOWN)


def message_of(answer: Mapping[str, Any]) -> str:
    """Puts into words why a training job waits or has failed.

    Args:
        answer: What SageMaker says about it.

    Returns:
        A sentence, ``""`` if there is nothing to say.
    """
    status, detail = answer.get("TrainingJobStatus", ""), answer.get("SecondaryStatus", "")
    if answer.get("FailureReason"):
        return failure_sentence(str(answer["FailureReason"]))
    if status == "Stopping":
        return "it is being stopped"
    if status == "InProgress":
        known = _WAITING.get(detail) or _ACTIVE.get(detail, "")
        said = _last_words(answer) if detail in _WAITING else ""
        return f"{known} ({said})" if known and said else known
    if status == "Stopped":
        return _OVERTIME.get(detail, "")
    return "" if status in JOB_STATE else f"SageMaker calls its state {status or 'nothing'}"


def failure_sentence(reason: str) -> str:
    """Puts a failure reason of SageMaker into words.

    Args:
        reason: The reason, for example ``AlgorithmError: , exit code: 1``.

    Returns:
        A sentence; the words of SageMaker are part of it.
    """
    found = _REASON.match(reason.strip())
    if found is None:
        return redact_text(reason.strip())
    text, kind = found["text"], found["kind"]
    exit_code = _EXIT_CODE.search(text)
    sentence = _KINDS.get(kind, kind)
    if exit_code is not None:
        text = text[: exit_code.start()] + text[exit_code.end() :]
        sentence = f"{sentence} with exit code {exit_code['code']}"
    error = _json_in(text)
    text = _message_in(error) if error is not None else text.strip(" ,\n")
    return redact_text(f"{sentence}: {text}" if text else sentence)


def ui_url(arn: str) -> str | None:
    """Names the page of a training job.

    Args:
        arn: ARN of the job.

    Returns:
        Address of its page in the AWS console; ``None`` if it is no such ARN.
    """
    found = _ARN.match(arn)
    if found is None:
        return None
    region, name = found["region"], found["name"]
    return f"{console_of(region)}/sagemaker/home?region={region}#jobs/{name}"


def console_of(region: str) -> str:
    """Names the AWS console of a region.

    Args:
        region: The region.

    Returns:
        An address without a slash at its end.
    """
    hosts = (host for start, host in _CONSOLES.items() if region.startswith(start))
    return f"https://{region}.{next(hosts, 'console.aws.amazon.com')}"


def instance_count_of(answer: Mapping[str, Any]) -> int:
    """Tells on how many instances a training job runs.

    Args:
        answer: What DescribeTrainingJob says about it.

    Returns:
        Their number.
    """
    resources = answer.get("ResourceConfig") or {}
    groups = resources.get("InstanceGroups") or []
    count: int = resources.get("InstanceCount") or sum(group["InstanceCount"] for group in groups)
    return count or 1


def role_name_of(answer: Mapping[str, Any]) -> str:
    """Tells which role a training job runs.

    Args:
        answer: What DescribeTrainingJob says about it.

    Returns:
        Name of the role.
    """
    return str((answer.get("Environment") or {}).get(ENV_ROLE, UNNAMED_ROLE))


def ended_at(answer: Mapping[str, Any]) -> datetime | None:
    """Tells when a training job ended.

    Args:
        answer: What DescribeTrainingJob says about it.

    Returns:
        The time; ``None`` if it has not ended or does not say.
    """
    found = answer.get("TrainingEndTime")
    return found if isinstance(found, datetime) else None


def _role(answer: Mapping[str, Any]) -> Role:
    algorithm = answer["AlgorithmSpecification"]
    entrypoint = algorithm.get("ContainerEntrypoint") or [""]
    words = [*entrypoint[1:], *(algorithm.get("ContainerArguments") or [])]
    retries = (answer.get("RetryStrategy") or {}).get("MaximumRetryAttempts", 0)
    return Role(
        name=role_name_of(answer),
        image=str(algorithm.get("TrainingImage") or algorithm.get("AlgorithmName") or ""),
        entrypoint=entrypoint[0],
        args=redact_args(words),
        env=redact_env(answer.get("Environment") or {}),
        num_replicas=instance_count_of(answer),
        max_retries=retries,
        resource=_resource(answer),
    )


def _resource(answer: Mapping[str, Any]) -> Resource:
    kind = str((answer.get("ResourceConfig") or {}).get("InstanceType", ""))
    make = NAMED_RESOURCES.get(f"aws_{kind.removeprefix('ml.')}")
    return make() if make is not None else Resource(cpu=-1, gpu=-1, memMB=-1)


def _role_status(role: Role, state: AppState, error: str) -> RoleStatus:
    """SageMaker tells the state of the job only; its instances share it."""
    replicas = [
        ReplicaStatus(
            id=number,
            state=state,
            role=role.name,
            hostname=f"algo-{number + 1}",
            structured_error_msg=error if number == 0 else NONE,
        )
        for number in range(role.num_replicas)
    ]
    return RoleStatus(role=role.name, replicas=replicas)


def _restarts(answer: Mapping[str, Any]) -> int:
    transitions = answer.get("SecondaryStatusTransitions")
    if transitions is None:
        return -1
    return sum(item.get("Status") in _STARTED_AGAIN for item in transitions)


def _last_words(answer: Mapping[str, Any]) -> str:
    transitions = answer.get("SecondaryStatusTransitions") or [{}]
    return redact_text(str(transitions[-1].get("StatusMessage", "")).strip())


def _metadata(answer: Mapping[str, Any]) -> dict[str, str]:
    resources = answer.get("ResourceConfig") or {}
    found = {
        "status": answer.get("TrainingJobStatus"),
        "secondary_status": answer.get("SecondaryStatus"),
        "arn": answer.get("TrainingJobArn"),
        "instance_type": resources.get("InstanceType"),
        "created_at": _iso(answer.get("CreationTime")),
        "started_at": _iso(answer.get("TrainingStartTime")),
        "ended_at": _iso(answer.get("TrainingEndTime")),
        "billable_seconds": answer.get("BillableTimeInSeconds"),
        "model_artifacts": (answer.get("ModelArtifacts") or {}).get("S3ModelArtifacts"),
        "checkpoints": (answer.get("CheckpointConfig") or {}).get("S3Uri"),
    }
    return {name: str(value) for name, value in found.items() if value is not None}


def _iso(moment: object) -> str | None:
    return moment.isoformat() if isinstance(moment, datetime) else None


def _structured_error(answer: Mapping[str, Any]) -> str:
    found = _REASON.match(str(answer.get("FailureReason") or ""))
    if found is None:
        return NONE
    text = _EXIT_CODE.sub("", found["text"]).strip()
    if not text.startswith("{"):
        return NONE
    error = _json_in(text)
    return redact_text(json.dumps(error if error is not None else {"message": text}))


def _json_in(text: str) -> Mapping[str, Any] | None:
    """Reads an error file, of which SageMaker keeps only the first 1024 characters."""
    try:
        found = json.loads(text.strip(" ,\n"))
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _message_in(error: Mapping[str, Any]) -> str:
    message = error.get("message", "")
    inner = message.get("message", "") if isinstance(message, Mapping) else message
    return str(inner)
