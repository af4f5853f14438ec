"""Checkpoints on disk."""

import os
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

# ruff: noqa: E402  (the program needs packages that are optional)
from torchx.examples.digits.checkpoint import (
    Checkpoint,
    CheckpointFile,
    Settings,
    default_directory,
)

SETTINGS = Settings(epochs=2, batch_size=4, lr=0.1, seed=0)


def _checkpoint(epoch: int) -> Checkpoint:
    state = {"w": torch.arange(3)}
    return Checkpoint(epoch, state, {"lr": 0.1}, {"last_epoch": epoch}, [torch.get_rng_state()])


def test_newest_state_comes_back(tmp_path: Path) -> None:
    file = CheckpointFile(tmp_path / "new", SETTINGS)
    assert file.load() is None
    file.save(_checkpoint(1))
    file.save(_checkpoint(2))
    loaded = file.load()
    assert loaded is not None
    assert (loaded.epoch, loaded.finished) == (2, False)
    assert torch.equal(loaded.model["w"], torch.arange(3))
    assert os.listdir(tmp_path / "new") == [file.path.name]


@pytest.mark.parametrize("change", [{"epochs": 3}, {"batch_size": 8}, {"lr": 0.2}, {"seed": 1}])
def test_other_settings_have_another_file(change: dict[str, Any], tmp_path: Path) -> None:
    CheckpointFile(tmp_path, SETTINGS).save(_checkpoint(1))
    assert CheckpointFile(tmp_path, replace(SETTINGS, **change)).load() is None


@pytest.mark.parametrize("content", [b"", b"garbage", b"PK\x03\x04half"])
def test_file_that_is_no_checkpoint_is_named(content: bytes, tmp_path: Path) -> None:
    file = CheckpointFile(tmp_path, SETTINGS)
    file.path.write_bytes(content)
    with pytest.raises(ValueError, match="is no checkpoint of this program; remove it"):
        file.load()


def test_default_directory_is_private_and_of_one_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    by_hand = default_directory()
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "../job-1")
    assert default_directory().parent == by_hand.parent
    assert default_directory().name == ".._job-1"
    assert stat.S_IMODE(by_hand.parent.stat().st_mode) == 0o700


def test_directory_of_another_user_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    default_directory()
    owner = tmp_path.stat().st_uid
    monkeypatch.setattr(os, "getuid", lambda: owner)
    default_directory()
    mine = tmp_path / f"torchx-digits-{owner + 1}"
    mine.mkdir()
    monkeypatch.setattr(os, "getuid", lambda: owner + 1)
    with pytest.raises(PermissionError, match="belongs to another user"):
        default_directory()
