"""Logs of the engine, cut and broken off anywhere."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from torchx.schedulers.docker.frames import Entry, FrameReader, Position, StreamMerger

# Out of order by less than a second, as two streams may be, and spread over some seconds.
times = st.lists(st.integers(0, 40), max_size=60).map(
    lambda steps: [
        f"2026-01-01T00:00:{(index + step) // 8:02d}.{(index + step) % 8:09d}Z".encode()
        for index, step in enumerate(value % 4 for value in steps)
    ]
)


def frame(entry: Entry) -> bytes:
    payload = entry.time + b" " + entry.data
    return bytes([entry.stream, 0, 0, 0]) + len(payload).to_bytes(4, "big") + payload


entries = st.lists(
    st.builds(
        Entry, st.sampled_from([1, 2]), st.just(b"2026-01-01T00:00:00.000000001Z"), st.binary()
    )
)


@given(entries=entries, cuts=st.lists(st.integers(0, 500)))
def test_frames_are_read_whatever_pieces_they_come_in(
    entries: list[Entry], cuts: list[int]
) -> None:
    data = b"".join(map(frame, entries))
    ends = [*sorted(min(cut, len(data)) for cut in cuts), len(data)]
    reader, start = FrameReader(), 0
    got: list[Entry] = []
    for end in ends:
        got += reader.feed(data[start:end])
        start = end
    assert got == entries


def served(log: list[Entry], resume_from: str | None) -> list[Entry]:
    """What an engine sends that is asked for a log from a moment on."""
    return [entry for entry in log if resume_from is None or entry.time.decode() >= resume_from]


@given(times=times, breaks=st.lists(st.integers(0, 20), max_size=6))
def test_a_log_that_is_opened_again_goes_on_where_it_was(
    times: list[bytes], breaks: list[int]
) -> None:
    log = [Entry(1 + index % 2, time, b"%d" % index) for index, time in enumerate(times)]
    position = Position()
    got: list[Entry] = []
    for length in (*breaks, None):
        part = served(log, position.reopen())
        read = part if length is None else part[: len(part) - len(part) // 2][:length]
        got += [entry for entry in read if position.is_new(entry)]
        if length is not None and read != part[: len(read)]:
            raise AssertionError
    assert got == log


def test_a_long_log_is_not_read_again_from_its_start() -> None:
    position = Position()
    for second in range(60):
        position.is_new(Entry(1, f"2026-01-01T00:00:{second:02d}.000000000Z".encode(), b""))
    assert position.reopen() == "2026-01-01T00:00:57.000000000Z"


def test_lines_of_two_streams_are_not_mixed() -> None:
    merger = StreamMerger()
    pieces = [(1, b"long "), (2, b"error\n"), (1, b"line\n"), (2, b"no end"), (1, b"none either")]
    got = [merger.feed(Entry(stream, b"", data)) for stream, data in pieces]
    assert got == [b"", b"error\n", b"long line\n", b"", b""]
    assert sorted(merger.flush().split(b"\n")) == [b"no end", b"none either"]
