"""Outputs in files, one alone and both as one."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from torchx.schedulers.batch.files import read_text, write_private
from torchx.schedulers.batch.outputs import MergedSource, open_outputs
from torchx.schedulers.streams import FileSource


@pytest.fixture
def outputs(tmp_path: Path) -> list[Path]:
    return [tmp_path / "job.out", tmp_path / "job.err"]


def test_both_outputs_are_one_log_of_whole_lines(outputs: list[Path]) -> None:
    outputs[0].write_text("out 1\nout 2\nlast without a newline")
    outputs[1].write_text("err 1\nerr 2")
    lines = list(open_outputs([str(path) for path in outputs], None, None))
    assert sorted(line.rstrip("\n") for line in lines) == sorted(
        ["out 1", "out 2", "last without a newline", "err 1", "err 2"]
    )
    assert [line for line in lines if line.startswith("out")] == ["out 1\n", "out 2\n"]


def test_one_output_is_as_it_was_written(outputs: list[Path]) -> None:
    outputs[0].write_bytes(b"a\rb\n\n\nlast")
    assert list(open_outputs([str(outputs[0])], None, None)) == ["a\rb\n", "\n", "\n", "last"]
    assert list(open_outputs([str(outputs[0])], "^last", None)) == ["last"]


def test_files_that_are_not_there_are_empty(outputs: list[Path]) -> None:
    assert list(open_outputs([str(path) for path in outputs], None, None)) == []


def test_what_is_written_until_the_end_is_read(outputs: list[Path]) -> None:
    asked = 0

    def finished() -> bool:
        nonlocal asked
        asked += 1
        with outputs[asked % 2].open("a") as file:
            file.write(f"line {asked}\n")
        return asked > 4

    lines = list(open_outputs([str(path) for path in outputs], None, finished))
    assert sorted(lines) == [f"line {number + 1}\n" for number in range(asked)]


def test_private_files_are_replaced_and_keep_every_byte(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("longer than the new text")
    path.chmod(0o644)
    write_private(str(path), "a\r\nb\udcff")
    assert path.read_bytes() == b"a\r\nb\xff"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_text(str(path)) is not None
    assert read_text(str(tmp_path / "none")) is None


def read_all(paths: list[Path], block_bytes: int) -> bytes:
    sources = [FileSource(str(path), block_bytes=block_bytes) for path in paths]
    merged = MergedSource(sources)
    blocks = []
    while (block := merged.read()) is not None:
        blocks.append(block)
    return b"".join(blocks)


contents = st.lists(st.binary(max_size=6), max_size=6).map(b"\n".join)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(contents, contents, st.integers(1, 7))
def test_no_line_is_torn_lost_or_glued(
    tmp_path: Path, first: bytes, second: bytes, block_bytes: int
) -> None:
    paths = [tmp_path / "a.out", tmp_path / "a.err"]
    paths[0].write_bytes(first)
    paths[1].write_bytes(second)
    got = read_all(paths, block_bytes)
    expected = sorted(first.split(b"\n") + second.split(b"\n"))
    assert sorted(filter(None, got.split(b"\n"))) == list(filter(None, expected))
    newlines = first.count(b"\n") + second.count(b"\n")
    both_unfinished = all(text and not text.endswith(b"\n") for text in (first, second))
    assert newlines <= got.count(b"\n") <= newlines + 1 + both_unfinished


def test_one_file_keeps_its_order(tmp_path: Path) -> None:
    path = tmp_path / "a.out"
    path.write_bytes(b"".join(b"%d\n" % number for number in range(1000)))
    assert read_all([path, tmp_path / "missing"], 10) == path.read_bytes()
