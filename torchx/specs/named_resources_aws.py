"""AWS instance types as named resources, ``aws_`` and the name of the instance type.

Every row of the table is also a function of this module without arguments: ``aws_p3.2xlarge`` is
:py:func:`aws_p3_2xlarge`. A job that asks for a whole host can never be placed where memory is a
hard limit, since the host keeps some for itself, so each row offers 983 of every 1024 MiB.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from torchx.specs.app import Resource

EFA_DEVICE = "vpc.amazonaws.com/efa"
"""Key of ``Resource.devices``: Elastic Fabric Adapter interfaces."""

NEURON_DEVICE = "aws.amazon.com/neurondevice"
"""Key of ``Resource.devices``: Trainium and Inferentia devices."""

K8S_ITYPE = "node.kubernetes.io/instance-type"
"""Key of ``Resource.capabilities``: the instance type, for schedulers that select nodes by it."""

MEM_TAX = 0.96
"""Share of an instance's nominal memory that a container may use."""

GiB: int = int(1024 * MEM_TAX)
"""MiB of each nominal GiB that a container may use (983)."""

_INSTANCE_TYPES: tuple[tuple[str, int, int, int, int, int], ...] = (
    # instance type, cpu, gpu, usable memory in MiB, EFA interfaces, Neuron devices
    ("t3.medium", 2, 0, 3932, 0, 0),
    ("m5.large", 2, 0, 7864, 0, 0),
    ("m5.xlarge", 4, 0, 15728, 0, 0),
    ("m5.2xlarge", 8, 0, 31456, 0, 0),
    ("m5.4xlarge", 16, 0, 62912, 0, 0),
    ("m5.8xlarge", 32, 0, 125824, 0, 0),
    ("m5.12xlarge", 48, 0, 188736, 0, 0),
    ("m5.16xlarge", 64, 0, 251648, 0, 0),
    ("m5.24xlarge", 96, 0, 377472, 0, 0),
    ("m5.metal", 96, 0, 377472, 0, 0),
    ("m5d.large", 2, 0, 7864, 0, 0),
    ("m5d.xlarge", 4, 0, 15728, 0, 0),
    ("m5d.2xlarge", 8, 0, 31456, 0, 0),
    ("m5d.4xlarge", 16, 0, 62912, 0, 0),
    ("m5d.8xlarge", 32, 0, 125824, 0, 0),
    ("m5d.12xlarge", 48, 0, 188736, 0, 0),
    ("m5d.16xlarge", 64, 0, 251648, 0, 0),
    ("m5d.24xlarge", 96, 0, 377472, 0, 0),
    ("m5d.metal", 96, 0, 377472, 0, 0),
    ("c5.18xlarge", 72, 0, 139586, 0, 0),
    ("p3.2xlarge", 8, 1, 59963, 0, 0),
    ("p3.8xlarge", 32, 4, 239852, 0, 0),
    ("p3.16xlarge", 64, 8, 479704, 0, 0),
    ("p3dn.24xlarge", 96, 8, 754944, 1, 0),
    ("p4d.24xlarge", 96, 8, 1132416, 4, 0),
    ("p4de.24xlarge", 96, 8, 1132416, 4, 0),
    ("p5.48xlarge", 192, 8, 2013184, 32, 0),
    ("p5e.48xlarge", 192, 8, 2013184, 32, 0),
    ("p5en.48xlarge", 192, 8, 2013184, 16, 0),
    ("p6-b200.48xlarge", 192, 8, 2013184, 8, 0),
    ("p6-b300.48xlarge", 192, 8, 4026368, 16, 0),
    ("p6e-gb200.36xlarge", 144, 4, 943680, 16, 0),
    ("g4dn.xlarge", 4, 1, 15728, 0, 0),
    ("g4dn.2xlarge", 8, 1, 31456, 0, 0),
    ("g4dn.4xlarge", 16, 1, 62912, 0, 0),
    ("g4dn.8xlarge", 32, 1, 125824, 1, 0),
    ("g4dn.16xlarge", 64, 1, 251648, 1, 0),
    ("g4dn.12xlarge", 48, 4, 188736, 1, 0),
    ("g4dn.metal", 96, 8, 377472, 1, 0),
    ("g5.xlarge", 4, 1, 15728, 0, 0),
    ("g5.2xlarge", 8, 1, 31456, 0, 0),
    ("g5.4xlarge", 16, 1, 62912, 0, 0),
    ("g5.8xlarge", 32, 1, 125824, 1, 0),
    ("g5.16xlarge", 64, 1, 251648, 1, 0),
    ("g5.12xlarge", 48, 4, 188736, 1, 0),
    ("g5.24xlarge", 96, 4, 377472, 1, 0),
    ("g5.48xlarge", 192, 8, 754944, 1, 0),
    ("g6e.xlarge", 4, 1, 31456, 0, 0),
    ("g6e.2xlarge", 8, 1, 62912, 0, 0),
    ("g6e.4xlarge", 16, 1, 125824, 0, 0),
    ("g6e.8xlarge", 32, 1, 251648, 0, 0),
    ("g6e.16xlarge", 64, 1, 503296, 0, 0),
    ("g6e.12xlarge", 48, 4, 377472, 0, 0),
    ("g6e.24xlarge", 96, 4, 754944, 2, 0),
    ("g6e.48xlarge", 192, 8, 1509888, 4, 0),
    ("trn1.2xlarge", 8, 0, 31456, 0, 1),
    ("trn1.32xlarge", 128, 0, 503296, 8, 16),
    ("inf2.xlarge", 4, 0, 15728, 0, 1),
    ("inf2.8xlarge", 32, 0, 125824, 0, 1),
    ("inf2.24xlarge", 96, 0, 377472, 0, 6),
    ("inf2.48xlarge", 192, 0, 754944, 0, 12),
)


def instance_type_from_resource(resource: Resource) -> str | None:
    """Returns the instance type that a resource stands for.

    Warns (``UserWarning``) if it has none.

    Args:
        resource: Any resource.

    Returns:
        For example ``p3.2xlarge``, or None.
    """
    instance_type = resource.capabilities.get(K8S_ITYPE)
    if instance_type is None:
        import warnings

        warnings.warn(
            "Cannot determine the instance type of a resource. This can be a problem in compute"
            " environments of several instance types and for multi-node jobs. Set it as the"
            " capability torchx.specs.named_resources_aws.K8S_ITYPE of the resource.",
            stacklevel=2,
        )
        return None
    return str(instance_type)


def _factory(
    name: str, cpu: int, gpu: int, memory_mib: int, efa_count: int, neuron_count: int
) -> Callable[[], Resource]:
    def make() -> Resource:
        counts = {EFA_DEVICE: efa_count, NEURON_DEVICE: neuron_count}
        return Resource(
            cpu=cpu,
            gpu=gpu,
            memMB=memory_mib,
            capabilities={K8S_ITYPE: name},
            devices={device: count for device, count in counts.items() if count},
        )

    make.__name__ = make.__qualname__ = "aws_" + name.replace(".", "_").replace("-", "_")
    make.__doc__ = f"Returns a new resource of the size of a {name} instance."
    return make


NAMED_RESOURCES: Mapping[str, Callable[[], Resource]] = {
    "aws_" + row[0]: _factory(*row) for row in _INSTANCE_TYPES
}
"""Name to a factory that makes a new :py:class:`~torchx.specs.Resource` on each call."""

if TYPE_CHECKING:

    def __getattr__(name: str) -> Callable[[], Resource]:
        """Stands for the functions that the table defines."""

else:
    globals().update({factory.__name__: factory for factory in NAMED_RESOURCES.values()})
