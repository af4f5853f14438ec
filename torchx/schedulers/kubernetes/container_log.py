"""Reads the log of one container, and goes on where it broke off."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torchx.schedulers.kubernetes import paths
from torchx.schedulers.kubernetes.stamps import lines_of, nanos_of, since_time, strip_stamps
from torchx.schedulers.kubernetes.wire import Wire, hang_up, pieces
from torchx.schedulers.lines import LineFramer
from torchx.schedulers.streams import MAX_HELD_BYTES

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

log: logging.Logger = logging.getLogger(__name__)

_SILENCE_S = 600.0
_READ_SILENCE_S = 60.0
_SECOND_BYTES = len(b"2026-01-31T12:00:00")
_LOST_LOG = b"unable to retrieve container logs"


@dataclass(frozen=True)
class Range:
    """Which lines are wanted.

    Attributes:
        since_ns: Those written from then on, in nanoseconds since the epoch.
        until_ns: Those written before then.
        keeps_stamps: Leave the stamps of the node before the lines.
    """

    since_ns: int | None = None
    until_ns: int | None = None
    keeps_stamps: bool = False


class ContainerLog:
    """The log of one container, as blocks of whole lines.

    The API server goes on from a whole second only. Of that second, the lines that were handed out
    before are counted and dropped.

    Args:
        wire: Gives what sends requests.
        namespace: Namespace of the pod.
        pod: Name of the pod.
        container: Name of the container.
        wanted: Which lines.
        is_closed: Tells whether nobody wants more.
    """

    def __init__(
        self,
        wire: Callable[[], Wire],
        namespace: str,
        pod: str,
        container: str,
        wanted: Range,
        is_closed: Callable[[], bool],
    ) -> None:
        self._wire = wire
        self._path = f"{paths.pods(namespace, pod)}/log"
        self._what = f"read the log of pod {pod}"
        self._container = container
        self._range = wanted
        self._is_closed = is_closed
        self._second = b""
        self._in_second = 0
        self._latest_ns: int | None = None
        self._to_drop = 0
        self._response: BaseHTTPResponse | None = None
        self.is_past_until = False

    def blocks(self, *, follow: bool, previous: bool = False) -> Iterator[bytes]:
        """Reads from where it broke off to the end of what there is, or of the container.

        Args:
            follow: Go on until the container has ended.
            previous: Read what the container wrote before it was started again.

        Yields:
            Whole lines; only the last one may lack its newline.

        Raises:
            KubernetesError: The server refuses or does not answer.
            HTTPError: The connection broke; the next call goes on from there.
        """
        query: dict[str, str | int] = {"container": self._container, "timestamps": "true"}
        if follow:
            query["follow"] = "true"
        if previous:
            query["previous"] = "true"
        start_ns = self._latest_ns if self._latest_ns is not None else self._range.since_ns
        if start_ns is not None:
            query["sinceTime"] = since_time(start_ns)
        self._to_drop = self._in_second
        framer = LineFramer(MAX_HELD_BYTES)
        silence_s = _SILENCE_S if follow else _READ_SILENCE_S
        response = self._wire().stream(self._path, self._what, silence_s, **query)
        self._response = response
        try:
            if self._is_closed():
                return
            for piece in pieces(response):
                if block := self._take(framer.feed(piece)):
                    yield block
                if self.is_past_until:
                    return
            if block := self._take(framer.flush()):
                yield block
        finally:
            self._response = None
            # What was not read to its end is of no use to the next request.
            response.close()
            response.release_conn()

    def close(self) -> None:
        """Ends reading, also in another thread."""
        response = self._response
        if response is not None:
            hang_up(response)

    def _take(self, block: bytes) -> bytes:
        if not block:
            return b""
        if block.startswith(_LOST_LOG):
            log.warning("%s: %s", self._what, block.decode("utf-8", "replace").strip())
            return b""
        if self._to_drop:
            block = self._without_known(block)
        self._note(block)
        if self._range.since_ns is not None or self._range.until_ns is not None:
            block = b"".join([line for line in lines_of(block) if self._is_wanted(line)])
        return block if self._range.keeps_stamps else strip_stamps(block)

    def _without_known(self, block: bytes) -> bytes:
        """Drops lines that were handed out before."""
        kept = 0
        while self._to_drop and kept < len(block):
            end = block.find(b"\n", kept) + 1 or len(block)
            stamp = nanos_of(block[kept:end])
            if stamp is None or (self._latest_ns is not None and stamp > self._latest_ns):
                # The log was cut since then.
                self._to_drop = 0
                break
            self._to_drop -= 1
            self._in_second -= 1  # it is counted anew
            self._note(block[kept:end])
            kept = end
        return block[kept:]

    def _note(self, block: bytes) -> None:
        """Counts the lines of the latest second."""
        last = block[block.rfind(b"\n", 0, -1) + 1 :]
        stamp = nanos_of(last)
        if stamp is None:
            return
        second = last[:_SECOND_BYTES]
        if second != self._second:
            self._second, self._in_second = second, 0
        self._in_second += block.count(b"\n" + second) + block.startswith(second)
        self._latest_ns = max(stamp, self._latest_ns or stamp)

    def _is_wanted(self, line: bytes) -> bool:
        stamp = nanos_of(line)
        if stamp is None:
            return True
        if self._range.until_ns is not None and stamp >= self._range.until_ns:
            self.is_past_until = True
            return False
        return self._range.since_ns is None or stamp >= self._range.since_ns
