"""What a job was made from. Every dry run notes it, so it is apart from what needs the store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any

from torchx.specs import CfgVal
from torchx.util.records import record


@record
class Launch:
    """What somebody asked for, from which a job was made.

    Attributes:
        component: Name of the component; None if the job was submitted as an ``AppDef``.
        component_args: Its arguments: words of a command line, or values by name.
        component_defaults: Texts that config files gave for parameters of the component.
        workspace: Local code that was brought along, in the form of ``Workspace.from_str``.
        parent_run_id: Run that the job descends from.
        cfg: Run options that were asked for, without defaults.
        secrets: Names of variables that were given with values that are never shown.
    """

    component: str | None = None
    component_args: list[str] | dict[str, Any] = field(default_factory=list)
    component_defaults: Mapping[str, str] = field(default_factory=dict)
    workspace: str | None = None
    parent_run_id: str | None = None
    cfg: Mapping[str, CfgVal] = field(default_factory=dict)
    secrets: list[str] = field(default_factory=list)
