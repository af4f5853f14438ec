"""Looking up hardware by name.

Nothing is imported or scanned before the first lookup. This module is not called
``named_resources``: importing a submodule of that name would replace the attribute
``torchx.specs.named_resources``, which is the library itself.

The package ``torchx.specs`` serves the tables of this module under their published names (see
:py:data:`LAZY_ATTRIBUTES`). A value that was *assigned* to one of those names on the package, as
scripts and tests do, is preferred over the table kept here.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, KeysView, Mapping
from contextvars import ContextVar
from threading import RLock
from typing import cast

from torchx.specs.app import NULL_RESOURCE, Resource

ResourceFactory = Callable[[], Resource]
"""Makes a resource; called anew on each lookup."""

_DEFAULT_CUSTOM_MODULE = "torchx.specs.fb.named_resources"
_DEFAULT_CPU = 2
_DEFAULT_MEMORY_MIB = 1024


class _NamedResourcesLibrary:
    """A read-only mapping from names to resources, filled by the first lookup.

    Attributes:
        _factories: What was discovered, None before the first lookup.
    """

    def __init__(self) -> None:
        self._factories: dict[str, ResourceFactory] | None = None
        self._lock = RLock()

    def __getitem__(self, name: str) -> Resource:
        factories = self._all()
        names = factories.keys()
        if name in names:
            return factories[name]()
        raise KeyError(_not_found(name, list(names)))

    def __contains__(self, name: object) -> bool:
        return name in self._all().keys()  # noqa: SIM118 - an assigned table may only have keys()

    def __iter__(self) -> Iterator[str]:
        return iter(self._all().keys())

    def keys(self) -> KeysView[str]:
        """Returns the known names.

        Returns:
            A live view, in the order in which the sources are merged.
        """
        return self._all().keys()

    def items(self) -> Iterator[tuple[str, Resource]]:
        """Yields each name with a new resource.

        Yields:
            Pairs of name and resource.
        """
        for name, factory in list(self._all().items()):
            yield name, factory()

    def reset(self) -> None:
        """Forgets what was discovered, so that the next lookup discovers anew."""
        plugins = sys.modules.get("torchx.plugins._registry")
        if plugins is not None:
            plugins.registry.cache_clear()
        with self._lock:
            self._factories = None

    def factories(self) -> dict[str, ResourceFactory]:
        """Returns the table of this library itself, discovering it if necessary.

        Returns:
            The live table: an item assigned to it is found by later lookups.

        Raises:
            RuntimeError: If discovery itself (a plugin that is just being imported) asks.
        """
        factories = self._factories
        return factories if factories is not None else self._discover_once()

    def _all(self) -> dict[str, ResourceFactory]:
        assigned = _assigned("_named_resource_factories")
        if assigned is not None:
            return cast("dict[str, ResourceFactory]", assigned)
        return self.factories()

    def _discover_once(self) -> dict[str, ResourceFactory]:
        if _discovering.get() is self:
            raise RuntimeError(
                "re-entrant named-resource lookup: a module that provides named resources looks"
                " one up while it is being imported; look it up inside a function instead"
            )
        with self._lock:
            if self._factories is None:
                token = _discovering.set(self)
                try:
                    self._factories = load_named_resources()
                finally:
                    _discovering.reset(token)
            return self._factories


_discovering: ContextVar[_NamedResourcesLibrary | None] = ContextVar("_discovering", default=None)

named_resources = _NamedResourcesLibrary()
"""The library of this process."""


def load_named_resources() -> dict[str, ResourceFactory]:
    """Merges all sources of named resources; later ones win.

    The order is generic, AWS, custom module, plugins, ``.torchxconfig``; ``NULL`` and ``MISSING``
    always stand for :py:data:`~torchx.specs.NULL_RESOURCE`.

    Returns:
        A new table.
    """
    factories: dict[str, ResourceFactory] = {}
    for attribute, source in (
        ("GENERIC_NAMED_RESOURCES", generic_named_resources),
        ("AWS_NAMED_RESOURCES", aws_named_resources),
        ("CUSTOM_NAMED_RESOURCES", custom_named_resources),
    ):
        assigned = _assigned(attribute)
        table = source() if assigned is None else assigned
        factories.update(cast("Mapping[str, ResourceFactory]", table))
    factories.update(_discover_plugins())
    factories.update(_configured())
    for name in ("NULL", "MISSING"):
        factories.pop(name, None)
        factories[name] = _null_resource
    return factories


def generic_named_resources() -> Mapping[str, ResourceFactory]:
    """Returns the sizes that exist everywhere.

    Returns:
        Name to factory.
    """
    from torchx.specs import named_resources_generic

    return named_resources_generic.NAMED_RESOURCES


def aws_named_resources() -> Mapping[str, ResourceFactory]:
    """Returns the AWS instance types.

    Returns:
        Name to factory.
    """
    from torchx.specs import named_resources_aws

    return named_resources_aws.NAMED_RESOURCES


def custom_named_resources() -> Mapping[str, ResourceFactory]:
    """Returns ``NAMED_RESOURCES`` of the module that ``TORCHX_CUSTOM_NAMED_RESOURCES`` names.

    Returns:
        Name to factory; empty if the module does not exist.

    Raises:
        AttributeError: If the module has no ``NAMED_RESOURCES``.
        ModuleNotFoundError: If the variable names a module that fails on one of its own imports.
    """
    from torchx.util.modules import import_attr

    configured = os.environ.get("TORCHX_CUSTOM_NAMED_RESOURCES")
    none: Mapping[str, ResourceFactory] = {}
    try:
        return import_attr(configured or _DEFAULT_CUSTOM_MODULE, "NAMED_RESOURCES", none)
    except ModuleNotFoundError:
        if configured:
            raise
        return none


def _discover_plugins() -> Mapping[str, ResourceFactory]:
    from torchx import plugins
    from torchx.plugins.lookup import registered

    return registered(plugins.PluginType.NAMED_RESOURCE, plugins.registry)


def _configured() -> Mapping[str, ResourceFactory]:
    from torchx.specs.configured_resources import configured_resources

    return configured_resources()


def resource(
    cpu: int | None = None,
    gpu: int | None = None,
    memMB: int | None = None,
    h: str | None = None,
) -> Resource:
    """Makes a resource from numbers or from a name.

    Args:
        cpu: Number of CPUs; None and 0 stand for 2.
        gpu: Number of GPUs; None stands for 0.
        memMB: Memory in MiB; None and 0 stand for 1024.
        h: Name of a named resource, which then decides alone.

    Returns:
        A resource.

    Raises:
        KeyError: If there is no named resource ``h``; the text names the closest one.

    Example:
        >>> resource(h="cpu.small").memMB
        2048
    """
    if h:
        return named_resources[h]
    return Resource(
        cpu=cpu or _DEFAULT_CPU,
        gpu=gpu or 0,
        memMB=memMB or _DEFAULT_MEMORY_MIB,
    )


def get_named_resources(res: str) -> Resource:
    """Returns a named resource; deprecated in favour of ``resource(h=name)``.

    Args:
        res: Name of the resource.

    Returns:
        The resource.

    Raises:
        KeyError: If there is none of that name.
    """
    import warnings

    warnings.warn(
        "get_named_resources(name) is deprecated, use resource(h=name) instead",
        FutureWarning,
        stacklevel=2,
    )
    return named_resources[res]


LAZY_ATTRIBUTES: Mapping[str, Callable[[], object]] = {
    "GENERIC_NAMED_RESOURCES": generic_named_resources,
    "AWS_NAMED_RESOURCES": aws_named_resources,
    "CUSTOM_NAMED_RESOURCES": custom_named_resources,
    "_named_resource_factories": named_resources.factories,
}
"""What the package ``torchx.specs`` computes on access, and must not keep in its namespace."""


def _null_resource() -> Resource:
    return NULL_RESOURCE


def _assigned(attribute: str) -> object | None:
    """Returns what somebody assigned to a name that the package otherwise computes."""
    package = sys.modules.get("torchx.specs")
    return vars(package).get(attribute) if package is not None else None


def _not_found(name: str, names: list[str]) -> str:
    import difflib

    closest = difflib.get_close_matches(name, names, n=1)
    if closest:
        return f"No named resource found for `{name}`. Did you mean `{closest[0]}`?"
    return f"No named resource found for `{name}`. Registered named resources: {names}"
