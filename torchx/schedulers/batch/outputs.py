"""Reads the outputs that a replica writes into files, one alone or both as one log."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from torchx.schedulers.lines import LineFramer
from torchx.schedulers.streams import FileSource, LogStream

_MAX_HELD_BYTES = 8 << 20


def open_outputs(
    paths: Sequence[str], regex: str | None, finished: Callable[[], bool] | None
) -> LogStream:
    """Opens one output, or several as one log.

    Args:
        paths: The files; they need not exist.
        regex: Keep only lines in which this is found.
        finished: Tells whether the app has ended; ``None`` reads to the end of what is there.

    Returns:
        The log.
    """
    sources = [FileSource(path, finished=finished or (lambda: True)) for path in paths]
    return LogStream(sources[0] if len(sources) == 1 else MergedSource(sources), regex)


class MergedSource:
    """Reads several files as one, whole lines at a time.

    Args:
        sources: The files.
    """

    def __init__(self, sources: list[FileSource]) -> None:
        self._sources = sources
        self._open = [(source, LineFramer(_MAX_HELD_BYTES)) for source in sources]
        self._unfinished: FileSource | None = None

    def read(self) -> bytes | None:
        """Takes the next lines of the file whose turn it is.

        Returns:
            See :meth:`torchx.schedulers.streams.BlockSource.read`.
        """
        for source, framer in list(self._open):
            data = source.read()
            self._open.remove((source, framer))
            if data is not None:
                self._open.append((source, framer))
            block = framer.flush() if data is None else framer.feed(data)
            if block:
                return self._joined(source, block)
            if data:
                return self.read()
        return b"" if self._open else None

    def wait(self, timeout_s: float) -> None:
        """Blocks until one of the files may have grown.

        Args:
            timeout_s: Longest time to block.
        """
        if self._open:
            self._open[0][0].wait(timeout_s)

    def watched_paths(self) -> Iterable[str]:
        """Names the files.

        Returns:
            Their paths.
        """
        return [path for source in self._sources for path in source.watched_paths()]

    def close(self) -> None:
        """Ends all sources."""
        self._open.clear()
        for source in self._sources:
            source.close()

    def _joined(self, source: FileSource, block: bytes) -> bytes:
        if self._unfinished not in (None, source):
            block = b"\n" + block
        self._unfinished = None if block.endswith(b"\n") else source
        return block
