from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from torchx.cli import main as cli
from torchx.cli.cmd_base import SubCommand

Torchx = Callable[..., "subprocess.CompletedProcess[str]"]


class Greet(SubCommand):
    """Greets 100% of the people.

    More text.
    """

    def add_arguments(self, subparser: argparse.ArgumentParser) -> None:
        subparser.add_argument("name")

    def run(self, args: argparse.Namespace) -> None:
        if args.name == "nobody":
            raise ValueError("there is nobody to greet")
        print(f"hello {args.name}")


def broken() -> NoReturn:
    raise ImportError("no module named greetings")


def leaving() -> NoReturn:
    sys.exit("no licence")


@pytest.fixture
def plugins(monkeypatch: pytest.MonkeyPatch) -> dict[str, Callable[[], object]]:
    found: dict[str, Callable[[], object]] = {}
    monkeypatch.setattr(cli, "load_group", lambda *args, **kwargs: found)
    return found


def test_commands_come_in_the_published_order() -> None:
    commands = cli.get_default_sub_cmds()
    assert list(commands) == sorted(commands)
    assert all(isinstance(command, SubCommand) for command in commands.values())
    assert commands["run"] is not cli.get_default_sub_cmds()["run"]


def test_every_command_of_ours_declares_its_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    for name in cli.get_default_sub_cmds():
        with pytest.raises(SystemExit) as exit_info:
            cli.main([name, "--help"])
        assert exit_info.value.code == 0
        assert "usage: " in capsys.readouterr().out


def test_the_version_and_nothing_else_is_printed(torchx: Torchx) -> None:
    done = torchx("--version")
    assert done.returncode == 0
    assert done.stdout.startswith("torchx-")
    assert done.stderr == ""


def test_without_a_command_help_is_printed_and_the_exit_code_is_1(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as exit_info:
        cli.main([])
    assert exit_info.value.code == 1
    assert "sub-commands" in capsys.readouterr().out


def test_an_unknown_command_exits_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_info:
        cli.main(["statu"])
    assert exit_info.value.code == 2
    assert "did you mean `status`?" in capsys.readouterr().err


def test_the_command_line_is_read_when_main_is_called(
    monkeypatch: pytest.MonkeyPatch,
    plugins: dict[str, Callable[[], object]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    plugins["greet"] = Greet
    monkeypatch.setattr(sys, "argv", ["torchx", "greet", "Ada"])
    cli.main()
    assert capsys.readouterr().out == "hello Ada\n"


def test_a_package_adds_and_replaces_commands(
    plugins: dict[str, Callable[[], object]], capsys: pytest.CaptureFixture[str]
) -> None:
    plugins.update(greet=Greet, run=Greet)
    commands = cli.get_sub_cmds()
    assert type(commands["run"]) is Greet
    with pytest.raises(SystemExit) as exit_info:
        cli.main(["--help"])
    assert exit_info.value.code == 0
    assert "Greets 100% of the people." in capsys.readouterr().out


@pytest.mark.parametrize("make", [broken, leaving])
def test_a_plugin_that_raises_or_exits_at_import_does_not_kill_the_other_commands(
    make: Callable[[], object],
    plugins: dict[str, Callable[[], object]],
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    plugins.update(bad=make, greet=Greet)
    cli.main(["greet", "Ada"])
    assert capsys.readouterr().out == "hello Ada\n"
    with pytest.raises(SystemExit) as exit_info:
        cli.main(["bad", "--any", "words"])
    assert exit_info.value.code == 1
    assert "command `bad` cannot be loaded" in caplog.text


def test_a_broken_replacement_leaves_the_built_in_command(
    plugins: dict[str, Callable[[], object]], caplog: pytest.LogCaptureFixture
) -> None:
    plugins["run"] = broken
    command = cli.get_sub_cmds()["run"]
    assert not isinstance(command, cli.BrokenCommand)
    assert "no module named greetings" in caplog.text


def test_an_entry_point_that_is_no_command_is_named(
    plugins: dict[str, Callable[[], object]],
) -> None:
    plugins["wrong"] = dict
    with pytest.raises(AssertionError, match=r"`wrong` of group `torchx\.cli\.cmds`"):
        cli.get_sub_cmds()


def test_an_error_is_two_lines_and_the_traceback_needs_debug(torchx: Torchx) -> None:
    done = torchx("status", "no handle")
    assert done.returncode == 1
    assert [line.partition(" ")[0] for line in done.stderr.splitlines()] == ["error:", "hint:"]
    assert "Traceback" in torchx("--log_level", "DEBUG", "status", "no handle").stderr


def test_an_unknown_log_level_is_an_error(torchx: Torchx) -> None:
    done = torchx("--log_level", "LOUD", "builtins")
    assert done.returncode == 1
    assert done.stderr.startswith("error: there is no log level `LOUD`\nhint: ")
    assert torchx("--log_level", "error", "builtins").returncode == 0


def test_log_records_have_the_published_form(torchx: Torchx) -> None:
    stderr = torchx("run", "-s", "local_cwd", "utils.echo").stderr
    assert any(
        line.startswith("torchx 20") and " INFO     " in line for line in stderr.splitlines()
    )


@pytest.mark.parametrize(
    ("content", "env"), [("no section\n", {}), ("", {"TORCHXCONFIG": "/no/such/file"})]
)
def test_a_malformed_config_breaks_only_what_needs_it_and_without_a_traceback(
    project: Path, torchx: Torchx, content: str, env: dict[str, str]
) -> None:
    (project / ".torchxconfig").write_text(content)
    assert torchx("--version", **env).returncode == 0
    assert torchx("--help", **env).returncode == 0
    missing = torchx("status", "local_cwd://torchx/missing", **env)
    assert "does not exist" in missing.stderr
    done = torchx("run", "-s", "local_cwd", "utils.echo", **env)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("words", "modules"),
    [("--version", set()), ("--help", set()), ("builtins", {"builtins"})],
)
def test_only_the_module_of_the_command_that_runs_is_imported(
    words: str, modules: set[str], project: Path
) -> None:
    code = (
        "import atexit, sys\n"
        "atexit.register(lambda: print(*sys.modules, file=sys.stderr))\n"
        "from torchx.cli.main import main\n"
        f"main([{words!r}])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = done.stderr.split()
    prefix = "torchx.cli.cmd_"
    assert {name.removeprefix(prefix) for name in loaded if name.startswith(prefix)} == {
        "base",
        *modules,
    }
    assert not {"asyncio", "rich", "torchx.runner"}.intersection(loaded)
    assert "importlib.metadata" not in loaded
    if words.startswith("--"):
        assert not {"logging", "torchx.util.config_layers"}.intersection(loaded)
