"""Device files that a replica needs for its named devices."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from functools import partial

from torchx.specs.api import DeviceMount
from torchx.specs.named_resources_aws import EFA_DEVICE, NEURON_DEVICE

__all__ = [
    "DEVICES",
    "EFA_DEVICE",
    "NEURON_DEVICE",
    "efa_to_devicemounts",
    "get_device_mounts",
    "neuron_to_devicemounts",
    "to_devicemounts",
]


def to_devicemounts(num_devices: int, device_type: str) -> list[DeviceMount]:
    """Mounts the first devices of a kind under their own paths.

    Args:
        num_devices: How many.
        device_type: Path of the devices without their number (``/dev/neuron``).

    Returns:
        One mount per device, from number 0.
    """
    paths = [f"{device_type}{number}" for number in range(num_devices)]
    return [DeviceMount(src_path=path, dst_path=path) for path in paths]


neuron_to_devicemounts: Callable[[int], list[DeviceMount]] = partial(
    to_devicemounts, device_type="/dev/neuron"
)
"""Mounts AWS Neuron devices."""

efa_to_devicemounts: Callable[[int], list[DeviceMount]] = partial(
    to_devicemounts, device_type="/dev/infiniband/uverbs"
)
"""Mounts AWS Elastic Fabric Adapters."""

DEVICES: Mapping[str, Callable[[int], list[DeviceMount]]] = {
    EFA_DEVICE: efa_to_devicemounts,
    NEURON_DEVICE: neuron_to_devicemounts,
}
"""How to mount a number of devices, by their name in ``Resource.devices``."""


def get_device_mounts(devices: Mapping[str, int]) -> list[DeviceMount]:
    """Lists the device files for named devices.

    Args:
        devices: Number of devices by name, as in ``Resource.devices``. A name that is not known
            causes a ``UserWarning`` and is left out.

    Returns:
        The mounts, in the order of ``devices``.
    """
    mounts: list[DeviceMount] = []
    for name, number in devices.items():
        if name in DEVICES:
            mounts += DEVICES[name](number)
        else:
            warnings.warn(f"could not find named device: {name}", UserWarning, stacklevel=2)
    return mounts
