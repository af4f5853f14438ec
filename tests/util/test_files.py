"""Files that are replaced in one step."""

import os
import shutil
from pathlib import Path

import fsspec
import pytest

from torchx.util.files import is_local, make_parent, replacing, write_bytes


def _write(path: Path, text: str) -> None:
    with replacing(path) as temporary:
        Path(temporary).write_text(text)


def test_file_appears_whole_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / "a'; echo foo"
    with replacing(path) as temporary:
        Path(temporary).write_text("new")
        assert not path.exists()
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == [path.name]


def test_failure_keeps_the_old_content_and_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(FileNotFoundError), replacing(path) as temporary:
        shutil.copyfile(tmp_path / "none", temporary)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file"]


def test_permissions_and_links_are_kept(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("old")
    target.chmod(0o640)
    link.symlink_to(target)
    _write(link, "new")
    assert link.is_symlink()
    assert target.read_text() == "new"
    assert target.stat().st_mode & 0o777 == 0o640


def test_device_is_written_to_and_not_replaced() -> None:
    with replacing(os.devnull) as temporary:
        assert temporary == os.devnull
    assert not os.path.isfile(os.devnull)


def test_missing_directory_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "none" / "file"):
        pass


@pytest.mark.parametrize("protocol", ["file", "memory"])
def test_write_bytes_makes_parents(protocol: str, tmp_path: Path) -> None:
    fs = fsspec.filesystem(protocol)
    path = f"{tmp_path}/a/b/c"
    write_bytes(fs, path, b"one")
    write_bytes(fs, path, b"two")
    assert fs.cat_file(path) == b"two"
    assert is_local(fs) is (protocol == "file")


def test_store_that_refuses_directories_gets_its_file() -> None:
    class Store(fsspec.get_filesystem_class("memory")):  # type: ignore[misc]  # untyped base
        cachable = False
        store: dict[str, object] = {}

        def makedirs(self, path: str, exist_ok: bool = False) -> None:
            raise PermissionError(path)

    fs = Store()
    make_parent(fs, "/bucket/key")
    write_bytes(fs, "/bucket/key", b"x")
    assert fs.cat_file("/bucket/key") == b"x"
