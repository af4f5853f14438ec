"""``list``, ``describe``, ``rerun``, ``prune`` and shortened handles, from several processes."""

from __future__ import annotations

import ast
import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Torchx
from torchx.cli.cmd_list import short_age


@pytest.fixture(autouse=True)
def nothing_of_others_is_pruned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keeps the images and temporary files of this machine out of reach."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setenv("DOCKER_HOST", "unix:///there-is-none.sock")


@pytest.fixture
def echoed(project: Path, torchx: Torchx) -> str:
    """Handle of a finished job."""
    launched = torchx("run", "-s", "local_cwd", "utils.echo", "--msg", "it's $HOME")
    assert launched.returncode == 0, launched.stderr
    return launched.stdout.strip()


def test_list_shows_the_jobs_of_all_schedulers(echoed: str, torchx: Torchx) -> None:
    listed = torchx("list")
    header, _, row = listed.stdout.splitlines()
    assert header.split() == ["APP", "HANDLE", "APP", "NAME", "APP", "STATUS", "AGE", "SCHEDULER"]
    handle, name, state, age, scheduler = row.split()
    assert (handle, name, state, scheduler) == (echoed, "echo", "SUCCEEDED", "local_cwd")
    assert age[-1] in "smh"


def test_list_filters_and_says_when_there_is_more(echoed: str, torchx: Torchx) -> None:
    other = torchx("run", "-s", "local_cwd", "utils.sh", "false").stdout.strip()
    assert torchx("list", "--state", "failed").stdout.split()[-5] == other
    assert echoed not in torchx("list", "--name", "sh").stdout
    assert echoed in torchx("list", "--since", "1h").stdout
    nothing = torchx("list", "--name", "nope")
    assert "no job" in nothing.stderr
    limited = torchx("list", "--limit", "1")
    assert (other in limited.stdout, echoed in limited.stdout) == (True, False)
    assert "--limit 0 shows all" in limited.stderr
    assert torchx("list", "--limit", "0").stdout.count("local_cwd://") == 2
    by_scheduler = torchx("list", "-s", "local_cwd", "--state", "succeeded", "--since", "1h")
    assert (echoed in by_scheduler.stdout, other in by_scheduler.stdout) == (True, False)


@pytest.mark.parametrize("option", [("--state", "nope"), ("--since", "soon"), ("--limit", "-1")])
def test_a_filter_that_makes_no_sense_is_a_usage_error(
    option: tuple[str, str], torchx: Torchx
) -> None:
    refused = torchx("list", *option)
    assert refused.returncode == 2
    assert option[1] in refused.stderr


def test_options_of_a_scheduler_need_a_scheduler(torchx: Torchx) -> None:
    refused = torchx("list", "-cfg", "cluster=x")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "-s" in refused.stderr


def test_describe_tells_how_to_launch_it_again_and_that_works(
    echoed: str, torchx: Torchx, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
    described = torchx("describe", echoed).stdout
    app = ast.literal_eval(described)
    assert app["roles"][0]["args"] == ["it's $HOME"]
    (again,) = (line for line in described.splitlines() if line.startswith("# again"))
    command = again.split(maxsplit=2)[2]
    assert shlex.split(command)[-1] == "it's $HOME"
    repeated = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, check=False, cwd="/"
    )
    assert repeated.returncode == 0, repeated.stderr
    assert "it's $HOME" in repeated.stderr


@pytest.mark.parametrize(
    ("options", "expected"),
    [([], ""), (["--workspace", ""], "--workspace '' "), (["--workspace", "/"], "--workspace / ")],
)
def test_the_command_brings_along_what_the_first_one_did(
    torchx: Torchx, project: Path, options: list[str], expected: str
) -> None:
    handle = torchx("run", "-s", "local_cwd", *options, "utils.echo").stdout.strip()
    command = json.loads(torchx("describe", handle, "--json").stdout)["launch"]["command"]
    assert command == f"cd {project} && torchx run -s local_cwd {expected}utils.echo"


