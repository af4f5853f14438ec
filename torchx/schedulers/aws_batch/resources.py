"""Resources of a role as resource requirements of AWS Batch, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum, auto

from torchx.errors import TorchXError
from torchx.specs.api import Resource


class AppRefusedError(TorchXError, ValueError, AssertionError):
    """AWS Batch cannot run such an app. Earlier releases raised ``AssertionError``."""


class ResourceType(Enum):
    """Kinds of resources that AWS Batch knows."""

    VCPU = auto()
    GPU = auto()
    MEMORY = auto()

    @staticmethod
    def from_str(resource_type: str) -> ResourceType:
        """Finds a kind by its name.

        Args:
            resource_type: The name, in any case.

        Returns:
            The kind.

        Raises:
            ValueError: There is no such kind.
        """
        name = resource_type.upper()
        if name not in ResourceType.__members__:
            raise ValueError(
                f"unknown resource type {resource_type!r},"
                f" must be one of {list(ResourceType.__members__)}"
            )
        return ResourceType[name]


def resource_requirements_from_resource(resource: Resource) -> list[dict[str, str]]:
    """Asks for a resource.

    Args:
        resource: The resource; without CPUs it gets one.

    Returns:
        The requirements: CPUs, memory in MiB and, if there are any, GPUs.

    Raises:
        AssertionError: The memory is not positive.
    """
    if resource.memMB <= 0:
        raise AppRefusedError(
            f"AWS Batch needs to know how much memory a container may use: memMB must be positive,"
            f" not {resource.memMB}",
            hint="give the role a resource, for example with -h cpu.small or --memMB",
        )
    requirements = [
        _requirement(ResourceType.VCPU, max(1, resource.cpu)),
        _requirement(ResourceType.MEMORY, resource.memMB),
    ]
    if resource.gpu > 0:
        requirements.append(_requirement(ResourceType.GPU, resource.gpu))
    return requirements


def resource_from_resource_requirements(resource_requirements: list[dict[str, str]]) -> Resource:
    """Reads the requirements of a job.

    Args:
        resource_requirements: The requirements, in any order.

    Returns:
        The resource.

    Raises:
        KeyError: CPUs or memory are not among them.
    """
    values = {
        ResourceType.from_str(item["type"]): int(item["value"]) for item in resource_requirements
    }
    return Resource(
        cpu=values[ResourceType.VCPU],
        gpu=values.get(ResourceType.GPU, 0),
        memMB=values[ResourceType.MEMORY],
    )


def resource_of_container(container: Mapping[str, object]) -> Resource:
    """Reads the requirements of a container of any job, whoever submitted it.

    Args:
        container: The properties of the container.

    Returns:
        The resource; -1 for what is not told. Fractions of a CPU count as a whole one.
    """
    values = {"VCPU": -1, "MEMORY": -1, "GPU": 0}
    # What jobs said before there were resource requirements.
    for key, name in (("vcpus", "VCPU"), ("memory", "MEMORY")):
        if isinstance(older := container.get(key), (int, float)) and older:
            values[name] = int(older)
    requirements = container.get("resourceRequirements")
    for item in requirements if isinstance(requirements, Sequence) else ():
        values[str(item["type"]).upper()] = max(1, int(float(item["value"])))
    return Resource(cpu=values["VCPU"], gpu=values["GPU"], memMB=values["MEMORY"])


def _requirement(kind: ResourceType, amount: float) -> dict[str, str]:
    return {"type": kind.name, "value": str(amount)}
