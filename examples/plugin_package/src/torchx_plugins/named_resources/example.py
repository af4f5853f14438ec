"""Registers ``example_box``, the alias ``example_desk``, and parts down to ``example_box_8``."""

from __future__ import annotations

from example_plugins import resources

from torchx.plugins import halve_mem_down_to, register
from torchx.specs import Resource


@register.named_resource(aliases=["example_desk"], fractionals=halve_mem_down_to(minGiB=8))
def example_box(fractional: float = 1.0) -> Resource:
    """Describes a machine, or a part of it.

    Args:
        fractional: The part.

    Returns:
        The resource.
    """
    return resources.box(fractional)
