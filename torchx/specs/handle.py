"""App handles: ``scheduler://session/app_id``, the address of a job."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from torchx.errors import TorchXError

AppHandle = str
"""Address of a job: ``scheduler://session/app_id``."""


class ParsedAppHandle(NamedTuple):
    """The parts of an app handle.

    Attributes:
        scheduler_backend: Name of the scheduler.
        session_name: Name of the runner's session, may be empty and may contain ``/``.
        app_id: Id of the app at the scheduler, never contains ``/``.
    """

    scheduler_backend: str
    session_name: str
    app_id: str


class MalformedAppHandleException(TorchXError):
    """A text is no app handle.

    Args:
        app_handle: The text.
    """

    def __init__(self, app_handle: str) -> None:
        self._app_handle = app_handle
        super().__init__(
            f"{app_handle!r} is not of the form: <scheduler_backend>://<session_name>/<app_id>",
            hint="copy the handle that `torchx run` or `torchx list` printed",
        )

    def __reduce__(self) -> tuple[type[MalformedAppHandleException], tuple[str, ...]]:
        return type(self), (self._app_handle,)


class UnknownAppException(TorchXError):
    """The scheduler does not know an app, or does not know it any more.

    Args:
        app_handle: Handle of the app.
    """

    def __init__(self, app_handle: str) -> None:
        self._app_handle = app_handle
        super().__init__(
            f"Unknown app = {app_handle}. Did you forget to call submit?"
            " Otherwise, the app may have already finished and purged by the scheduler",
            hint="`torchx list -s SCHEDULER` shows the apps that a scheduler knows",
        )

    def __reduce__(self) -> tuple[type[UnknownAppException], tuple[str]]:
        return type(self), (self._app_handle,)


class UnknownSchedulerException(TorchXError, KeyError):
    """No scheduler has that name.

    Args:
        scheduler_backend: The name.
        known: Names of the schedulers that exist, for a better message.
    """

    def __init__(self, scheduler_backend: str, known: Iterable[str] = ()) -> None:
        import difflib

        self._scheduler_backend, self._known = scheduler_backend, tuple(known)
        hint = "see the documentation for the list of supported schedulers"
        if self._known:
            closest = difflib.get_close_matches(scheduler_backend, self._known, n=1)
            hint = f"did you mean {closest[0]}? " if closest else ""
            hint += f"the schedulers are: {', '.join(self._known)}"
        super().__init__(
            f"Scheduler backend: {scheduler_backend} does not exist."
            " Use one of the list of supported schedulers",
            hint=hint,
        )

    def __reduce__(self) -> tuple[type[UnknownSchedulerException], tuple[str, tuple[str, ...]]]:
        return type(self), (self._scheduler_backend, self._known)

    def __str__(self) -> str:
        return Exception.__str__(self)


def make_app_handle(scheduler_backend: str, session_name: str, app_id: str) -> str:
    """Puts the parts of an app handle together.

    Args:
        scheduler_backend: Name of the scheduler.
        session_name: Name of the session.
        app_id: Id of the app at the scheduler.

    Returns:
        The handle.

    Example:
        >>> make_app_handle("local_cwd", "torchx", "train-1")
        'local_cwd://torchx/train-1'
    """
    return f"{scheduler_backend}://{session_name}/{app_id}"


def parse_app_handle(app_handle: str) -> ParsedAppHandle:
    """Takes an app handle apart. The inverse of :func:`make_app_handle`.

    Args:
        app_handle: The handle.

    Returns:
        Its parts. The app id is what follows the last ``/``.

    Raises:
        MalformedAppHandleException: The text is no app handle.

    Example:
        >>> parse_app_handle("slurm://torchx/1234").app_id
        '1234'
    """
    backend, separator, path = app_handle.partition("://")
    session, slash, app_id = path.rpartition("/")
    complete = backend and separator and slash and app_id
    if not complete or app_handle != app_handle.strip() or not app_handle.isprintable():
        raise MalformedAppHandleException(app_handle)
    return ParsedAppHandle(backend, session, app_id)