def test_describe_tells_the_state_of_now(project: Path, torchx: Torchx) -> None:
    words = ("run", "--detach", "-s", "local_cwd", "utils.sh", "sleep 60")
    handle = torchx(*words).stdout.strip()
    assert "# state      RUNNING" in torchx("describe", handle).stdout
    torchx("cancel", handle)
    torchx("status", handle)
    assert "# state      CANCELLED" in torchx("describe", handle).stdout


def test_a_component_without_arguments_is_launched_again_by_a_plain_command(
    project: Path, torchx: Torchx
) -> None:
    handle = torchx("run", "-s", "local_cwd", "utils.echo").stdout.strip()
    assert torchx("describe", handle).stdout.endswith("torchx run -s local_cwd utils.echo\n")


def test_describe_remembers_what_the_scheduler_forgot(echoed: str, torchx: Torchx) -> None:
    shutil.rmtree(Path(os.environ["TORCHX_HOME"]) / "local")
    described = torchx("describe", echoed)
    assert described.returncode == 0
    assert "does not know it any more" in described.stderr
    assert ast.literal_eval(described.stdout)["name"] == "echo"


def test_rerun_launches_again_with_changes(echoed: str, torchx: Torchx) -> None:
    again = torchx("rerun", echoed.rpartition("/")[2][:8], "--", "--msg", "two")
    assert again.returncode == 0, again.stderr
    assert again.stdout.startswith("local_cwd://torchx/echo-")
    assert again.stdout.strip() != echoed
    assert "echo/0 two" in again.stderr
    dry = torchx("rerun", echoed, "--dryrun")
    assert "=== SCHEDULER REQUEST ===" in dry.stdout
    assert torchx("list").stdout.count("local_cwd://") == 2


def test_every_command_takes_a_shortened_handle(echoed: str, torchx: Torchx) -> None:
    short = echoed.rpartition("/")[2][:7]
    assert "SUCCEEDED" in torchx("status", short).stdout
    assert torchx("log", short).stdout == "echo/0 it's $HOME\n"
    assert torchx("log", f"{short}/echo/0").stdout == "echo/0 it's $HOME\n"
    assert torchx("cancel", short).returncode == 0
    assert torchx("delete", short).returncode == 0
    missing = torchx("status", short)
    assert missing.returncode == 1
    assert missing.stderr.startswith(f"error: `{short}` is neither a handle")


def test_prune_removes_logs_and_records(echoed: str, torchx: Torchx) -> None:
    would = torchx("prune", "--older-than", "0s", "--dryrun")
    assert would.stdout.strip() == echoed
    assert torchx("status", echoed).returncode == 0
    assert "1 jobs would be forgotten and 0 leftovers" in would.stderr
    assert torchx("prune", "--older-than", "1h").stdout == ""
    assert torchx("prune", "--older-than", "0s").stdout.strip() == echoed
    assert torchx("status", echoed).returncode == 1
    assert echoed not in torchx("list", "-s", "local_cwd").stdout
    assert torchx("prune", "--older-than", "soon").returncode == 2


def test_remembered_jobs_as_json(echoed: str, torchx: Torchx) -> None:
    (listed,) = json.loads(torchx("list", "--json").stdout)["jobs"]
    assert listed["handle"] == echoed
    assert listed["component_args"] == ["--msg", "it's $HOME"]
    described = json.loads(torchx("describe", echoed, "--json").stdout)
    assert described["launch"] == listed
    assert described["app"]["roles"][0]["entrypoint"] == "echo"
    pruned = json.loads(torchx("prune", "--older-than", "0s", "--json").stdout)
    assert [job["handle"] for job in pruned["jobs"]] == [echoed]


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(-1, "0s"), (59.9, "59s"), (60, "1m"), (7199, "1h"), (200_000, "2d")],
)
def test_ages_are_short(seconds: float, expected: str) -> None:
    assert short_age(seconds) == expected
