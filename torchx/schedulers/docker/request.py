"""Turns an app into the containers that run it, as plain data. No I/O here."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torchx
from torchx.schedulers.cluster_mounts import refuse_cluster_mounts
from torchx.schedulers.devices import get_device_mounts
from torchx.schedulers.docker.names import container_name, role_parts
from torchx.schedulers.docker.options import Opts
from torchx.settings import ENV_TORCHX_IMAGE
from torchx.specs.api import (
    AppDef,
    BindMount,
    DeviceMount,
    RetryPolicy,
    Role,
    VolumeMount,
    macros,
)
from torchx.specs.mounts import Mount

NETWORK = "torchx"
LABEL_VERSION = "torchx.pytorch.org/version"
LABEL_APP_ID = "torchx.pytorch.org/app-id"
LABEL_ROLE_NAME = "torchx.pytorch.org/role-name"
LABEL_REPLICA_ID = "torchx.pytorch.org/replica-id"

ENV_RANK0_HOST = "TORCHX_RANK0_HOST"

_LEAST_MEMORY_MIB = 6


@dataclass
class DockerContainer:
    """One container.

    Attributes:
        image: Its image.
        command: What runs in it.
        kwargs: The other arguments of ``DockerClient.containers.run``.
    """

    image: str
    command: list[str]
    kwargs: dict[str, object]


@dataclass
class DockerJob:
    """All containers of an app. Prints as YAML, secrets hidden.

    Attributes:
        app_id: Id of the app.
        containers: The containers, replica by replica, in the order of the roles.
    """

    app_id: str
    containers: list[DockerContainer]

    def __str__(self) -> str:
        from torchx.schedulers.docker.submission import format_job

        return format_job(self)

    __repr__ = __str__


def make_job(app: AppDef, app_id: str, opts: Opts, host_env: Mapping[str, str]) -> DockerJob:
    """Lays out the containers of an app.

    Args:
        app: The app, which is not changed.
        app_id: Its id.
        opts: The run options.
        host_env: Environment that ``copy_env`` chooses from.

    Returns:
        The containers.

    Raises:
        ValueError: Docker cannot run such an app.
        TypeError: A mount is of an unknown type.
        AssertionError: A run option has the wrong type.
    """
    opts.check()
    _check(app)
    parts = role_parts(app_id, [(role.name, role.num_replicas) for role in app.roles])
    rank0_host = container_name(app_id, parts[0], 0) if parts else ""
    env = _common_env(opts, host_env)
    job = DockerJob(app_id, [])
    for role, part in zip(app.roles, parts, strict=True):
        devices: list[Mount] = [*get_device_mounts(role.resource.devices)]
        common = _role_kwargs(role, opts, app_id)
        for replica_id in range(role.num_replicas):
            values = macros.Values(
                img_root="",
                app_id=app_id,
                replica_id=str(replica_id),
                rank0_env=ENV_RANK0_HOST,
            )
            replica = values.apply(role)
            name = container_name(app_id, part, replica_id)
            kwargs: dict[str, object] = {
                "name": name,
                "hostname": name,
                "environment": {
                    **env,
                    **replica.env,
                    ENV_RANK0_HOST: rank0_host,
                    ENV_TORCHX_IMAGE: role.image,
                },
                "labels": {
                    LABEL_VERSION: torchx.__version__,
                    LABEL_APP_ID: app_id,
                    LABEL_ROLE_NAME: role.name,
                    LABEL_REPLICA_ID: str(replica_id),
                },
                **common,
                **_mounts([*replica.mounts, *devices]),
            }
            if opts.publish_ports and role.port_map and replica_id == 0:
                kwargs["ports"] = _ports(role.port_map)
            command = [replica.entrypoint, *replica.args]
            job.containers.append(DockerContainer(role.image, command, kwargs))
    return job


def unmet_retries(app: AppDef) -> list[str]:
    """Finds the roles whose retries mean more than an engine does by itself.

    Args:
        app: The app.

    Returns:
        Their names.
    """
    return [
        role.name
        for role in app.roles
        if role.max_retries > 0
        and (
            (role.retry_policy == RetryPolicy.APPLICATION and _size(app.roles) > 1)
            or (role.retry_policy == RetryPolicy.ROLE and role.num_replicas > 1)
        )
    ]


def _size(roles: Sequence[Role]) -> int:
    return sum(role.num_replicas for role in roles)


def _check(app: AppDef) -> None:
    names = [role.name for role in app.roles]
    refuse_cluster_mounts("Docker", app.roles)
    for role in app.roles:
        if names.count(role.name) > 1:
            raise ValueError(
                f"the app `{app.name}` has two roles named `{role.name}`; role names must differ"
            )
        for mount in role.mounts:
            if not isinstance(mount, (BindMount, VolumeMount, DeviceMount)):
                raise TypeError(
                    f"role `{role.name}`: unknown mount type {type(mount).__name__}: {mount!r};"
                    " use a BindMount, a VolumeMount or a DeviceMount"
                )
        if 0 <= role.resource.memMB < _LEAST_MEMORY_MIB:
            raise ValueError(
                f"the role `{role.name}` asks for memMB={role.resource.memMB}, but a container"
                f" needs at least {_LEAST_MEMORY_MIB} MiB; ask for more, or for -1 (no limit)"
            )


def _common_env(opts: Opts, host_env: Mapping[str, str]) -> dict[str, str]:
    patterns = opts.copy_env or ()
    copied = {
        name: value
        for name, value in host_env.items()
        if any(fnmatch.fnmatch(name, pattern) for pattern in patterns)
    }
    return {**copied, **(opts.env or {})}


def _role_kwargs(role: Role, opts: Opts, app_id: str) -> dict[str, object]:
    """What all replicas of a role have in common; what is not limited is not there."""
    resource = role.resource
    kwargs: dict[str, object] = {
        "privileged": opts.privileged or False,
        "network": f"{NETWORK}-{app_id}" if opts.private_network else NETWORK,
    }
    if not opts.init:
        kwargs["init"] = False
    if role.max_retries > 0:
        kwargs["restart_policy"] = {"Name": "on-failure", "MaximumRetryCount": role.max_retries}
    if resource.memMB >= 0:
        # Data loaders hand tensors on through /dev/shm.
        kwargs["mem_limit"] = kwargs["shm_size"] = f"{int(resource.memMB)}m"
    if resource.cpu >= 0:
        kwargs["nano_cpus"] = int(resource.cpu * 1e9)
    if resource.gpu > 0:
        kwargs["device_requests"] = [_gpu_request(resource.gpu)]
    return kwargs


def _gpu_request(count: int) -> dict[str, Any]:
    return {
        "Driver": "",
        "Count": count,
        "DeviceIDs": [],
        "Capabilities": [["compute", "utility"]],
        "Options": {},
    }


def _mounts(mounts: Sequence[Mount]) -> dict[str, object]:
    shown: list[dict[str, object]] = []
    devices: list[str] = []
    for mount in mounts:
        if isinstance(mount, BindMount):
            shown.append(_mount("bind", mount.src_path, mount.dst_path, mount.read_only))
        elif isinstance(mount, VolumeMount):
            shown.append(_mount("volume", mount.src, mount.dst_path, mount.read_only))
        elif isinstance(mount, DeviceMount):
            devices.append(f"{mount.src_path}:{mount.dst_path}:{mount.permissions}")
    return {"mounts": shown, "devices": devices}


def _mount(kind: str, source: str, target: str, read_only: bool) -> dict[str, object]:
    return {"Target": target, "Source": source, "Type": kind, "ReadOnly": read_only}


def _ports(port_map: Mapping[str, int]) -> dict[str, tuple[str, int]]:
    return {f"{port}/tcp": ("127.0.0.1", port) for port in port_map.values()}
