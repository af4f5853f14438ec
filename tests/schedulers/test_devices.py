from __future__ import annotations

import pytest

from torchx.schedulers.devices import EFA_DEVICE, NEURON_DEVICE, get_device_mounts
from torchx.specs.api import DeviceMount


def test_named_devices_become_mounts_in_order() -> None:
    mounts = get_device_mounts({"vpc.amazonaws.com/efa": 2, "aws.amazon.com/neurondevice": 1})
    assert mounts == [
        DeviceMount(src_path=path, dst_path=path, permissions="rwm")
        for path in ("/dev/infiniband/uverbs0", "/dev/infiniband/uverbs1", "/dev/neuron0")
    ]


def test_the_names_are_those_of_the_aws_resources() -> None:
    assert (EFA_DEVICE, NEURON_DEVICE) == ("vpc.amazonaws.com/efa", "aws.amazon.com/neurondevice")


def test_an_unknown_device_is_left_out_with_a_warning_each_time() -> None:
    for _ in range(2):
        with pytest.warns(UserWarning, match="could not find named device: other/device"):
            assert get_device_mounts({"other/device": 1}) == []
