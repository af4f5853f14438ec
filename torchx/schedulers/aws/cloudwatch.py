"""Reads CloudWatch log streams as blocks of bytes for the log pipeline."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from torchx.errors import TorchXError
from torchx.schedulers.aws.errors import aws_error, error_code, is_aws_error

log: logging.Logger = logging.getLogger(__name__)

PAGE_EVENTS = 10_000
"""How many events one answer may hold; the most that AWS allows."""

_NOT_FOUND = ("ResourceNotFoundException",)
_CALLS_PER_S = 8.0
_GROWTH = 1.6
_IDLE_ROUNDS_BEFORE_LOOKUP = 4
_FRUITLESS_ROUNDS = 12


@dataclass(frozen=True)
class LogPlace:
    """One log stream.

    Attributes:
        group: Name of its log group.
        stream: Its name.
    """

    group: str
    stream: str


@dataclass(frozen=True)
class Pauses:
    """How long a source waits before it asks again, in seconds.

    Attributes:
        first_s: After the first answer without events.
        longest_s: Longest pause; each is longer than the one before it.
        grace_s: How long lines may arrive after the job has ended.
    """

    first_s: float = 1.0
    longest_s: float = 10.0
    grace_s: float = 3.0


class Pacer:
    """Has all sources of one client together ask at most about 8 times a second when idle.

    Args:
        pauses: The pauses of a source that is alone.
        clock: Gives a time in seconds that never goes back.
    """

    def __init__(
        self,
        pauses: Pauses = Pauses(),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.pauses = pauses
        self.clock = clock
        self._lock = threading.Lock()
        self._open = 0

    def opened(self) -> None:
        """Counts a source that asks from now on."""
        with self._lock:
            self._open += 1

    def closed(self) -> None:
        """Counts a source out."""
        with self._lock:
            self._open -= 1

    def pause_s(self, idle_rounds: int) -> float:
        """Tells how long to wait.

        Args:
            idle_rounds: How many answers in a row held no events, from 1.

        Returns:
            Seconds.
        """
        alone_s = min(self.pauses.first_s * _GROWTH ** (idle_rounds - 1), self.pauses.longest_s)
        return max(alone_s, self._open / _CALLS_PER_S)


@dataclass(frozen=True)
class LogWindow:
    """Which part of a log is wanted.

    Attributes:
        since: From then on; without a time zone, local time.
        until: Before then; without a time zone, local time.
    """

    since: datetime | None = None
    until: datetime | None = None

    def arguments(self) -> dict[str, int]:
        """Makes arguments for GetLogEvents.

        Returns:
            Milliseconds since the epoch by argument; nothing for what is not limited.
        """
        times = {"startTime": to_millis(self.since), "endTime": to_millis(self.until)}
        return {name: value for name, value in times.items() if value is not None}

    def is_past(self) -> bool:
        """Tells whether nothing more can come into the window.

        Returns:
            True if its end is over.
        """
        return self.until is not None and _aware(self.until) <= datetime.now(timezone.utc)


def to_millis(moment: datetime | None) -> int | None:
    """Turns a moment into what AWS takes.

    Args:
        moment: Without a time zone, local time.

    Returns:
        Milliseconds since the epoch, ``None`` for ``None``.
    """
    return None if moment is None else max(0, round(moment.timestamp() * 1000))


class CloudWatchSource:
    r"""The log streams of one replica, one after the other, as blocks of whole lines.

    There may be several because a replica that is tried again gets a new stream. A stream that does
    not exist (yet) has nothing to read. Each event is a line.

    Args:
        client: Client of the service ``logs``.
        find_streams: Names the streams that are known by now, in order. Asked at the beginning, and
            now and then while the last known stream has nothing new.
        window: Which part of the log is wanted.
        over_for_s: Tells without much ado for how many seconds the writer has ended, ``None`` if it
            has not. Without it, reads to the end of what is there.
        pacer: Shared by all sources of the client.
    """

    def __init__(
        self,
        client: Any,
        find_streams: Callable[[], Sequence[LogPlace]],
        window: LogWindow = LogWindow(),
        *,
        over_for_s: Callable[[], float | None] | None = None,
        pacer: Pacer | None = None,
    ) -> None:
        self._client = client
        self._find_streams = find_streams
        self._window = window
        self._over_for_s = over_for_s
        self._pacer = pacer or Pacer()
        self._places: list[LogPlace] = []
        self._is_looked_up = False
        self._index = 0
        self._token: str | None = None
        self._idle_rounds = 0
        self._failed_rounds = 0
        self._due_s = 0.0
        self._over_since_s: float | None = None
        self._closed = threading.Event()
        self._pacer.opened()

    def read(self) -> bytes | None:
        """Takes the next page of events.

        Returns:
            Whole lines; ``b""`` if there are none yet; ``None`` at the end.

        Raises:
            AwsError: AWS refuses, or has not answered for long.
        """
        while not self._closed.is_set():
            if self._pacer.clock() < self._due_s:
                return b""
            if (not self._is_looked_up or self._wants_lookup()) and not self._look_up():
                continue
            # Sampled before the read: what was written before the end is read by it.
            is_over = self._has_ended()
            events = self._next_page() if self._index < len(self._places) else None
            if events:
                self._idle_rounds = 0
                return b"".join(map(_line, events))
            if events is None:
                self._after_stream(is_over)
        return None

    def wait(self, timeout_s: float) -> None:
        """Blocks until it is time to ask again.

        Args:
            timeout_s: Longest time to block, in seconds.
        """
        left_s = self._due_s - self._pacer.clock()
        if left_s > 0:
            self._closed.wait(min(left_s, timeout_s))

    def close(self) -> None:
        """Ends the source; callable from any thread. Repeatable."""
        if not self._closed.is_set():
            self._closed.set()
            self._pacer.closed()

    def _next_page(self) -> list[dict[str, Any]] | None:
        """Gives the events of the next page, which may be none; ``None`` if nothing is new."""
        place = self._places[self._index]
        arguments: dict[str, Any] = {
            "logGroupName": place.group,
            "logStreamName": place.stream,
            "limit": PAGE_EVENTS,
            "startFromHead": True,
            **({"nextToken": self._token} if self._token else {}),
            **self._window.arguments(),
        }
        try:
            answer = self._client.get_log_events(**arguments)
        except Exception as error:
            return self._on_error(error, place)
        self._failed_rounds = 0
        token, sent = answer.get("nextForwardToken"), self._token
        if token is None or token == sent:
            return None
        self._token = token
        return self._inside(answer["events"])

    def _inside(self, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
        until_ms = to_millis(self._window.until)
        if until_ms is None:
            return events
        return [event for event in events if event.get("timestamp", 0) < until_ms]

    def _on_error(self, error: Exception, place: LogPlace) -> list[dict[str, Any]] | None:
        if not is_aws_error(error):
            raise error
        if error_code(error) in _NOT_FOUND:
            log.debug("there is no log stream %s in %s", place.stream, place.group)
            return None
        translated = aws_error(
            error, f"read the log stream {place.stream}", f"log group `{place.group}`"
        )
        if not self._may_go_on(translated):
            self.close()
            raise translated from error
        return []

    def _may_go_on(self, error: TorchXError) -> bool:
        """Tells whether to ask again after a pause: what may pass ends no log that is read."""
        if not error.transient or self._failed_rounds >= _FRUITLESS_ROUNDS:
            return False
        # The client has repeated the call already; whoever else asks needs time, too.
        self._failed_rounds += 1
        pause_s = self._pacer.pause_s(self._failed_rounds + 1) * random.uniform(1.0, 1.5)
        self._due_s = self._pacer.clock() + pause_s
        log.info("%s; asking again in %.1f s", error, pause_s)
        return True

    def _after_stream(self, is_over: bool) -> None:
        """Nothing more is in the present stream: goes on to the next, waits, or ends."""
        if self._index + 1 < len(self._places):
            self._index += 1
            self._token = None
            self._idle_rounds = 0
            return
        if self._over_for_s is None or (is_over and self._is_graced()):
            self.close()
            return
        self._idle_rounds += 1
        pause_s = self._pacer.pause_s(self._idle_rounds)
        if self._over_since_s is not None:
            pause_s = min(pause_s, max(self._grace_left_s(), 0.0))
        self._due_s = self._pacer.clock() + pause_s

    def _has_ended(self) -> bool:
        if self._over_for_s is None:
            return True
        if self._over_since_s is None:
            over_for_s = self._over_for_s()
            if over_for_s is None and self._window.is_past():
                over_for_s = 0.0
            # A last attempt may have a stream that is not known yet.
            if over_for_s is not None and self._look_up():
                self._over_since_s = self._pacer.clock() - over_for_s
        return self._over_since_s is not None

    def _is_graced(self) -> bool:
        """Tells whether lines that CloudWatch delivers late have had their time."""
        return self._grace_left_s() <= 0

    def _grace_left_s(self) -> float:
        assert self._over_since_s is not None
        return self._over_since_s + self._pacer.pauses.grace_s - self._pacer.clock()

    def _wants_lookup(self) -> bool:
        if self._over_for_s is None or self._over_since_s is not None:
            return False
        is_due = self._idle_rounds % _IDLE_ROUNDS_BEFORE_LOOKUP == 0
        return self._idle_rounds > 0 and (not self._places or is_due)

    def _look_up(self) -> bool:
        try:
            found = list(self._find_streams())
        except TorchXError as error:
            if self._may_go_on(error):
                return False
            self.close()
            raise
        self._is_looked_up = True
        self._places += [place for place in found if place not in self._places]
        return True


def _line(event: dict[str, Any]) -> bytes:
    return (str(event["message"]) + "\n").encode("utf-8", "replace")


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo is not None else moment.astimezone()
