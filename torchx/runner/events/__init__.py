"""Records what the runner did, for whoever operates it.

By default events are dropped. ``record(event, destination="console")`` shows one; an application
that wants them all replaces the handler of the logger ``torchx-events-null``. Recording never fails
a call: a job that was submitted is never lost because something about its record went wrong.
"""

from __future__ import annotations

import logging
import threading
import time
from types import TracebackType
from typing import TypeVar

from torchx.runner.events.api import SourceType, TorchxEvent
from torchx.runner.events.handlers import get_logging_handler
from torchx.runner.events.sanitize import bounded, sanitized
from torchx.util.redact import redact_text
from torchx.util.session import get_session_id_or_create_new

__all__ = ["SourceType", "TorchxEvent", "log_event", "record"]

_Self = TypeVar("_Self", bound="log_event")

log: logging.Logger = logging.getLogger(__name__)

_events_loggers: dict[str, logging.Logger] = {}
_events_lock = threading.Lock()


def _get_or_create_logger(destination: str = "null") -> logging.Logger:
    logger = _events_loggers.get(destination)
    if logger is None:
        # Outside of the lock: a plugin may record events while it is imported.
        handler = get_logging_handler(destination)
        with _events_lock:
            logger = _events_loggers.get(destination)
            if logger is None:
                logger = _events_loggers[destination] = _make_logger(destination, handler)
    return logger


def _make_logger(destination: str, handler: logging.Handler) -> logging.Logger:
    handler.setLevel(logging.DEBUG)
    logger = logging.getLogger(f"torchx-events-{destination}")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    for stale in list(logger.handlers):
        logger.removeHandler(stale)
    logger.addHandler(handler)
    return logger


def record(event: TorchxEvent, destination: str = "null") -> None:
    """Writes an event, without its secrets, to a destination. Never raises.

    Args:
        event: What happened.
        destination: ``console`` or ``null``.
    """
    try:
        logger = _get_or_create_logger(destination)
        if _is_read(logger):
            logger.info(sanitized(event).serialize())
    except Exception:
        log.exception("an event of `%s` could not be recorded", getattr(event, "api", event))


def _is_read(logger: logging.Logger) -> bool:
    """Tells whether anybody sees what is logged there, for whom it is worth being written."""
    return bool(logger.filters) or [type(each) for each in logger.handlers] != [logging.NullHandler]


class log_event:
    """Times a call and records it when it ends, also when it ends with an exception.

    Args:
        api: Name of the call.
        scheduler: Name of the scheduler, if one is involved.
        app_id: Id of the app.
        app_image: Image of the app.
        app_metadata: Metadata of the app.
        runcfg: JSON of the run options.
        workspace: Workspace given to the call.

    Attributes:
        _torchx_event: The event. Callers add to it while the call lasts.

    Example:
        >>> with log_event("list", scheduler="local_cwd") as ctx:
        ...     ctx._torchx_event.app_id = "app-1"
    """

    def __init__(
        self,
        api: str,
        scheduler: str | None = None,
        app_id: str | None = None,
        app_image: str | None = None,
        app_metadata: dict[str, str] | None = None,
        runcfg: str | None = None,
        workspace: str | None = None,
    ) -> None:
        self._torchx_event = TorchxEvent(
            session=get_session_id_or_create_new(),
            scheduler=scheduler or "",
            api=api,
            app_id=app_id,
            app_image=app_image,
            app_metadata=app_metadata,
            runcfg=runcfg,
            workspace=workspace,
        )
        self._start_cpu_ns = 0
        self._start_wall_ns = 0

    def __enter__(self: _Self) -> _Self:
        self._start_cpu_ns = time.process_time_ns()
        self._start_wall_ns = time.perf_counter_ns()
        self._torchx_event.start_epoch_time_usec = time.time_ns() // 1000
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        event = self._torchx_event
        try:
            event.cpu_time_usec = (time.process_time_ns() - self._start_cpu_ns) // 1000
            event.wall_time_usec = (time.perf_counter_ns() - self._start_wall_ns) // 1000
            if exc is not None:
                _add_failure(event, exc, traceback)
            record(event)
        except Exception:
            log.exception("an event of `%s` could not be recorded", event.api)


def _add_failure(event: TorchxEvent, exc: BaseException, trace: TracebackType | None) -> None:
    import json
    import traceback

    event.exception_type = type(exc).__name__
    # Hidden first, then cut: half of a `name=secret` would no longer be recognised.
    event.exception_message = bounded(redact_text(str(exc)))
    event.raw_exception = bounded(
        redact_text("".join(traceback.format_exception(type(exc), exc, trace)))
    )
    frames = traceback.extract_tb(trace)
    if frames:
        event.exception_source_location = json.dumps(
            {"filename": frames[-1].filename, "lineno": frames[-1].lineno, "name": frames[-1].name}
        )
