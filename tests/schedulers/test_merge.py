from __future__ import annotations

import threading
import tracemalloc
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from queue import SimpleQueue

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from torchx.schedulers.merge import copy_all, follow_all
from torchx.schedulers.streams import FileSource, IterableSource, LogStream

TEXT = st.lists(st.sampled_from(["a", "bc", "\n", "\r\n", "é", " x "]), max_size=30).map("".join)


class Sink:
    """Collects what is written and checks that only one thread writes at a time."""

    def __init__(self) -> None:
        self.blocks: list[bytes] = []
        self._lock = threading.Lock()

    def __call__(self, block: bytes) -> None:
        assert self._lock.acquire(blocking=False)
        self.blocks.append(block)
        self._lock.release()

    def text(self) -> bytes:
        return b"".join(self.blocks)


def merged(*streams: tuple[bytes, Iterable[str]]) -> bytes:
    sink = Sink()
    follow_all(streams, sink)
    return sink.text()


def stream_of(*chunks: bytes) -> LogStream:
    return LogStream(IterableSource(chunks))


def with_newline(text: str) -> str:
    return text if not text or text.endswith("\n") else text + "\n"


def test_nothing_to_follow_writes_nothing() -> None:
    assert merged() == b""


def test_a_single_log_without_prefix_arrives_byte_for_byte() -> None:
    assert merged((b"", stream_of(b"a\r", b"\n\xff", b"\n\nlast"))) == b"a\r\n\xff\n\nlast"


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (b"one\ntwo\n", b"P one\nP two\n"),
        (b"no newline", b"P no newline"),
        (b"\n\n", b"P \nP \n"),
        (b"10%\r20%\rdone\n", b"P 10%\rP 20%\rP done\n"),
        (b"dos\r\nfile\r\n", b"P dos\r\nP file\r\n"),
        (b"\r\r\n\rP \n", b"P \rP \r\nP \rP P \n"),
        (b"ends in return\r", b"P ends in return\r"),
    ],
)
def test_prefix_comes_before_each_line_and_behind_each_lone_return(
    data: bytes, shown: bytes
) -> None:
    assert merged((b"P ", stream_of(data))) == shown
    assert merged((b"P ", stream_of(*[bytes([byte]) for byte in data]))) == shown


def test_a_last_line_without_newline_gets_one_if_there_are_several_logs() -> None:
    assert merged((b"a ", stream_of(b"1")), (b"b ", stream_of())) == b"a 1\n"


def test_items_of_a_plain_iterable_are_lines_even_without_newlines() -> None:
    assert merged((b"P ", ["one", "two\n", "", "three"])) == b"P one\nP two\nP three"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(texts=st.lists(TEXT, max_size=6), block_bytes=st.integers(1, 7))
def test_merging_loses_and_tears_no_line(
    tmp_path: Path, texts: list[str], block_bytes: int
) -> None:
    streams: list[tuple[bytes, Iterable[str]]] = []
    expected: list[list[str]] = []
    for number, text in enumerate(texts):
        path = tmp_path / str(number)
        path.write_bytes(text.encode())
        streams.append((b"%d|" % number, LogStream(FileSource(str(path), block_bytes=block_bytes))))
        streams.append((b"%d|" % (number + 100), LogStream(IterableSource(list(text)))))
        lines = with_newline(text).split("\n")[:-1]
        expected += [[f"{number}|{line}" for line in lines]]
        expected += [[f"{number + 100}|{line}" for line in lines]]
    shown = merged(*streams).decode().split("\n")[:-1]
    by_stream = [
        [line for line in shown if line.startswith(lines[0].split("|")[0] + "|")]
        for lines in expected
        if lines
    ]
    assert by_stream == [lines for lines in expected if lines]
    assert len(shown) == sum(map(len, expected))


def test_many_growing_files_are_followed_by_one_thread_to_their_ends(tmp_path: Path) -> None:
    count, rounds = 64, 30
    done = threading.Event()
    paths = [tmp_path / str(number) for number in range(count)]
    streams = [
        (b"%d " % number, LogStream(FileSource(str(path), finished=done.is_set)))
        for number, path in enumerate(paths)
    ]
    threads_before = threading.active_count()

    def write_all() -> None:
        for step in range(rounds):
            for path in paths:
                with path.open("ab") as log:
                    log.write(b"step ")
                    log.flush()
                    log.write(b"%d\n" % step)
        done.set()

    writer = threading.Thread(target=write_all)
    seen_threads = set()
    sink = Sink()

    def write(block: bytes) -> None:
        seen_threads.add(threading.get_ident())
        sink(block)

    writer.start()
    follow_all(streams, write)
    writer.join()
    assert seen_threads == {threading.get_ident()}
    assert threading.active_count() <= threads_before
    shown = sink.text().decode().splitlines()
    for number in range(count):
        steps = [line.split(" ", 1)[1] for line in shown if line.startswith(f"{number} ")]
        assert steps == [f"step {step}" for step in range(rounds)]


