from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pytest

from torchx.cli.argparse_util import (
    ArgOnceAction,
    torchxconfig,
    torchxconfig_list,
    torchxconfig_run,
)


def parser_with(**options: Any) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    parser.add_argument("-s", "--scheduler", **options)
    return parser


def write_config(directory: Path, text: str) -> None:
    (directory / ".torchxconfig").write_text(text)
    torchxconfig._subcmd_configs.clear()


def test_command_line_beats_config_beats_default(project: Path) -> None:
    write_config(project, "[cli:run]\nscheduler = from_file\n")
    parser = parser_with(action=torchxconfig_run, default="from_code")
    assert parser.parse_args([]).scheduler == "from_file"
    assert parser.parse_args(["-s", "given"]).scheduler == "given"
    write_config(project, "[cli:other]\nscheduler = from_file\n")
    assert parser_with(action=torchxconfig_run, default="x").parse_args([]).scheduler == "x"


def test_each_command_has_its_own_section(project: Path) -> None:
    write_config(project, "[cli:list]\nscheduler = listed\n")
    assert parser_with(action=torchxconfig_list).parse_args([]).scheduler == "listed"
    assert parser_with(action=torchxconfig_run).parse_args([]).scheduler is None


def test_a_value_in_the_file_satisfies_a_required_option(project: Path) -> None:
    with pytest.raises(SystemExit):
        parser_with(action=torchxconfig_run, required=True).parse_args([])
    write_config(project, "[cli:run]\nscheduler = from_file\n")
    parser = parser_with(action=torchxconfig_run, required=True)
    assert parser.parse_args([]).scheduler == "from_file"


def test_an_empty_value_in_the_file_is_a_value(project: Path) -> None:
    write_config(project, "[cli:run]\nscheduler =\n")
    assert parser_with(action=torchxconfig_run, default="x").parse_args([]).scheduler == ""


def test_the_file_is_read_once_per_command(project: Path) -> None:
    write_config(project, "[cli:run]\nscheduler = first\n")
    parser_with(action=torchxconfig_run)
    (project / ".torchxconfig").write_text("[cli:run]\nscheduler = second\n")
    assert parser_with(action=torchxconfig_run).parse_args([]).scheduler == "first"


@pytest.mark.parametrize("action", [ArgOnceAction, torchxconfig_run])
@pytest.mark.parametrize("words", [["-s", "a", "-s", "a"], ["-s", "a", "--scheduler", "b"]])
def test_a_repeated_option_is_rejected_in_whichever_spelling(
    action: type[argparse.Action], words: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(SystemExit) as exit_info:
        parser_with(action=action).parse_args(words)
    assert exit_info.value.code == 1
    assert "is specified more than once" in caplog.text


def test_parsing_twice_is_no_repetition_and_leaves_no_trace_in_the_namespace() -> None:
    parser = parser_with(action=ArgOnceAction)
    first, second = parser.parse_args(["-s", "a"]), parser.parse_args(["-s", "a"])
    assert first == second == argparse.Namespace(scheduler="a")


def test_a_namespace_that_cannot_be_referred_to_weakly_works_too() -> None:
    class Slots:
        __slots__ = ("scheduler",)
        scheduler: str | None

    parser = parser_with(action=ArgOnceAction)
    assert parser.parse_args(["-s", "a"], namespace=Slots()).scheduler == "a"
    with pytest.raises(SystemExit):
        parser.parse_args(["-s", "a", "-s", "a"], namespace=Slots())
