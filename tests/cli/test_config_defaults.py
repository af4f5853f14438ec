from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from torchx.cli import main as cli
from torchx.cli.cmd_base import SubCommand

Torchx = Callable[..., "subprocess.CompletedProcess[str]"]


class Show(SubCommand):
    """Shows what it is given."""

    seen: argparse.Namespace

    def add_arguments(self, subparser: argparse.ArgumentParser) -> None:
        add = subparser.add_argument
        add("--level", type=int, choices=[1, 2], default=1, help="default: %(default)s")
        add("--name", required=True)
        add("--dry-run", action="store_true")
        add("--no-color", dest="color", action="store_false")
        add("--fast", action=argparse.BooleanOptionalAction, default=True)
        add("--tag", action="append")
        add("--times", action="count", default=0)
        add("word", nargs="?")

    def run(self, args: argparse.Namespace) -> None:
        type(self).seen = args


@pytest.fixture
def show(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    monkeypatch.setattr(cli, "load_group", lambda *args: {"show": Show})

    def show(config: str, *words: str) -> dict[str, Any]:
        Path(".torchxconfig").write_text(config)
        cli.main(["show", *words])
        return vars(Show.seen)

    return show


def test_a_file_sets_any_option_of_any_command(show: Callable[..., dict[str, Any]]) -> None:
    seen = show(
        "[cli:show]\nlevel = 2\nname = 50%\ndry_run = yes\nno_color = on\nfast = off\n"
        "tag =\n  a b\n  c\ntimes = 3\n"
    )
    assert (seen["level"], seen["name"], seen["tag"]) == (2, "50%", ["a b", "c"])
    assert seen["times"] == 3
    assert (seen["dry_run"], seen["color"], seen["fast"]) == (True, False, False)


def test_the_command_line_wins_and_a_profile_wins_over_the_rest_of_the_file(
    show: Callable[..., dict[str, Any]],
) -> None:
    config = "[cli:show]\nlevel = 2\nname = file\n[profile:p:cli:show]\nname = profile\n"
    assert show(config, "--level", "1")["level"] == 1
    assert show(config)["name"] == "file"
    with pytest.raises(SystemExit):
        show(config, "--profile", "p")
    cli.main(["--profile", "p", "show"])
    assert vars(Show.seen)["name"] == "profile"
    cli.main(["show"])
    assert vars(Show.seen)["name"] == "file"


@pytest.mark.parametrize(
    ("line", "words", "told"),
    [
        ("level = 3", [], "`3` is not one of 1, 2"),
        ("level = high", [], "invalid int value: 'high'"),
        ("dry_run = perhaps", [], "'perhaps' is not a truth value"),
    ],
)
def test_a_value_that_does_not_fit_names_the_place_and_hurts_only_who_needs_it(
    line: str,
    words: list[str],
    told: str,
    show: Callable[..., dict[str, Any]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    with pytest.raises(SystemExit) as exit_info:
        show(f"[cli:show]\n{line}\nname = n\n")
    assert exit_info.value.code == 1
    option = line.partition(" ")[0]
    assert f".torchxconfig, section [cli:show], option `{option}`: {told}" in caplog.text
    given = ["--dry-run"] if option == "dry_run" else ["--level", "2"]
    assert show(f"[cli:show]\n{line}\nname = n\n", *given)["name"] == "n"


def test_help_shows_the_configured_default_even_if_it_does_not_fit(
    show: Callable[..., dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    for value in ("2", "3"):
        with pytest.raises(SystemExit) as exit_info:
            show(f"[cli:show]\nlevel = {value}\n", "--help")
        assert exit_info.value.code == 0
        assert f"default: {value}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("section", "words", "message", "hint"),
    [
        (
            "[cli:run]\nschedular = x",
            ["run", "utils.echo"],
            "`schedular` is no option",
            "`scheduler`",
        ),
        ("[cli:run]\nprofile = x", ["run", "utils.echo"], "`profile` is no option", "--help"),
        (
            "[cli:rnu]\nwait = yes",
            ["run", "utils.echo"],
            "[cli:rnu] belongs to no command",
            "[cli:run]",
        ),
        ("[cli:run]\nscheduler = slrum", ["run", "utils.echo"], "`slrum` is not one of", "correct"),
        (
            "[component:utils.echo]\nmgs = x",
            ["run", "-s", "local_cwd", "utils.echo"],
            "option `mgs` is no parameter of `utils.echo`",
            "did you mean `msg`?",
        ),
        (
            "[component:utils.ecko]\nmsg = x",
            ["run", "-s", "local_cwd", "utils.echo"],
            "[component:utils.ecko] belongs to no component",
            "[component:utils.echo]",
        ),
        (
            "[componet:utils.echo]\nmsg = x",
            ["run", "-s", "local_cwd", "utils.echo"],
            "[componet:utils.echo] is unknown, did you mean [component:utils.echo]?",
            "",
        ),
        (
            "[profile:gpu]\n",
            ["run", "--profile", "gqu", "-s", "local_cwd", "utils.echo"],
            "no configuration file defines the profile `gqu`",
            "did you mean `gpu`?",
        ),
    ],
)
def test_a_mistake_in_a_file_is_two_lines(
    section: str, words: list[str], message: str, hint: str, project: Path, torchx: Torchx
) -> None:
    (project / ".torchxconfig").write_text(section)
    done = torchx(*words)
    lines = [line for line in done.stderr.splitlines() if not line.startswith("torchx ")]
    assert done.returncode == 1
    assert [line.partition(" ")[0] for line in lines] == ["error:", "hint:"]
    assert message in lines[0]
    assert hint in lines[1]


@pytest.mark.parametrize("command", ["run", "list", "status"])
def test_a_broken_file_does_not_break_help(command: str, project: Path, torchx: Torchx) -> None:
    (project / ".torchxconfig").write_text("no section\n")
    done = torchx(command, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "usage: " in done.stdout


def test_a_profile_launches_on_its_scheduler_with_its_options(
    project: Path, torchx: Torchx
) -> None:
    (project / ".torchxconfig").write_text(
        "[cli:run]\nscheduler = kubernetes\n"
        "[profile:here]\nscheduler = local_cwd\ndryrun = true\ncomponent = utils.echo\n"
        "[profile:here:local_cwd]\nlog_dir = /tmp/of-profile\n"
        "[profile:here:component:utils.echo]\nmsg = hello profile\n"
    )
    for words, env in (
        (["run", "--profile", "here"], {}),
        (["run", "--profile=here", "utils.echo"], {}),
        (["--profile", "here", "run"], {}),
        (["run"], {"TORCHX_PROFILE": "here"}),
    ):
        done = torchx(*words, **env)
        assert done.returncode == 0, done.stderr
        assert "hello profile" in done.stdout
        assert "/tmp/of-profile" in done.stdout
    words = [
        "run",
        "--profile",
        "here",
        "-cfg",
        "log_dir=/tmp/given",
        "utils.echo",
        "--msg",
        "mine",
    ]
    done = torchx(*words)
    assert "/tmp/given" in done.stdout
    assert "hello profile" not in done.stdout


def test_the_profile_of_a_component_is_its_own_argument(project: Path, torchx: Torchx) -> None:
    (project / "mine.py").write_text(
        "import torchx.specs as specs\nfrom torchx.components.utils import echo\n"
        "def train(profile: str) -> specs.AppDef:\n    return echo(msg=f'<{profile}>')\n"
    )
    done = torchx("run", "-s", "local_cwd", "--dryrun", "mine.py:train", "--profile", "own")
    assert done.returncode == 0
    assert "<own>" in done.stdout


def test_all_schedulers_are_shown_even_if_some_are_not_available(
    project: Path, torchx: Torchx, install: Callable[..., Path]
) -> None:
    site = install({}, entry_points="[torchx.schedulers]\ngone = gone.module:create\n")
    done = torchx("runopts", "--origin", TORCHX_CFG_GONE_X="y", PYTHONPATH=str(site))
    assert done.returncode == 0
    assert "grace_period_s" in done.stdout
    assert "gone: No module named 'gone'" in done.stdout


def test_runopts_tells_the_origin_of_each_value_and_hides_secrets(
    project: Path, torchx: Torchx
) -> None:
    (project / ".torchxconfig").write_text("[local_cwd]\nlog_dir = http://me:pw@host/x\n")
    done = torchx("runopts", "local_cwd", "--origin", TORCHX_CFG_LOCAL_CWD_TIMEOUT_S="5")
    assert done.returncode == 0
    words = {line.split()[0]: line.split(maxsplit=2)[2] for line in done.stdout.splitlines()[1:-1]}
    assert words["log_dir"].startswith("http://me:<redacted>@host/x")
    assert words["log_dir"].endswith(f"({project}/.torchxconfig [local_cwd])")
    assert words["timeout_s"].split(maxsplit=1)[1] == "(environment TORCHX_CFG_LOCAL_CWD_TIMEOUT_S)"
    assert words["prepend_cwd"].split(maxsplit=1) == ["False", "(default)"]


def test_origins_are_there_for_programs_too(project: Path, torchx: Torchx) -> None:
    (project / ".torchxconfig").write_text("[local_cwd]\nlog_dir = http://me:pw@host/x\n")
    done = torchx("runopts", "local_cwd", "--origin", "--json")
    (scheduler,) = json.loads(done.stdout)["schedulers"]
    options = {one["name"]: (one["value"], one["origin"]) for one in scheduler["options"]}
    assert options["log_dir"] == (
        "http://me:<redacted>@host/x",
        f"{project}/.torchxconfig [local_cwd]",
    )
    assert options["detach"] == (False, "default")


@pytest.mark.parametrize(
    ("words", "debug", "info"),
    [
        (["-v", "run"], True, True),
        (["run", "-v"], True, True),
        (["run"], False, True),
        (["-q", "run"], False, False),
        (["run", "--quiet"], False, False),
        (["--log_level", "DEBUG", "run", "-q"], False, False),
    ],
)
def test_verbosity_is_chosen_before_or_behind_the_command(
    words: list[str], debug: bool, info: bool, torchx: Torchx
) -> None:
    done = torchx(*words, "-s", "local_cwd", "utils.echo")
    assert done.returncode == 0
    assert (" DEBUG " in done.stderr, " INFO " in done.stderr) == (debug, info)


def test_a_commands_own_v_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    class Own(Show):
        def add_arguments(self, subparser: argparse.ArgumentParser) -> None:
            subparser.add_argument("-v", "--version-of", dest="v")

    monkeypatch.setattr(cli, "load_group", lambda *args: {"own": Own})
    cli.main(["own", "-v", "x"])
    assert vars(Own.seen)["v"] == "x"


def test_a_run_opens_the_file_once(project: Path) -> None:
    path = project / ".torchxconfig"
    path.write_text("[cli:run]\nscheduler = local_cwd\n[local_cwd]\ntimeout_s = 9\n")
    os.utime(path, (1_700_000_000, 1_700_000_000))
    code = (
        "import sys\nopened = []\n"
        "def hook(event, args):\n"
        "    if event == 'open' and str(args[0]).endswith('.torchxconfig'): opened.append(args)\n"
        "sys.addaudithook(hook)\nfrom torchx.cli.main import main\n"
        "main(['run', '--dryrun', 'utils.echo'])\nprint('opened', len(opened))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("opened 1\n")
