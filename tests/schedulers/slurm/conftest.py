"""Commands of Slurm that tests put in place of the real ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

AddCommand = Callable[[str, str], Path]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TORCHX_HOME", str(tmp_path / "torchx-home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "torchx-home"


@pytest.fixture
def no_slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A ``PATH`` with the usual commands, but those of Slurm."""
    directory = tmp_path / "no-slurm"
    directory.mkdir()
    for name in ("bash", "env", "cat", "grep", "head", "ls", "mktemp", "mkdir", "rm", "sleep"):
        (directory / name).symlink_to(Path("/usr/bin") / name)
    monkeypatch.setenv("PATH", str(directory))
    return directory


@pytest.fixture
def add_command(no_slurm: Path) -> AddCommand:
    """Adds a command, as the text of a bash script; it notes each call in ``<name>.calls``."""

    def add(name: str, script: str) -> Path:
        calls = no_slurm / f"{name}.calls"
        calls.touch()
        path = no_slurm / name
        path.write_text(
            f'#!/usr/bin/bash\nprintf "%s\\x1f" "$@" >>{calls}\necho >>{calls}\n{script}\n'
        )
        path.chmod(0o755)
        return calls

    return add
