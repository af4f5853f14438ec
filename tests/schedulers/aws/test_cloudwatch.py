"""Reading of CloudWatch log streams, against a fake of GetLogEvents with real pages and tokens."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from botocore.exceptions import ClientError

from torchx.schedulers.aws.cloudwatch import (
    CloudWatchSource,
    LogPlace,
    LogWindow,
    Pacer,
    Pauses,
    to_millis,
)
from torchx.schedulers.aws.errors import AwsError
from torchx.schedulers.streams import LogStream

A, B = LogPlace("/g", "a"), LogPlace("/g", "b")


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


class Logs:
    """Streams with tokens as CloudWatch has them: the one sent comes back at the end."""

    def __init__(self, page_size: int = 2) -> None:
        self.streams: dict[str, list[tuple[int, str]]] = {}
        self.calls: list[dict[str, Any]] = []
        self.failures: list[str] = []
        self.page_size = page_size

    def write(self, stream: str, *lines: str, at_ms: int = 1000) -> None:
        self.streams.setdefault(stream, []).extend((at_ms, line) for line in lines)

    def get_log_events(self, **arguments: Any) -> dict[str, Any]:
        self.calls.append(arguments)
        if self.failures:
            raise failure(self.failures.pop(0))
        name = arguments["logStreamName"]
        if name not in self.streams:
            raise failure("ResourceNotFoundException")
        since_ms = arguments.get("startTime", 0)
        start = int(arguments.get("nextToken", "f/0")[2:])
        events = self.streams[name]
        page = events[start : start + self.page_size]
        shown = [{"timestamp": ms, "message": text} for ms, text in page if ms >= since_ms]
        return {"events": shown, "nextForwardToken": f"f/{start + len(page)}"}


def failure(code: str) -> ClientError:
    status = 503 if code == "ServiceUnavailableException" else 400
    return ClientError(
        {
            "Error": {"Code": code, "Message": "said so"},
            "ResponseMetadata": {"HTTPStatusCode": status},
        },
        "GetLogEvents",
    )


def drain(source: CloudWatchSource, clock: Clock) -> Iterator[bytes]:
    """Reads to the end; instead of waiting, the clock is moved on."""
    while (block := source.read()) is not None:
        if block:
            yield block
        else:
            clock.now_s = max(clock.now_s, source._due_s)


@pytest.fixture
def logs() -> Logs:
    return Logs()


def text(source: CloudWatchSource) -> str:
    return "".join(LogStream(source))


def test_all_pages_of_all_streams_are_read_in_order(logs: Logs) -> None:
    logs.write("a", *"12345")
    logs.write("b", "6")
    assert text(CloudWatchSource(logs, lambda: [A, B])) == "1\n2\n3\n4\n5\n6\n"


def test_a_page_with_the_token_that_was_sent_is_not_shown_again(logs: Logs) -> None:
    class Same:
        calls = 0

        def get_log_events(self, **arguments: Any) -> dict[str, Any]:
            self.calls += 1
            return {"events": [{"message": "x"}], "nextForwardToken": "same"}

    same = Same()
    assert text(CloudWatchSource(same, lambda: [A])) == "x\n"
    assert same.calls == 2


def test_no_time_is_asked_for_unless_one_is_given(logs: Logs) -> None:
    logs.write("a", "1")
    text(CloudWatchSource(logs, lambda: [A]))
    assert not [call for call in logs.calls if "startTime" in call or "endTime" in call]


def test_every_request_of_a_window_keeps_to_it(logs: Logs) -> None:
    start = datetime(2026, 1, 1, tzinfo=timezone.utc)
    first_ms = to_millis(start)
    assert first_ms is not None
    for number in range(6):
        logs.write("a", str(number), at_ms=first_ms + number * 1000)
    window = LogWindow(start + timedelta(seconds=1), start + timedelta(seconds=4))
    assert text(CloudWatchSource(logs, lambda: [A], window)) == "1\n2\n3\n"
    assert {call["startTime"] for call in logs.calls} == {first_ms + 1000}
    assert {call["endTime"] for call in logs.calls} == {first_ms + 4000}


def test_a_stream_that_does_not_exist_is_empty(logs: Logs) -> None:
    assert text(CloudWatchSource(logs, lambda: [A])) == ""
    assert text(CloudWatchSource(logs, list)) == ""
    assert len(logs.calls) == 1


def test_following_waits_for_the_stream_and_reads_once_more_after_the_end(logs: Logs) -> None:
    clock = Clock()
    ended_at_s = 100.0

    def find() -> list[LogPlace]:
        return [A] if clock.now_s > 20 else []

    def over_for_s() -> float | None:
        if clock.now_s > 30 and "a" not in logs.streams:
            logs.write("a", "first")
        if clock.now_s < ended_at_s:
            return None
        return clock.now_s - ended_at_s

    source = CloudWatchSource(logs, find, over_for_s=over_for_s, pacer=Pacer(clock=clock))
    lines = []
    for block in drain(source, clock):
        lines.append(block)
        if block == b"first\n":
            # Delivered late: after the job has ended.
            logs.write("a", "last")
    assert lines == [b"first\n", b"last\n"]


def test_following_reads_what_arrives_during_the_grace(logs: Logs) -> None:
    clock = Clock()
    logs.write("a", "early")

    def over_for_s() -> float | None:
        return 0.0

    pacer = Pacer(Pauses(grace_s=3.0), clock)
    source = CloudWatchSource(logs, lambda: [A], over_for_s=over_for_s, pacer=pacer)
    assert source.read() == b"early\n"
    assert source.read() == b""
    logs.write("a", "late")
    clock.now_s = 3.0
    assert list(drain(source, clock)) == [b"late\n"]


def test_a_job_that_ended_long_ago_is_not_waited_for(logs: Logs) -> None:
    logs.write("a", "1")
    clock = Clock()
    source = CloudWatchSource(
        logs, lambda: [A], over_for_s=lambda: 3600.0, pacer=Pacer(clock=clock)
    )
    assert list(drain(source, clock)) == [b"1\n"]
    assert clock.now_s == 0.0
    assert len(logs.calls) == 2


def test_a_second_attempt_is_followed_in_its_own_stream(logs: Logs) -> None:
    clock = Clock()
    logs.write("a", "try 1")
    places = [A]

    def over_for_s() -> float | None:
        if clock.now_s > 20 and B not in places:
            places.append(B)
            logs.write("b", "try 2")
        return None if clock.now_s < 60 else clock.now_s - 60

    source = CloudWatchSource(
        logs, lambda: list(places), over_for_s=over_for_s, pacer=Pacer(clock=clock)
    )
    assert b"".join(drain(source, clock)) == b"try 1\ntry 2\n"


def test_an_idle_minute_is_at_most_a_dozen_requests(logs: Logs) -> None:
    logs.write("a", "1")
    clock = Clock()

    def over_for_s() -> float | None:
        return None if clock.now_s < 60 else 0.0

    source = CloudWatchSource(logs, lambda: [A], over_for_s=over_for_s, pacer=Pacer(clock=clock))
    assert list(drain(source, clock)) == [b"1\n"]
    assert len(logs.calls) <= 14


def test_many_idle_sources_share_eight_requests_a_second() -> None:
    pacer = Pacer()
    for _ in range(64):
        pacer.opened()
    assert pacer.pause_s(1) == 8.0
    for _ in range(63):
        pacer.closed()
    assert pacer.pause_s(1) == 1.0
    assert pacer.pause_s(100) == 10.0


def test_a_closed_source_counts_no_more(logs: Logs) -> None:
    pacer = Pacer()
    source = CloudWatchSource(logs, lambda: [A], over_for_s=lambda: None, pacer=pacer)
    source.close()
    source.close()
    assert pacer._open == 0
    assert source.read() is None


def test_throttling_is_waited_out(logs: Logs) -> None:
    clock = Clock()
    logs.write("a", "1")
    logs.failures = ["ThrottlingException"] * 5
    source = CloudWatchSource(logs, lambda: [A], pacer=Pacer(clock=clock))
    assert list(drain(source, clock)) == [b"1\n"]
    assert clock.now_s > 10


def test_throttling_without_end_is_an_error(logs: Logs) -> None:
    clock = Clock()
    logs.failures = ["ThrottlingException"] * 100
    source = CloudWatchSource(logs, lambda: [A], pacer=Pacer(clock=clock))
    with pytest.raises(AwsError, match="asked too often") as caught:
        list(drain(source, clock))
    assert caught.value.transient


def test_a_network_that_is_away_for_a_while_ends_no_log_that_is_followed(logs: Logs) -> None:
    clock = Clock()
    logs.write("a", "1")
    logs.failures = ["ServiceUnavailableException"] * 3
    lookups = iter([AwsError("away", transient=True)] * 2)

    def find() -> list[LogPlace]:
        if error := next(lookups, None):
            raise error
        return [A]

    source = CloudWatchSource(logs, find, over_for_s=lambda: 60.0, pacer=Pacer(clock=clock))
    assert list(drain(source, clock)) == [b"1\n"]


def test_a_stream_that_cannot_be_found_for_lack_of_rights_is_an_error(logs: Logs) -> None:
    def find() -> list[LogPlace]:
        raise AwsError("no")

    source = CloudWatchSource(logs, find)
    with pytest.raises(AwsError, match="no"):
        source.read()
    assert source.read() is None


def test_a_missing_permission_is_named(logs: Logs) -> None:
    logs.failures = ["AccessDeniedException"]
    with pytest.raises(AwsError, match=r"permission .* on log group `/g` is missing"):
        CloudWatchSource(logs, lambda: [A]).read()


def test_a_window_that_ends_ends_the_following(logs: Logs) -> None:
    clock = Clock()
    until = datetime.now(timezone.utc) - timedelta(seconds=1)
    logs.write("a", "1")
    source = CloudWatchSource(
        logs, lambda: [A], LogWindow(until=until), over_for_s=lambda: None, pacer=Pacer(clock=clock)
    )
    assert list(drain(source, clock)) == [b"1\n"]


def test_any_text_becomes_utf8(logs: Logs) -> None:
    logs.write("a", "grüße \ud800 ✓")
    assert text(CloudWatchSource(logs, lambda: [A])) == "grüße ? ✓\n"


def test_times_before_the_epoch_are_the_epoch() -> None:
    assert to_millis(datetime(1900, 1, 1, tzinfo=timezone.utc)) == 0
