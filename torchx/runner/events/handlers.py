"""Where events go: one ``logging`` handler per destination."""

from __future__ import annotations

import logging
import sys
from typing import TextIO


class _ConsoleHandler(logging.StreamHandler[TextIO]):
    """Writes to what ``sys.stderr`` is at the time of writing, not at the time of import."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:
        return sys.stderr

    @stream.setter
    def stream(self, value: TextIO) -> None:
        raise AttributeError("events on the console always go to sys.stderr")


_log_handlers: dict[str, logging.Handler] = {
    "console": _ConsoleHandler(),
    "null": logging.NullHandler(),
}


def get_logging_handler(destination: str = "null") -> logging.Handler:
    """Returns the handler for a destination.

    Args:
        destination: ``console`` for standard error, ``null`` to drop events.

    Returns:
        The handler, the same object for the same destination.

    Raises:
        KeyError: There is no such destination.
    """
    return _log_handlers[destination]
