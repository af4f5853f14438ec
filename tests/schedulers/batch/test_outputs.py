"""Outputs in files, one alone and both as one."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from torchx.schedulers.batch.files import read_text, write_private
from torchx.schedulers.batch.outputs import open_outputs


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