def test_a_busy_log_does_not_make_the_idle_ones_ask_whether_they_are_finished(
    tmp_path: Path,
) -> None:
    rounds = 200
    shown: SimpleQueue[bytes] = SimpleQueue()
    done = threading.Event()
    asked = [0] * 64

    def finished_of(number: int) -> bool:
        asked[number] += 1
        return done.is_set()

    streams = [
        (
            b"",
            LogStream(
                FileSource(str(tmp_path / str(number)), finished=partial(finished_of, number))
            ),
        )
        for number in range(len(asked))
    ]
    follower = threading.Thread(target=follow_all, args=(streams, shown.put), daemon=True)
    follower.start()
    with (tmp_path / "0").open("wb", buffering=0) as busy:
        for _ in range(rounds):
            busy.write(b"line\n")
            assert shown.get(timeout=30) == b"line\n"
        assert max(asked[1:]) < rounds / 4
    done.set()
    follower.join(timeout=30)
    assert not follower.is_alive()


def test_memory_stays_bounded_whatever_64_replicas_write(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"x" * (8 << 20) + b"\n" + b"line\n" * 100_000)
    streams = [(b"%d " % number, LogStream(FileSource(str(path)))) for number in range(64)]
    written = 0

    def write(block: bytes) -> None:
        nonlocal written
        written += len(block)

    tracemalloc.start()
    try:
        follow_all(streams, write)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert written > 64 * path.stat().st_size
    assert peak_bytes < 64 << 20


def test_logs_that_block_are_followed_side_by_side() -> None:
    meeting = threading.Barrier(3)

    def lines(name: str) -> Iterator[str]:
        yield f"{name} 1\n"
        meeting.wait(timeout=30)
        yield f"{name} 2\n"

    streams: list[tuple[bytes, Iterable[str]]] = [
        (b"", lines("a")),
        (b"", lines("b")),
        (b"", LogStream(IterableSource(lines("c")))),
    ]
    assert sorted(merged(*streams).split()) == sorted(b"a 1 a 2 b 1 b 2 c 1 c 2".split())


def test_more_blocking_logs_than_threads_are_all_shown() -> None:
    streams = [(b"%d " % number, iter(["x\n"])) for number in range(200)]
    assert len(merged(*streams).splitlines()) == 200


def failing(message: str) -> Iterator[str]:
    yield f"before {message}\n"
    raise RuntimeError(message)


def test_a_log_that_fails_does_not_stop_the_others(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "directory").mkdir()
    sink = Sink()
    streams: list[tuple[bytes, Iterable[str]]] = [
        (b"bad ", failing("one")),
        (b"worse ", LogStream(FileSource(str(tmp_path / "directory")))),
        (b"good ", ["fine\n"]),
    ]
    with pytest.raises((RuntimeError, IsADirectoryError)):
        follow_all(streams, sink)
    assert sorted(sink.text().splitlines()) == [b"bad before one", b"good fine"]
    assert len(caplog.records) == 1


def test_an_error_handler_is_told_of_each_failure() -> None:
    told: list[tuple[bytes, str]] = []
    streams = [(b"a ", failing("one")), (b"b ", failing("two"))]
    sink = Sink()
    follow_all(streams, sink, on_error=lambda prefix, error: told.append((prefix, str(error))))
    assert sorted(told) == [(b"a ", "one"), (b"b ", "two")]
    assert sorted(sink.text().splitlines()) == [b"a before one", b"b before two"]


@pytest.mark.parametrize("is_file", [True, False])
def test_a_reader_that_goes_away_ends_the_follow_at_once(tmp_path: Path, is_file: bool) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"line\n")
    broken: LogStream | Iterator[str]
    broken = LogStream(FileSource(str(path), finished=lambda: False)) if is_file else iter(["x\n"])
    hanging = threading.Event()

    def hang() -> Iterator[str]:
        hanging.wait(timeout=60)
        yield "late\n"

    def write(block: bytes) -> None:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        follow_all([(b"", broken), (b"", hang())], write)
    hanging.set()


def test_a_line_too_long_to_be_held_may_be_cut_by_another_log_but_nothing_is_lost() -> None:
    first_half_shown = threading.Event()
    other_shown = threading.Event()

    def long_line() -> Iterator[bytes]:
        yield b"x" * (17 << 20)
        first_half_shown.wait(timeout=30)
        other_shown.wait(timeout=30)
        yield b"y\n"

    def other() -> Iterator[str]:
        first_half_shown.wait(timeout=30)
        yield "other\n"

    sink = Sink()

    def write(block: bytes) -> None:
        sink(block)
        (other_shown if b"other" in block else first_half_shown).set()

    follow_all([(b"a ", LogStream(IterableSource(long_line()))), (b"b ", other())], write)
    long_part, middle, rest = sink.text().splitlines()
    assert long_part == b"a " + b"x" * (17 << 20)
    assert (middle, rest) == (b"b other", b"a y")


def test_logs_are_copied_each_to_its_own_place(tmp_path: Path) -> None:
    watched = tmp_path / "watched.log"
    watched.write_bytes(b"one\ntwo")
    sinks = [Sink(), Sink(), Sink()]
    streams: list[Iterable[str]] = [LogStream(FileSource(str(watched))), stream_of(b"x\n"), ["y"]]

    copy_all(list(zip(sinks, streams, strict=True)))

    assert [sink.text() for sink in sinks] == [b"one\ntwo", b"x\n", b"y"]


def test_a_copy_that_cannot_be_written_ends_the_others_at_once(tmp_path: Path) -> None:
    growing = tmp_path / "growing.log"
    growing.write_bytes(b"a\n")
    endless = LogStream(FileSource(str(growing), finished=lambda: False))

    def full(block: bytes) -> None:
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        copy_all([(Sink(), endless), (full, stream_of(b"b\n"))])
