from __future__ import annotations

import warnings

import pytest

import torchx.specs as specs
from torchx.specs import Resource, named_resources_aws
from torchx.specs.named_resources_aws import (
    EFA_DEVICE,
    K8S_ITYPE,
    MEM_TAX,
    NAMED_RESOURCES,
    NEURON_DEVICE,
    GiB,
    aws_m5_2xlarge,
    aws_p3_2xlarge,
    aws_p4d_24xlarge,
    aws_p4de_24xlarge,
    aws_p6e_gb200_36xlarge,
    aws_trn1_2xlarge,
    aws_trn1_32xlarge,
    instance_type_from_resource,
)


def test_constants() -> None:
    assert (GiB, MEM_TAX) == (983, 0.96)
    assert len(NAMED_RESOURCES) == 61


@pytest.mark.parametrize("name", NAMED_RESOURCES)
def test_every_row_is_a_function_and_a_usable_resource(name: str) -> None:
    function = getattr(named_resources_aws, name.replace(".", "_").replace("-", "_"))
    made = function()
    assert made == NAMED_RESOURCES[name]()
    assert made is not function()
    assert made.capabilities == {K8S_ITYPE: name.removeprefix("aws_")}
    assert instance_type_from_resource(made) == name.removeprefix("aws_")
    assert made.memMB % GiB == 0
    assert specs.named_resources[name] == made


def test_multiples() -> None:
    p3 = {size: NAMED_RESOURCES[f"aws_p3.{size}xlarge"]() for size in (2, 8, 16)}
    for size in (8, 16):
        for field in ("cpu", "gpu", "memMB"):
            assert getattr(p3[size], field) == getattr(p3[2], field) * size // 2
    small, big = aws_trn1_2xlarge(), aws_trn1_32xlarge()
    assert (big.cpu, big.memMB) == (16 * small.cpu, 16 * small.memMB)
    for name in NAMED_RESOURCES:
        if name.startswith("aws_m5d."):
            m5d, m5 = NAMED_RESOURCES[name](), NAMED_RESOURCES[name.replace("m5d", "m5")]()
            assert (m5d.cpu, m5d.gpu, m5d.memMB) == (m5.cpu, m5.gpu, m5.memMB)


def test_samples() -> None:
    assert (aws_p3_2xlarge().cpu, aws_p3_2xlarge().gpu) == (8, 1)
    assert aws_p3_2xlarge().memMB == 61 * GiB
    assert aws_m5_2xlarge().memMB == 32 * GiB
    assert aws_p4d_24xlarge().devices == aws_p4de_24xlarge().devices == {EFA_DEVICE: 4}
    assert aws_p6e_gb200_36xlarge().gpu == 4
    assert list(aws_trn1_32xlarge().devices.items()) == [(EFA_DEVICE, 8), (NEURON_DEVICE, 16)]


def test_a_resource_without_instance_type() -> None:
    with pytest.warns(UserWarning, match="K8S_ITYPE"):
        assert instance_type_from_resource(Resource(cpu=1, gpu=0, memMB=1)) is None


def test_the_warning_points_at_the_caller() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        instance_type_from_resource(Resource(cpu=1, gpu=0, memMB=1))
    assert caught[0].filename == __file__
