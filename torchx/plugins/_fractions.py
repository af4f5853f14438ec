"""Ways to cut a host into equal parts, for ``@register.named_resource(fractionals=...)``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torchx.specs import Resource

WHOLE = 1.0
HALF = 0.5
QUARTER = 0.25
EIGHTH = 0.125
SIXTEENTH = 0.0625

_MIB_PER_GIB = 1024


def powers_of_two_gpus(resource: Resource) -> dict[float, str]:
    """Halves a host until one GPU is left.

    Args:
        resource: The whole host. Its number of GPUs must be a power of two.

    Returns:
        Number of GPUs as text by fraction, the whole first.

    Raises:
        ValueError: The number of GPUs is no power of two.

    Example:
        >>> from torchx.specs import Resource
        >>> powers_of_two_gpus(Resource(cpu=8, gpu=4, memMB=64))
        {1.0: '4', 0.5: '2', 0.25: '1'}
    """
    gpus = resource.gpu
    if gpus < 1 or gpus & (gpus - 1):
        raise ValueError(f"the number of GPUs must be a power of two, not {gpus}")
    return {part / gpus: str(part) for part in _halves(gpus, at_least=1)}


def halve_mem_down_to(*, minGiB: int) -> Callable[[Resource], dict[float, str]]:
    """Halves a host until a certain amount of memory would be undercut.

    Args:
        minGiB: The least memory of a part in GiB.

    Returns:
        A function from the whole host to memory in GiB, as text, by fraction.

    Example:
        >>> from torchx.specs import Resource
        >>> halve_mem_down_to(minGiB=16)(Resource(cpu=8, gpu=0, memMB=64 * 1024))
        {1.0: '64', 0.5: '32', 0.25: '16'}
    """

    def halve(resource: Resource) -> dict[float, str]:
        memory_gib, rest_mib = divmod(resource.memMB, _MIB_PER_GIB)
        if memory_gib <= 0 or rest_mib:
            raise ValueError(
                f"the memory must be a whole number of GiB (1024 MB each), not {resource.memMB} MB"
            )
        odd_part = memory_gib // (memory_gib & -memory_gib)
        if minGiB < odd_part:
            raise ValueError(
                f"{memory_gib} GiB cannot be halved down to {minGiB} GiB: {odd_part} is odd"
            )
        return {part / memory_gib: str(part) for part in _halves(memory_gib, at_least=minGiB)}

    return halve


def _halves(whole: int, at_least: int) -> list[int]:
    parts = []
    while whole >= at_least:
        parts.append(whole)
        if whole % 2:
            break
        whole //= 2
    return parts
