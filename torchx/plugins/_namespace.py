"""Finds plugins in the modules below a namespace package."""

from __future__ import annotations

import importlib
import logging
import os
import pkgutil
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from torchx.plugins._equality import is_same_plugin
from torchx.plugins._model import Collision, PluginFactory, PluginType, RegistrationError
from torchx.util.foreign import call_foreign, reason_of
from torchx.util.redact import redact_text

logger: logging.Logger = logging.getLogger(__name__)


class NamespaceScan:
    """One search.

    Args:
        expected_type: The kind of plugins that belong here, None for any.

    Attributes:
        found: The plugins by name.
        errors: What went wrong.
        collisions: Plugins that lost to others of the same name.
    """

    def __init__(
        self,
        expected_type: PluginType | None = None,
        found: dict[str, PluginFactory] | None = None,
    ) -> None:
        self._expected_type = expected_type
        self.found: dict[str, PluginFactory] = {} if found is None else found
        self.errors: list[RegistrationError] = []
        self.collisions: list[Collision] = []

    def run(self, namespace: str) -> None:
        """Searches a package and everything below it.

        Args:
            namespace: Its full name. That it does not exist is no error.
        """
        try:
            root = _import(namespace)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{namespace}.".startswith(f"{error.name}."):
                self._record(RegistrationError(namespace, reason_of(error)))
            return
        except Exception as error:
            self._record(RegistrationError(namespace, reason_of(error)))
            return
        if hasattr(root, "__path__"):
            self._scan_package(root, namespace)

    def collect(self, module: ModuleType, name: str) -> None:
        """Collects the plugins that a module defines.

        Args:
            module: The module.
            name: Its full name.
        """
        own = {name, module.__name__}
        try:
            plugins = call_foreign(
                f"reading {name}",
                lambda: [_plugin_of(module, attribute, own) for attribute in dir(module)],
            )
        except Exception as error:
            self._record(RegistrationError(name, reason_of(error)))
            return
        for plugin in plugins:
            if plugin is not None:
                self._add(plugin, name)

    def _scan_package(self, package: ModuleType, name: str) -> None:
        paths = [str(path) for path in package.__path__]
        try:
            below = [info.name for info in pkgutil.iter_modules(paths)]
        except Exception as error:
            self._record(RegistrationError(name, f"the scan failed: {reason_of(error)}"))
            return
        for child in below:
            self._report_hidden(f"{name}.{child}", _files_of(child, paths))
        implicit = [found for found in _implicit_packages(paths) if found not in below]
        for child in [*below, *implicit]:
            if not child.startswith("_"):
                self._scan_module(f"{name}.{child}")

    def _report_hidden(self, name: str, files: list[str]) -> None:
        """Python imports the first of several files of one name, and tells nobody of the others."""
        for hidden in files[1:]:
            if not _have_equal_contents(files[0], hidden):
                self._record(RegistrationError(name, f"{hidden} is hidden by {files[0]}"))

    def _scan_module(self, name: str) -> None:
        try:
            module = _import(name)
        except Exception as error:
            self._record(RegistrationError(name, reason_of(error)))
            return
        self.collect(module, name)
        if hasattr(module, "__path__"):
            self._scan_package(module, name)

    def _add(self, plugin: Any, module: str) -> None:
        plugin_type: PluginType = plugin._plugin_type
        name: object = plugin._plugin_name
        if not isinstance(name, str) or not name:
            problem: str | None = f"the name of a plugin must be text, not {name!r}"
        else:
            problem = self._misplaced(plugin_type) or self._clash(plugin, plugin_type, name)
        if problem is None:
            self.found.setdefault(str(name), plugin)
        else:
            self._record(RegistrationError(module, problem, str(name), plugin_type.label))

    def _misplaced(self, plugin_type: PluginType) -> str | None:
        expected = self._expected_type
        if expected is None or plugin_type is expected:
            return None
        return (
            f"is a {plugin_type.label} but is under the {expected.label} namespace \u2014 use"
            f" @register.{expected.label}() or move to `{plugin_type.namespace}`"
        )

    def _clash(self, plugin: PluginFactory, plugin_type: PluginType, name: str) -> str | None:
        first = self.found.get(name)
        if first is None or is_same_plugin(plugin_type, first, plugin):
            return None
        self.collisions.append(Collision(plugin_type, name, winner=first, loser=plugin))
        return f"`{name}` has a DIFFERENT value in {first.__module__}, which is used"

    def _record(self, error: RegistrationError) -> None:
        self.errors.append(error)
        subject = f"plugin `{error.name}` of {error.module}" if error.name else error.module
        logger.warning("%s is not used: %s", subject, redact_text(error.error))


def _import(name: str) -> ModuleType:
    return call_foreign(f"importing {name}", lambda: importlib.import_module(name))


def _plugin_of(module: ModuleType, attribute: str, defined_in: set[str]) -> PluginFactory | None:
    try:
        value = getattr(module, attribute)
        is_plugin = (
            callable(value)
            and isinstance(getattr(value, "_plugin_type", None), PluginType)
            and value.__module__ in defined_in
            and hasattr(value, "_plugin_name")
        )
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        # Proxies of all sorts raise when they are touched; none of them is a plugin.
        logger.debug("%s.%s cannot be read: %s", module.__name__, attribute, reason_of(error))
        return None
    return value if is_plugin else None


def _files_of(module: str, paths: list[str]) -> list[str]:
    candidates = [
        os.path.join(path, *parts)
        for path in paths
        for parts in ((module, "__init__.py"), (f"{module}.py",))
    ]
    return [file for file in candidates if os.path.isfile(file)]


def _have_equal_contents(one: str, other: str) -> bool:
    import filecmp

    try:
        return filecmp.cmp(one, other, shallow=False)
    except OSError:
        # One that may not be read is none that could be used instead.
        return False


def _implicit_packages(paths: list[str]) -> Iterator[str]:
    """Yields directories without ``__init__.py`` that hold modules, at whatever depth."""
    seen: set[str] = set()
    for path in paths:
        directories = _real_directories(path) if os.path.isdir(path) else _zipped_directories(path)
        for name in sorted(directories):
            if name not in seen and name.isidentifier() and not name.startswith("_"):
                seen.add(name)
                yield name


def _real_directories(path: str) -> set[str]:
    return {entry.name for entry in _entries(path) if entry.is_dir() and _holds_modules(entry.path)}


def _holds_modules(directory: str) -> bool:
    return any(name.endswith(".py") for _, _, names in os.walk(directory) for name in names)


def _entries(path: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(path) as entries:
            return list(entries)
    except OSError:
        # Python itself skips directories that it may not read.
        return []


def _zipped_directories(path: str) -> set[str]:
    import zipfile

    importer = pkgutil.get_importer(path)
    archive = getattr(importer, "archive", None)
    if archive is None:
        return set()
    inside = os.path.relpath(path, archive).replace(os.sep, "/") + "/"
    with zipfile.ZipFile(archive) as file:
        names = [name.removeprefix(inside) for name in file.namelist() if name.startswith(inside)]
    return {name.partition("/")[0] for name in names if "/" in name and name.endswith(".py")}
