"""Makes the pod that all replicas of a role are made from: options, macros and overlay applied."""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from torchx.schedulers.kubernetes.models import Models
from torchx.schedulers.kubernetes.overlay import addressed_to, apply_to_pod
from torchx.schedulers.kubernetes.pod import RESERVED_MEMMB, RESERVED_MILLICPU, role_to_pod
from torchx.schedulers.kubernetes.tolerations import parse_toleration
from torchx.settings import ENV_TORCHX_IMAGE
from torchx.specs.api import Role, macros

if TYPE_CHECKING:
    from kubernetes.client.models import V1Pod

logger = logging.getLogger(__name__)

ENV_RANK0_HOST = "TORCHX_RANK0_HOST"


@dataclass
class PodSettings:
    """What the run options say about pods.

    Attributes:
        service_account: Service account; ``None`` for that of the namespace.
        reserved_millicpu: Thousandths of a CPU to request less than a role asks for.
        reserved_memmb: Memory in MB to request less than a role asks for.
        efa_device_count: Elastic Fabric Adapters; ``None`` leaves what the resource says.
        priority_class: Priority class of the pods themselves.
        image_pull_policy: ``Always``, ``IfNotPresent`` or ``Never``.
        image_secrets: Names of secrets to pull images with.
        node_selector: Labels that nodes must have.
        tolerations: Taints that nodes may have, as ``key=value:Effect``.
    """

    service_account: str | None = None
    reserved_millicpu: int = RESERVED_MILLICPU
    reserved_memmb: int = RESERVED_MEMMB
    efa_device_count: int | None = None
    priority_class: str | None = None
    image_pull_policy: str | None = None
    image_secrets: list[str] = field(default_factory=list)
    node_selector: dict[str, str] = field(default_factory=dict)
    tolerations: list[str] = field(default_factory=list)


@dataclass
class Replica:
    """One replica, or with marks instead of numbers any replica, of a role.

    Attributes:
        role: The role, with macros.
        container: Name of its container.
        values: Values of the macros.
        env: Variables that win over those of the role.
        overlay: Overlay of the role, with macros; empty if there is none.
    """

    role: Role
    container: str
    values: macros.Values
    env: Mapping[str, str] = field(default_factory=dict)
    overlay: dict[str, Any] = field(default_factory=dict)


def make_pod(replica: Replica, settings: PodSettings, models: Models) -> V1Pod:
    """Makes a pod.

    Args:
        replica: What runs in it.
        settings: What the run options say.
        models: Makes the objects.

    Returns:
        The pod, without labels.

    Raises:
        TypeError: A mount is of an unknown type, or the overlay does not fit to the pod.
        ValueError: A key of the overlay, or a toleration, is malformed.
    """
    role = replica.values.apply(replica.role)
    role.env.update(replica.env)
    role.env.pop(ENV_TORCHX_IMAGE, None)
    role.env[ENV_TORCHX_IMAGE] = role.image
    pod = role_to_pod(
        replica.container,
        role,
        settings.service_account,
        settings.reserved_millicpu,
        settings.reserved_memmb,
        settings.efa_device_count,
        models=models,
    )
    _apply_settings(pod, settings, models)
    if replica.overlay:
        overlay = replica.values.substitute_all(replica.overlay)
        ignored = apply_to_pod(pod, addressed_to(overlay, replica.role, replica.container))
        if ignored:
            _report_ignored(replica.values.app_id, role.name, ", ".join(ignored))
    return pod


@functools.lru_cache
def _report_ignored(app_id: str, role_name: str, fields: str) -> None:
    """Warns once for all replicas of a role."""
    logger.warning(
        "%s: the overlay of role `%s` sets what the installed package `kubernetes` does not know"
        " and ignores: %s",
        app_id,
        role_name,
        fields,
    )


def _apply_settings(pod: V1Pod, settings: PodSettings, models: Models) -> None:
    spec = pod.spec
    spec.node_selector = {**spec.node_selector, **settings.node_selector}
    if settings.priority_class is not None:
        spec.priority_class_name = settings.priority_class
    if settings.image_pull_policy is not None:
        spec.containers[0].image_pull_policy = settings.image_pull_policy
    if settings.image_secrets:
        spec.image_pull_secrets = [
            models.V1LocalObjectReference(name=name) for name in settings.image_secrets
        ]
    if settings.tolerations:
        spec.tolerations = [
            models.V1Toleration(**parse_toleration(text)) for text in settings.tolerations
        ]
