"""T-shirt sizes of hardware that exist on any back end."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torchx.specs.app import Resource

GiB: int = 1024
"""MiB in a GiB, the unit of ``Resource.memMB``."""

_SIZES: tuple[tuple[str, int, int, int], ...] = (
    # name, cpu, gpu, memory in MiB
    ("gpu.small", 8, 1, 32 * GiB),
    ("gpu.medium", 16, 2, 64 * GiB),
    ("gpu.large", 32, 4, 128 * GiB),
    ("gpu.xlarge", 64, 8, 256 * GiB),
    ("cpu.nano", 1, 0, 512),
    ("cpu.micro", 1, 0, 1 * GiB),
    ("cpu.small", 1, 0, 2 * GiB),
    ("cpu.medium", 2, 0, 4 * GiB),
    ("cpu.large", 2, 0, 8 * GiB),
    ("cpu.xlarge", 8, 0, 32 * GiB),
)


def _factory(cpu: int, gpu: int, memory_mib: int) -> Callable[[], Resource]:
    return lambda: Resource(cpu=cpu, gpu=gpu, memMB=memory_mib)


NAMED_RESOURCES: Mapping[str, Callable[[], Resource]] = {
    name: _factory(cpu, gpu, memory_mib) for name, cpu, gpu, memory_mib in _SIZES
}
"""Name to a factory that makes a new :py:class:`~torchx.specs.Resource` on each call."""
