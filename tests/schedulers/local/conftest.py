from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from torchx.schedulers.local_scheduler import LocalScheduler, create_scheduler


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keeps the state of all apps of a test below its own directory."""
    directory = tmp_path / "home"
    monkeypatch.setenv("TORCHX_HOME", str(directory))
    return directory


@pytest.fixture
def scheduler(home: Path) -> Iterator[LocalScheduler]:
    scheduler = create_scheduler("session")
    yield scheduler
    scheduler.close()
