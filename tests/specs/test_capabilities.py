from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from torchx.specs.app import Resource
from torchx.specs.capabilities import CapabilityKey

BANDWIDTH = CapabilityKey("aws", "network_bandwidth_gbps", int)
EFA = CapabilityKey("aws", "efa", bool)


@pytest.fixture
def resource() -> Resource:
    return Resource(1, 0, 1)


def test_value_is_kept_under_namespace_and_name(resource: Resource) -> None:
    BANDWIDTH.set(resource, 100)
    assert resource.capabilities == {"aws.network_bandwidth_gbps": 100}
    assert BANDWIDTH.get(resource) == BANDWIDTH.get(Resource.copy(resource)) == 100


def test_absent_capability_is_the_default(resource: Resource) -> None:
    assert BANDWIDTH.get(resource) is None
    assert BANDWIDTH.get(resource, default=5) == BANDWIDTH.get(resource, 5) == 5


def test_value_of_another_type_is_refused(resource: Resource) -> None:
    resource.capabilities[BANDWIDTH.key] = "fast"
    with pytest.raises(TypeError, match=r"aws\.network_bandwidth_gbps.*expected `int`.*got `str`"):
        BANDWIDTH.get(resource)


@pytest.mark.parametrize(("key", "value"), [(EFA, True), (EFA, False)])
def test_bool_is_a_value_of_a_bool_key(
    resource: Resource, key: CapabilityKey[bool], value: bool
) -> None:
    key.set(resource, value)
    assert key.get(resource) is value


@pytest.mark.parametrize("kind", [int, float])
def test_bool_is_no_number(resource: Resource, kind: type[float]) -> None:
    key: CapabilityKey[float] = CapabilityKey("ns", "n", kind)
    resource.capabilities[key.key] = True
    with pytest.raises(TypeError, match="got `bool`"):
        key.get(resource)


def test_keys_are_values_themselves() -> None:
    key: Any = BANDWIDTH
    assert key == CapabilityKey("aws", "network_bandwidth_gbps", int)
    assert len({key, CapabilityKey("aws", "network_bandwidth_gbps", int)}) == 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        key.name = "other"
