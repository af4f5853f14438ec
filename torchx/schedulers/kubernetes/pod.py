"""Turns a role into the pod of one of its replicas. No I/O, and nothing of one kind of job.

All that runs on Kubernetes is made of these pods: plain Jobs, Volcano Jobs and AppWrappers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torchx.schedulers.kubernetes.expansion import literal
from torchx.schedulers.kubernetes.models import Models
from torchx.schedulers.kubernetes.volumes import is_privileged, volumes_of
from torchx.specs.api import Resource, Role
from torchx.specs.named_resources_aws import EFA_DEVICE

if TYPE_CHECKING:
    from kubernetes.client.models import V1Pod

RESERVED_MILLICPU = 100
"""CPU that is not requested, in thousandths: the system on a node needs some, too."""

RESERVED_MEMMB = 1024
"""Memory that is not requested, in MB, as above."""

ANNOTATION_ISTIO_SIDECAR = "sidecar.istio.io/inject"
LABEL_INSTANCE_TYPE = "node.kubernetes.io/instance-type"

PLACEHOLDER_FIELD_PATH = "[FIELD_PATH]"
"""Begins the value of a variable that Kubernetes fills in: ``[FIELD_PATH]status.podIP``."""

_GPU = "nvidia.com/gpu"


def role_to_pod(
    name: str,
    role: Role,
    service_account: str | None,
    reserved_millicpu: int = RESERVED_MILLICPU,
    reserved_memmb: int = RESERVED_MEMMB,
    efa_device_count: int | None = None,
    *,
    models: Models | None = None,
) -> V1Pod:
    """Makes the pod of a replica; macros in the role are left as they are.

    Args:
        name: Name of the container.
        role: The role.
        service_account: Service account of the pod; by default that of the namespace.
        reserved_millicpu: Thousandths of a CPU to request less than the role asks for.
        reserved_memmb: Memory in MB to request less than the role asks for.
        efa_device_count: Elastic Fabric Adapters; ``None`` leaves what the resource says.
        models: Makes the objects; hand the same one on to save time.

    Returns:
        The pod.

    Raises:
        TypeError: A mount is of an unknown type.
    """
    models = models or Models()
    limits, requests = _resources(
        role.resource, reserved_millicpu, reserved_memmb, efa_device_count
    )
    resources = models.V1ResourceRequirements(limits=limits, requests=requests)
    volumes, volume_mounts = volumes_of(role.mounts, models)
    return models.V1Pod(
        spec=models.V1PodSpec(
            containers=[_container(name, role, resources, volume_mounts, models)],
            restart_policy="Never",
            service_account_name=service_account,
            volumes=volumes,
            node_selector=_node_selector(role.resource),
        ),
        metadata=models.V1ObjectMeta(
            annotations={
                # A sidecar that does not end would keep the pod from ending.
                ANNOTATION_ISTIO_SIDECAR: "false"
            },
            labels={},
        ),
    )


def _container(
    name: str, role: Role, resources: Any, volume_mounts: list[Any], models: Models
) -> Any:
    privileged = {"privileged": True} if is_privileged(role.mounts) else {}
    return models.V1Container(
        name=name,
        image=role.image,
        command=command_of(role),
        env=[_variable(key, value, role.env, models) for key, value in role.env.items()],
        ports=[
            models.V1ContainerPort(name=port, container_port=number)
            for port, number in role.port_map.items()
        ],
        resources=resources,
        volume_mounts=volume_mounts,
        security_context=models.V1SecurityContext(**privileged),
    )


def command_of(role: Role) -> list[str]:
    """Returns the command of a container, so written that it gets each word unchanged.

    Args:
        role: The role.

    Returns:
        The program and its arguments. ``$(NAME)`` refers to a variable only if that is one which
        Kubernetes fills in.
    """
    references = _filled_in(role.env)
    return [literal(word, role.env, references) for word in (role.entrypoint, *role.args)]


def _resources(
    resource: Resource, reserved_millicpu: int, reserved_memmb: int, efa_device_count: int | None
) -> tuple[dict[str, str], dict[str, str]]:
    """Returns limits and requests."""
    limits: dict[str, str] = {}
    requests: dict[str, str] = {}
    if resource.cpu > 0:
        millicpu = int(resource.cpu * 1000)
        limits["cpu"] = f"{millicpu}m"
        requests["cpu"] = f"{max(millicpu - reserved_millicpu, 0)}m"
    if resource.memMB > 0:
        limits["memory"] = f"{int(resource.memMB)}M"
        requests["memory"] = f"{max(int(resource.memMB) - reserved_memmb, 0)}M"
    if resource.gpu > 0:
        limits[_GPU] = requests[_GPU] = str(resource.gpu)
    limits.update((device, str(count)) for device, count in resource.devices.items())
    if efa_device_count is not None:
        limits.pop(EFA_DEVICE, None)
        if efa_device_count > 0:
            limits[EFA_DEVICE] = str(efa_device_count)
    return limits, requests


def _node_selector(resource: Resource) -> dict[str, str]:
    if LABEL_INSTANCE_TYPE not in resource.capabilities:
        return {}
    return {LABEL_INSTANCE_TYPE: resource.capabilities[LABEL_INSTANCE_TYPE]}


def _variable(name: str, value: str, env: Mapping[str, str], models: Models) -> Any:
    if value.startswith(PLACEHOLDER_FIELD_PATH):
        field = models.V1ObjectFieldSelector(field_path=value.removeprefix(PLACEHOLDER_FIELD_PATH))
        return models.V1EnvVar(name=name, value_from=models.V1EnvVarSource(field_ref=field))
    return models.V1EnvVar(name=name, value=literal(value, env, _filled_in(env)))


def _filled_in(env: Mapping[str, str]) -> list[str]:
    return [name for name, value in env.items() if value.startswith(PLACEHOLDER_FIELD_PATH)]
