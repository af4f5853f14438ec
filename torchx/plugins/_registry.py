"""What plugins there are. Nothing is imported or searched for before somebody asks."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import ModuleType
from typing import Any, overload

from torchx.plugins._model import (
    NAMED_RESOURCES_ATTR,
    Collision,
    PluginFactory,
    PluginSource,
    PluginSourceError,
    PluginType,
    RegistrationError,
)
from torchx.settings import ENV_TORCHX_PLUGINS_SOURCE
from torchx.util import entrypoints

__all__ = [
    "NAMED_RESOURCES_ATTR",
    "PluginRegistry",
    "PluginSource",
    "PluginSourceError",
    "PluginType",
    "RegistrationError",
    "registry",
]

_discovering: ContextVar[tuple[PluginType, ...]] = ContextVar("_discovering", default=())


def __getattr__(name: str) -> ModuleType:
    # Tests of other packages patch `torchx.plugins._registry.pkgutil.iter_modules`.
    if name == "pkgutil":
        import pkgutil

        return pkgutil
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


class PluginRegistry:
    """Finds plugins, each kind when it is first asked for and once. Safe to share by threads.

    Args:
        plugin_sources: Where plugins are looked for.

    Attributes:
        plugin_sources: Where plugins are looked for.
    """

    def __init__(
        self, *, plugin_sources: PluginSource = PluginSource.NAMESPACE_PKG | PluginSource.ENTRYPOINT
    ) -> None:
        self.plugin_sources = plugin_sources
        self._cache: dict[PluginType, dict[str, PluginFactory]] = {}
        self._errors: list[RegistrationError] = []
        self._collisions: list[Collision] = []
        self._errors_lock = threading.Lock()
        self._locks = {plugin_type: threading.RLock() for plugin_type in PluginType}

    def get(self, plugin_type: PluginType) -> dict[str, PluginFactory]:
        """Returns the plugins of a kind, finding them first if need be.

        Args:
            plugin_type: The kind.

        Returns:
            Factory by name, the same object each time; empty if there are none.

        Raises:
            RuntimeError: A module asks while it is itself being searched for such plugins.
        """
        found = self._cache.get(plugin_type)
        if found is not None:
            return found
        if plugin_type in _discovering.get():
            raise RuntimeError(
                f"re-entrant search for {plugin_type.label} plugins: a module that may provide"
                " some asks for them while it is being imported; ask inside a function instead"
            )
        with self._locks[plugin_type]:
            found = self._cache.get(plugin_type)
            if found is None:
                with _marked_as_discovering(plugin_type):
                    found = self._discover(plugin_type)
                self._cache[plugin_type] = found
            return found

    @overload
    def info(self) -> dict[PluginType, dict[str, PluginFactory]]: ...

    @overload
    def info(self, plugin_type: PluginType) -> dict[str, PluginFactory]: ...

    def info(
        self, plugin_type: PluginType | None = None
    ) -> dict[str, PluginFactory] | dict[PluginType, dict[str, PluginFactory]]:
        """Returns copies of what was found.

        Args:
            plugin_type: One kind; by default all of them.

        Returns:
            Factory by name; by kind and name if none is given.
        """
        if plugin_type is not None:
            return dict(self.get(plugin_type))
        return {each: dict(self.get(each)) for each in PluginType}

    @property
    def errors(self) -> list[RegistrationError]:
        """What went wrong so far; nothing is searched for."""
        return list(self._errors)

    def load_errors(self, plugin_type: PluginType | None = None) -> list[RegistrationError]:
        """Returns what cannot be used, and why. Imports everything, entry points included.

        Args:
            plugin_type: One kind; by default all of them.

        Returns:
            The errors, in the order in which they were found. A plugin in the wrong place counts
            for its own kind and for the place.
        """
        from torchx.plugins._entry_points import import_errors

        kinds = list(PluginType) if plugin_type is None else [plugin_type]
        for kind in kinds:
            self._add_errors(import_errors(kind, self.get(kind)))
        if plugin_type is None:
            return self.errors
        return [error for error in self._errors if _is_about(error, plugin_type)]

    def collisions(self) -> list[Collision]:
        """Returns which plugins lost to others of the same name.

        Returns:
            A copy of what was found so far; nothing is searched for.
        """
        return list(self._collisions)

    def clear(self) -> None:
        """Forgets everything, so that plugins that were installed meanwhile are found.

        Also forgets :func:`registry` and the named resources that were looked up.
        """
        import importlib

        importlib.invalidate_caches()
        self._cache.clear()
        self._errors.clear()
        self._collisions.clear()
        registry.cache_clear()
        library = sys.modules.get("torchx.specs.resource_library")
        if library is not None:
            library.named_resources.reset()

    def to_dict(self) -> dict[str, list[dict[str, Any]]]:
        """Returns what was found and what went wrong, as plain data.

        Returns:
            Plugins and their errors by kind (``scheduler``, ``named_resource``, ``tracker``, and
            ``event_handler`` if there is any), and ``errors`` of whole modules.
        """
        from torchx.plugins._report import as_dict

        errors = self.load_errors()
        return as_dict(self.info(), errors)

    def __str__(self) -> str:
        from torchx.plugins._report import as_yaml

        return as_yaml(self.to_dict())

    @staticmethod
    def _namespace_for_type(plugin_type: PluginType) -> str:
        return plugin_type.namespace

    def _discover(self, plugin_type: PluginType) -> dict[str, PluginFactory]:
        found: dict[str, PluginFactory] = {}
        if PluginSource.NAMESPACE_PKG in self.plugin_sources:
            namespace = self._namespace_for_type(plugin_type)
            found.update(self._find_namespace_plugins(namespace, plugin_type))
        if PluginSource.ENTRYPOINT in self.plugin_sources:
            declared = entrypoints.load_group(plugin_type.value) or {}
            if found and declared:
                from torchx.plugins._entry_points import collisions, shadowing_error

                lost = collisions(plugin_type, found, declared)
                self._collisions.extend(lost)
                self._add_errors([shadowing_error(collision) for collision in lost])
            found.update(declared)
        return found

    def _find_namespace_plugins(
        self, namespace: str, expected_type: PluginType | None = None
    ) -> dict[str, PluginFactory]:
        if not _may_exist(namespace.partition(".")[0]):
            return {}
        from torchx.plugins._namespace import NamespaceScan

        scan = NamespaceScan(expected_type)
        scan.run(namespace)
        self._add_errors(scan.errors)
        self._collisions.extend(scan.collisions)
        return scan.found

    def _collect_plugins_from_module(
        self,
        mod: ModuleType,
        fqn: str,
        expected_type: PluginType | None,
        discovered: dict[str, PluginFactory],
    ) -> None:
        from torchx.plugins._namespace import NamespaceScan

        scan = NamespaceScan(expected_type, discovered)
        scan.collect(mod, fqn)
        self._add_errors(scan.errors)

    @staticmethod
    def _normalize_value(v: object) -> object:
        from torchx.plugins._equality import normal_form

        return normal_form(v)

    def _add_errors(self, errors: list[RegistrationError]) -> None:
        with self._errors_lock:
            self._errors.extend(error for error in errors if error not in self._errors)


class _SharedRegistry:
    """Makes the registry of this process when it is first asked for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._registry: PluginRegistry | None = None

    def __call__(self) -> PluginRegistry:
        """Returns the registry of this process.

        Returns:
            The same registry each time.

        Raises:
            PluginSourceError: ``TORCHX_PLUGINS_SOURCE`` has an illegal value.
        """
        with self._lock:
            if self._registry is None:
                sources = PluginSource.parse(os.environ.get(ENV_TORCHX_PLUGINS_SOURCE))
                self._registry = PluginRegistry(plugin_sources=sources)
            return self._registry

    def cache_clear(self) -> None:
        """Makes the next call return a new registry."""
        with self._lock:
            self._registry = None


registry = _SharedRegistry()
"""Returns the registry of this process."""


@contextmanager
def _marked_as_discovering(plugin_type: PluginType) -> Iterator[None]:
    token = _discovering.set((*_discovering.get(), plugin_type))
    try:
        yield
    finally:
        _discovering.reset(token)


def _may_exist(package: str) -> bool:
    """Tells quickly that a package does not exist, which is how it mostly is."""
    import importlib.util

    try:
        return importlib.util.find_spec(package) is not None
    except (ImportError, ValueError):
        return True


def _is_about(error: RegistrationError, plugin_type: PluginType) -> bool:
    return error.plugin_type == plugin_type.label or f"{error.module}.".startswith(
        f"{plugin_type.namespace}."
    )
