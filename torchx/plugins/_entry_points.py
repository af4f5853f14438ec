"""Plugins that are registered as entry points: their failures and their clashes."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from torchx.plugins._model import Collision, PluginFactory, PluginType, RegistrationError
from torchx.plugins._report import module_of
from torchx.util.entrypoints import DeferredEntryPoint
from torchx.util.foreign import reason_of


def import_errors(
    plugin_type: PluginType, plugins: Mapping[str, PluginFactory]
) -> list[RegistrationError]:
    """Imports entry points to see which of them cannot be.

    Args:
        plugin_type: Their kind.
        plugins: Plugins by name; those that are no entry points are left alone.

    Returns:
        What went wrong.
    """
    errors = []
    for name, plugin in plugins.items():
        if isinstance(plugin, DeferredEntryPoint):
            problem = problem_of(plugin)
            if problem is not None:
                module = plugin.entry_point.module
                errors.append(RegistrationError(module, problem, name, plugin_type.label))
    return errors


def problem_of(plugin: DeferredEntryPoint) -> str | None:
    """Imports an entry point that has to name something that can be called.

    Args:
        plugin: The entry point.

    Returns:
        What is wrong with it, None if nothing is.
    """
    try:
        loaded = plugin.load()
    except Exception as error:
        return reason_of(error)
    if not callable(loaded):
        kind = type(loaded).__name__
        return f"`{plugin.entry_point.value}` is a {kind}, which cannot be called"
    return None


def collisions(
    plugin_type: PluginType,
    found: Mapping[str, PluginFactory],
    declared: Mapping[str, PluginFactory],
) -> list[Collision]:
    """Finds the plugins of ``torchx_plugins`` that give way to entry points.

    Args:
        plugin_type: Their kind.
        found: The plugins of ``torchx_plugins`` by name.
        declared: The entry points by name.

    Returns:
        One for each name that stands for different things.
    """
    return [
        Collision(plugin_type, name, winner=declared[name], loser=plugin)
        for name, plugin in found.items()
        if name in declared and not _is_same(plugin, declared[name])
    ]


def shadowing_error(collision: Collision) -> RegistrationError:
    """Puts such a collision into words.

    Args:
        collision: One that an entry point has won.

    Returns:
        The error of the plugin that lost.
    """
    winner = collision.winner
    if isinstance(winner, DeferredEntryPoint):
        target = winner.entry_point.value
    else:
        target = module_of(winner)
    return RegistrationError(
        module_of(collision.loser),
        f"`{collision.name}` is also the name of an entry point ({target}); the entry point wins",
        collision.name,
        collision.plugin_type.label,
    )


def _is_same(plugin: PluginFactory, declared: PluginFactory) -> bool:
    if isinstance(declared, DeferredEntryPoint):
        entry_point = declared.entry_point
        module = sys.modules.get(entry_point.module)
        return getattr(module, entry_point.attr, None) is plugin
    return declared is plugin
