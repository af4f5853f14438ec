"""Finds and reads the logs of replicas, and reads both outputs of one as one log."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

from torchx.errors import TorchXError
from torchx.schedulers.api import Stream
from torchx.schedulers.lines import LineFramer
from torchx.schedulers.slurm.mark import Mark
from torchx.schedulers.slurm.request import log_stem
from torchx.schedulers.streams import FileSource, LogStream

_ENDINGS = {Stream.STDOUT: "out", Stream.STDERR: "err"}
_MAX_HELD_BYTES = 8 << 20


class NoLogException(TorchXError, RuntimeError):
    """An app is there, but not the log that was asked for."""


def log_path(directory: str, app_id: str, role_name: str, replica_id: int, stream: Stream) -> str:
    """Names the file that a replica writes to.

    Args:
        directory: Directory that the job runs in.
        app_id: Id of the app.
        role_name: Name of the role.
        replica_id: Number of the replica within the role.
        stream: One of its two outputs.

    Returns:
        The path.
    """
    stem = log_stem(app_id, f"{role_name}-{replica_id}")
    return os.path.join(directory, f"{stem}.{_ENDINGS[stream]}")


def check_replica(app_id: str, mark: Mark, role_name: str, replica_id: int) -> None:
    """Checks that an app has a replica.

    Args:
        app_id: Id of the app.
        mark: What the comment of its job says.
        role_name: Name of the role.
        replica_id: Number of the replica within the role.

    Raises:
        NoLogException: There is no such replica, or its directory cannot be seen from here.
    """
    if not 0 <= replica_id < mark.roles.get(role_name, 0):
        roles = [f"{name} (0 to {count - 1})" for name, count in mark.roles.items()]
        raise NoLogException(
            f"the app `{app_id}` has no replica {role_name}/{replica_id};"
            f" its roles and replicas are: {', '.join(roles)}",
            hint="name one of them",
        )
    if not os.path.isdir(mark.working_dir):
        raise NoLogException(
            f"the logs of the app `{app_id}` are in {mark.working_dir}, which this machine does"
            " not have",
            hint="read them on a machine that shares that file system, such as a login node",
        )


def open_paths(
    paths: list[str], regex: str | None, finished: Callable[[], bool] | None
) -> LogStream:
    """Opens one log, or several as one.

    Args:
        paths: The files; they need not exist.
        regex: Keep only lines in which this is found.
        finished: Tells whether the app has ended; ``None`` reads to the end of what is there.

    Returns:
        The log.
    """
    sources = [FileSource(path, finished=finished or (lambda: True)) for path in paths]
    return LogStream(sources[0] if len(sources) == 1 else MergedSource(sources), regex)


def open_expected(
    app_id: str, path: str, regex: str | None, finished: Callable[[], bool] | None
) -> LogStream:
    """Opens a log of which only the name is known.

    Args:
        app_id: Id of the app.
        path: The file. Reading fails if it is not there when the app has ended.
        regex: Keep only lines in which this is found.
        finished: Tells whether the app has ended; ``None`` reads to the end of what is there.

    Returns:
        The log.
    """
    return LogStream(_ExpectedFileSource(app_id, path, finished or (lambda: True)), regex)


class _ExpectedFileSource(FileSource):
    """A file that must be there in the end."""

    def __init__(self, app_id: str, path: str, finished: Callable[[], bool]) -> None:
        super().__init__(path, finished=finished)
        self._app_id = app_id

    def read(self) -> bytes | None:
        data = super().read()
        if data is None and not os.path.exists(self._path):
            raise NoLogException(
                f"app: {self._app_id} finished without writing: {self._path}",
                hint="read the log in the directory that the job was submitted from",
            )
        return data


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
