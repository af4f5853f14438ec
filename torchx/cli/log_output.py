"""Where followed logs are written: a stream of this process, a text buffer, or files."""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Sequence
from typing import BinaryIO, TextIO

from torchx.cli import live
from torchx.util.colors import is_terminal, paint


class LogOutput:
    """Writes blocks of log lines to a text stream.

    A stream with a file descriptor gets the bytes as they are, at full speed; any other object,
    such as a ``StringIO``, gets text.

    Args:
        file: The stream.

    Attributes:
        is_stream: True if ``file`` is a stream of the process: a terminal, a pipe or a file.
        last_write_s: When anything was last written, by the monotonic clock; 0.0 before. Shared by
            all outputs of the process.
    """

    last_write_s: float = 0.0

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._binary = _binary_of(file)
        self._is_watched = is_terminal(file) and is_terminal(sys.stderr)
        self._ends_line = True
        self.is_stream = self._binary is not None

    def prefix(self, name: str, width: int) -> bytes:
        """Makes the prefix of the lines of one replica.

        Args:
            name: ``ROLE/REPLICA``.
            width: Width of the longest name in characters; streams of the process get all
                prefixes in one width, text buffers exactly ``ROLE/REPLICA`` and a blank.

        Returns:
            The prefix.
        """
        blanks = " " * (width - len(name) if self.is_stream else 0)
        return f"{paint(name, 'GREEN', self._file)}{blanks} ".encode()

    def write(self, block: bytes) -> None:
        """Writes a block and flushes it.

        Args:
            block: Lines; the last one may lack its newline.

        Raises:
            BrokenPipeError: Nobody reads the stream any more.
        """
        if self._is_watched:
            with live.hidden(lambda: self._ends_line):
                self._write(block)
        else:
            self._write(block)
        LogOutput.last_write_s = time.monotonic()

    def _write(self, block: bytes) -> None:
        if self._binary is None:
            self._file.write(block.decode("utf-8", "replace"))
            self._file.flush()
        else:
            self._binary.write(block)
            self._binary.flush()
        self._ends_line = block.endswith(b"\n")


def aligned_width(names: Sequence[str]) -> int:
    """Returns the width that all prefixes get.

    Args:
        names: The names of the replicas.

    Returns:
        The length of the longest one in characters, 0 without any.
    """
    return max(map(len, names), default=0)


def _binary_of(file: TextIO) -> BinaryIO | None:
    """Returns the bytes below a text stream, if it belongs to a file descriptor."""
    try:
        file.fileno()
    except (AttributeError, OSError, ValueError, io.UnsupportedOperation):
        return None
    binary: BinaryIO | None = getattr(file, "buffer", None)
    if binary is not None:
        file.flush()
    return binary
