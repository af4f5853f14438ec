"""Which and how many instances a role gets."""

from __future__ import annotations

import logging
import re

from torchx.schedulers.aws_sagemaker.errors import TrainingJobError
from torchx.schedulers.aws_sagemaker.options import Opts
from torchx.specs.api import Resource, Role
from torchx.specs.named_resources_aws import K8S_ITYPE, NAMED_RESOURCES

log: logging.Logger = logging.getLogger(__name__)

AUTO = "auto"
"""Value of the run option ``instance_type`` that leaves the choice to the resource."""

_PREFIX = "ml."
# Rows of the table that SageMaker does not train on.
_NOT_FOR_TRAINING = re.compile(r"m5d\..*|inf2\..*|.*\.metal|m5\.(8|16)xlarge")


def instance_count(role: Role, opts: Opts) -> int:
    """Finds out how many instances a role gets: one for each replica.

    Args:
        role: The role.
        opts: The run options.

    Returns:
        Their number.

    Raises:
        TrainingJobError: The role and the options differ.
    """
    if role.num_replicas == 1:
        return opts.instance_count
    if opts.instance_count not in (1, role.num_replicas):
        raise TrainingJobError(
            f"role `{role.name}` has {role.num_replicas} replicas, but the run option"
            f" `instance_count` is {opts.instance_count}",
            hint="leave one of them at 1",
        )
    return role.num_replicas


def instance_type(role: Role, opts: Opts) -> str:
    """Finds out what type of instance a role gets.

    Args:
        role: The role.
        opts: The run options.

    Returns:
        For example ``ml.p4d.24xlarge``.

    Raises:
        TrainingJobError: The type lacks the GPUs that the role asks for, or none is large enough.
    """
    if opts.instance_type == AUTO:
        return _chosen(role)
    _check_size(role, opts.instance_type)
    return opts.instance_type


def _chosen(role: Role) -> str:
    named = role.resource.capabilities.get(K8S_ITYPE)
    if named:
        return _PREFIX + str(named).removeprefix(_PREFIX)
    sizes = {name: make() for name, make in NAMED_RESOURCES.items() if _is_for_training(name)}
    fitting = [name for name, size in sizes.items() if _fits(role.resource, size)]
    if not fitting:
        raise TrainingJobError(
            f"role `{role.name}` asks for {_text(role.resource)}, which is more than any instance"
            " type that torchx knows",
            hint="name a type with the run option `instance_type`",
        )
    smallest = min(fitting, key=lambda name: _order(sizes[name]))
    return _PREFIX + _bare(smallest)


def _check_size(role: Role, wanted: str) -> None:
    make = NAMED_RESOURCES.get(f"aws_{wanted.removeprefix(_PREFIX)}")
    if make is None:
        return
    size = make()
    if role.resource.gpu > size.gpu:
        raise TrainingJobError(
            f"role `{role.name}` asks for {role.resource.gpu} GPUs, but {wanted} has {size.gpu}",
            hint="choose another `instance_type`, or `auto`",
        )
    if not _fits(role.resource, size):
        log.warning(
            "role `%s` asks for %s, but %s has %s",
            role.name,
            _text(role.resource),
            wanted,
            _text(size),
        )


def _is_for_training(name: str) -> bool:
    return _NOT_FOR_TRAINING.fullmatch(_bare(name)) is None


def _bare(name: str) -> str:
    return name.removeprefix("aws_")


def _fits(wanted: Resource, size: Resource) -> bool:
    has_all = wanted.cpu <= size.cpu and wanted.gpu <= size.gpu and wanted.memMB <= size.memMB
    return has_all and all(
        count <= size.devices.get(device, 0) for device, count in wanted.devices.items()
    )


def _order(size: Resource) -> tuple[int, int, float, int]:
    return size.gpu, len(size.devices), size.cpu, size.memMB


def _text(resource: Resource) -> str:
    return f"{resource.cpu} CPUs, {resource.gpu} GPUs and {resource.memMB} MiB"
