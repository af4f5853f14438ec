from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from torchx.schedulers.local.sinks import Channel, LogFile
from torchx.schedulers.local.timeindex import STDOUT, TimeIndexWriter


class Pipe:
    """A pipe whose far end is a channel into the files ``log`` and ``combined``."""

    def __init__(self, directory: Path) -> None:
        self.faults: list[str] = []
        log = LogFile(str(directory / "log"), self.faults.append)
        combined = LogFile(str(directory / "combined"), self.faults.append)
        self.files = (log, combined)
        for file in self.files:
            file.create()
        reader, self.writer = os.pipe()
        os.set_blocking(reader, False)
        self.index = TimeIndexWriter(str(directory / "index"), 0.0)
        self.channel = Channel(reader, 0, STDOUT, log, combined, self.index)

    def send(self, data: bytes) -> None:
        os.write(self.writer, data)
        self.channel.pump()

    def close(self) -> None:
        os.close(self.writer)
        for file in self.files:
            file.close()
        self.index.close()


@pytest.fixture
def pipe(tmp_path: Path) -> Iterator[Pipe]:
    pipe = Pipe(tmp_path)
    yield pipe
    pipe.close()


@pytest.fixture
def combined(tmp_path: Path) -> Callable[[], bytes]:
    return (tmp_path / "combined").read_bytes


def test_the_combined_log_gets_whole_lines(
    pipe: Pipe, combined: Callable[[], bytes], tmp_path: Path
) -> None:
    pipe.send(b"one\ntw")
    assert combined() == b"one\n"
    pipe.send(b"o\n\nthr")
    assert combined() == b"one\ntwo\n\n"
    pipe.channel.close()
    assert combined() == b"one\ntwo\n\nthr"
    assert (tmp_path / "log").read_bytes() == combined()


@pytest.mark.parametrize("pattern", [b"\r%d", b"%d\r"])
def test_a_progress_bar_is_shown_while_it_is_drawn(
    pipe: Pipe, combined: Callable[[], bytes], pattern: bytes
) -> None:
    for number in range(10):
        pipe.send(pattern % number)
    assert b"8" in combined()
    pipe.channel.close()
    assert combined() == b"".join(pattern % number for number in range(10))


def test_the_end_of_a_line_of_two_bytes_is_not_torn(
    pipe: Pipe, combined: Callable[[], bytes]
) -> None:
    pipe.send(b"one\r\ntwo\r")
    assert combined() == b"one\r\n"
    pipe.send(b"\nthree")
    assert combined() == b"one\r\ntwo\r\n"
    pipe.channel.close()


def test_a_line_without_end_is_not_held_back_for_ever(
    pipe: Pipe, combined: Callable[[], bytes]
) -> None:
    for _ in range(3):
        pipe.send(b"x" * 30_000)
    assert combined() == b"x" * 90_000
    pipe.channel.close()


def test_draining_stops_when_somebody_keeps_writing(pipe: Pipe, tmp_path: Path) -> None:
    os.write(pipe.writer, b"y" * 1000)
    pipe.channel.drain(1)
    assert (tmp_path / "log").stat().st_size == 1000
    pipe.channel.drain(1 << 20)
    pipe.channel.close()
    pipe.channel.drain(1 << 20)


def test_a_full_disk_is_reported_and_survived() -> None:
    faults: list[str] = []
    full = LogFile("/dev/full", faults.append)
    full.write(b"lost")
    full.write(b"lost, too")
    full.close()
    assert full.size == 0
    assert set(faults) == {"output was lost: cannot write /dev/full: No space left on device"}


def test_a_log_that_nobody_wants_is_dropped() -> None:
    nowhere = LogFile(None, pytest.fail)
    nowhere.create()
    nowhere.write(b"dropped")
    nowhere.close()
