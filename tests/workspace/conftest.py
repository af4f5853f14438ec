from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

NOBODY = 65534


@pytest.fixture(autouse=True)
def torchx_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Caches of a test are its own."""
    home = tmp_path / "torchx home"
    monkeypatch.setenv("TORCHX_HOME", str(home))
    return home


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """A small workspace."""
    root = tmp_path / "code"
    (root / "lib").mkdir(parents=True)
    (root / "main.py").write_text("print('hi')\n")
    (root / "run.sh").write_text("#!/bin/sh\n")
    (root / "run.sh").chmod(0o755)
    (root / "lib" / "a.py").write_text("A = 1\n")
    return root


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Lets an hour pass, after which nothing counts as having just been changed."""

    def pass_time() -> None:
        moved_ns = time.time_ns() + 3_600_000_000_000
        monkeypatch.setattr("torchx.workspace.digest_cache.time.time_ns", lambda: moved_ns)

    return pass_time


@pytest.fixture
def unprivileged() -> Iterator[Path]:
    """An empty directory, as a user who may not read everything."""
    directory = Path(tempfile.mkdtemp())
    is_root = os.geteuid() == 0
    if is_root:
        os.chown(directory, NOBODY, NOBODY)
        os.seteuid(NOBODY)
    try:
        yield directory
    finally:
        if is_root:
            os.seteuid(0)
        shutil.rmtree(directory)
