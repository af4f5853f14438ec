from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

LAUNCHER = Path(__file__).with_name("crashing_launcher.py")
LEAST_STEPS = 100


def outcomes_of_kills(directory: Path, cfg: dict[str, Any]) -> list[dict[str, Any]]:
    finished = subprocess.run(
        [sys.executable, str(LAUNCHER), str(directory), json.dumps(cfg)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "TORCHXCONFIG": ""},
    )
    assert finished.returncode == 0, finished.stderr
    return [json.loads(line) for line in finished.stdout.splitlines()]


@pytest.mark.parametrize("cfg", [{}, {"detach": True}], ids=["attached", "detached"])
def test_a_launcher_killed_at_any_step_loses_and_doubles_no_job(
    tmp_path: Path, cfg: dict[str, Any]
) -> None:
    outcomes = outcomes_of_kills(tmp_path, cfg)
    assert len(outcomes) > LEAST_STEPS
    for outcome in outcomes:
        apps, jobs = outcome["apps"], outcome["jobs"]
        assert len(apps) <= 1
        if apps:
            ((app_id, state),) = apps.items()
            assert jobs == [{"app_id": app_id, "state": state, "is_confirmed": True}]
        else:
            assert [job["state"] for job in jobs] in ([], ["UNSUBMITTED"])
    # Without these the test would prove nothing: kills before, within and after the start.
    assert {} in [outcome["apps"] for outcome in outcomes]
    assert "SUCCEEDED" in {state for outcome in outcomes for state in outcome["apps"].values()}
