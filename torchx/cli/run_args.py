"""What ``torchx run`` is asked to do, from the command line or as JSON."""

from __future__ import annotations

import argparse
import os
from dataclasses import MISSING, field, fields
from typing import TYPE_CHECKING, Any

from torchx.util.records import record

if TYPE_CHECKING:
    from torchx.specs import CfgVal


@record
class TorchXRunArgs:
    """One call of ``torchx run``.

    Attributes:
        component_name: Name of the component, or ``FILE:FUNCTION``.
        scheduler: Name of the scheduler.
        scheduler_args: Options of the scheduler as they came as JSON.
        scheduler_cfg: Options of the scheduler, read.
        dryrun: Print what would be submitted and do nothing.
        wait: Wait until the app has ended.
        log: Follow the logs of the app, and wait.
        workspace: Code to bring along, as a path or in the form of ``Workspace.from_str``.
        parent_run_id: Run of the experiment tracker that the app belongs to.
        tee_logs: Follow the logs with one thread per replica.
        component_args: Arguments of the component by name, already of their types.
        component_args_str: Arguments of the component as words; they win over ``component_args``.
        json: Print one JSON object instead of the handle.
        env_file: Files of variables for all replicas, whose values are never shown.
        secret_env: Names of variables of this process for all replicas, never shown either.
        detach: Leave the app to itself once it is launched.
    """

    component_name: str
    scheduler: str
    scheduler_args: dict[str, Any]
    scheduler_cfg: dict[str, CfgVal] = field(default_factory=dict)
    dryrun: bool = False
    wait: bool = False
    log: bool = False
    workspace: str = ""
    parent_run_id: str | None = None
    tee_logs: bool = False
    component_args: dict[str, Any] = field(default_factory=dict)
    component_args_str: list[str] = field(default_factory=list)
    json: bool = False
    env_file: list[str] = field(default_factory=list)
    secret_env: list[str] = field(default_factory=list)
    detach: bool = False

    @property
    def leaves_app(self) -> bool:
        """True if the app goes on when this process ends."""
        is_local = self.scheduler.startswith("local")
        return self.detach or not is_local or bool(self.scheduler_cfg.get("detach"))

    @property
    def waits(self) -> bool:
        """True if this process stays until the app has ended."""
        return self.wait or self.log or not self.leaves_app


def torchx_run_args_from_json(json_data: dict[str, Any]) -> TorchXRunArgs:
    """Reads a call from a JSON object, as ``torchx run --stdin`` does.

    Args:
        json_data: The fields of :class:`TorchXRunArgs`.

    Returns:
        The call; without a workspace it is the current directory.

    Raises:
        ValueError: A field is missing, or there is no such field.
    """
    known = fields(TorchXRunArgs)
    required = [
        item.name for item in known if item.default is MISSING and item.default_factory is MISSING
    ]
    missing = [name for name in required if name not in json_data]
    if missing:
        raise ValueError(f"The following required fields are missing: {', '.join(missing)}")
    unknown = sorted(json_data.keys() - {item.name for item in known})
    if unknown:
        raise ValueError(
            f"The following fields are not part of the run command: {', '.join(unknown)}"
        )
    run_args = TorchXRunArgs(**json_data)
    if run_args.workspace == "":
        run_args.workspace = current_directory()
    return run_args


def torchx_run_args_from_argparse(
    args: argparse.Namespace,
    component_name: str,
    component_args: list[str],
    scheduler_cfg: dict[str, CfgVal],
) -> TorchXRunArgs:
    """Makes a call from a parsed command line.

    Args:
        args: The options of ``torchx run``.
        component_name: Name of the component.
        component_args: The words behind it.
        scheduler_cfg: The options of the scheduler, read.

    Returns:
        The call.
    """
    return TorchXRunArgs(
        component_name=component_name,
        scheduler=args.scheduler,
        scheduler_args={},
        scheduler_cfg=scheduler_cfg,
        dryrun=args.dryrun,
        wait=args.wait,
        log=args.log,
        workspace=args.workspace,
        parent_run_id=args.parent_run_id,
        tee_logs=args.tee_logs,
        component_args={},
        component_args_str=component_args,
        json=getattr(args, "json", False),
        env_file=getattr(args, "env_file", None) or [],
        secret_env=getattr(args, "secret_env", None) or [],
        detach=getattr(args, "detach", False),
    )


def current_directory() -> str:
    """Returns the default workspace.

    Returns:
        The current directory, or ``""`` (no workspace) if it has been deleted.
    """
    try:
        return os.getcwd()
    except FileNotFoundError:
        return ""
