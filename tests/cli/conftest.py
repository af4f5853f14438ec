"""What the tests of the command line share: an empty home and a project directory."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from torchx.cli.argparse_util import torchxconfig

Torchx = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty working directory and home; nothing of the machine's configuration is seen."""
    home, directory = tmp_path / "home", tmp_path / "project"
    home.mkdir()
    directory.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("TORCHX_HOME", str(home / "torchx"))
    for name in ("TORCHXCONFIG", "LOGLEVEL", "NO_COLOR", "FORCE_COLOR", "TORCHX_TRACKERS"):
        monkeypatch.delenv(name, raising=False)
    # The command sets it for the process; this puts it back afterwards.
    monkeypatch.setenv("TORCHX_CONTEXT_NAME", "test")
    monkeypatch.setattr(torchxconfig, "_subcmd_configs", {})
    monkeypatch.chdir(directory)
    level = logging.getLogger().level
    yield directory
    logging.getLogger().setLevel(level)


@pytest.fixture
def torchx(project: Path) -> Torchx:
    """Runs ``torchx`` as a process of its own."""

    def run(*words: str, stdin: str = "", **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "torchx.cli.main", *words],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=120,
            cwd=project,
            env={**os.environ, **env},
        )

    return run
