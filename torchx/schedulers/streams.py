"""The log pipeline: blocks of bytes from a source, made into lines or blocks of whole lines."""

from __future__ import annotations

import io
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from types import GeneratorType
from typing import Protocol, runtime_checkable

from torchx.schedulers.lines import LineFilter, LineFramer, decode_lines
from torchx.util.filewatch import FileWatch

MAX_HELD_BYTES = 16 << 20
"""How much of an unfinished line :meth:`LogStream.blocks` holds back, in bytes."""

BLOCK_BYTES = 256 << 10
"""How much a source reads at once, in bytes."""

_IDLE_WAIT_S = 0.5
_SHORTEST_WAIT_S = 0.005


class BlockSource(Protocol):
    """Where the bytes of a log come from."""

    def read(self) -> bytes | None:
        """Takes what is available now.

        Returns:
            The next bytes; ``b""`` if there are none yet; ``None`` once the log has ended and all
            of it was taken.
        """
        ...

    def wait(self, timeout_s: float) -> None:
        """Blocks until :meth:`read` may have more to give.

        Args:
            timeout_s: Longest time to block.
        """
        ...

    def close(self) -> None:
        """Ends the source; :meth:`read` gives ``None`` from then on. Repeatable."""
        ...


@runtime_checkable
class WatchedSource(BlockSource, Protocol):
    """A source that never blocks in ``read`` and has more to give only when a file has changed.

    Any number of them is followed by one thread.
    """

    def watched_paths(self) -> Iterable[str]:
        """Names the files whose change may mean that there is more.

        Returns:
            Their paths; they need not exist.
        """
        ...


class FileSource:
    """Reads one file, which may grow and need not exist yet.

    No file is held open between two reads, so that thousands can be followed at once.

    Args:
        path: The file.
        finished: Tells whether the writer is done; asked, until it says yes, when there is nothing
            to read: after each change of a watched path and about twice a second. It should be
            quick. The source has ended when *after* the yes nothing more could be read.
        start: Offset of the first byte to read.
        end: Offset behind the last byte to read; ``None`` reads up to the end.
        block_bytes: The most to read at once.
        wake_paths: Other files whose change may mean that the writer is done.
    """

    def __init__(
        self,
        path: str,
        *,
        finished: Callable[[], bool] = lambda: True,
        start: int = 0,
        end: int | None = None,
        block_bytes: int = BLOCK_BYTES,
        wake_paths: Iterable[str] = (),
    ) -> None:
        self._path = path
        self._finished = finished
        self._offset = start
        self._end = end
        self._block_bytes = block_bytes
        self._wake_paths = tuple(wake_paths)
        self._was_finished = False
        self._ended = False
        self._watch: FileWatch | None = None
        self._woken_at_s = 0.0

    def read(self) -> bytes | None:
        """Reads the next block.

        Returns:
            See :meth:`BlockSource.read`.

        Raises:
            OSError: If the file exists and cannot be read.
        """
        if self._ended:
            return None
        data = self._read_block()
        if data or not self._is_over():
            return data
        # The writer was done before this second look, so nothing can have been missed.
        data = self._read_block()
        if data:
            return data
        self.close()
        return None

    def wait(self, timeout_s: float) -> None:
        """Blocks until the file or one of the wake paths changes.

        Args:
            timeout_s: Longest time to block.
        """
        if self._ended:
            return
        if self._watch is None:
            # What was written since the last read is not seen by a watch that starts only now.
            self._watch = FileWatch(self.watched_paths())
            return
        # A writer that flushes every line would else wake us for each of them.
        time.sleep(max(0.0, self._woken_at_s + _SHORTEST_WAIT_S - time.monotonic()))
        self._watch.wait(timeout_s)
        self._woken_at_s = time.monotonic()

    def watched_paths(self) -> Iterable[str]:
        """Names the file and the wake paths.

        Returns:
            The paths.
        """
        return (self._path, *self._wake_paths)

    def close(self) -> None:
        """Ends the source; callable from any thread."""
        self._ended = True
        if self._watch is not None:
            self._watch.close()

    def _is_over(self) -> bool:
        if self._end is not None and self._offset >= self._end:
            return True
        self._was_finished = self._was_finished or self._finished()
        return self._was_finished

    def _read_block(self) -> bytes:
        wanted = self._block_bytes
        if self._end is not None:
            wanted = min(wanted, self._end - self._offset)
        if wanted <= 0:
            return b""
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return b""
        try:
            data = os.pread(descriptor, wanted, self._offset)
        finally:
            os.close(descriptor)
        self._offset += len(data)
        return data


