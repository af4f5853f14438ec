"""Turns an app into a job of AWS Batch, as plain data. No I/O here."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torchx
from torchx.schedulers.aws.tags import make_tags
from torchx.schedulers.aws_batch.commands import (
    literal_parameters,
    with_macros,
    with_usable_handle,
)
from torchx.schedulers.aws_batch.names import queue_name
from torchx.schedulers.aws_batch.nodes import node_properties
from torchx.schedulers.aws_batch.options import Opts, parse_ulimits
from torchx.schedulers.aws_batch.resources import AppRefusedError
from torchx.settings import ENV_TORCHX_IMAGE, ENV_TORCHX_ROLE_IDX, ENV_TORCHX_ROLE_NAME
from torchx.specs.api import AppDef, Role
from torchx.specs.named_resources_aws import EFA_DEVICE, K8S_ITYPE

log: logging.Logger = logging.getLogger(__name__)


TAG_TORCHX_VER = "torchx.pytorch.org/version"
TAG_TORCHX_APPNAME = "torchx.pytorch.org/app-name"
TAG_TORCHX_USER = "torchx.pytorch.org/user"

_MAX_ROLES = 5
_MAX_ATTEMPTS = 10
_RESERVED_VARIABLES = "AWS_BATCH"
_HOST_IS_LOST = "Host EC2*"


@dataclass
class BatchJob:
    """A job of AWS Batch. Prints as YAML what would be registered, secrets hidden.

    Attributes:
        name: Name of the job.
        queue: Name or ARN of its queue.
        share_id: Share identifier.
        job_def: Arguments of RegisterJobDefinition for a multi-node job. A job of one container is
            made of it when it is submitted.
        images_to_push: Local image -> repository and tag to push it to.
        job_type: See the run option.
    """

    name: str
    queue: str
    share_id: str | None
    job_def: dict[str, Any]
    images_to_push: dict[str, tuple[str, str]]
    job_type: str = field(default="auto", repr=False)

    def __str__(self) -> str:
        from torchx.schedulers.aws_batch.submission import format_job

        return format_job(self)

    __repr__ = __str__


def make_job(
    app: AppDef,
    name: str,
    opts: Opts,
    images_to_push: dict[str, tuple[str, str]],
) -> BatchJob:
    """Lays out the job of an app.

    Args:
        app: The app, which is not changed.
        name: Name of the job.
        opts: The run options.
        images_to_push: Images that have to be pushed first.

    Returns:
        The job.

    Raises:
        AppRefusedError: AWS Batch cannot run such an app; a ``ValueError`` and ``AssertionError``.
        ValueError: A run option makes no sense.
        TypeError: A mount is of an unknown class.
    """
    check_app(app, opts)
    job_def: dict[str, Any] = {
        "jobDefinitionName": name,
        "type": "multinode",
        "nodeProperties": _node_groups(app, name, opts),
        "retryStrategy": _retry_strategy(app.roles, opts.retry_on),
        "tags": make_tags(
            {
                TAG_TORCHX_VER: torchx.__version__,
                TAG_TORCHX_APPNAME: app.name,
                TAG_TORCHX_USER: opts.user,
            },
            app.metadata,
        ),
    }
    if opts.share_id is not None:
        job_def["schedulingPriority"] = opts.priority
    if opts.timeout_s is not None:
        job_def["timeout"] = {"attemptDurationSeconds": opts.timeout_s}
    if opts.propagate_tags:
        job_def["propagateTags"] = True
    if opts.platform is not None:
        job_def["platformCapabilities"] = [opts.platform]
    groups = job_def["nodeProperties"]["nodeRangeProperties"]
    words = [word for group in groups for word in group["container"]["command"]]
    if parameters := literal_parameters(words):
        job_def["parameters"] = parameters
    return BatchJob(name, opts.queue, opts.share_id, job_def, images_to_push, opts.job_type)


def check_app(app: AppDef, opts: Opts) -> None:
    """Checks what can be known of an app before its workspaces are built.

    Args:
        app: The app.
        opts: The run options.

    Raises:
        AppRefusedError: AWS Batch cannot run such an app.
        ValueError: A run option makes no sense.
    """
    opts.check()
    if len(app.roles) > _MAX_ROLES:
        raise AppRefusedError(
            f"the app `{app.name}` has {len(app.roles)} roles, but a job of AWS Batch has at most"
            f" {_MAX_ROLES} groups of nodes",
            hint="merge roles, or submit several apps; the number of replicas is not limited",
        )
    names = [role.name for role in app.roles]
    for role in app.roles:
        if names.count(role.name) > 1:
            raise AppRefusedError(
                f"the app `{app.name}` has two roles named `{role.name}`; role names must differ"
            )
        _check_role(role)
    # Nodes without one take what there is, which may be of the same type.
    types = {str(kind) for role in app.roles if (kind := role.resource.capabilities.get(K8S_ITYPE))}
    if len(types) > 1:
        raise AppRefusedError(
            f"the roles of the app `{app.name}` ask for several instance types:"
            f" {', '.join(sorted(types))}; all nodes of a job of AWS Batch are of one type",
            hint="give all roles the same named resource",
        )


def _node_groups(app: AppDef, name: str, opts: Opts) -> dict[str, Any]:
    groups: list[dict[str, Any]] = []
    start_idx = 0
    num_nodes = sum(role.num_replicas for role in app.roles)
    for index, original in enumerate(app.roles):
        role = with_macros(original, name, start_idx)
        role.env = {
            **with_usable_handle(role.env, queue_name(opts.queue), name),
            ENV_TORCHX_ROLE_IDX: str(index),
            ENV_TORCHX_ROLE_NAME: role.name,
            ENV_TORCHX_IMAGE: role.image,
        }
        groups.append(_node_group(role, start_idx, opts, is_alone=num_nodes == 1))
        start_idx += role.num_replicas
    return {"numNodes": num_nodes, "mainNode": 0, "nodeRangeProperties": groups}


def _node_group(role: Role, start_idx: int, opts: Opts, *, is_alone: bool) -> dict[str, Any]:
    ulimits = parse_ulimits(opts.ulimits or [])
    group = node_properties(
        role,
        start_idx,
        opts.privileged,
        opts.job_role_arn,
        opts.execution_role_arn,
        ulimits,
        # Only nodes of one job need to be alike.
        warns=not is_alone,
    )
    _hint_about_efa(role, opts, ulimits)
    container = group["container"]
    if opts.log_group:
        container["logConfiguration"]["options"] = {"awslogs-group": opts.log_group}
    for volume in container["volumes"]:
        if efs := volume.get("efsVolumeConfiguration"):
            _secure(efs, opts)
    if opts.assign_public_ip:
        container["networkConfiguration"] = {"assignPublicIp": "ENABLED"}
    return group


def _secure(efs: dict[str, Any], opts: Opts) -> None:
    if opts.efs_encryption or opts.efs_iam:
        efs["transitEncryption"] = "ENABLED"
    if opts.efs_iam:
        efs["authorizationConfig"] = {**efs.get("authorizationConfig", {}), "iam": "ENABLED"}


def _retry_strategy(roles: Sequence[Role], retry_on: str) -> dict[str, Any]:
    # Earlier releases took max_retries for the number of attempts, and jobs rely on that.
    attempts = max([1, *(role.max_retries for role in roles)])
    ends = {"onExitCode": "0", "action": "EXIT"}
    by_cause = {
        "any": [ends],
        "host": [
            {"onStatusReason": _HOST_IS_LOST, "action": "RETRY"},
            {"onReason": "*", "action": "EXIT"},
        ],
        "app": [ends, {"onStatusReason": _HOST_IS_LOST, "action": "EXIT"}],
    }
    return {"attempts": attempts, "evaluateOnExit": by_cause[retry_on]}


def _check_role(role: Role) -> None:
    faults = []
    if role.num_replicas < 1:
        faults.append(f"num_replicas must be at least 1, not {role.num_replicas}")
    if role.resource.memMB <= 0:
        faults.append(
            "AWS Batch needs to know how much memory a container may use:"
            f" memMB must be positive, not {role.resource.memMB}"
        )
    if role.max_retries > _MAX_ATTEMPTS:
        faults.append(f"max_retries must be at most {_MAX_ATTEMPTS}, not {role.max_retries}")
    if reserved := [name for name in role.env if name.startswith(_RESERVED_VARIABLES)]:
        faults.append(f"AWS Batch keeps the variables {_RESERVED_VARIABLES}* to itself: {reserved}")
    if faults:
        raise AppRefusedError(
            f"role `{role.name}`: {'; '.join(faults)}", hint="change the role, or its resource"
        )


def _hint_about_efa(role: Role, opts: Opts, ulimits: Sequence[dict[str, Any]]) -> None:
    is_unlimited = any(limit["name"] == "memlock" for limit in ulimits)
    if role.resource.devices.get(EFA_DEVICE) and not (opts.privileged or is_unlimited):
        log.warning(
            "role `%s` uses EFA devices, which need memory that cannot be swapped: set"
            " ulimits=memlock:-1:-1, or privileged=True",
            role.name,
        )
