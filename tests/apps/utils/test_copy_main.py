"""The program behind utils.copy, on real file systems."""

import os
import random
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from torchx.apps.utils.copy_main import main

CONTENT = random.Random(0).randbytes(200 * 1024)


@pytest.fixture
def memory() -> Iterator[fsspec.AbstractFileSystem]:
    fs = fsspec.filesystem("memory")
    fs.pipe_file("/src", CONTENT)
    yield fs
    fs.store.clear()


def test_within_one_store(memory: fsspec.AbstractFileSystem) -> None:
    main(["--src", "memory://src", "--dst", "memory://a/dst"])
    assert memory.cat_file("/a/dst") == CONTENT


def test_from_a_store_to_a_new_directory(
    memory: fsspec.AbstractFileSystem, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dst = f"file://{tmp_path}/foo/bar"
    main(["--src", "memory://src", "--dst", dst, "--bufsize", "1000"])
    assert (tmp_path / "foo" / "bar").read_bytes() == CONTENT
    assert f"copying from memory://src to {dst}\n" in capsys.readouterr().out


def test_to_a_store(memory: fsspec.AbstractFileSystem, tmp_path: Path) -> None:
    (tmp_path / "src").write_bytes(CONTENT)
    main(["--src", str(tmp_path / "src"), "--dst", "memory://up"])
    assert memory.cat_file("/up") == CONTENT


def test_local_copy_replaces_the_file_in_one_step(tmp_path: Path) -> None:
    src, dst = tmp_path / "src", tmp_path / "dst"
    src.write_bytes(CONTENT)
    dst.write_bytes(b"old")
    with dst.open("rb") as reader:
        main(["--src", str(src), "--dst", str(dst)])
        assert reader.read() == b"old"
    assert dst.read_bytes() == CONTENT
    assert sorted(os.listdir(tmp_path)) == ["dst", "src"]


def test_file_copied_onto_itself_survives(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(CONTENT)
    main(["--src", str(path), "--dst", str(path)])
    assert path.read_bytes() == CONTENT


def test_missing_source_is_found_before_anything_is_created(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="none does not exist"):
        main(["--src", str(tmp_path / "none"), "--dst", str(tmp_path / "new" / "dst")])
    assert not (tmp_path / "new").exists()


def test_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError, match="give the path of one file"):
        main(["--src", str(tmp_path), "--dst", "memory://dst"])


class _Breaking(fsspec.get_filesystem_class("memory")):  # type: ignore[misc]  # untyped base
    """A store whose connection breaks in the middle of a file."""

    protocol = "breaking"
    store: dict[str, object] = {}

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return "/" + path.removeprefix("breaking://").lstrip("/")

    def _open(self, path: str, mode: str = "rb", **options: object) -> object:
        file = super()._open(path, mode, **options)
        if mode == "rb":
            whole = file.read

            def read(size: int = -1) -> bytes:
                block: bytes = whole(size)
                if not block:
                    raise ConnectionResetError("in the middle")
                return block

            file.read = read
        return file


@pytest.mark.parametrize("to", ["memory", "file"])
def test_broken_transfer_leaves_no_part_behind(
    to: str, memory: fsspec.AbstractFileSystem, tmp_path: Path
) -> None:
    fsspec.register_implementation("breaking", _Breaking, clobber=True)
    fsspec.filesystem("breaking").pipe_file("/src", CONTENT)
    dst = f"{to}://{tmp_path}/dst"
    with pytest.raises(ConnectionResetError):
        main(["--src", "breaking://src", "--dst", dst])
    assert not fsspec.filesystem(to).exists(dst)
    assert os.listdir(tmp_path) == []
