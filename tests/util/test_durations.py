from __future__ import annotations

import contextlib
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchx.util.durations import format_elapsed, parse_duration, parse_moment

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("45s", timedelta(seconds=45)),
        ("10m", timedelta(minutes=10)),
        ("2h30m", timedelta(hours=2, minutes=30)),
        ("1d", timedelta(days=1)),
        ("1.5d", timedelta(hours=36)),
        ("1w2d3h4m5s", timedelta(weeks=1, days=2, hours=3, minutes=4, seconds=5)),
    ],
)
def test_counts_with_units_are_added_up(text: str, expected: timedelta) -> None:
    assert parse_duration(text) == expected


@pytest.mark.parametrize(
    "text", ["", "10", "m", "10x", "10m5", "5m1h", "1m1m", "-1m", "1 m", "1m\n"]
)
def test_anything_else_is_rejected_with_examples(text: str) -> None:
    with pytest.raises(ValueError, match="10m, 2h30m"):
        parse_duration(text)


def test_a_duration_means_that_long_before_now() -> None:
    assert parse_moment("2h30m", NOW) == NOW - timedelta(hours=2, minutes=30)


@pytest.mark.parametrize(
    "text", ["2026-01-31T12:00:00Z", "2026-01-31T12:00:00+00:00", "2026-01-31T13:00:00+01:00"]
)
def test_an_iso_time_keeps_its_zone(text: str) -> None:
    assert parse_moment(text) == NOW


def test_an_iso_time_without_a_zone_is_local() -> None:
    assert parse_moment("2026-01-31T12:00:00") == datetime(2026, 1, 31, 12).astimezone()
    assert parse_moment("2026-01-31").tzinfo is not None


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01", "10x", "999999999w", "10m later"])
def test_a_text_that_is_no_moment_is_rejected(text: str) -> None:
    with pytest.raises(ValueError, match=r"time|ago"):
        parse_moment(text)


@given(st.text(max_size=40))
def test_every_text_is_read_or_rejected_by_value_error(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert parse_moment(text).tzinfo is not None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-1, "0s"), (12.9, "12s"), (184, "3m04s"), (3609, "1h00m09s"), (183600, "2d03h00m00s")],
)
def test_elapsed_time_is_written_in_full_seconds(seconds: float, text: str) -> None:
    assert format_elapsed(seconds) == text
