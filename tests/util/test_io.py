from __future__ import annotations

from importlib import metadata
from pathlib import Path
from unittest.mock import patch

import pytest

import torchx
from torchx.util.io import COMPONENTS_DIR, get_abspath, read_conf_file


def test_get_abspath() -> None:
    assert Path(get_abspath("torchx/__init__.py")) == Path(torchx.__file__).resolve()


def test_a_builtin_is_found_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "def echo" in read_conf_file(str(COMPONENTS_DIR / "utils.py"))


def test_an_existing_file_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = tmp_path / COMPONENTS_DIR / "utils.py"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine = 'é'\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert read_conf_file(str(COMPONENTS_DIR / "utils.py")) == "mine = 'é'\n"


def test_a_missing_file_points_to_the_builtins() -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere\.py does not exist and is not a builtin"):
        read_conf_file("nowhere.py")


def test_an_entry_point_provides_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "demo_provider.py").write_text(
        "def contents(path):\n    return 'x = 1' if path == 'virtual.py' else ''\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    entry_point = metadata.EntryPoint("get_file_contents", "demo_provider:contents", "torchx.file")
    fake = metadata.EntryPoints([entry_point])
    with patch("torchx.util.entrypoints.metadata.entry_points", return_value=fake):
        assert read_conf_file("virtual.py") == "x = 1"
        with pytest.raises(FileNotFoundError):
            read_conf_file("torchx/components/utils.py")
