from __future__ import annotations

import io
import itertools
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import SimpleQueue

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from torchx.schedulers.lines import split_lines
from torchx.schedulers.streams import FileSource, IterableSource, LogStream, Tee

LOG_BYTES = st.lists(
    st.sampled_from([b"\n", b"\r\n", b"a\n", b"ab", "é€\U0001f600".encode(), b"\xff", b"\xf0\x9f"])
    | st.binary(max_size=8),
    max_size=40,
).map(b"".join)
CHUNKS = st.lists(st.binary(max_size=5) | LOG_BYTES, max_size=8)


def lines_of(data: bytes, regex: str = "") -> list[str]:
    return [line for line in split_lines(data.decode("utf-8", "replace")) if re.search(regex, line)]


class StutteringSource:
    """Gives its chunks with empty reads in between, as a growing file does."""

    def __init__(self, chunks: list[bytes]) -> None:
        self._answers: Iterator[bytes] = iter([part for chunk in chunks for part in (b"", chunk)])
        self.waits = 0

    def read(self) -> bytes | None:
        return next(self._answers, None)

    def wait(self, timeout_s: float) -> None:
        self.waits += 1

    def close(self) -> None:
        self._answers = iter(())


class Follower:
    """Follows a stream on a thread; lines arrive in a queue, ``None`` at the end."""

    def __init__(self, stream: LogStream) -> None:
        self.lines: SimpleQueue[str | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, args=(stream,), daemon=True)
        self._thread.start()

    def next(self) -> str | None:
        return self.lines.get(timeout=30)

    def _run(self, stream: LogStream) -> None:
        for line in stream:
            self.lines.put(line)
        self.lines.put(None)


@given(chunks=CHUNKS)
def test_any_chunks_give_the_lines_of_the_whole(chunks: list[bytes]) -> None:
    assert list(LogStream(StutteringSource(chunks))) == lines_of(b"".join(chunks))


@given(chunks=CHUNKS, regex=st.sampled_from(["a", "é", "^a?$", r"[^a]\Z", "\ufffd"]))
def test_any_chunks_give_the_same_lines_through_a_filter(chunks: list[bytes], regex: str) -> None:
    data = b"".join(chunks)
    assert list(LogStream(StutteringSource(chunks), regex)) == lines_of(data, regex)
    filtered = b"".join(LogStream(StutteringSource(chunks), regex).blocks())
    assert lines_of(filtered) == lines_of(data, regex)


@given(chunks=CHUNKS)
def test_blocks_are_the_log_byte_for_byte_and_end_at_lines(chunks: list[bytes]) -> None:
    blocks = list(LogStream(StutteringSource(chunks)).blocks())
    assert b"".join(blocks) == b"".join(chunks)
    pairs = itertools.pairwise(blocks)
    assert all(block.endswith(b"\n") or rest.startswith(b"\r") for block, rest in pairs)
    assert all(blocks)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=LOG_BYTES, block_bytes=st.integers(1, 9), start=st.integers(0, 50))
def test_a_file_is_read_the_same_in_blocks_of_any_size(
    tmp_path: Path, data: bytes, block_bytes: int, start: int
) -> None:
    path = tmp_path / "log"
    path.write_bytes(data)
    whole = FileSource(str(path), block_bytes=block_bytes)
    assert list(LogStream(whole)) == lines_of(data)
    middle = FileSource(str(path), block_bytes=block_bytes, start=start, end=start + 20)
    assert b"".join(LogStream(middle).blocks()) == data[start : start + 20]


def test_lines_and_characters_are_not_torn_at_block_boundaries(tmp_path: Path) -> None:
    lines = [f"step {number} löss=0.1€ \U0001f600\n" for number in range(100_000)]
    path = tmp_path / "log"
    path.write_text("".join(lines), encoding="utf-8")
    assert list(LogStream(FileSource(str(path), block_bytes=64_000))) == lines
    nines = [line for line in lines if "9999" in line]
    assert list(LogStream(FileSource(str(path), block_bytes=64_000), "9999")) == nines
    assert list(LogStream(FileSource(str(path), block_bytes=64_000), "st.p [0-9]*9999")) == nines


def test_a_last_line_without_newline_is_delivered() -> None:
    assert list(LogStream(IterableSource([b"one\ntw", b"o"]))) == ["one\n", "two"]


def test_next_and_for_share_one_position() -> None:
    stream = LogStream(IterableSource(["1\n2\n3\n", "4\n5\n"]))
    assert next(stream) == "1\n"
    for line in stream:
        assert line == "2\n"
        break
    assert next(stream) == "3\n"
    assert b"".join(stream.blocks()) == b"4\n5\n"
    assert next(stream, None) is None


def test_blocks_after_lines_begin_where_the_lines_stopped() -> None:
    stream = LogStream(IterableSource([b"1\n2\n3\n"]))
    assert next(stream) == "1\n"
    assert list(stream.blocks()) == [b"2\n3\n"]


def test_a_malformed_regex_is_rejected_before_anything_is_read() -> None:
    with pytest.raises(re.error):
        LogStream(IterableSource([]), "(")


