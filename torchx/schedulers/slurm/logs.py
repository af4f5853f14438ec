"""Finds and reads the logs of replicas, and reads both outputs of one as one log."""

from __future__ import annotations

import os
from collections.abc import Callable

from torchx.errors import TorchXError
from torchx.schedulers.api import Stream
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