class IterableSource:
    """Reads chunks from an iterable, such as the log stream of an SDK. ``read`` blocks with it.

    Args:
        chunks: The chunks in order, cut anywhere; text is taken as UTF-8. Its ``close``, if it has
            one, is called by :meth:`close`.
    """

    def __init__(self, chunks: Iterable[bytes | str]) -> None:
        self._chunks = chunks
        self._iterator: Iterator[bytes | str] = iter(chunks)
        self._ended = False

    def read(self) -> bytes | None:
        """Takes the next chunk, blocking until there is one.

        Returns:
            The chunk, or ``None`` at the end.
        """
        if self._ended:
            return None
        chunk = next(self._iterator, None)
        if chunk is None:
            self._ended = True
            return None
        return chunk.encode("utf-8", "replace") if isinstance(chunk, str) else bytes(chunk)

    def wait(self, timeout_s: float) -> None:
        """Returns at once: :meth:`read` is what blocks.

        Args:
            timeout_s: Not used.
        """

    def close(self) -> None:
        """Ends the source and closes the iterable, if it can be closed."""
        self._ended = True
        close = getattr(self._chunks, "close", None)
        is_running = isinstance(self._chunks, GeneratorType) and self._chunks.gi_running
        if callable(close) and not is_running:
            close()


class LogStream(Iterator[str]):
    r"""A log as lines of text, or as blocks of bytes where speed matters.

    Lines end at ``\n`` only and keep it; the last one may lack it. Bytes that are no UTF-8 become
    U+FFFD exactly where decoding the whole log would put it. No line is torn or lost, wherever the
    source cuts its blocks.

    Args:
        source: Where the bytes come from; closed by :meth:`close`.
        regex: Keep only lines in which this is found (``re.search``); ``None`` keeps all.

    Attributes:
        source: The source.
        idle: True if the source had nothing more when it was last asked by :meth:`poll`.

    Raises:
        re.error: If ``regex`` is malformed.
    """

    def __init__(self, source: BlockSource, regex: str | None = None) -> None:
        self.source = source
        self.idle = False
        self._filter = None if regex is None else LineFilter(regex)
        self._framer = LineFramer(MAX_HELD_BYTES, hands_on_redrawn=regex is None)
        self._lines: Iterator[str] = iter(())
        self._is_inside_line = False
        self._keeps_line = False
        self._ended = False

    def __iter__(self) -> Iterator[str]:
        yield from self._lines
        while not self._ended:
            self._lines = self._next_lines()
            yield from self._lines

    def __next__(self) -> str:
        while True:
            for line in self._lines:
                return line
            if self._ended:
                raise StopIteration
            self._lines = self._next_lines()

    def blocks(self) -> Iterator[bytes]:
        r"""Gives the log as blocks of whole lines, blocking until it has ended.

        A line of which more than ``max_held_bytes`` (16 MiB) are not finished is given in several
        blocks, and the regular expression decides on its first part. Without a regular expression,
        a line that is drawn again behind each ``\r`` is given as it is drawn.

        Yields:
            Blocks that are never empty, each ending behind a newline, but for the last block and
            for parts of overlong lines.
        """
        while (block := self.poll()) is not None:
            if block:
                yield block
            else:
                self.wait(_IDLE_WAIT_S)

    def poll(self) -> bytes | None:
        """Takes the complete lines that are available now, without blocking if the source does not.

        Returns:
            The lines; ``b""`` if there are none (yet); ``None`` once the log has ended.
        """
        if rest := "".join(self._lines):
            return rest.encode()
        if self._ended:
            return None
        data = self.source.read()
        self.idle = data == b""
        if data is None:
            self._ended = True
            return self._select(self._framer.flush()) or None
        return self._select(self._framer.feed(data))

    def wait(self, timeout_s: float) -> None:
        """Blocks until :meth:`poll` may give more.

        Args:
            timeout_s: Longest time to block.
        """
        if self.idle and not self._ended:
            self.source.wait(timeout_s)

    def limit_held_bytes(self, max_held_bytes: int) -> None:
        """Changes how much of an unfinished line :meth:`poll` and :meth:`blocks` hold back.

        Args:
            max_held_bytes: The bound in bytes, at least 16.
        """
        self._framer.max_held_bytes = max_held_bytes

    def close(self) -> None:
        """Closes the source, which ends the stream; repeatable."""
        self.source.close()

    def _next_lines(self) -> Iterator[str]:
        data = self.source.read()
        if data is None:
            self._ended = True
            return self._texts(self._framer.flush())
        if not data:
            self.source.wait(_IDLE_WAIT_S)
        return self._texts(self._framer.feed(data, holds_any_line=True))

    def _texts(self, block: bytes) -> Iterator[str]:
        return decode_lines(block) if self._filter is None else self._filter.texts(block)

    def _select(self, block: bytes) -> bytes:
        if self._filter is None or not block:
            return block
        head = b""
        if self._is_inside_line:
            cut = block.find(b"\n") + 1 or len(block)
            head, block = block[:cut], block[cut:]
            self._is_inside_line = not head.endswith(b"\n")
            head = head if self._keeps_line else b""
        if not block:
            return head
        kept = self._filter.select(block)
        self._is_inside_line = not block.endswith(b"\n")
        self._keeps_line = bool(kept) and not kept.endswith(b"\n")
        return head + kept


