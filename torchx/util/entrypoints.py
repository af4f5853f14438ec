"""Entry points of the installed distributions, scanned once per state of ``sys.path``.

``importlib.metadata`` is slow to import and to ask, and most installations have no plugins, so the
distributions' ``entry_points.txt`` files are first searched for the name of the group.
"""

from __future__ import annotations

import functools
import importlib
import os
import sys
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple, cast

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint, EntryPoints

    metadata: ModuleType

_MISSING = object()
_METADATA_SUFFIXES = (".dist-info", ".egg-info", "egg-info")
_FILE_BASED_FINDERS = ("importlib", "_frozen_importlib")


class _PathState(NamedTuple):
    """What the result of a scan depends on."""

    directories: tuple[tuple[str, int], ...]
    entry_points: object


_groups_cache: tuple[tuple[tuple[str, int], ...], frozenset[str] | None] | None = None
_scan_cache: tuple[_PathState, EntryPoints] | None = None


def __getattr__(name: str) -> ModuleType:
    if name == "metadata":
        return importlib.import_module("importlib.metadata")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


class DeferredEntryPoint:
    """An entry point that is imported when it is called.

    Args:
        entry_point: The entry point to load.

    Attributes:
        entry_point: The entry point, for reports on where a plugin comes from.
    """

    def __init__(self, entry_point: EntryPoint) -> None:
        self.entry_point = entry_point

    def load(self) -> Any:
        """Imports what the entry point names, within the time that plugins are given.

        Returns:
            The module or the attribute.

        Raises:
            ModuleNotFoundError: If the module is missing.
            AttributeError: If the module has no such attribute.
            PluginLoadError: If the import hangs, or tries to end the process.
        """
        from torchx.util.foreign import call_foreign

        return call_foreign(f"importing {self.entry_point.value}", self.entry_point.load)

    def __call__(self, *args: object, **kwargs: object) -> Any:
        """Imports the module and returns it, or calls the attribute that the entry point names.

        Args:
            args: Handed on to an attribute, ignored for a module.
            kwargs: Likewise.

        Returns:
            The module, or what the attribute returned.

        Raises:
            ModuleNotFoundError: If the module is missing.
            AttributeError: If the module has no such attribute.
            PluginLoadError: If the import hangs, or tries to end the process.
        """
        loaded = self.load()
        return loaded(*args, **kwargs) if self.entry_point.attr else loaded


def load(group: str, name: str, default: object = _MISSING) -> Any:
    """Loads one entry point.

    Args:
        group: For example ``torchx.file``.
        name: Name within the group.
        default: What to return if there is no such entry point; None counts as a value.

    Returns:
        The object that the entry point names.

    Raises:
        KeyError: If it is missing and no default is given.
    """
    found = _entry_points_of(group).get(name)
    if found is not None:
        return DeferredEntryPoint(found).load()
    if default is _MISSING:
        raise KeyError(f"entrypoint {group}.{name} not found")
    return default


def load_group(group: str, default: Any = _MISSING) -> Any:
    """Returns the entry points of a group without importing any.

    Args:
        group: For example ``torchx.schedulers``.
        default: What to return if the group is empty, by default an empty dict.

    Returns:
        A dict from name to a callable that loads the entry point, see
        :py:class:`DeferredEntryPoint`.
    """
    found = _entry_points_of(group)
    if not found:
        return {} if default is _MISSING else default
    return {name: DeferredEntryPoint(entry_point) for name, entry_point in found.items()}


def declared(group: str) -> list[EntryPoint]:
    """Returns all entry points of a group, also those that lose to another of the same name.

    Args:
        group: For example ``torchx.schedulers``.

    Returns:
        The entry points; of each name the first is the one that is used.
    """
    installed = _metadata_if_imported()
    if installed is None or _is_genuine(installed.entry_points):
        named = _named_groups()
        if named is not None and group not in named:
            return []
    return list(_scan().select(group=group))


def _entry_points_of(group: str) -> dict[str, EntryPoint]:
    return _first_of_each_name(group, declared(group))


def _first_of_each_name(group: str, found: list[EntryPoint]) -> dict[str, EntryPoint]:
    winners: dict[str, EntryPoint] = {}
    for entry_point in found:
        winner = winners.setdefault(entry_point.name, entry_point)
        if winner is not entry_point and winner.value != entry_point.value:
            _warn_of_duplicate(f"{group}.{winner.name}", winner.value, entry_point.value)
    return winners


