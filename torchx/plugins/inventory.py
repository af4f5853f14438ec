"""What all installed packages add to torchx, where it comes from, and what failed.

Everything is imported for that, each within the time that plugins are given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from torchx.plugins._distributions import UNKNOWN_ORIGIN, Distributions, Origin, origin_of
from torchx.plugins._model import (
    NAMESPACE,
    PluginFactory,
    PluginSource,
    PluginSourceError,
    PluginType,
)
from torchx.plugins._registry import PluginRegistry, registry
from torchx.plugins._report import base_of, module_of, parts_of
from torchx.settings import ENV_TORCHX_PLUGINS_SOURCE
from torchx.util import entrypoints
from torchx.util.entrypoints import DeferredEntryPoint
from torchx.util.foreign import call_foreign, reason_of

ENTRY_POINT = "entry point"
"""Style of a plugin that is declared in the metadata of its distribution."""

BUILT_IN = "built-in"
"""Style of what comes with torchx."""

ENTRY_POINT_ONLY = {
    "component": "torchx.components",
    "command": "torchx.cli.cmds",
    "orchestrator": "torchx.schedulers.orchestrator",
    "file": "torchx.file",
    "version": "torchx.version",
}
"""Entry-point group of the kinds that ``torchx_plugins`` has no place for."""

Check = Callable[[object], str | None]
"""Tells what is wrong with a plugin that was imported, None if nothing is."""


@dataclass(frozen=True)
class Plugin:
    """One plugin.

    Attributes:
        type: Its kind, such as ``scheduler``.
        name: Its name.
        style: How it is registered: ``entry point``, ``torchx_plugins`` or ``built-in``.
        module: The module that defines it.
        origin: Where that comes from.
        aliases: Further names of a named resource.
        fractionals: Names of its parts.
    """

    type: str
    name: str
    style: str
    module: str
    origin: Origin = UNKNOWN_ORIGIN
    aliases: list[str] = field(default_factory=list)
    fractionals: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Failure:
    """A plugin, or a module that may hold some, that is not used.

    Attributes:
        error: Why.
        module: The module, ``""`` if it is about none.
        type: Kind of the plugin, if it is about one.
        name: Its name, if it is about one.
        origin: Where the module comes from.
    """

    error: str
    module: str
    type: str | None = None
    name: str | None = None
    origin: Origin = UNKNOWN_ORIGIN


@dataclass(frozen=True)
class Clash:
    """Two different plugins of one name.

    Attributes:
        winner: The one that is used.
        loser: The other one.
    """

    winner: Plugin
    loser: Plugin


@dataclass
class Inventory:
    """What there is.

    Attributes:
        sources: Where schedulers, resources, trackers and event handlers are looked for.
        plugins: What is used.
        collisions: What is not used because something else has its name.
        failures: What cannot be used.
    """

    sources: list[str] = field(default_factory=list)
    plugins: list[Plugin] = field(default_factory=list)
    collisions: list[Clash] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)


def take_inventory(
    builtins: Mapping[str, Mapping[str, str]], checks: Mapping[str, Check]
) -> Inventory:
    """Finds all plugins and tries to import them.

    Args:
        builtins: Module of what comes with torchx, by kind and name.
        checks: What the plugins of some kinds have to satisfy beyond being there.

    Returns:
        What there is.
    """
    return _Stocktaking(builtins, checks).run()


class _Stocktaking:
    def __init__(
        self, builtins: Mapping[str, Mapping[str, str]], checks: Mapping[str, Check]
    ) -> None:
        self._builtins = builtins
        self._checks = {
            **{plugin_type.label: _not_callable for plugin_type in PluginType},
            PluginType.NAMED_RESOURCE.label: _no_resource,
            **checks,
        }
        self._distributions = Distributions()
        self._inventory = Inventory()

    def run(self) -> Inventory:
        try:
            shared = registry()
        except PluginSourceError as error:
            self._inventory.failures.append(Failure(str(error), ENV_TORCHX_PLUGINS_SOURCE))
        else:
            self._take_registry(shared)
        for label, group in ENTRY_POINT_ONLY.items():
            self._take_entry_points(label, group)
        self._inventory.failures.extend(
            Failure(
                f"its entry points cannot be read: {reason}",
                "",
                origin=Origin(distribution=distribution),
            )
            for distribution, reason in entrypoints.unreadable().items()
        )
        return self._inventory

    def _take_registry(self, shared: PluginRegistry) -> None:
        self._inventory.sources = [
            style
            for source, style in (
                (PluginSource.NAMESPACE_PKG, NAMESPACE),
                (PluginSource.ENTRYPOINT, ENTRY_POINT),
            )
            if source in shared.plugin_sources
        ]
        for plugin_type in PluginType:
            plugins = shared.get(plugin_type)
            if PluginSource.ENTRYPOINT in shared.plugin_sources:
                self._take_duplicates(plugin_type.label, plugin_type.value)
            for name, factory in plugins.items():
                if base_of(factory) not in plugins:
                    self._take(self._plugin(plugin_type.label, name, factory, plugins), factory)
        for lost in shared.collisions():
            kind, name = lost.plugin_type.label, lost.name
            winner, loser = (self._plugin(kind, name, each) for each in (lost.winner, lost.loser))
            self._inventory.collisions.append(Clash(winner, loser))
        self._inventory.failures.extend(list(self._scan_failures(shared)))

    def _take_entry_points(self, label: str, group: str) -> None:
        self._take_duplicates(label, group)
        for name, factory in (entrypoints.load_group(group) or {}).items():
            self._take(self._plugin(label, name, factory), factory)

    def _take_duplicates(self, label: str, group: str) -> None:
        first: dict[str, DeferredEntryPoint] = {}
        for each in map(DeferredEntryPoint, entrypoints.declared(group)):
            name = each.entry_point.name
            winner = first.setdefault(name, each)
            if winner.entry_point.value != each.entry_point.value:
                clash = Clash(self._plugin(label, name, winner), self._plugin(label, name, each))
                self._inventory.collisions.append(clash)

    def _take(self, plugin: Plugin, factory: PluginFactory) -> None:
        problem = _problem(factory, self._checks.get(plugin.type))
        if problem is not None:
            self._inventory.failures.append(
                Failure(problem, plugin.module, plugin.type, plugin.name, plugin.origin)
            )
            return
        self._inventory.plugins.append(plugin)
        for name in (plugin.name, *plugin.aliases, *plugin.fractionals):
            module = self._builtins.get(plugin.type, {}).get(name)
            if module is not None:
                hidden = Plugin(plugin.type, name, BUILT_IN, module)
                self._inventory.collisions.append(Clash(plugin, hidden))

    def _plugin(
        self,
        label: str,
        name: str,
        factory: PluginFactory,
        plugins: Mapping[str, PluginFactory] | None = None,
    ) -> Plugin:
        module = module_of(factory)
        if isinstance(factory, DeferredEntryPoint):
            origin = origin_of(factory.entry_point.dist)
            return Plugin(label, name, ENTRY_POINT, module, origin)
        aliases, fractionals = parts_of(plugins or {}, name)
        origin = self._distributions.origin_of(module)
        return Plugin(label, name, NAMESPACE, module, origin, aliases, fractionals)

    def _scan_failures(self, shared: PluginRegistry) -> Iterator[Failure]:
        known: set[tuple[str | None, str | None, str]] = {
            (lost.plugin_type.label, lost.name, module_of(lost.loser))
            for lost in shared.collisions()
        }
        known.update((each.type, each.name, each.module) for each in self._inventory.failures)
        for error in shared.errors:
            if (error.plugin_type, error.name, error.module) not in known:
                origin = self._distributions.origin_of(error.module)
                yield Failure(error.error, error.module, error.plugin_type, error.name, origin)


def _problem(factory: PluginFactory, check: Check | None) -> str | None:
    try:
        loaded = factory.load() if isinstance(factory, DeferredEntryPoint) else factory
        return check(loaded) if check is not None else None
    except Exception as error:
        return reason_of(error)


def _not_callable(loaded: object) -> str | None:
    return None if callable(loaded) else f"it is a {type(loaded).__name__}, which cannot be called"


def _no_resource(loaded: object) -> str | None:
    from torchx.specs import Resource

    if not callable(loaded):
        return _not_callable(loaded)
    made = call_foreign("making the resource", loaded)
    return (
        None
        if isinstance(made, Resource)
        else f"what it makes is of type {type(made).__name__}, not Resource"
    )
