"""What the local scheduler offers to callers who ask for it by ``isinstance``."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from torchx.schedulers.abilities import DescribesMany, PlansAppIds
from torchx.schedulers.local.layout import find_state_dir
from torchx.schedulers.local_scheduler import LocalScheduler
from torchx.specs.api import AppDef, AppState, Role


def submit(scheduler: LocalScheduler, script: str) -> str:
    role = Role("worker", "", entrypoint="/bin/sh", args=["-c", script])
    return scheduler.submit(AppDef("app", [role]), {})


def test_the_id_is_known_before_the_start(scheduler: LocalScheduler) -> None:
    info = scheduler.submit_dryrun(AppDef("app", [Role("r", "", entrypoint="true")]), {})
    assert isinstance(scheduler, PlansAppIds)
    planned = scheduler.planned_app_id(info)
    assert scheduler.describe(planned) is None
    assert scheduler.schedule(info) == planned
    logs = Path(scheduler.log_location(planned, info))
    assert [path.name for path in logs.glob("r/0/stdout.log")] == ["stdout.log"]


def test_many_apps_are_described_like_one(scheduler: LocalScheduler) -> None:
    assert isinstance(scheduler, DescribesMany)
    running, deleted, cancelled = (submit(scheduler, "sleep 1000") for _ in range(3))
    scheduler.cancel(cancelled)
    scheduler.delete(deleted)
    found = scheduler.describe_many([running, deleted, "never-there", cancelled])
    assert {app_id: description.state for app_id, description in found.items()} == {
        running: AppState.RUNNING,
        cancelled: AppState.CANCELLED,
    }
    assert found[cancelled] == scheduler.describe(cancelled)


def test_a_thousand_apps_take_neither_processes_nor_scans(
    scheduler: LocalScheduler, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app_id = submit(scheduler, "sleep 1000")
    directory = find_state_dir(app_id)
    assert directory is not None
    record = json.loads(Path(directory, "record.json").read_text())
    names = [f"app-{number}" for number in range(1000)]
    for name in names:
        (home / "local" / name).mkdir()
        (home / "local" / name / "record.json").write_text(json.dumps({**record, "app_id": name}))

    def refused(*args: object, **kwargs: object) -> None:
        raise AssertionError(f"{args} was looked through or started")

    with monkeypatch.context() as patch:
        patch.setattr(os, "listdir", refused)
        patch.setattr(os, "scandir", refused)
        patch.setattr(subprocess, "Popen", refused)
        found = scheduler.describe_many(names)
    assert list(found) == names
    for name in names:
        shutil.rmtree(home / "local" / name)
