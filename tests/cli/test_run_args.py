from __future__ import annotations

import argparse
import os
import re

import pytest

from torchx.cli.cmd_run import (
    TorchXRunArgs,
    torchx_run_args_from_argparse,
    torchx_run_args_from_json,
)

REQUIRED = {"component_name": "utils.echo", "scheduler": "local_cwd", "scheduler_args": {}}


def test_required_fields_are_enough_and_the_workspace_is_the_current_directory() -> None:
    assert torchx_run_args_from_json(REQUIRED) == TorchXRunArgs(
        "utils.echo", "local_cwd", {}, workspace=os.getcwd()
    )
    assert torchx_run_args_from_json({**REQUIRED, "workspace": ""}).workspace == os.getcwd()
    assert torchx_run_args_from_json({**REQUIRED, "workspace": "/w"}).workspace == "/w"


def test_all_missing_fields_are_named() -> None:
    with pytest.raises(ValueError, match="fields are missing") as error:
        torchx_run_args_from_json({"scheduler_args": {}})
    assert error.value.args == (
        "The following required fields are missing: component_name, scheduler",
    )


def test_all_unknown_fields_are_named() -> None:
    expected = re.escape("The following fields are not part of the run command: a, b")
    with pytest.raises(ValueError, match=f"^{expected}$"):
        torchx_run_args_from_json({**REQUIRED, "b": 1, "a": 2})


def test_a_command_line_becomes_a_call() -> None:
    args = argparse.Namespace(
        scheduler="slurm",
        dryrun=True,
        wait=True,
        log=False,
        workspace="/w",
        parent_run_id="p",
        tee_logs=True,
    )
    assert torchx_run_args_from_argparse(args, "c", ["--x"], {"k": 1}) == TorchXRunArgs(
        "c",
        "slurm",
        {},
        {"k": 1},
        dryrun=True,
        wait=True,
        workspace="/w",
        parent_run_id="p",
        tee_logs=True,
        component_args_str=["--x"],
    )
