"""Reaches the Docker engine, and puts into words why it cannot be reached.

The engine is the one that the ``docker`` command talks to: ``DOCKER_HOST``, else the current
context, else the socket of this machine.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from torchx.errors import BackendError, TorchXError

if TYPE_CHECKING:
    from docker import DockerClient

__all__ = [
    "DockerEngineError",
    "DockerPackageMissing",
    "docker_client",
    "engine_error",
    "is_connection_lost",
    "status_of",
]

_POOL_CONNECTIONS = 256
_NO_DAEMON = frozenset([errno.ENOENT, errno.ECONNREFUSED, errno.ENOTDIR])
_NO_PERMISSION = frozenset([errno.EACCES, errno.EPERM])
_IN_ARGS_DEPTH = 6
_SERVER_ERRORS = 500


class DockerPackageMissing(TorchXError, ModuleNotFoundError):
    """The Python package ``docker`` is not installed."""

    def __init__(self) -> None:
        super().__init__(
            "the Python package `docker` is not installed: pip install 'torchx[docker]'",
            hint="pip install 'torchx[docker]'",
        )
        self.name = "docker"


class DockerEngineError(BackendError):
    """The Docker engine does not answer, does not let us in, or answers with a failure.

    Args:
        message: One sentence for a person.
        hint: What to do about it, or ``""``.
        transient: True if the same call may succeed later.
        status: HTTP status of the engine's answer; ``None`` if there was none.
        explanation: What the engine said.

    Attributes:
        status: See above.
        explanation: See above.
    """

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        transient: bool = False,
        status: int | None = None,
        explanation: str = "",
    ) -> None:
        super().__init__(message, hint=hint, transient=transient)
        self.status = status
        self.explanation = explanation


def docker_client() -> DockerClient:
    """Connects to the Docker engine.

    Returns:
        A client, which any number of threads may use.

    Raises:
        DockerPackageMissing: The Python package ``docker`` is not installed.
        DockerEngineError: No engine answers, or this user may not use it.
    """
    try:
        import docker
        from docker.errors import DockerException
    except ModuleNotFoundError as error:
        if error.name != "docker":
            raise
        raise DockerPackageMissing from error
    try:
        return docker.from_env(max_pool_size=_POOL_CONNECTIONS)
    except DockerException as error:
        raise engine_error(error, "connect to the Docker engine") from error


def engine_error(error: Exception, doing: str) -> DockerEngineError:
    """Puts a failure of the engine, or of the way to it, into words.

    Args:
        error: What the ``docker`` package or a connection raised.
        doing: What could not be done, to follow "cannot", for example ``start the container x``.

    Returns:
        The error to raise. It is transient if the engine could not be reached for a reason that
        may pass.
    """
    numbers = {found.errno for found in _os_errors(error)}
    where = _engine_name()
    if numbers & _NO_PERMISSION:
        return DockerEngineError(
            f"cannot {doing}: this user may not use the Docker engine at {where}",
            hint="add yourself to the group `docker` (sudo usermod -aG docker $USER) and log in"
            " again, or set DOCKER_HOST to an engine of your own",
        )
    if numbers & _NO_DAEMON:
        return DockerEngineError(
            f"cannot {doing}: no Docker engine answers at {where}",
            hint="start it (sudo systemctl start docker, or Docker Desktop), set DOCKER_HOST to"
            " where it is, or run without containers: -s local_cwd",
            transient=True,
        )
    if is_connection_lost(error):
        return DockerEngineError(
            f"cannot {doing}: lost the connection to the Docker engine at {where}: {error}",
            hint="try again once `docker info` works",
            transient=True,
        )
    explanation = str(getattr(error, "explanation", None) or error)
    status = status_of(error)
    return DockerEngineError(
        f"cannot {doing}: {explanation}",
        transient=status is not None and status >= _SERVER_ERRORS,
        status=status,
        explanation=explanation,
    )


def status_of(error: BaseException) -> int | None:
    """Tells whether an error is an answer of the engine.

    Args:
        error: What a call raised.

    Returns:
        The HTTP status of the answer; ``None`` if the engine has not answered.
    """
    response = getattr(error, "response", None)
    status: int | None = None if response is None else response.status_code
    return status


def is_connection_lost(error: BaseException) -> bool:
    """Tells whether a call failed because the engine could not be reached (any more).

    Args:
        error: What the call raised.

    Returns:
        True if the engine gave no answer at all, so that it may do so a little later.
    """
    from urllib3.exceptions import ProtocolError, TimeoutError

    if status_of(error) is not None:
        return False
    numbers = {found.errno for found in _os_errors(error)}
    # What `requests` raises is an OSError, too.
    is_lost = isinstance(error, (OSError, ProtocolError, TimeoutError)) or bool(numbers)
    return is_lost and not numbers & _NO_PERMISSION


def _os_errors(error: object, depth: int = _IN_ARGS_DEPTH) -> Iterator[OSError]:
    """Digs out what the kernel said: libraries wrap it as a cause or as an argument."""
    if not isinstance(error, BaseException) or depth == 0:
        return
    if isinstance(error, OSError) and error.errno is not None:
        yield error
    for inner in (error.__cause__, error.__context__, *error.args, getattr(error, "reason", None)):
        yield from _os_errors(inner, depth - 1)


def _engine_name() -> str:
    return os.environ.get("DOCKER_HOST") or "the default place of this machine"
