"""The documented import path of the job model. Everything here is defined next door."""

from __future__ import annotations

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
from torchx.specs.dryrun import AppDryRunInfo, T
from torchx.specs.handle import (
    AppHandle,
    MalformedAppHandleException,
    ParsedAppHandle,
    UnknownAppException,
    UnknownSchedulerException,
    make_app_handle,
    parse_app_handle,
)
from torchx.specs.lazy import _OVERRIDES_LOCK_KEY as _OVERRIDES_LOCK_KEY
from torchx.specs.lazy import _OverridesLock as _OverridesLock
from torchx.specs.macros import macros
from torchx.specs.mounts import (
    BindMount,
    ConfigMapMount,
    DeviceMount,
    MountType,
    SecretMount,
    VolumeMount,
)
from torchx.specs.runopts import (
    InvalidRunConfigException,
    cases,
    get_type_name,
    runopt,
    runopts,
)
from torchx.specs.status import _TERMINAL_STATES as _TERMINAL_STATES
from torchx.specs.status import (
    AppState,
    AppStatus,
    AppStatusError,
    MeasuredReplicaStatus,
    ReplicaState,
    ReplicaStatus,
    ReplicaUsage,
    RoleStatus,
    is_started,
    is_terminal,
)
from torchx.specs.workspace import Workspace

YELLOW_BOLD = "\033[1;33m"
"""Turns a terminal to bold yellow."""

RESET = "\033[0m"
"""Turns a terminal back to normal."""

__all__ = [
    "ALL",
    "MISSING",
    "NONE",
    "NULL_RESOURCE",
    "RESET",
    "TORCHX_HOME",
    "UNKNOWN",
    "YELLOW_BOLD",
    "AppDef",
    "AppDryRunInfo",
    "AppHandle",
    "AppState",
    "AppStatus",
    "AppStatusError",
    "BindMount",
    "CfgVal",
    "ConfigMapMount",
    "DeviceMount",
    "InvalidRunConfigException",
    "MalformedAppHandleException",
    "MeasuredReplicaStatus",
    "MountType",
    "ParsedAppHandle",
    "ReplicaState",
    "ReplicaStatus",
    "ReplicaUsage",
    "Resource",
    "RetryPolicy",
    "Role",
    "RoleStatus",
    "SecretMount",
    "T",
    "UnknownAppException",
    "UnknownSchedulerException",
    "VolumeMount",
    "Workspace",
    "cases",
    "get_type_name",
    "is_started",
    "is_terminal",
    "macros",
    "make_app_handle",
    "parse_app_handle",
    "runopt",
    "runopts",
]