class Tee:
    """Merges growing files into one, a whole line at a time, on a thread of its own.

    Args:
        out: Where the bytes go; closed by :meth:`close`.
        sources: The files to read; they must exist.

    Attributes:
        out: The merged file.
        streams: The opened sources.
        streams_lock: Held while something is written to ``out``.
        thread: The thread that copies.

    Raises:
        AssertionError: If there are no sources.
        OSError: If a source cannot be opened.
    """

    def __init__(self, out: io.FileIO, *sources: str) -> None:
        assert sources, "Tee needs at least one source"
        self.out = out
        self.streams = [io.FileIO(source) for source in sources]
        self.streams_lock = threading.Lock()
        self._framers = [LineFramer(_TEE_HELD_BYTES) for _ in sources]
        self._closed = False
        self._watch = FileWatch(sources)
        self.thread = threading.Thread(target=self._run, name="tee", daemon=True)
        self.thread.start()

    def write(self, s: bytes) -> int:
        """Writes to the merged file directly, between two lines of the sources.

        Args:
            s: The bytes.

        Returns:
            Their number.
        """
        with self.streams_lock:
            rest = memoryview(s)
            while rest:
                rest = rest[self.out.write(rest) or 0 :]
        return len(s)

    def close(self) -> None:
        """Copies what is left, then closes all files. Repeatable."""
        if self._closed:
            return
        self._closed = True
        self._watch.close()
        self.thread.join()
        for stream in (*self.streams, self.out):
            stream.close()

    def _run(self) -> None:
        while True:
            # Sampled before the pass: what was written before close() is still read by it.
            is_last_pass = self._closed
            copied = [self._copy(*pair) for pair in zip(self.streams, self._framers, strict=True)]
            if any(copied):
                continue
            if is_last_pass:
                break
            self._watch.wait(_IDLE_WAIT_S)
        for framer in self._framers:
            self.write(framer.flush())

    def _copy(self, stream: io.FileIO, framer: LineFramer) -> bool:
        data = stream.read(_TEE_HELD_BYTES) or b""
        if block := framer.feed(data):
            self.write(block)
        return bool(data)


_TEE_HELD_BYTES = 64 << 10
