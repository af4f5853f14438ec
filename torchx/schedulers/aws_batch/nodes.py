"""One role as a group of nodes of a multi-node job. No I/O here."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from torchx.schedulers.aws_batch.resources import resource_requirements_from_resource
from torchx.schedulers.devices import get_device_mounts
from torchx.specs.api import BindMount, DeviceMount, Role, VolumeMount
from torchx.specs.mounts import Mount
from torchx.specs.named_resources_aws import K8S_ITYPE, instance_type_from_resource

_PERMISSIONS = {"r": "READ", "w": "WRITE", "m": "MKNOD"}
_EFS = re.compile(r"(?P<id>[^@:]+)(?:@(?P<access_point>[^:]+))?(?::(?P<directory>/.*))?")


def node_properties(
    role: Role,
    start_idx: int,
    privileged: bool = False,
    job_role_arn: str | None = None,
    execution_role_arn: str | None = None,
    ulimits: list[dict[str, Any]] | None = None,
    *,
    warns: bool = True,
) -> dict[str, Any]:
    """Describes the nodes of a role.

    Args:
        role: The role, with macros substituted. It is not changed.
        start_idx: Number of its first node within the job.
        privileged: Give its containers all rights on their hosts.
        job_role_arn: IAM role of the program.
        execution_role_arn: IAM role that pulls the image.
        ulimits: Limits, see ``parse_ulimits``.
        warns: Warn (``UserWarning``) if the resource of the role tells no instance type.

    Returns:
        A node range property of AWS Batch.

    Raises:
        AssertionError: The memory of the role is not positive.
        TypeError: A mount is of an unknown class.
    """
    container: dict[str, Any] = {
        "command": [role.entrypoint, *role.args],
        "image": role.image,
        "environment": [{"name": name, "value": value} for name, value in role.env.items()],
        "privileged": privileged,
        "resourceRequirements": resource_requirements_from_resource(role.resource),
        "linuxParameters": {
            # Data loaders hand tensors on through /dev/shm.
            "sharedMemorySize": role.resource.memMB,
            "devices": [],
        },
        "logConfiguration": {"logDriver": "awslogs"},
        "mountPoints": [],
        "volumes": [],
    }
    _add_mounts(container, [*role.mounts, *get_device_mounts(role.resource.devices)])
    optional = {
        "ulimits": ulimits,
        "jobRoleArn": job_role_arn,
        "executionRoleArn": execution_role_arn,
        "instanceType": _instance_type(role, warns=warns),
    }
    container.update((name, value) for name, value in optional.items() if value)
    return {
        "targetNodes": f"{start_idx}:{start_idx + role.num_replicas - 1}",
        "container": container,
    }


def parse_start_and_end_idx(target_nodes: str, num_nodes: int) -> tuple[int, int]:
    """Reads the range of a group of nodes.

    Args:
        target_nodes: ``a:b``, ``:b``, ``a:``, ``:`` or ``a``.
        num_nodes: Number of nodes of the job.

    Returns:
        The first and the last node.
    """
    start, colon, end = target_nodes.partition(":")
    if not colon:
        return int(start), int(start)
    return int(start or 0), int(end) if end else num_nodes - 1


def parse_num_replicas(target_nodes: str, num_nodes: int) -> int:
    """Reads how many nodes a group has.

    Args:
        target_nodes: The range, see :func:`parse_start_and_end_idx`.
        num_nodes: Number of nodes of the job.

    Returns:
        The number.
    """
    start, end = parse_start_and_end_idx(target_nodes, num_nodes)
    return end - start + 1


def efs_volume(source: str) -> dict[str, Any]:
    """Describes a volume of the Elastic File System.

    Args:
        source: Id of the file system, ``fs-1``, if need be with an access point and a directory:
            ``fs-1@fsap-2``, ``fs-1:/data``.

    Returns:
        The volume configuration.

    Raises:
        ValueError: The text is not of that form.
    """
    found = _EFS.fullmatch(source)
    if found is None:
        raise ValueError(
            f"a volume must be an EFS file system as fs-ID[@fsap-ID][:/directory], not {source!r}"
        )
    volume: dict[str, Any] = {"fileSystemId": found["id"]}
    if found["directory"]:
        volume["rootDirectory"] = found["directory"]
    if found["access_point"]:
        volume["transitEncryption"] = "ENABLED"
        volume["authorizationConfig"] = {"accessPointId": found["access_point"]}
    return volume


def _instance_type(role: Role, *, warns: bool) -> str | None:
    if role.num_replicas < 1 or (not warns and K8S_ITYPE not in role.resource.capabilities):
        return None
    return instance_type_from_resource(role.resource)


def _add_mounts(container: dict[str, Any], mounts: Sequence[Mount]) -> None:
    for index, mount in enumerate(mounts):
        name = f"mount_{index}"
        if isinstance(mount, DeviceMount):
            container["linuxParameters"]["devices"].append(_device(mount))
            continue
        if isinstance(mount, BindMount):
            volume: dict[str, Any] = {"host": {"sourcePath": mount.src_path}}
        elif isinstance(mount, VolumeMount):
            volume = {"efsVolumeConfiguration": efs_volume(mount.src)}
        else:
            raise TypeError(
                f"unknown mount type {type(mount).__name__}: {mount!r};"
                " use a BindMount, a VolumeMount or a DeviceMount"
            )
        container["volumes"].append({"name": name, **volume})
        container["mountPoints"].append(
            {"containerPath": mount.dst_path, "readOnly": mount.read_only, "sourceVolume": name}
        )


def _device(mount: DeviceMount) -> dict[str, Any]:
    return {
        "hostPath": mount.src_path,
        "containerPath": mount.dst_path,
        "permissions": [_PERMISSIONS[letter] for letter in mount.permissions],
    }
