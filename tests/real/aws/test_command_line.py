"""The command line against moto: a project that is pushed, run, watched, listed and deleted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.real.aws.server import IMAGE, batch, own_queue, use_server
from tests.real.docker.pushing import need_registry

MAIN = """
import os, sys
print("hello from the script", sys.argv[1:], os.environ["TORCHX_JOB_ID"])
"""


def torchx(*words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "torchx.cli.main", *words],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=120,
        env=dict(os.environ),
    )
    return done.stdout


@pytest.fixture
def queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A queue, in a directory whose configuration names it."""
    use_server(monkeypatch)
    registry = need_registry()
    project = tmp_path / "project"
    project.mkdir()
    monkeypatch.chdir(project)
    monkeypatch.setenv("TORCHX_HOME", str(tmp_path / "home"))
    with own_queue() as queue:
        (project / "main.py").write_text(MAIN)
        (project / ".torchxconfig").write_text(
            f"[aws_batch]\nqueue={queue}\nimage_repo={registry}\n"
        )
        yield queue


@pytest.fixture
def run(queue: str) -> list[str]:
    return ["run", "--wait", "-s", "aws_batch", "utils.python", "--image", IMAGE]


def test_a_project_from_the_first_command_to_the_last(queue: str, run: list[str]) -> None:
    handle = torchx(*run, "--script", "main.py", "--", "a b").strip()
    assert handle.startswith(f"aws_batch://torchx/{queue}:")
    assert "SUCCEEDED" in torchx("status", handle)
    assert IMAGE not in json.loads(torchx("describe", "--json", handle))["app"]["roles"][0]["image"]
    log = torchx("log", handle)
    assert log.count("hello from the script ['a b']") == 1
    assert log.rstrip().endswith(handle)
    assert torchx("list", "-s", "aws_batch").count(f"{handle} ") == 1
    torchx("delete", handle)
    assert handle not in torchx("list", "-s", "aws_batch")
    assert active_definitions(queue) == []


def test_runs_of_one_project_share_a_definition(queue: str, run: list[str]) -> None:
    handles = [torchx(*run, "--script", "main.py").strip() for _ in range(2)]
    assert len(active_definitions(queue)) == 1
    for handle in handles:
        torchx("delete", handle)
    assert active_definitions(queue) == []


def test_a_dry_run_needs_no_server(
    queue: str, run: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    for name in ("AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    shown = torchx(run[0], "--dryrun", *run[2:], "--script", "main.py")
    assert f"queue: {queue}" in shown
    assert "containerProperties:" in shown


def active_definitions(queue: str) -> list[str]:
    """Names the definitions that jobs of a queue have used, and that are still there."""
    jobs = batch().list_jobs(jobQueue=queue, jobStatus="SUCCEEDED")
    used = {job["jobDefinition"] for job in jobs["jobSummaryList"]}
    found = batch().describe_job_definitions(status="ACTIVE")["jobDefinitions"]
    return [item["jobDefinitionArn"] for item in found if item["jobDefinitionArn"] in used]
