from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from torchx.cli.cmd_plugins import CmdPlugins
from torchx.cli.json_output import SCHEMA_VERSION
from torchx.cli.plugin_report import plugin_report

Install = Callable[..., Path]

SLURM = (
    "from torchx.plugins import register\n"
    "@register.scheduler()\ndef slurm(session_name, **kwargs): ...\n"
)
BAD = "raise ImportError('password=hunter2\\nno libfoo')\n"
NANO = (
    "from torchx.plugins import register\nfrom torchx.specs import Resource\n"
    "@register.named_resource('cpu.nano', aliases=['nano'])\n"
    "def nano_(): return Resource(1, 0, 1)\n"
)


@pytest.fixture
def plugins(install: Install) -> None:
    install(
        {
            "torchx_plugins/schedulers/slurm.py": SLURM,
            "torchx_plugins/schedulers/bad.py": BAD,
            "torchx_plugins/named_resources/nano.py": NANO,
            "demo_command.py": (
                "from torchx.cli.cmd_base import SubCommand\n"
                "class Greet(SubCommand):\n"
                "    def add_arguments(self, subparser): ...\n"
                "    def run(self, args): ...\n"
            ),
        },
        entry_points=(
            "[torchx.cli.cmds]\nrun = demo_command:Greet\nbad = os:getcwd\n"
            "[torchx.event_handlers]\nconsole = logging:NullHandler\n"
        ),
    )


def run(*words: str) -> None:
    command, parser = CmdPlugins(), argparse.ArgumentParser()
    command.add_arguments(parser)
    command.run(parser.parse_args(words))


@pytest.mark.usefixtures("plugins")
def test_a_person_sees_what_is_used_what_is_not_and_why(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    run()
    out = capsys.readouterr().out
    used, clashes, failed = (
        [" ".join(line.split()) for line in part.splitlines()] for part in out.split("\n\n")
    )
    assert "scheduler slurm demo 1.0 torchx_plugins torchx_plugins.schedulers.slurm" in used
    assert any(line.startswith("named_resource cpu.nano (also nano) demo 1.0") for line in used)
    assert "command run demo 1.0 entry point demo_command" in used
    assert clashes[0] == "Of one name:"
    assert (
        "scheduler slurm torchx_plugins.schedulers.slurm (torchx_plugins of demo 1.0)"
        " torchx.schedulers.slurm_scheduler (built-in)"
    ) in clashes
    assert {line.split()[1] for line in clashes[3:]} == {"slurm", "cpu.nano", "console", "run"}
    assert failed[0] == "Not used because of an error:"
    assert any("ImportError: " in line and line.endswith("no libfoo") for line in failed)
    assert any("it is no class derived from torchx.cli.cmd_base.SubCommand" in x for x in failed)
    assert "hunter2" not in out
    assert caplog.records == [], "the result says it already"


@pytest.mark.usefixtures("plugins")
def test_a_program_gets_one_object(capsys: pytest.CaptureFixture[str]) -> None:
    run("--json")
    report = json.loads(capsys.readouterr().out)
    assert (report.pop("schema_version"), report.pop("kind")) == (SCHEMA_VERSION, "plugins")
    assert report == plugin_report()
    assert list(report) == ["sources", "plugins", "collisions", "failures"]
    plugin = next(each for each in report["plugins"] if each["name"] == "cpu.nano")
    assert Path(plugin.pop("file")).name == "nano.py"
    assert plugin == {
        "type": "named_resource",
        "name": "cpu.nano",
        "style": "torchx_plugins",
        "module": "torchx_plugins.named_resources.nano",
        "aliases": ["nano"],
        "fractionals": [],
        "distribution": "demo",
        "version": "1.0",
    }
    assert {tuple(each) for each in report["collisions"]} == {("winner", "loser")}
    assert "hunter2" not in json.dumps(report)


def test_without_plugins_it_says_so(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torchx.util.entrypoints.declared", lambda group: [])
    run()
    assert capsys.readouterr().out == "no installed package adds anything\n"