def test_an_overlong_line_is_handed_on_in_parts_that_a_filter_keeps_together() -> None:
    chunks = [b"a" * 30, b"b" * 30, b"b\n", b"c" * 50, b"a\n", b"last a"]
    stream = LogStream(StutteringSource(chunks), "a")
    stream.limit_held_bytes(16)
    assert list(stream.blocks()) == [b"a" * 30, b"b" * 30, b"b\n", b"last a"]


def test_an_overlong_line_is_whole_where_lines_are_asked_for() -> None:
    stream = LogStream(StutteringSource([b"a" * 30, b"b" * 30, b"\n"]))
    stream.limit_held_bytes(16)
    assert list(stream) == ["a" * 30 + "b" * 30 + "\n"]


def test_poll_gives_what_is_there_and_says_whether_there_may_be_more() -> None:
    stream = LogStream(StutteringSource([b"no\n", b"a\nb", b"\n"]), "[ab]")
    seen = []
    while (block := stream.poll()) is not None:
        seen.append((block, stream.idle))
    assert seen == [
        (b"", True),
        (b"", False),
        (b"", True),
        (b"a\n", False),
        (b"", True),
        (b"b\n", False),
    ]


def test_follow_gives_each_line_before_the_next_is_written(tmp_path: Path) -> None:
    done = threading.Event()
    path = tmp_path / "later" / "log"
    follower = Follower(LogStream(FileSource(str(path), finished=done.is_set)))
    path.parent.mkdir()
    with path.open("wb", buffering=0) as log:
        for number in range(50):
            log.write(b"line ")
            log.write(b"%d\n" % number)
            assert follower.next() == f"line {number}\n"
        log.write(b"no newline")
    done.set()
    assert follower.next() == "no newline"
    assert follower.next() is None


def test_follow_ends_only_when_finished_and_drained(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"early\n")

    def finishes_with_last_words() -> bool:
        with path.open("ab") as log:
            log.write(b"last words\n")
        return True

    source = FileSource(str(path), finished=finishes_with_last_words, block_bytes=6)
    assert b"".join(LogStream(source).blocks()) == b"early\nlast words\n"


def test_follow_of_a_file_that_never_came_ends_when_the_writer_is_done(tmp_path: Path) -> None:
    answers = iter([False, False, True])
    source = FileSource(str(tmp_path / "none"), finished=lambda: next(answers))
    assert list(LogStream(source)) == []


def test_a_change_of_a_wake_path_ends_the_follow(tmp_path: Path) -> None:
    record = tmp_path / "record"
    source = FileSource(str(tmp_path / "log"), finished=record.exists, wake_paths=[str(record)])
    follower = Follower(LogStream(source))
    (tmp_path / "log").write_text("one\n")
    assert follower.next() == "one\n"
    record.touch()
    assert follower.next() is None


def test_closing_from_another_thread_ends_a_follow(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("one\n")
    stream = LogStream(FileSource(str(path), finished=lambda: False))
    follower = Follower(stream)
    assert follower.next() == "one\n"
    stream.close()
    assert follower.next() is None


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        list(LogStream(FileSource(str(tmp_path))))


def test_iterable_source_takes_text_and_bytes_and_closes_the_iterable() -> None:
    class Response:
        closed = False

        def __iter__(self) -> Iterator[bytes | str]:
            return iter([b"\xc3", b"\xa9\n", "ü\n"])

        def close(self) -> None:
            self.closed = True

    response = Response()
    stream = LogStream(IterableSource(response))
    assert list(stream) == ["é\n", "ü\n"]
    stream.close()
    assert response.closed


@pytest.fixture
def make_tee(tmp_path: Path) -> Callable[..., tuple[Tee, Path]]:
    def make(*sources: Path) -> tuple[Tee, Path]:
        merged = tmp_path / "merged"
        return Tee(io.FileIO(str(merged), "wb"), *map(str, sources)), merged

    return make


def test_tee_copies_what_was_there_and_what_comes(
    tmp_path: Path, make_tee: Callable[..., tuple[Tee, Path]]
) -> None:
    sources = [tmp_path / "a", tmp_path / "b"]
    sources[0].write_bytes(b"1")
    sources[1].touch()
    tee, merged = make_tee(*sources)
    sources[1].write_bytes(b"2")
    with sources[0].open("ab") as file:
        file.write(b"3")
    assert tee.write(b"4") == 1
    tee.close()
    tee.close()
    assert sorted(merged.read_bytes()) == sorted(b"1234")
    assert not tee.thread.is_alive()
    assert all(stream.closed for stream in (*tee.streams, tee.out))


def test_tee_loses_nothing_that_is_written_right_before_it_is_closed(
    tmp_path: Path, make_tee: Callable[..., tuple[Tee, Path]]
) -> None:
    sources = [tmp_path / "a", tmp_path / "b"]
    for source in sources:
        source.touch()
    tee, merged = make_tee(*sources)
    expected = []
    for number in range(2000):
        with sources[number % 2].open("ab") as file:
            file.write(b"line %d " % number)
            file.write(b"of %d\n" % (number % 2))
        expected.append(b"line %d of %d" % (number, number % 2))
    tee.close()
    assert sorted(merged.read_bytes().splitlines()) == sorted(expected)


def test_tee_needs_a_source(tmp_path: Path) -> None:
    with io.FileIO(str(tmp_path / "out"), "wb") as out, pytest.raises(AssertionError):
        Tee(out)
