"""``status``, ``describe``, ``cancel``, ``delete``, ``list``, ``runopts`` and ``builtins``."""

from __future__ import annotations

import argparse
import json
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from unittest.mock import MagicMock, patch

import pytest

import torchx.schedulers
from torchx.cli.cmd_base import AppHandleSubCommand, SubCommand
from torchx.cli.cmd_cancel import CmdCancel
from torchx.cli.cmd_delete import CmdDelete
from torchx.cli.cmd_describe import CmdDescribe
from torchx.cli.cmd_list import CmdList
from torchx.cli.cmd_run import CmdBuiltins
from torchx.cli.cmd_runopts import CmdRunopts
from torchx.cli.cmd_status import CmdStatus, parse_list_arg
from torchx.cli.json_output import SCHEMA_VERSION
from torchx.cli.main import main
from torchx.cli.state_colors import paint_states
from torchx.runner import get_runner
from torchx.schedulers import get_scheduler_factories
from torchx.schedulers.api import ListAppResponse
from torchx.specs import (
    AppDef,
    AppState,
    AppStatus,
    CfgVal,
    ReplicaStatus,
    Resource,
    Role,
    RoleStatus,
    runopts,
)

Torchx = Callable[..., "subprocess.CompletedProcess[str]"]

RUNNER = "torchx.runner.api.Runner"
STATUS = AppStatus(
    AppState.RUNNING,
    ui_url="http://ui",
    roles=[RoleStatus("trainer", [ReplicaStatus(0, AppState.RUNNING, "trainer", "h0")])],
)


def run(command: SubCommand, *words: str) -> None:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    command.run(parser.parse_args(list(words)))


@pytest.fixture
def finished(project: Path) -> str:
    with get_runner() as runner:
        handle = runner.run_component("utils.echo", ["--msg", "hi"], "local_cwd")
        runner.wait(handle)
    return str(handle)


@pytest.mark.parametrize("name", ["cancel", "delete"])
def test_it_is_asked_for_exactly_once_whatever_the_scheduler(name: str) -> None:
    command = {"cancel": CmdCancel, "delete": CmdDelete}[name]()
    with patch(f"{RUNNER}.{name}") as called:
        run(command, "no-such-scheduler://session/app")
    called.assert_called_once_with("no-such-scheduler://session/app")


@pytest.mark.parametrize("command", [CmdCancel(), CmdDelete(), CmdDescribe(), CmdStatus()])
def test_the_runner_is_closed_once(command: AppHandleSubCommand, finished: str) -> None:
    with patch(f"{RUNNER}.close") as closed:
        run(command, finished)
    closed.assert_called_once_with()


@pytest.mark.parametrize("name", ["cancel", "delete", "describe", "status"])
def test_an_app_that_does_not_exist_is_an_error_with_exit_code_1(name: str, torchx: Torchx) -> None:
    done = torchx(name, "local_cwd://torchx/missing")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines() == [
        "error: app `missing` does not exist on `local_cwd`, or was removed from its records",
        "hint: list the apps that are known there: torchx list -s local_cwd",
    ]


@pytest.mark.parametrize("name", ["cancel", "delete", "describe", "status"])
@pytest.mark.parametrize("handle", ["no-such://s/app", "nonsense"])
def test_a_handle_of_nothing_is_explained(name: str, handle: str, torchx: Torchx) -> None:
    done = torchx(name, handle)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr


def test_another_process_sees_ends_and_deletes_an_app(finished: str, torchx: Torchx) -> None:
    assert "State: SUCCEEDED" in torchx("status", finished).stdout
    assert finished in torchx("list", "-s", "local_cwd").stdout
    assert "'name': 'echo'" in torchx("describe", finished).stdout
    assert torchx("cancel", finished).returncode == 0
    assert "State: SUCCEEDED" in torchx("status", finished).stdout
    deleted = torchx("delete", finished)
    assert (deleted.returncode, deleted.stdout) == (0, "")
    assert torchx("status", finished).returncode == 1


def test_status_as_json_keeps_the_published_keys(capsys: pytest.CaptureFixture[str]) -> None:
    with patch(f"{RUNNER}.status", return_value=STATUS):
        run(CmdStatus(), "--json", "slurm://torchx/14")
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    shown = json.loads(out)
    assert shown == {
        "schema_version": SCHEMA_VERSION,
        "kind": "status",
        **json.loads(json.dumps(STATUS.to_json())),
        "handle": "slurm://torchx/14",
        "app_id": "14",
        "scheduler": "slurm",
        "ui_url": "http://ui",
    }


