from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchx.schedulers.lines import (
    LineFilter,
    LineFramer,
    decode_lines,
    filter_regex,
    split_lines,
    split_lines_iterator,
)

LOG_BYTES = st.lists(
    st.sampled_from(
        [
            b"\n",
            b"\r",
            b"a",
            b"b\n",
            b"\xc3",
            b"\xa9",
            "é€\U0001f600".encode(),
            b"\xff",
            b"\xf0\x9f",
        ]
    )
    | st.binary(max_size=6),
    max_size=40,
).map(b"".join)
CUTS = st.lists(st.integers(min_value=0, max_value=200), max_size=12)
REGEXES = st.sampled_from(
    [
        "a",
        "ab",
        "é",
        "b$",
        "^b",
        r"a\Z",
        r"[^a]",
        r"\s",
        "",
        "a|b",
        "\ufffd",
        ".",
        "a.b",
        r"\W",
        "b\n",
    ]
)


def cut(data: bytes, offsets: list[int]) -> Iterator[bytes]:
    ends = sorted({min(offset, len(data)) for offset in offsets} | {len(data)})
    start = 0
    for end in ends:
        yield data[start:end]
        start = end


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", []),
        ("\n", ["\n"]),
        ("foo\nbar", ["foo\n", "bar"]),
        ("foo\nbar\n", ["foo\n", "bar\n"]),
        ("10%\r20%\r\n", ["10%\r20%\r\n"]),
        ("a\x0bb\x0cc\x85d\u2028e\n", ["a\x0bb\x0cc\x85d\u2028e\n"]),
    ],
)
def test_split_lines_at_newlines_only(text: str, lines: list[str]) -> None:
    assert split_lines(text) == lines


def test_split_lines_is_not_quadratic_in_the_size_of_the_text() -> None:
    assert len(split_lines("012345678\n" * 2_000_000)) == 2_000_000


def test_split_lines_iterator_does_not_join_chunks() -> None:
    assert list(split_lines_iterator(["foo\nbar", "foobar"])) == ["foo\n", "bar", "foobar"]


def test_filter_regex_searches_and_is_lazy() -> None:
    def endless() -> Iterator[str]:
        while True:
            yield "foo 1\n"
            yield "bar 2\n"

    assert next(iter(filter_regex("r [0-9]$", endless()))) == "bar 2\n"


def test_filter_regex_rejects_a_malformed_regex_at_once() -> None:
    with pytest.raises(re.error):
        filter_regex("(", [])


@given(data=LOG_BYTES, offsets=CUTS)
def test_framer_gives_whole_lines_and_loses_no_byte(data: bytes, offsets: list[int]) -> None:
    framer = LineFramer()
    blocks = [framer.feed(chunk) for chunk in cut(data, offsets)]
    assert all(block.endswith(b"\n") for block in blocks if block)
    assert b"".join(blocks) + framer.flush() == data


@given(data=LOG_BYTES, offsets=CUTS, extra=st.integers(min_value=0, max_value=30))
def test_framer_cuts_overlong_lines_only_between_characters(
    data: bytes, offsets: list[int], extra: int
) -> None:
    data = b"x" * extra + data
    framer = LineFramer(max_held_bytes=16)
    parts = [framer.feed(chunk) for chunk in cut(data, offsets)] + [framer.flush()]
    assert b"".join(parts) == data
    assert "".join(part.decode("utf-8", "replace") for part in parts) == data.decode(
        "utf-8", "replace"
    )
    whole = [part for part in parts if part]
    assert not any(
        part.endswith(b"\r") and rest.startswith(b"\n") for part, rest in itertools.pairwise(whole)
    )


@given(data=LOG_BYTES, offsets=CUTS)
def test_framer_hands_on_redrawn_lines_without_cutting_ends_of_lines(
    data: bytes, offsets: list[int]
) -> None:
    framer = LineFramer(hands_on_redrawn=True)
    parts = [framer.feed(chunk) for chunk in cut(data, offsets)] + [framer.flush()]
    assert b"".join(parts) == data
    pairs = itertools.pairwise(parts)
    assert not any(one.endswith(b"\r") and two.startswith(b"\n") for one, two in pairs)


@pytest.mark.parametrize("pattern", [b"\r%d", b"%d\r"])
def test_framer_shows_a_progress_bar_while_it_is_drawn(pattern: bytes) -> None:
    framer = LineFramer(hands_on_redrawn=True)
    shown = b"".join(framer.feed(pattern % number) for number in range(10))
    assert b"8" in shown
    assert b"9" not in shown
    assert b"9" in framer.flush()


def test_framer_holds_no_more_than_the_bound() -> None:
    framer = LineFramer(max_held_bytes=100)
    given_back = sum(len(framer.feed(b"0123456789")) for _ in range(1000))
    assert given_back >= 10_000 - 110
    assert len(framer.flush()) <= 100


@given(block=LOG_BYTES, regex=REGEXES)
def test_filter_on_blocks_equals_a_filter_on_lines(block: bytes, regex: str) -> None:
    lines = split_lines(block.decode("utf-8", "replace"))
    expected = [line for line in lines if re.search(regex, line)]
    chosen = LineFilter(regex)
    assert list(chosen.texts(block)) == expected
    assert list(decode_lines(chosen.select(block))) == expected


@given(block=LOG_BYTES, regex=REGEXES)
def test_filter_leaves_the_bytes_of_kept_lines_alone(block: bytes, regex: str) -> None:
    lines = [line + b"\n" for line in block.split(b"\n")]
    lines[-1] = lines[-1][:-1]
    kept = [line for line in lines if line and re.search(regex, line.decode("utf-8", "replace"))]
    assert LineFilter(regex).select(block) == b"".join(kept)
