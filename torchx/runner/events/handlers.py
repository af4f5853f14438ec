"""Where events go: one ``logging`` handler per destination."""

from __future__ import annotations

import logging
import sys
from typing import TextIO

from torchx import plugins
from torchx.plugins.lookup import registered
from torchx.util.foreign import reason_of

logger: logging.Logger = logging.getLogger(__name__)


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
        destination: Name of an event-handler plugin; ``console`` for standard error, ``null`` to
            drop events, unless there is a plugin of that name.

    Returns:
        The handler; a built-in one is the same object each time. A plugin that cannot make its
        handler is reported, and the built-in one is used.

    Raises:
        KeyError: There is no such destination.
    """
    return _plugin_handler(destination) or _log_handlers[destination]


def _plugin_handler(destination: str) -> logging.Handler | None:
    factory = registered(plugins.PluginType.EVENT_HANDLER, plugins.registry).get(destination)
    if factory is None:
        return None
    try:
        handler = factory()
    except (Exception, SystemExit) as error:
        logger.warning("event handler `%s` is not used: %s", destination, reason_of(error))
        return None
    if not isinstance(handler, logging.Handler):
        kind = type(handler).__name__
        logger.warning("event handler `%s` is a %s, no logging.Handler", destination, kind)
        return None
    return handler
