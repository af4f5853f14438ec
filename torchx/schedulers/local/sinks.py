"""Carries the output of replicas from their pipes into log files.

The supervisor imports this module in a bare interpreter: only cheap standard modules here.
"""

from __future__ import annotations

import os
import time

from torchx.schedulers.local.timeindex import COMBINED, TimeIndexWriter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

READ_BYTES = 1 << 20
_LONGEST_HELD_BYTES = 64 << 10


class LogFile:
    """A log that is only appended to; a full disk loses output but never stops the writer.

    Args:
        path: The file, or ``None`` for a log that nobody wants.
        on_fault: Called with a sentence when something could not be written.

    Attributes:
        size: Bytes in the file.
    """

    def __init__(self, path: str | None, on_fault: Callable[[str], None]) -> None:
        self.path = path
        self.size = 0
        self._on_fault = on_fault
        self._fd = -1

    def create(self) -> None:
        """Creates the file.

        Raises:
            FileExistsError: There is one already.
            OSError: It cannot be created.
        """
        if self.path is not None:
            os.close(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))

    def write(self, data: bytes | memoryview) -> None:
        """Appends bytes, as many as the disk takes.

        Args:
            data: What to append.
        """
        if self.path is None:
            return
        rest = memoryview(data)
        try:
            if self._fd < 0:
                self._fd = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
            while rest:
                written = os.write(self._fd, rest)
                self.size += written
                rest = rest[written:]
        except OSError as error:
            self._on_fault(f"output was lost: cannot write {self.path}: {error.strerror}")

    def close(self) -> None:
        """Closes the file; a later write opens it again."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class Channel:
    """One pipe of one attempt of a replica.

    Args:
        fd: The end of the pipe to read from, non-blocking.
        replica: Position of the replica in the app's record.
        stream: Which stream it is, see ``timeindex``.
        log: Where the stream goes.
        combined: Where its whole lines go, too.
        index: Where the times go.
    """

    def __init__(
        self,
        fd: int,
        replica: int,
        stream: int,
        log: LogFile,
        combined: LogFile,
        index: TimeIndexWriter,
    ) -> None:
        self.fd = fd
        self._replica = replica
        self._stream = stream
        self._log = log
        self._combined = combined
        self._index = index
        self._held: list[bytes] = []
        self._held_bytes = 0

    def pump(self) -> int | None:
        """Moves what the pipe holds now, at most ``READ_BYTES``.

        Returns:
            Number of bytes moved, or ``None`` at the end of the stream.
        """
        try:
            data = os.read(self.fd, READ_BYTES)
        except BlockingIOError:
            return 0
        if not data:
            return None
        now = time.time()
        self._index.note(self._replica, self._stream, now, self._log.size)
        self._log.write(data)
        self._combine(data, now)
        return len(data)

    def drain(self, limit_bytes: int) -> None:
        """Moves what the pipe holds now, for a replica that has ended.

        Args:
            limit_bytes: Stop after about so many bytes: somebody else may still be writing.
        """
        moved = 0
        while self.fd >= 0 and moved < limit_bytes:
            step = self.pump()
            if not step:
                return
            moved += step

    def close(self) -> None:
        """Closes the pipe; the last line may lack its newline."""
        os.close(self.fd)
        self.fd = -1
        self._release(b"", time.time())

    def _combine(self, data: bytes, now: float) -> None:
        if self._held and self._held[-1].endswith(b"\r") and not data.startswith(b"\n"):
            # A progress bar: what was drawn is over, and somebody wants to see it now.
            self._release(b"", now)
        cut = max(data.rfind(b"\n") + 1, data.rfind(b"\r", 0, len(data) - 1))
        if cut == 0 and data.startswith(b"\r") and len(data) > 1:
            self._release(b"", now)
        if not cut and self._held_bytes + len(data) >= _LONGEST_HELD_BYTES:
            cut = len(data)
        if cut:
            self._release(memoryview(data)[:cut], now)
        if cut < len(data):
            self._held.append(data[cut:])
            self._held_bytes += len(data) - cut

    def _release(self, data: bytes | memoryview, now: float) -> None:
        if not self._held and not data:
            return
        self._index.note(self._replica, COMBINED, now, self._combined.size)
        if self._held:
            self._combined.write(b"".join(self._held))
            self._held.clear()
            self._held_bytes = 0
        self._combined.write(data)
