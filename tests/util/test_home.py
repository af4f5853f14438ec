from __future__ import annotations

import os
from pathlib import Path

import pytest

from torchx.schedulers.local.layout import homes
from torchx.util.home import home_dirs, is_private


def test_jobs_and_their_records_are_kept_in_the_same_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHX_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert home_dirs() == [f"{tmp_path}/home", f"{tmp_path}/torchx-{os.getuid()}"]
    assert homes() == [f"{directory}/local" for directory in home_dirs()]


def test_a_directory_for_temporary_files_that_is_missing_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "missing"))
    monkeypatch.setenv("TEMP", str(tmp_path))
    assert home_dirs()[1] == f"{tmp_path}/torchx-{os.getuid()}"


def test_a_directory_is_private_if_nobody_else_can_write_to_it(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "link").symlink_to(tmp_path)
    assert is_private(str(tmp_path))
    assert not is_private(str(tmp_path / "link"))
    tmp_path.chmod(0o777)
    assert not is_private(str(tmp_path))
