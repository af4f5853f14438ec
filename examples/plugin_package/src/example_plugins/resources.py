"""Named resources."""

from __future__ import annotations

from torchx.specs import Resource


def box(fractional: float = 1.0) -> Resource:
    """Describes a machine with 8 CPUs and 32 GiB.

    Args:
        fractional: The part of the machine that is wanted.

    Returns:
        The resource.
    """
    return Resource(cpu=int(8 * fractional), gpu=0, memMB=int(32 * 1024 * fractional))
