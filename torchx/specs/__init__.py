"""The job model: what to run (:class:`AppDef`, :class:`Role`), on what (:class:`Resource`) and how.

Importing it costs little: named resources, component functions and what only those who watch jobs
need are loaded when first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torchx.specs import resource_library
from torchx.specs.app import (
    ALL,
    MISSING,
    NONE,
    NULL_RESOURCE,
    TORCHX_HOME,
    UNKNOWN,
    AppDef,
    CfgVal,
    Resource,
    RetryPolicy,
    Role,
)
from torchx.specs.macros import macros
from torchx.specs.metadata_keys import NA, TORCHX_CONTEXT_NAME, app_metadata
from torchx.specs.mounts import BindMount, DeviceMount, VolumeMount, parse_mounts
from torchx.specs.mounts import ConfigMapMount as ConfigMapMount
from torchx.specs.mounts import SecretMount as SecretMount
from torchx.specs.resource_library import (
    ResourceFactory,
    get_named_resources,
    named_resources,
    resource,
)
from torchx.specs.runopts import (
    InvalidRunConfigException,
    cases,
    get_type_name,
    runopt,
    runopts,
)
from torchx.specs.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torchx.specs import named_resources_aws as named_resources_aws
    from torchx.specs.builders import materialize_appdef
    from torchx.specs.capabilities import CapabilityKey
    from torchx.specs.dryrun import AppDryRunInfo
    from torchx.specs.handle import (
        AppHandle,
        MalformedAppHandleException,
        ParsedAppHandle,
        UnknownAppException,
        UnknownSchedulerException,
        make_app_handle,
        parse_app_handle,
    )
    from torchx.specs.status import (
        AppState,
        AppStatus,
        ReplicaState,
        ReplicaStatus,
        RoleStatus,
        is_terminal,
    )

    AWS_NAMED_RESOURCES: Mapping[str, ResourceFactory]
    GENERIC_NAMED_RESOURCES: Mapping[str, ResourceFactory]
    CUSTOM_NAMED_RESOURCES: Mapping[str, ResourceFactory]
    _named_resource_factories: dict[str, ResourceFactory]

GiB: int = 1024
"""MiB in one GiB: ``Resource.memMB`` is in MiB."""

# Users reach these as attributes without ever importing them.
_LAZY_MODULES = (
    "api",
    "builders",
    "dryrun",
    "handle",
    "named_resources_aws",
    "named_resources_generic",
    "status",
)

_LAZY_ATTRIBUTES = {
    "AppDryRunInfo": "dryrun",
    "AppHandle": "handle",
    "AppState": "status",
    "AppStatus": "status",
    "CapabilityKey": "capabilities",
    "MalformedAppHandleException": "handle",
    "ParsedAppHandle": "handle",
    "ReplicaState": "status",
    "ReplicaStatus": "status",
    "RoleStatus": "status",
    "UnknownAppException": "handle",
    "UnknownSchedulerException": "handle",
    "is_terminal": "status",
    "make_app_handle": "handle",
    "materialize_appdef": "builders",
    "parse_app_handle": "handle",
}

_NamedResourcesLibrary = resource_library._NamedResourcesLibrary
_load_named_resources = resource_library.load_named_resources


def __getattr__(name: str) -> Any:
    """Serves what is loaded on first use."""
    import importlib

    if name in _LAZY_MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    if name in _LAZY_ATTRIBUTES:
        module = importlib.import_module(f"{__name__}.{_LAZY_ATTRIBUTES[name]}")
        return getattr(module, name)
    compute = resource_library.LAZY_ATTRIBUTES.get(name)
    if compute is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return compute()


__all__ = [
    "ALL",
    "MISSING",
    "NA",
    "NONE",
    "NULL_RESOURCE",
    "TORCHX_CONTEXT_NAME",
    "TORCHX_HOME",
    "UNKNOWN",
    "AppDef",
    "AppDryRunInfo",
    "AppHandle",
    "AppState",
    "AppStatus",
    "BindMount",
    "CapabilityKey",
    "CfgVal",
    "DeviceMount",
    "InvalidRunConfigException",
    "MalformedAppHandleException",
    "ParsedAppHandle",
    "ReplicaState",
    "ReplicaStatus",
    "Resource",
    "RetryPolicy",
    "Role",
    "RoleStatus",
    "UnknownAppException",
    "UnknownSchedulerException",
    "VolumeMount",
    "Workspace",
    "app_metadata",
    "cases",
    "get_named_resources",
    "get_type_name",
    "is_terminal",
    "macros",
    "make_app_handle",
    "materialize_appdef",
    "named_resources",
    "parse_app_handle",
    "parse_mounts",
    "resource",
    "runopt",
    "runopts",
]
