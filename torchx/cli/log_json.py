"""Log lines as JSON, one object on each line."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable

from torchx.cli.log_output import LogOutput
from torchx.schedulers.lines import LineFramer, split_lines

_LONGEST_LINE_BYTES = 256 << 10


class JsonLines:
    """Writes the lines of several replicas as JSON objects.

    A line of more than 256 KiB comes in parts, each an object of its own.

    Args:
        output: Where the objects go.
        stream: Name of the stream that is shown, or None if the scheduler chose it.
    """

    def __init__(self, output: LogOutput, stream: str | None) -> None:
        self._output = output
        self._stream = stream
        self._lock = threading.Lock()
        self._unfinished: list[tuple[str, int, LineFramer]] = []

    def writer(self, role: str, replica: int) -> Callable[[bytes], object]:
        """Makes what is called with the output of one replica.

        Args:
            role: Name of the role.
            replica: Number of the replica.

        Returns:
            A function that takes blocks of bytes, in order.
        """
        framer = LineFramer(_LONGEST_LINE_BYTES)
        self._unfinished.append((role, replica, framer))
        return lambda block: self._write(role, replica, framer.feed(block))

    def finish(self) -> None:
        """Writes the last lines of those logs that do not end with a new line."""
        for role, replica, framer in self._unfinished:
            self._write(role, replica, framer.flush())

    def _write(self, role: str, replica: int, block: bytes) -> None:
        if not block:
            return
        head = {"role": role, "replica": replica, "stream": self._stream}
        objects = [
            json.dumps({**head, "line": line.removesuffix("\n")})
            for line in split_lines(block.decode("utf-8", "replace"))
        ]
        text = "\n".join([*objects, ""]).encode()
        with self._lock:
            self._output.write(text)
