from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from torchx.cli.cmd_run import _parse_component_name_and_args
from torchx.cli.component_words import repeated_options

PARSER = argparse.ArgumentParser()


@pytest.fixture
def with_default(tmp_path: Path) -> list[str]:
    directory = tmp_path / "config"
    directory.mkdir()
    (directory / ".torchxconfig").write_text("[cli:run]\ncomponent = custom.echo\n")
    return [str(directory)]


@pytest.mark.parametrize(
    ("words", "component", "args"),
    [
        (["utils.echo"], "utils.echo", []),
        (["--", "utils.echo"], "utils.echo", []),
        (["utils.echo", "--msg", "hello"], "utils.echo", ["--msg", "hello"]),
        (["utils.echo", "--msg", "hello", "--", "--"], None, None),
        (["utils.echo", "--msg", "hello", "-", "-"], None, None),
        (["utils.echo", "--msg", "hello", "-  ", "-  "], None, None),
        (["a.b", "--img", "x", "-m", "y", "--", "-m"], None, None),
    ],
)
def test_a_named_component_keeps_its_words_with_and_without_default(
    words: list[str], component: str | None, args: list[str] | None, with_default: list[str]
) -> None:
    expected = (component or words[0], words[1:] if args is None else args)
    given = list(words)
    assert _parse_component_name_and_args(words, PARSER) == expected
    assert _parse_component_name_and_args(words, PARSER, with_default) == expected
    assert words == given


@pytest.mark.parametrize(
    ("words", "args"),
    [
        ([], []),
        (["--"], []),
        (["--msg", "hello"], ["--msg", "hello"]),
        (["--", "--msg", "hello"], ["--msg", "hello"]),
        (["-m", "hello"], ["-m", "hello"]),
    ],
)
def test_without_a_name_the_default_component_is_taken(
    words: list[str], args: list[str], with_default: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert _parse_component_name_and_args(words, PARSER, with_default) == ("custom.echo", args)
    with pytest.raises(SystemExit) as exit_info:
        _parse_component_name_and_args(words, PARSER)
    assert exit_info.value.code == 2
    assert "missing component name" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ["-m", "a", "-m", "b"],
        ["--msg", "a", "--msg", "b"],
        ["--m", "a", "--", "--msg", "b", "--msg", "c"],
        ["utils.echo", "--msg", "a", "--msg", "b"],
        ["utils.echo", "--msg=a", "--msg=b"],
        ["utils.sh", "--num_replicas", "2", "--num_replicas=3", "ls"],
    ],
)
def test_a_repeated_option_exits_with_2(
    words: list[str], with_default: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_info:
        _parse_component_name_and_args(words, PARSER, with_default)
    assert exit_info.value.code == 2
    assert "Repeated Command Line Arguments" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ["ls", "-l", "-l"],
        ["--num_replicas", "2", "ls", "--num_replicas", "--num_replicas"],
        ["--", "make", "-DX", "-DX"],
        ["--", "-l", "-l"],
    ],
)
def test_words_of_the_program_that_is_launched_are_its_own(words: list[str]) -> None:
    assert repeated_options("utils.sh", words) == []


def test_negative_numbers_are_values(project: Path) -> None:
    (project / "tune.py").write_text(
        "import torchx.specs as specs\n"
        "def tune(lr: float, wd: float) -> specs.AppDef:\n"
        '    """Tunes."""\n'
        '    return specs.AppDef("tune", roles=[])\n'
    )
    assert repeated_options("tune.py:tune", ["--lr", "-1", "--wd", "-1"]) == []
    assert repeated_options("no.such", ["--lr", "-1", "--wd", "-1"]) == []
    assert repeated_options("tune.py:tune", ["--lr", "-1", "--lr", "-1"]) == ["--lr"]
