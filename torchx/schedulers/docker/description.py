"""What the labels of containers tell about the app and its roles, without secrets."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from torchx.schedulers.docker.options import Opts
from torchx.specs.api import (
    AppDef,
    BindMount,
    DeviceMount,
    Resource,
    RetryPolicy,
    Role,
    VolumeMount,
)
from torchx.util.redact import redact_args, redact_env

LABEL_DESCRIPTION = "torchx.pytorch.org/description"
"""On the first replica of each role: JSON, see :class:`Description`."""

_MOUNTS = {"bind": BindMount, "volume": VolumeMount, "device": DeviceMount}
_MOUNT_KINDS = {kind: name for name, kind in _MOUNTS.items()}


@dataclass(frozen=True)
class Description:
    """What one label tells.

    Attributes:
        app_name: Name of the app.
        session: Session that submitted it.
        num_replicas: Number of replicas of all roles together.
        grace_period_s: Seconds between SIGTERM and SIGKILL when it is cancelled.
        position: Position of the role within the app.
        role: The role; secrets in its arguments and its environment are replaced.
    """

    app_name: str
    session: str
    num_replicas: int
    grace_period_s: int
    position: int
    role: Role


def describe_roles(app: AppDef, session: str, opts: Opts) -> dict[str, str]:
    """Makes the labels of an app.

    Args:
        app: The app as it is submitted.
        session: Session that submits it.
        opts: The run options.

    Returns:
        Name of a role -> value of its label.
    """
    return {
        role.name: json.dumps(
            {
                "app_name": app.name,
                "session": session,
                "num_replicas": sum(role.num_replicas for role in app.roles),
                "grace_period_s": opts.grace_period_s,
                "position": position,
                "role": _role_fields(role),
            }
        )
        for position, role in enumerate(app.roles)
    }


def read_description(label: str | None) -> Description | None:
    """Reads a label.

    Args:
        label: Value of the label; ``None`` if there is none.

    Returns:
        What it tells; ``None`` if that cannot be understood.
    """
    if not label:
        return None
    try:
        told = json.loads(label)
        return Description(
            app_name=told["app_name"],
            session=told["session"],
            num_replicas=told["num_replicas"],
            grace_period_s=told["grace_period_s"],
            position=told["position"],
            role=_read_role(told["role"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None  # another version's, or not ours


def _role_fields(role: Role) -> dict[str, Any]:
    resource = role.resource
    return {
        "name": role.name,
        "image": role.image,
        "entrypoint": role.entrypoint,
        "args": redact_args(role.args),
        "env": redact_env(role.env),
        "num_replicas": role.num_replicas,
        "min_replicas": role.min_replicas,
        "max_retries": role.max_retries,
        "retry_policy": role.retry_policy.value,
        "port_map": dict(role.port_map),
        "resource": {
            "cpu": resource.cpu,
            "gpu": resource.gpu,
            "memMB": resource.memMB,
            "devices": dict(resource.devices),
        },
        "mounts": [
            {"type": _MOUNT_KINDS[type(mount)], **asdict(mount)}
            for mount in role.mounts
            if type(mount) in _MOUNT_KINDS
        ],
    }


def _read_role(told: dict[str, Any]) -> Role:
    fields = dict(told)
    fields["resource"] = Resource(**told["resource"])
    fields["retry_policy"] = RetryPolicy(told["retry_policy"])
    fields["mounts"] = [_read_mount(mount) for mount in told["mounts"]]
    return Role(**fields)


def _read_mount(told: dict[str, Any]) -> BindMount | VolumeMount | DeviceMount:
    fields = dict(told)
    mount: BindMount | VolumeMount | DeviceMount = _MOUNTS[fields.pop("type")](**fields)
    return mount
