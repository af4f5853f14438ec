"""``torchx run --detach``: the app goes on, and other processes look after it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from torchx.runner import get_runner
from torchx.specs import AppState
from torchx.testing.waiting import eventually

Torchx = Callable[..., "subprocess.CompletedProcess[str]"]
UNTIL = "until [ -e {go} ]; do sleep 0.01; done; echo went on"
PATIENCE_S = 60.0


@pytest.fixture(autouse=True)
def all_ended(project: Path) -> Iterator[None]:
    yield
    with get_runner() as runner:
        for entry in runner.list("local_cwd"):
            runner.delete(entry.app_handle)


def state(handle: str) -> AppState:
    with get_runner() as runner:
        status = runner.status(handle)
    assert status is not None
    return status.state


def test_other_processes_follow_and_end_it(torchx: Torchx, tmp_path: Path) -> None:
    script = UNTIL.format(go=tmp_path / "go")
    done = torchx("run", "-s", "local_cwd", "--detach", "utils.sh", "--", script)
    assert done.returncode == 0, done.stderr
    handle = done.stdout.strip()
    assert done.stdout == f"{handle}\n"
    assert f"torchx log -t {handle}" in done.stderr
    assert f"torchx cancel {handle}" in done.stderr
    assert "RUNNING" in torchx("status", handle).stdout
    assert handle in torchx("list", "-s", "local_cwd").stdout
    (tmp_path / "go").touch()
    assert torchx("log", "-t", handle).stdout == "sh/0 went on\n"
    assert state(handle) == AppState.SUCCEEDED
    assert torchx("delete", handle).returncode == 0
    assert torchx("status", handle).returncode == 1


def test_it_is_cancelled_from_elsewhere(torchx: Torchx) -> None:
    handle = torchx(
        "run", "-s", "local_cwd", "--detach", "utils.sh", "sleep", "1000"
    ).stdout.strip()
    assert torchx("cancel", handle).returncode == 0
    assert state(handle) == AppState.CANCELLED


def test_the_option_of_the_scheduler_means_the_same(torchx: Torchx, project: Path) -> None:
    (project / ".torchxconfig").write_text("[local_cwd]\ndetach = True\n")
    handle = torchx("run", "-s", "local_cwd", "utils.sh", "sleep", "1000").stdout.strip()
    assert state(handle) == AppState.RUNNING


def test_json_tells_the_state(torchx: Torchx) -> None:
    call = {
        "scheduler": "local_cwd",
        "scheduler_args": {},
        "component_name": "utils.sh",
        "component_args": {"args": ["sleep", "1000"]},
        "detach": True,
    }
    done = torchx("run", "--stdin", "--json", stdin=json.dumps(call))
    outcome = json.loads(done.stdout)
    assert outcome["state"] == "RUNNING"
    assert state(outcome["handle"]) == AppState.RUNNING


def test_a_dry_run_shows_it(torchx: Torchx) -> None:
    words = ("run", "-s", "local_cwd", "--detach", "--dryrun", "--json", "utils.sh", "true")
    assert json.loads(torchx(*words).stdout)["cfg"]["detach"] is True


def test_whoever_waits_for_it_may_be_interrupted(project: Path, tmp_path: Path) -> None:
    script = "echo started; " + UNTIL.format(go=tmp_path / "go")
    words = ["run", "-s", "local_cwd", "--detach", "--log", "utils.sh", "--", script]
    with subprocess.Popen(
        [sys.executable, "-m", "torchx.cli.main", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=dict(os.environ),
    ) as waiting:
        assert waiting.stdout is not None
        assert waiting.stderr is not None
        handle = waiting.stdout.readline().strip()
        assert any("started" in line for line in iter(waiting.stderr.readline, ""))
        waiting.send_signal(signal.SIGINT)
        assert f"`{handle}` keeps running" in waiting.stderr.read()
    assert waiting.returncode == 130
    assert state(handle) == AppState.RUNNING
    (tmp_path / "go").touch()
    eventually(lambda: state(handle) == AppState.SUCCEEDED, "the end", PATIENCE_S)
