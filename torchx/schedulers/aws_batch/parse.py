"""Reads jobs of AWS Batch, whoever submitted them. No I/O here."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from torchx.schedulers.api import DescribeAppResponse
from torchx.schedulers.aws_batch.client import CANCEL_REASON
from torchx.schedulers.aws_batch.nodes import parse_num_replicas, parse_start_and_end_idx
from torchx.schedulers.aws_batch.reasons import exit_code_of, explain
from torchx.schedulers.aws_batch.request import (
    TAG_TORCHX_VER,
)
from torchx.schedulers.aws_batch.resources import resource_of_container
from torchx.settings import ENV_TORCHX_IMAGE, ENV_TORCHX_ROLE_NAME
from torchx.specs.api import (
    MISSING,
    NONE,
    AppState,
    BindMount,
    DeviceMount,
    ReplicaStatus,
    Resource,
    Role,
    RoleStatus,
    VolumeMount,
    is_terminal,
)
from torchx.specs.mounts import Mount
from torchx.specs.named_resources_aws import K8S_ITYPE

JOB_STATE: dict[str, AppState] = {
    "SUBMITTED": AppState.PENDING,
    "PENDING": AppState.PENDING,
    "RUNNABLE": AppState.PENDING,
    "STARTING": AppState.PENDING,
    "RUNNING": AppState.RUNNING,
    "SUCCEEDED": AppState.SUCCEEDED,
    "FAILED": AppState.FAILED,
}

DEFAULT_ROLE_NAME = "node"
TAG_DELETED = "torchx.pytorch.org/deleted"
"""Marks jobs that were deleted: AWS Batch shows those that have ended for days."""

_WAITS = {
    "SUBMITTED": "waits to be looked at by AWS Batch",
    "PENDING": "waits for jobs that it depends on",
    "RUNNABLE": "waits for a free host in the environments of its queue",
    "STARTING": "has a host, and pulls its image",
}
_JOB_ARN = re.compile(
    r"arn:(?P<partition>aws[\w-]*):batch:(?P<region>[a-z0-9-]+):\d+:job/(?P<id>[a-z0-9-]+)"
)
_CONSOLES = {
    "aws": "https://{region}.console.aws.amazon.com",
    "aws-cn": "https://{region}.console.amazonaws.cn",
    "aws-us-gov": "https://{region}.console.amazonaws-us-gov.com",
}
_LETTERS = {"READ": "r", "WRITE": "w", "MKNOD": "m"}


def app_state(job: Mapping[str, Any]) -> AppState:
    """Reads the state of a job.

    Args:
        job: Description or summary of a job, or of a node.

    Returns:
        Its state; ``UNKNOWN`` for a word that is new.
    """
    state = JOB_STATE.get(str(job.get("status")), AppState.UNKNOWN)
    was_cancelled = (
        job.get("isCancelled")
        or job.get("isTerminated")
        or job.get("statusReason") == CANCEL_REASON
    )
    return AppState.CANCELLED if state == AppState.FAILED and was_cancelled else state


def is_ours(job: Mapping[str, Any]) -> bool:
    """Tells whether torchx has submitted a job.

    Args:
        job: Its description.

    Returns:
        True if it has.
    """
    return TAG_TORCHX_VER in (job.get("tags") or {})


def is_deleted(job: Mapping[str, Any]) -> bool:
    """Tells whether a job was deleted by torchx.

    Args:
        job: Its description.

    Returns:
        True if it was.
    """
    return TAG_DELETED in (job.get("tags") or {})


def groups_of(job: Mapping[str, Any]) -> list[tuple[str, int, int, Mapping[str, Any]]]:
    """Reads the groups of nodes of a job; a job of one container is one of them.

    Args:
        job: Its description.

    Returns:
        Of each its role, its first node, its number of nodes and its container.
    """
    nodes = job.get("nodeProperties")
    if not nodes:
        container = job.get("container") or {}
        return [(role_name_of(container), 0, 1, container)]
    num_nodes = int(nodes.get("numNodes", 1))
    groups = []
    for group in nodes.get("nodeRangeProperties", ()):
        target = str(group["targetNodes"])
        start, _ = parse_start_and_end_idx(target, num_nodes)
        container = group.get("container") or {}
        number = parse_num_replicas(target, num_nodes)
        groups.append((role_name_of(container), start, number, container))
    return groups


def role_name_of(container: Mapping[str, Any]) -> str:
    """Reads the role of a container.

    Args:
        container: Its properties.

    Returns:
        The name; ``node`` if torchx has not made it.
    """
    return _env_of(container).get(ENV_TORCHX_ROLE_NAME, DEFAULT_ROLE_NAME)


def describe_job(
    app_id: str, job: Mapping[str, Any], nodes: Sequence[Mapping[str, Any]] = ()
) -> DescribeAppResponse:
    """Describes a job.

    Args:
        app_id: Id of the app.
        job: Description of the job.
        nodes: Summaries of its nodes, if they were asked for.

    Returns:
        The description.
    """
    state = app_state(job)
    statuses = _roles_statuses(job, state, nodes)
    return DescribeAppResponse(
        app_id=app_id,
        state=state,
        num_restarts=_num_restarts(job, state),
        msg=_message(job, state, nodes) or NONE,
        ui_url=job_ui_url(str(job.get("jobArn", "")), is_multinode="nodeProperties" in job),
        roles_statuses=statuses,
        roles=[
            _role(name, number, container, job) for name, _, number, container in groups_of(job)
        ],
    )


def job_ui_url(job_arn: str, *, is_multinode: bool = True) -> str | None:
    """Finds the page of the AWS console about a job.

    Args:
        job_arn: ARN of the job.
        is_multinode: It is a multi-node job.

    Returns:
        The address; ``None`` if the ARN is of another form.
    """
    found = _JOB_ARN.match(job_arn)
    if found is None or found["partition"] not in _CONSOLES:
        return None
    host = _CONSOLES[found["partition"]].format(region=found["region"])
    kind = "mnp-job" if is_multinode else "detail"
    return f"{host}/batch/home?region={found['region']}#jobs/{kind}/{found['id']}"


def stopped_for_s(job: Mapping[str, Any], now_ms: float) -> float | None:
    """Tells for how long a job has ended.

    Args:
        job: Its description.
        now_ms: The time, in milliseconds since the epoch.

    Returns:
        Seconds; ``None`` if it has not ended.
    """
    if not is_terminal(app_state(job)):
        return None
    stopped_at_ms = job.get("stoppedAt")
    return max(0.0, (now_ms - stopped_at_ms) / 1000) if stopped_at_ms else 0.0


def _message(job: Mapping[str, Any], state: AppState, nodes: Sequence[Mapping[str, Any]]) -> str:
    parts = []
    if state == AppState.UNKNOWN:
        parts.append(f"AWS Batch says {job.get('status')}")
    if text := explain(job) or _WAITS.get(str(job.get("status")), ""):
        parts.append(text)
    for name, start, number, _ in groups_of(job) if "nodeProperties" in job else ():
        for node in nodes:
            index = _node_index(node)
            if index is None or not start <= index < start + number:
                continue
            if app_state(node) == AppState.FAILED and (said := explain(node)):
                parts.append(f"{name}/{index - start}: {said}")
    if state in (AppState.FAILED, AppState.CANCELLED) and exit_code_of(job) is None:
        parts = parts or [f"AWS Batch gives no reason for the status {job.get('status')}"]
    return "; ".join(parts)


def _num_restarts(job: Mapping[str, Any], state: AppState) -> int:
    attempts = job.get("attempts") or ()
    if is_terminal(state):
        return max(0, len(attempts) - 1)
    return sum("stoppedAt" in attempt for attempt in attempts)


def _roles_statuses(
    job: Mapping[str, Any], state: AppState, nodes: Sequence[Mapping[str, Any]]
) -> list[RoleStatus]:
    by_index = {index: node for node in nodes if (index := _node_index(node)) is not None}
    return [
        RoleStatus(
            name,
            [
                ReplicaStatus(
                    id=number,
                    state=app_state(by_index[start + number])
                    if start + number in by_index
                    else state,
                    role=name,
                    hostname="",
                )
                for number in range(count)
            ],
        )
        for name, start, count, _ in groups_of(job)
    ]


def _node_index(summary: Mapping[str, Any]) -> int | None:
    index = (summary.get("nodeProperties") or {}).get("nodeIndex")
    return index if isinstance(index, int) else None


def _role(
    name: str, num_replicas: int, container: Mapping[str, Any], job: Mapping[str, Any]
) -> Role:
    command = list(container.get("command") or ())
    env = _env_of(container)
    attempts = (job.get("retryStrategy") or {}).get("attempts") or 1
    return Role(
        name=name,
        num_replicas=num_replicas,
        image=str(container.get("image") or env.get(ENV_TORCHX_IMAGE, "")),
        entrypoint=command[0] if command else MISSING,
        args=command[1:],
        env=env,
        max_retries=attempts if attempts > 1 else 0,
        resource=_resource(container),
        mounts=_mounts(container),
    )


def _resource(container: Mapping[str, Any]) -> Resource:
    resource = resource_of_container(container)
    if instance_type := container.get("instanceType"):
        resource.capabilities[K8S_ITYPE] = instance_type
    return resource


def _env_of(container: Mapping[str, Any]) -> dict[str, str]:
    return {pair["name"]: str(pair.get("value", "")) for pair in container.get("environment") or ()}


def _mounts(container: Mapping[str, Any]) -> list[Mount]:
    volumes = {volume["name"]: volume for volume in container.get("volumes") or ()}
    mounts: list[Mount] = []
    for point in container.get("mountPoints") or ():
        volume = volumes.get(point.get("sourceVolume"), {})
        path, read_only = point.get("containerPath", ""), bool(point.get("readOnly"))
        if efs := volume.get("efsVolumeConfiguration"):
            mounts.append(VolumeMount(_efs_source(efs), path, read_only))
        else:
            source = (volume.get("host") or {}).get("sourcePath", "")
            mounts.append(BindMount(source, path, read_only))
    for device in (container.get("linuxParameters") or {}).get("devices") or ():
        source = device["hostPath"]
        letters = "".join(_LETTERS.get(word, "") for word in device.get("permissions") or _LETTERS)
        mounts.append(DeviceMount(source, device.get("containerPath", source), letters))
    return mounts


def _efs_source(efs: Mapping[str, Any]) -> str:
    access_point = (efs.get("authorizationConfig") or {}).get("accessPointId")
    directory = efs.get("rootDirectory")
    return "".join(
        (
            efs["fileSystemId"],
            f"@{access_point}" if access_point else "",
            f":{directory}" if directory and directory != "/" else "",
        )
    )
