"""The program that counts the workers of its job."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")
hydra = pytest.importorskip("hydra")

# ruff: noqa: E402  (the program needs packages that are optional)
from torchx.examples.apps.compute_world_size import main
from torchx.examples.apps.compute_world_size.module.util import compute_world_size

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
CONFIG = "torchx.examples.apps.compute_world_size.config"


def test_alone_it_counts_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.setenv(name, "")  # so that the test leaves them as they were
        monkeypatch.delenv(name)
    with hydra.initialize_config_module(CONFIG, version_base="1.3"):
        assert compute_world_size(hydra.compose("defaults")) == 1


@pytest.mark.parametrize("program", [[main.__file__], ["-m", main.__name__]])
def test_workers_count_each_other(program: list[str], tmp_path: Path) -> None:
    done = subprocess.run(
        [*TORCHRUN, *program, f"hydra.run.dir={tmp_path}"],
        capture_output=True, text=True, cwd=tmp_path, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for rank in range(2):
        assert f"rank: {rank}, actual world_size: 2, computed world_size: 2" in done.stdout


def test_it_fails_if_it_is_told_to(tmp_path: Path) -> None:
    error_file = tmp_path / "error.json"
    done = subprocess.run(
        [sys.executable, "-m", main.__name__, "main.throws=True", f"hydra.run.dir={tmp_path}"],
        capture_output=True, text=True, cwd=tmp_path,
        env={**os.environ, "TORCHELASTIC_ERROR_FILE": str(error_file)},
    )  # fmt: skip
    assert done.returncode != 0
    assert "main.throws=True" in error_file.read_text()
