from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import torchx
from torchx.cli import main as cli

Install = Callable[..., Path]

GREET = '''\
from torchx.cli.cmd_base import SubCommand

class Greet(SubCommand):
    """Greets 100% of the people."""

    flavour = "plain"

    def add_arguments(self, subparser):
        subparser.add_argument("name")

    def run(self, args):
        print(f"hello {args.name}")
'''


def help_text(capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as exit_info:
        cli.main(["--help"])
    assert exit_info.value.code == 0
    return " ".join(capsys.readouterr().out.split())


def test_an_entry_point_is_imported_when_its_command_is_used(
    install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    install({"demo_greet.py": GREET}, entry_points="[torchx.cli.cmds]\ngreet = demo_greet:Greet\n")
    with pytest.raises(SystemExit):
        cli.main(["status", "--help"])
    assert "demo_greet" not in sys.modules
    cli.main(["greet", "Ada"])
    assert capsys.readouterr().out.endswith("hello Ada\n")
    assert "greet Greets 100% of the people." in help_text(capsys)
    command: Any = cli.get_sub_cmds()["greet"]
    assert command.flavour == "plain"


@pytest.mark.parametrize("words", [["--help"], ["status", "local_cwd://torchx/x"], ["list"]])
def test_without_plugins_nothing_is_searched(words: list[str]) -> None:
    code = (
        "import atexit, sys\n"
        "atexit.register(lambda: print(*sys.modules, file=sys.stderr))\n"
        "from torchx.cli.main import main\n"
        f"main({words!r})\n"
    )
    # Without site-packages: those of a developer may hold plugins.
    root = Path(torchx.__file__).parent.parent
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], capture_output=True, text=True, cwd=root, check=False
    )
    loaded = done.stderr.split()
    assert "torchx.cli.main" in loaded
    for unneeded in ("_namespace", "_equality", "_entry_points", "_distributions", "inventory"):
        assert f"torchx.plugins.{unneeded}" not in loaded
    assert not {"importlib.metadata", "torchx.util.time_limit"}.intersection(loaded)
    assert (words == ["--help"]) is ("torchx.plugins" not in loaded)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("raise ImportError('no libfoo')\n", "ImportError: no libfoo"),
        ("raise SystemExit('no licence')\n", "SystemExit: no licence"),
        ("import threading; threading.Event().wait()\n", "took longer than 0.05 s"),
        ("Greet = dict\n", "must be a class derived from torchx.cli.cmd_base.SubCommand"),
    ],
    ids=["raises", "exits", "hangs", "nonsense"],
)
def test_a_broken_entry_point_hinders_nothing_but_itself(
    text: str,
    reason: str,
    install: Install,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    if "longer" in reason:
        monkeypatch.setenv("TORCHX_PLUGINS_TIMEOUT_S", "0.05")
    install(
        {"demo_bad.py": text},
        entry_points="[torchx.cli.cmds]\nbad = demo_bad:Greet\nbuiltins = demo_bad:Greet\n",
    )
    assert "bad cannot be loaded" in help_text(capsys)
    cli.main(["builtins"])
    assert "utils.echo" in capsys.readouterr().out
    assert "a package replaces command `builtins`" in caplog.text
    with pytest.raises(SystemExit) as exit_info:
        cli.main(["bad", "--any", "words"])
    assert exit_info.value.code == 1
    assert "command `bad` cannot be loaded" in caplog.text
    assert reason in caplog.text
