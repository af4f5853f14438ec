from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from torchx.runner.store import JobStore, Launch, RememberedJob
from torchx.specs import AppState

MakeJob = Callable[..., RememberedJob]


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """The directories of the preferred file and of the one to fall back on."""
    preferred, temporary = tmp_path / "home", tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setenv("TORCHX_HOME", str(preferred))
    monkeypatch.setenv("TMPDIR", str(temporary))
    return preferred, temporary


@pytest.fixture
def store() -> JobStore:
    return JobStore()


@pytest.fixture
def make_job() -> MakeJob:
    """Makes jobs, each submitted a second after the one before."""
    numbers = itertools.count(1)

    def make(**values: Any) -> RememberedJob:
        number = next(numbers)
        fields: dict[str, Any] = {
            "submission_id": f"s{number}",
            "scheduler": "memory",
            "session": "test",
            "app_id": f"job-{number}",
            "name": "job",
            "is_confirmed": True,
            "submitted_at_s": 1000.0 + number,
            "launch": Launch(),
            "cfg": {},
            "app": None,
            "sources": [],
            "log_location": None,
            "cwd": "/",
            "user": "ada",
            "host": "laptop",
            "launcher": {},
            "torchx_version": "1",
            "state": AppState.RUNNING,
            "reason": "",
            "state_seen_at_s": None,
            "is_over": False,
        }
        return RememberedJob(**{**fields, **values})

    return make
