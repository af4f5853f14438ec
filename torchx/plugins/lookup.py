"""Plugins for code that has to go on without any."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable

from torchx.plugins._model import PluginFactory, PluginSource, PluginSourceError, PluginType
from torchx.plugins._registry import PluginRegistry, registry

logger: logging.Logger = logging.getLogger(__name__)


def registered(
    plugin_type: PluginType, access: Callable[[], PluginRegistry]
) -> dict[str, PluginFactory]:
    """Returns the plugins of a kind.

    Args:
        plugin_type: The kind.
        access: What returns the registry: ``registry`` of the ``plugins`` that the caller knows.

    Returns:
        Factory by name; empty, with a warning, if ``TORCHX_PLUGINS_SOURCE`` is illegal.
    """
    try:
        return access().get(plugin_type)
    except PluginSourceError as error:
        _warn(f"no plugins are used: {error}")
        return {}


def uses_entry_points() -> bool:
    """Tells whether schedulers, resources, trackers and event handlers may be entry points.

    Returns:
        False if ``TORCHX_PLUGINS_SOURCE`` says otherwise, or is illegal.
    """
    try:
        return PluginSource.ENTRYPOINT in registry().plugin_sources
    except PluginSourceError:
        return False


@functools.lru_cache
def _warn(message: str) -> None:
    """Warns once, however many kinds of plugins are asked for."""
    logger.warning("%s", message)
