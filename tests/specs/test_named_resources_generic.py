from __future__ import annotations

import pytest

from torchx.specs.named_resources_generic import NAMED_RESOURCES, GiB


@pytest.mark.parametrize("name", NAMED_RESOURCES)
def test_every_size_is_usable(name: str) -> None:
    made = NAMED_RESOURCES[name]()
    assert made.cpu >= 1
    assert made.memMB >= 1
    assert (made.gpu >= 1) == name.startswith("gpu")
    assert not made.capabilities
    assert not made.devices
    assert NAMED_RESOURCES[name]() is not made


def test_sizes() -> None:
    assert list(NAMED_RESOURCES)[:5] == [
        "gpu.small",
        "gpu.medium",
        "gpu.large",
        "gpu.xlarge",
        "cpu.nano",
    ]
    assert NAMED_RESOURCES["gpu.xlarge"]().memMB == 256 * GiB
    assert NAMED_RESOURCES["cpu.nano"]().memMB == 512
