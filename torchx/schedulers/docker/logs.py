"""Reads the logs of containers, also across restarts of the container and of the engine."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from torchx.schedulers.api import Stream
from torchx.schedulers.docker.client import Engine
from torchx.schedulers.docker.frames import FrameReader, Position, StreamMerger
from torchx.schedulers.docker.parse import CONTAINER_STATE
from torchx.schedulers.docker.watch import wait_for_event
from torchx.schedulers.streams import LogStream
from torchx.specs.api import is_terminal
from torchx.util.docker_client import engine_error, is_connection_lost, status_of

if TYPE_CHECKING:
    from requests import Response

log: logging.Logger = logging.getLogger(__name__)

_LONGEST_SILENCE_S = 300.0
_CHANGE_WAIT_S = 5.0
_FRUITLESS_TRIES = 20
_RETRY_PAUSE_S = 0.2
_GONE = frozenset([404, 409])


@dataclass(frozen=True)
class LogQuery:
    """Which part of a log is wanted.

    Attributes:
        stream: Which output.
        since: From then on; without a time zone, UTC.
        until: Before then; without a time zone, UTC.
        follow: Go on until the container has ended.
    """

    stream: Stream = Stream.COMBINED
    since: datetime | None = None
    until: datetime | None = None
    follow: bool = False

    def params(self, resume_from: str | None, *, follow: bool) -> dict[str, str]:
        """Makes the query of a request.

        Args:
            resume_from: Moment to go on from, as the engine writes it.
            follow: Ask for what is still to come, too.

        Returns:
            Names and values.
        """
        since = engine_seconds(resume_from) if resume_from else _seconds(self.since)
        until = _seconds(self.until)
        return {
            "stdout": str(int(self.stream != Stream.STDERR)),
            "stderr": str(int(self.stream != Stream.STDOUT)),
            "timestamps": "1",
            "follow": str(int(follow)),
            **({"since": since} if since else {}),
            **({"until": until} if until else {}),
        }

    def is_over(self) -> bool:
        """Tells whether the end of the wanted part lies in the past.

        Returns:
            True if nothing more can come.
        """
        return self.until is not None and _aware(self.until) < datetime.now(timezone.utc)

    def silence_s(self) -> float:
        """Tells how long to wait for the next entry.

        Returns:
            Seconds.
        """
        if self.until is None:
            return _LONGEST_SILENCE_S
        left = _aware(self.until) - datetime.now(timezone.utc)
        return min(_LONGEST_SILENCE_S, max(0.0, left.total_seconds()) + _RETRY_PAUSE_S)


def open_log(
    engine: Engine, app_id: str, container_id: str, query: LogQuery, regex: str | None
) -> LogStream:
    """Opens the log of a container.

    Args:
        engine: The engine.
        app_id: Id of its app.
        container_id: Its id.
        query: Which part of the log.
        regex: Keep only lines in which this is found.

    Returns:
        The log.
    """
    return LogStream(ContainerLog(engine, app_id, container_id, query), regex)


def engine_seconds(moment: str) -> str:
    """Turns a moment as the engine writes it into one as the engine reads it.

    Args:
        moment: For example ``2026-01-31T12:00:00.123456789Z``.

    Returns:
        Seconds since the epoch with all digits.
    """
    head, _, fraction = moment.removesuffix("Z").partition(".")
    whole = datetime.fromisoformat(head).replace(tzinfo=timezone.utc)
    return f"{int(whole.timestamp())}.{fraction or '0'}"


class ContainerLog:
    """The log of one container as blocks of bytes. ``read`` blocks until there is more.

    When the engine goes away it is waited for, and reading goes on behind the last entry. A
    followed log ends when the container has ended for good, or is gone, and all of it was read.

    Args:
        engine: The engine.
        app_id: Id of the app.
        container_id: Id of the container.
        query: Which part of the log.
    """

    def __init__(self, engine: Engine, app_id: str, container_id: str, query: LogQuery) -> None:
        self._engine = engine
        self._app_id = app_id
        self._container_id = container_id
        self._query = query
        self._follows = query.follow and not query.is_over()
        self._merger = StreamMerger()
        self._position = Position()
        self._frames = FrameReader()
        self._response: Response | None = None
        self._chunks: Iterator[bytes] = iter(())
        self._fruitless = 0
        self._ended = False
        self._closed = False

    def read(self) -> bytes | None:
        """Takes the next block, blocking until there is one.

        Returns:
            Whole lines; ``None`` at the end.

        Raises:
            DockerEngineError: The engine has been away for too long, or keeps no log.
        """
        while not (self._ended or self._closed):
            block = self._next_block()
            if block:
                return block
        if self._closed:
            return None
        return self._merger.flush() or None

    def wait(self, timeout_s: float) -> None:
        """Returns at once: :meth:`read` is what blocks.

        Args:
            timeout_s: Not used.
        """

    def close(self) -> None:
        """Ends the source, also while another thread reads."""
        self._closed = True
        self._hang_up()

    def _next_block(self) -> bytes:
        try:
            if self._response is None:
                self._open()
            chunk = next(self._chunks, None)
        except Exception as error:
            self._hang_up()
            if status_of(error) in _GONE:
                self._ended = True
            elif not self._closed:
                self._recover(error)
            return b""
        if chunk is None:
            self._hang_up()
            self._after_end()
            return b""
        return self._take(chunk)

    def _open(self) -> None:
        params = self._query.params(self._position.reopen(), follow=self._follows)
        path = f"/containers/{self._container_id}/logs"
        self._frames = FrameReader()
        response = self._engine.stream(path, params, self._query.silence_s())
        self._response, self._chunks = response, response.iter_content(None)
        if self._closed:
            self._hang_up()

    def _take(self, chunk: bytes) -> bytes:
        self._fruitless = 0
        return b"".join(
            [
                self._merger.feed(entry)
                for entry in self._frames.feed(chunk)
                if self._position.is_new(entry)
            ]
        )

    def _after_end(self) -> None:
        """The engine has sent all that it had; was it the end of the log?"""
        if not self._follows:
            self._ended = True
            return
        status = self._status()
        if self._query.is_over() or status is None or _is_over(status):
            # Once more, now that nothing is written any more.
            self._follows = False
        elif status != "running":
            # Not started yet, or about to be started again.
            wait_for_event(
                self._engine, self._app_id, lambda: self._status() != status, _CHANGE_WAIT_S
            )
        else:
            time.sleep(_RETRY_PAUSE_S)

    def _recover(self, error: Exception) -> None:
        """The connection broke, or nothing came for long."""
        self._fruitless += 1
        if not is_connection_lost(error) or self._fruitless > _FRUITLESS_TRIES:
            raise engine_error(error, f"read the log of `{self._app_id}`") from error
        log.debug("the log of %s is opened again: %s", self._app_id, str(error))
        # Waits for an engine that is away.
        if self._status() is not None and self._follows and self._query.is_over():
            self._follows = False
        time.sleep(_RETRY_PAUSE_S)

    def _status(self) -> str | None:
        inspection = self._engine.inspect(self._container_id)
        state: dict[str, Any] = (inspection or {}).get("State") or {}
        return state.get("Status")

    def _hang_up(self) -> None:
        from docker.errors import DockerException
        from docker.types import CancellableStream

        response, self._response = self._response, None
        if response is None:
            return
        # Only a shutdown wakes a thread that reads. Of a response that has ended nothing is left
        # to shut down.
        with contextlib.suppress(AttributeError, OSError, DockerException):
            CancellableStream(self._chunks, response).close()
        response.close()


def _is_over(status: str) -> bool:
    return status == "exited" or is_terminal(CONTAINER_STATE.get(status, CONTAINER_STATE["dead"]))


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=timezone.utc)


def _seconds(moment: datetime | None) -> str:
    if moment is None:
        return ""
    aware = _aware(moment)
    return f"{int(aware.replace(microsecond=0).timestamp())}.{aware.microsecond:06d}"