def test_status_shows_the_chosen_roles(capsys: pytest.CaptureFixture[str]) -> None:
    with patch(f"{RUNNER}.status", return_value=STATUS):
        run(CmdStatus(), "slurm://torchx/14", "--roles", "reader")
        assert "trainer[0]" not in capsys.readouterr().out
        run(CmdStatus(), "slurm://torchx/14", "--role", "trainer,reader")
    assert capsys.readouterr().out.rstrip() == STATUS.format().rstrip()
    assert parse_list_arg("") is None
    assert parse_list_arg("a,b") == ["a", "b"]


def test_states_are_colored_where_wanted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import sys

    assert paint_states(STATUS.format(), sys.stdout) == STATUS.format()
    monkeypatch.setenv("FORCE_COLOR", "1")
    colored = paint_states(STATUS.format(), sys.stdout)
    assert colored.count("\033[34mRUNNING\033[0m") == 2


def test_secrets_are_not_printed_by_describe(capsys: pytest.CaptureFixture[str]) -> None:
    role = Role(
        "r",
        image="",
        args=["--password", "pass-word"],
        env={"API_KEY": "k-0123456789", "PLAIN": "yes"},
        resource=Resource(cpu=1, gpu=0, memMB=1),
    )
    with patch(f"{RUNNER}.describe", return_value=AppDef("app", roles=[role])):
        run(CmdDescribe(), "slurm://torchx/14")
    out = capsys.readouterr().out
    assert "k-0123456789" not in out
    assert "pass-word" not in out
    assert "'PLAIN': 'yes'" in out
    assert "'min_replicas': None" in out


@pytest.mark.parametrize(
    ("words", "cfg"), [([], None), (["-cfg", "cluster=foo"], {"cluster": "foo"})]
)
def test_list_asks_in_the_published_form(
    words: list[str], cfg: Mapping[str, CfgVal] | None, capsys: pytest.CaptureFixture[str]
) -> None:
    options = runopts()
    options.add("cluster", type_=str, help="name of the cluster")
    response = ListAppResponse("14", AppState.FAILED, "kubernetes://torchx/14", "train")
    with (
        patch(f"{RUNNER}.list", return_value=[response]) as listed,
        patch(f"{RUNNER}.scheduler_run_opts", return_value=options),
        patch("torchx.runner.config.apply") as applied,
    ):
        run(CmdList(), "-s", "kubernetes", *words)
    listed.assert_called_once_with("kubernetes", cfg)
    applied.assert_called_once_with(scheduler="kubernetes", cfg=cfg or {})
    assert capsys.readouterr().out.splitlines() == [
        "APP HANDLE              APP NAME    APP STATUS",
        "----------------------  ----------  ------------",
        "kubernetes://torchx/14  train       FAILED",
    ]


def test_the_scheduler_of_list_comes_from_the_config_file(
    project: Path, torchx: Torchx, finished: str
) -> None:
    (project / ".torchxconfig").write_text("[cli:list]\nscheduler = local_cwd\n")
    assert finished in torchx("list").stdout


@pytest.mark.parametrize("name", list(get_scheduler_factories()))
def test_options_of_every_scheduler_are_shown_or_what_it_lacks(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run(CmdRunopts(), name)
    assert capsys.readouterr().out.startswith(f"{name}:")


def test_one_scheduler_that_cannot_be_loaded_does_not_hide_the_others(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def leaves(session_name: str, **kwargs: object) -> object:
        raise SystemExit("no licence")

    plugins = {"broken": leaves}
    monkeypatch.setattr(torchx.schedulers, "load_group", MagicMock(return_value=plugins))
    run(CmdRunopts())
    out = capsys.readouterr().out
    assert "broken: no licence\n\n" in out
    assert "local_cwd:\n    usage:\n" in out


def test_an_unknown_scheduler_of_runopts_is_an_error(torchx: Torchx) -> None:
    done = torchx("runopts", "local_cw")
    assert (done.returncode, done.stdout) == (1, "")
    assert "did you mean local_cwd?" in done.stderr


def test_builtins_are_numbered(capsys: pytest.CaptureFixture[str]) -> None:
    main(["builtins"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"Found {len(lines) - 1} builtin components:"
    assert lines[1] == "  1. dist.ddp"
    assert lines[-1].startswith(f" {len(lines) - 1:2d}. utils.")
    assert all(not found.validation_errors for found in CmdBuiltins()._builtins().values())


def test_the_source_of_a_builtin_runs_as_a_file_of_its_own(project: Path, torchx: Torchx) -> None:
    (project / "mine.py").write_text(torchx("builtins", "--print", "utils.echo").stdout)
    done = torchx("run", "-s", "local_cwd", "mine.py:echo", "--msg", "copied")
    assert "echo/0 copied\n" in done.stderr


def test_the_source_of_nothing_is_an_error(torchx: Torchx) -> None:
    done = torchx("builtins", "--print", "no.such")
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