@functools.lru_cache
def _warn_of_duplicate(name: str, winner: str, loser: str) -> None:
    """Warns once, however often the group is asked for."""
    import logging

    logging.getLogger(__name__).warning(
        "entry point %s is declared twice: %s is used, %s is ignored", name, winner, loser
    )


def _metadata_if_imported() -> ModuleType | None:
    patched = globals().get("metadata")
    return cast("ModuleType | None", patched or sys.modules.get("importlib.metadata"))


def _is_genuine(entry_points: object) -> bool:
    return type(entry_points) is FunctionType and entry_points.__module__ == "importlib.metadata"


def _scan() -> EntryPoints:
    global _scan_cache
    source = sys.modules[__name__].metadata
    if not _is_genuine(source.entry_points):
        return cast("EntryPoints", source.entry_points())
    state = _PathState(_directories(), source.entry_points)
    if _scan_cache is None or _scan_cache[0] != state:
        _scan_cache = (state, _scan_all(source))
    return _scan_cache[1]


def _scan_all(source: ModuleType) -> EntryPoints:
    try:
        return cast("EntryPoints", source.entry_points())
    except Exception:
        # One distribution whose declarations cannot be read must not hide those of the others.
        readable, errors = _scan_each(source)
        for name, error in errors.items():
            _warn_of_unreadable(name, error)
        return cast("EntryPoints", source.EntryPoints(readable))


def unreadable() -> dict[str, str]:
    """Finds the distributions whose entry points cannot be read.

    Returns:
        What is wrong, by name of the distribution.
    """
    return _scan_each(sys.modules[__name__].metadata)[1]


def _scan_each(source: ModuleType) -> tuple[list[EntryPoint], dict[str, str]]:
    readable: dict[str, list[EntryPoint]] = {}
    errors: dict[str, str] = {}
    for distribution in source.distributions():
        name = str(distribution.metadata["Name"])
        try:
            # Of two installations of one distribution the first on the path counts.
            readable.setdefault(name, list(distribution.entry_points))
        except Exception as error:
            errors[name] = f"{type(error).__name__}: {error}"
    return [each for some in readable.values() for each in some], errors


@functools.lru_cache
def _warn_of_unreadable(distribution: str, error: str) -> None:
    import logging

    logging.getLogger(__name__).warning(
        "the entry points of %s cannot be read: %s", distribution, error
    )


def _directories() -> tuple[tuple[str, int], ...]:
    """Returns the places that distributions are looked for in, and when each last changed."""
    places: list[tuple[str, int]] = []
    for place in sys.path:
        try:
            changed_ns = os.stat(place or ".").st_mtime_ns
            path = os.path.abspath(place) if place in ("", ".") else place
        except OSError:
            # A directory that does not exist, or the working directory after it was deleted.
            continue
        places.append((path, changed_ns))
    return tuple(places)


def _named_groups() -> frozenset[str] | None:
    """Returns all groups that any distribution names; None if that cannot be read from files."""
    global _groups_cache
    places = _directories()
    if _groups_cache is None or _groups_cache[0] != places:
        _groups_cache = (places, _read_groups(places))
    return _groups_cache[1]


def _read_groups(places: tuple[tuple[str, int], ...]) -> frozenset[str] | None:
    if any(_finds_distributions_elsewhere(finder) for finder in sys.meta_path):
        return None
    groups: set[str] = set()
    for place, _ in places:
        if not os.path.isdir(place):
            return None
        for name in _names_in(place):
            if name.lower().endswith(_METADATA_SUFFIXES):
                groups.update(_groups_in(os.path.join(place, name, "entry_points.txt")))
    return frozenset(groups)


def _names_in(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except OSError:
        # Python itself skips directories on its path that it may not read.
        return []


def _finds_distributions_elsewhere(finder: object) -> bool:
    owner = finder if isinstance(finder, type) else type(finder)
    return hasattr(owner, "find_distributions") and not owner.__module__.startswith(
        _FILE_BASED_FINDERS
    )


def _groups_in(path: str) -> set[str]:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            lines = [line.strip() for line in file]
    except OSError:
        # Most distributions have no entry points at all.
        return set()
    return {line[1:-1].strip() for line in lines if line[:1] == "[" and line[-1:] == "]"}
