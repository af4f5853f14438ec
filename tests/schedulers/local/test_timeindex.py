from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from torchx.schedulers.local.timeindex import (
    COMBINED,
    STDERR,
    STDOUT,
    TimeIndexWriter,
    byte_range,
    span_s,
)
from torchx.schedulers.local_scheduler import LocalScheduler
from torchx.specs.api import AppDef, Role

CREATED = 1000.0


@pytest.fixture
def index(tmp_path: Path) -> str:
    path = str(tmp_path / "index")
    writer = TimeIndexWriter(path, CREATED)
    for second in range(10):
        writer.note(0, STDOUT, CREATED + second, 100 * second)
        writer.note(1, STDOUT, CREATED + second, 7 * second)
        # Too soon after the former one to be worth an entry.
        writer.note(0, STDOUT, CREATED + second + 0.001, 100 * second + 1)
    writer.flush()
    writer.close()
    return path


@pytest.mark.parametrize(
    ("since", "until", "expected"),
    [
        (None, None, (0, 1000)),
        (CREATED + 3, None, (300, 1000)),
        (CREATED + 3.5, None, (400, 1000)),
        (None, CREATED + 3.5, (0, 400)),
        (CREATED + 2.5, CREATED + 3.5, (300, 400)),
        (CREATED - 5, CREATED - 1, (0, 0)),
        (CREATED + 50, None, (1000, 1000)),
        (CREATED + 5, CREATED + 2, (1000, 1000)),
    ],
)
def test_a_span_of_time_is_a_range_of_bytes(
    index: str, since: float | None, until: float | None, expected: tuple[int, int]
) -> None:
    assert byte_range(index, 0, STDOUT, CREATED, 1000, since, until) == expected


def test_replicas_and_streams_are_told_apart(index: str, tmp_path: Path) -> None:
    assert byte_range(index, 1, STDOUT, CREATED, 70, CREATED + 5, None) == (35, 70)
    for stream in (STDERR, COMBINED):
        assert byte_range(index, 0, stream, CREATED, 9, CREATED, None) == (9, 9)
    assert byte_range(str(tmp_path / "no"), 0, STDOUT, CREATED, 9, None, CREATED) == (0, 9)


def test_a_torn_entry_at_the_end_is_ignored(index: str) -> None:
    with open(index, "ab") as file:
        file.write(b"torn")
    assert byte_range(index, 0, STDOUT, CREATED, 1000, CREATED + 9, None) == (900, 1000)


def test_the_index_of_a_week_stays_small() -> None:
    now_s, entries = 0.0, 0
    while now_s < 7 * 86400:
        now_s += span_s(now_s)
        entries += 1
    assert entries < 700_000


def test_a_real_log_is_cut_by_time_at_line_starts(
    scheduler: LocalScheduler, tmp_path: Path
) -> None:
    script = (
        f"echo early; printf half; until [ -e {tmp_path}/go ]; do sleep 0.02; done;"
        " echo ' and half'; echo late"
    )
    role = Role("r", "", entrypoint="/bin/sh", args=["-c", script])
    app_id = scheduler.submit(AppDef("app", [role]), {})
    lines = iter(scheduler.log_iter(app_id, "r"))
    assert next(lines) == "early\n"
    between = datetime.now(timezone.utc) + timedelta(seconds=0.05)
    while datetime.now(timezone.utc) < between + timedelta(seconds=0.05):
        scheduler.wait_for_change(app_id, 0.02)
    (tmp_path / "go").touch()
    assert list(lines) == ["half and half\n", "late\n"]

    def read(since: datetime | None = None, until: datetime | None = None) -> list[str]:
        return list(scheduler.log_iter(app_id, "r", since=since, until=until))

    # The combined log gets whole lines only: a line has the time of its end.
    assert read(since=between) == ["half and half\n", "late\n"]
    assert read(until=between) == ["early\n"]
    assert read(since=between.astimezone().replace(tzinfo=None)) == read(since=between)
    assert read(since=between + timedelta(days=1)) == []
    assert read(until=between + timedelta(days=1)) == ["early\n", "half and half\n", "late\n"]
    assert read(until=between - timedelta(days=1)) == []
