"""Does the conformance suite notice schedulers that are wrong?"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

BROKEN_SCHEDULERS = """
from torchx.runner import Runner
from torchx.schedulers.api import DescribeAppResponse
from torchx.schedulers.local_scheduler import CWDImageProvider, LocalScheduler
from torchx.specs import AppState


class LosesTheLastLine(LocalScheduler):
    def log_iter(self, *args, **kwargs):
        return [line for line in super().log_iter(*args, **kwargs) if line.endswith("\\n")]


class CallsEverythingASuccess(LocalScheduler):
    def describe(self, app_id):
        found = super().describe(app_id)
        if found is not None and found.state == AppState.FAILED:
            found.state = AppState.SUCCEEDED
        return found


class PutsArgumentsThroughAShell(LocalScheduler):
    def _submit_dryrun(self, app, cfg):
        for role in app.roles:
            words = [role.entrypoint, *role.args]
            role.entrypoint, role.args = "/bin/sh", ["-c", " ".join(f'"{word}"' for word in words)]
        return super()._submit_dryrun(app, cfg)


class InventsApps(LocalScheduler):
    def describe(self, app_id):
        found = super().describe(app_id)
        return found or DescribeAppResponse(app_id, AppState.UNKNOWN)


def runner(kind):
    def create(session_name, **ignored):
        return kind(session_name, CWDImageProvider)

    return lambda: Runner("broken", {"broken": create})


loses_the_last_line = runner(LosesTheLastLine)
calls_everything_a_success = runner(CallsEverythingASuccess)
puts_arguments_through_a_shell = runner(PutsArgumentsThroughAShell)
invents_apps = runner(InventsApps)
"""

TEST_FILE = """
import pytest
from torchx.testing import Capability, SchedulerContract, SchedulerHarness

@pytest.fixture
def harness(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCHX_HOME", str(tmp_path))
    missing = {Capability.DELETE: "not under test"}
    with SchedulerHarness(
        "broken", missing, runner="broken_schedulers:%s", image="/", timeout_s=20
    ) as harness:
        yield harness

class TestBroken(SchedulerContract):
    pass
"""


def run(directory: Path, fault: str, chosen: str) -> subprocess.CompletedProcess[str]:
    (directory / "broken_schedulers.py").write_text(BROKEN_SCHEDULERS)
    (directory / "test_broken.py").write_text(TEST_FILE % fault)
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rA", "-p", "no:cacheprovider", "-k", chosen],
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize(
    ("fault", "case"),
    [
        ("loses_the_last_line", "test_the_end_of_a_log_is_as_it_was_written"),
        ("calls_everything_a_success", "test_an_app_that_fails_tells_its_exit_code"),
        ("puts_arguments_through_a_shell", "test_arguments_arrive_byte_for_byte"),
        ("invents_apps", "test_an_unknown_app_is_none_or_said_to_be_unknown"),
    ],
)
def test_the_suite_notices_a_scheduler_that(tmp_path: Path, fault: str, case: str) -> None:
    done = run(tmp_path, fault, case)
    assert re.search(rf"^FAILED .*{case}", done.stdout, re.M), done.stdout + done.stderr
    assert not re.search(r"^ERROR ", done.stdout, re.M), done.stdout


def test_a_missing_capability_skips_its_cases_and_tells_the_reason(tmp_path: Path) -> None:
    done = run(tmp_path, "invents_apps", "test_a_deleted_app_is_forgotten")
    assert done.returncode == 0
    assert "broken: delete: not under test" in done.stdout
    assert "1 skipped" in done.stdout
