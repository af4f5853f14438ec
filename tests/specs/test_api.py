from __future__ import annotations

import types
from unittest import mock

import pytest

from torchx import specs
from torchx.specs import api

PUBLIC = """
    ALL AppDef AppDryRunInfo AppHandle AppState AppStatus BindMount CapabilityKey CfgVal DeviceMount
    InvalidRunConfigException MISSING MalformedAppHandleException NA NONE NULL_RESOURCE
    ParsedAppHandle ReplicaState ReplicaStatus Resource RetryPolicy Role RoleStatus
    TORCHX_CONTEXT_NAME TORCHX_HOME UNKNOWN UnknownAppException UnknownSchedulerException
    VolumeMount Workspace app_metadata cases get_named_resources get_type_name is_terminal macros
    make_app_handle materialize_appdef named_resources parse_app_handle parse_mounts resource runopt
    runopts
"""


def test_public_surface_of_the_package() -> None:
    assert sorted(specs.__all__) == sorted(PUBLIC.split())
    for name in specs.__all__:
        assert not isinstance(getattr(specs, name), types.ModuleType), name


def test_package_and_api_have_the_same_objects() -> None:
    shared = set(specs.__all__) & set(api.__all__)
    assert len(shared) > 30
    for name in shared:
        assert getattr(specs, name) is getattr(api, name), name


@pytest.mark.parametrize(
    "name",
    ["AppStatusError", "is_started", "MountType", "YELLOW_BOLD", "RESET", "_TERMINAL_STATES"],
)
def test_names_that_only_the_api_module_has(name: str) -> None:
    assert hasattr(api, name)
    assert name not in specs.__all__


@pytest.mark.parametrize(
    "name",
    [
        "AWS_NAMED_RESOURCES",
        "CUSTOM_NAMED_RESOURCES",
        "GENERIC_NAMED_RESOURCES",
        "GiB",
        "ResourceFactory",
        "_NamedResourcesLibrary",
        "_load_named_resources",
        "_named_resource_factories",
        "named_resources_aws",
        "named_resources_generic",
    ],
)
def test_names_of_the_package_outside_of_its_public_surface(name: str) -> None:
    assert hasattr(specs, name)
    assert name not in specs.__all__


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"module 'torchx\.specs' has no attribute 'nothing'"):
        _ = specs.nothing


def test_globals_of_named_resources_can_be_patched() -> None:
    tiny = specs.Resource(1, 0, 1)
    with mock.patch("torchx.specs._named_resource_factories", {"tiny": lambda: tiny}):
        assert specs._NamedResourcesLibrary()["tiny"] is tiny
    with mock.patch("torchx.specs.CUSTOM_NAMED_RESOURCES", {"tiny": lambda: tiny}):
        assert specs._load_named_resources()["tiny"]() is tiny
    assert "tiny" not in specs.named_resources
