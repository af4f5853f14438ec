"""The decorators that mark functions as plugins."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar, cast

from torchx.plugins._fractions import (
    EIGHTH,
    HALF,
    QUARTER,
    SIXTEENTH,
    WHOLE,
    halve_mem_down_to,
    powers_of_two_gpus,
)
from torchx.plugins._model import (
    NAMED_RESOURCES_ATTR,
    PluginFactory,
    PluginRegistrationError,
    PluginType,
)

if TYPE_CHECKING:
    from torchx.specs import Resource

__all__ = [
    "EIGHTH",
    "HALF",
    "QUARTER",
    "SIXTEENTH",
    "WHOLE",
    "halve_mem_down_to",
    "powers_of_two_gpus",
    "register",
    "resource_tags",
]

F = TypeVar("F", bound=Callable[..., Any])

Fractions = Mapping[float, str]
"""Suffix of the name by fraction of the whole."""


class resource_tags:
    """Keys of ``Resource.tags`` that the decorator sets."""

    RESOURCE_NAME = "torchx/named_resources.name"
    IS_FRACTIONAL = "torchx/named_resources.is_fractional"


class register:
    """Marks a function as a plugin, in a module of ``torchx_plugins``.

    Args:
        type: What it provides.
        name: Its name, by default that of the function.

    Example:
        >>> @register(PluginType.TRACKER)
        ... def my_tracker(config: "str | None") -> object:
        ...     return object()
    """

    def __init__(self, type: PluginType, name: str | None = None) -> None:
        self._type = PluginType(type)
        self._name = name

    def __call__(self, fn: F) -> F:
        """Marks a function.

        Args:
            fn: The function.

        Returns:
            The same function; for a named resource, a function that tags what it returns.
        """
        if self._type is PluginType.NAMED_RESOURCE:
            return cast(F, _register_named_resource(fn, self._name))
        _mark(fn, self._type, self._name or fn.__name__)
        return fn

    @classmethod
    def scheduler(cls, name: str | None = None) -> register:
        """Marks a function that creates a scheduler.

        Args:
            name: Name of the scheduler, by default that of the function.

        Returns:
            A decorator for ``(session_name: str, **kwargs: object) -> Scheduler``.
        """
        return cls(PluginType.SCHEDULER, name)

    @classmethod
    def tracker(cls, name: str | None = None) -> register:
        """Marks a function that creates a tracker.

        Args:
            name: Name of the tracker, by default that of the function.

        Returns:
            A decorator for ``(config: str | None) -> TrackerBase``.
        """
        return cls(PluginType.TRACKER, name)

    @classmethod
    def event_handler(cls, name: str | None = None) -> register:
        """Marks a function that creates a handler for events of the runner.

        Args:
            name: The destination that it serves, by default the name of the function.

        Returns:
            A decorator for ``() -> logging.Handler``.
        """
        return cls(PluginType.EVENT_HANDLER, name)

    @classmethod
    def named_resource(
        cls,
        name: str | None = None,
        aliases: list[str] | None = None,
        fractionals: Callable[[Resource], Fractions] | Fractions | None = None,
    ) -> Callable[[Callable[..., Resource]], Callable[..., Resource]]:
        """Marks a function that makes a resource.

        Args:
            name: Name of the resource, by default that of the function.
            aliases: Further names of it.
            fractionals: Parts of it that have names of their own, as suffixes by fraction
                (``{0.5: "half"}`` adds ``NAME_half``), or what computes them from the whole, such
                as :func:`powers_of_two_gpus`.

        Returns:
            A decorator for ``() -> Resource``; with ``fractionals`` for
            ``(fractional: float = 1.0) -> Resource``. It adds the name to the tags of the resource
            (:class:`resource_tags`) and the function to ``NAMED_RESOURCES`` of its module.

        Raises:
            ValueError: When applied: the module has a named resource of such a name already.
            AttributeError: When applied: the module has something else of such a name.

        Example:
            >>> @register.named_resource(fractionals={0.5: "half"})
            ... def demo_box(fractional: float = 1.0) -> "Resource":
            ...     from torchx.specs import Resource
            ...     return Resource(cpu=int(8 * fractional), gpu=0, memMB=int(1024 * fractional))
        """

        def decorate(fn: Callable[..., Resource]) -> Callable[..., Resource]:
            return _register_named_resource(fn, name, aliases, fractionals)

        return decorate


def _register_named_resource(
    fn: Callable[..., Resource],
    name: str | None = None,
    aliases: list[str] | None = None,
    fractionals: Callable[[Resource], Fractions] | Fractions | None = None,
) -> Callable[..., Resource]:
    base_name = name or fn.__name__
    base = _factory(fn, base_name, base_name)
    made = {base_name: base}
    for alias in aliases or []:
        _add(made, alias, _child(fn, alias, base_name, is_alias=True))
    for fraction, suffix in _fractions(fn, fractionals).items():
        part = f"{base_name}_{suffix}"
        _add(made, part, _child(fn, part, base_name, fraction=fraction))
    module = _module_of(fn)
    _check_names(module, made, decorated=fn.__name__)
    vars(module).setdefault(NAMED_RESOURCES_ATTR, {}).update(made)
    for made_name, factory in made.items():
        if made_name != fn.__name__:
            setattr(module, made_name, factory)
    return base


def _fractions(
    fn: Callable[..., Resource],
    fractionals: Callable[[Resource], Fractions] | Fractions | None,
) -> Fractions:
    if callable(fractionals):
        return fractionals(fn())
    return fractionals or {}


def _child(
    fn: Callable[..., Resource],
    name: str,
    base_name: str,
    *,
    is_alias: bool = False,
    fraction: float | None = None,
) -> Callable[..., Resource]:
    factory = _factory(fn, name, base_name if is_alias else name, fraction)
    factory.__name__ = factory.__qualname__ = name
    _set(factory, _plugin_base_name=base_name)
    if is_alias:
        _set(factory, _plugin_is_alias=True)
    return factory


def _factory(
    fn: Callable[..., Resource], name: str, tagged_name: str, fraction: float | None = None
) -> Callable[..., Resource]:
    tags = {
        resource_tags.RESOURCE_NAME: tagged_name,
        resource_tags.IS_FRACTIONAL: fraction not in (None, WHOLE),
    }
    first = () if fraction is None else (fraction,)

    @functools.wraps(fn)
    def make(*args: object, **kwargs: object) -> Resource:
        return _tagged(fn(*first, *args, **kwargs), name, tags)

    _mark(make, PluginType.NAMED_RESOURCE, name)
    return make


def _tagged(resource: Resource, name: str, tags: Mapping[str, object]) -> Resource:
    import dataclasses

    from torchx.specs import Resource

    if not isinstance(resource, Resource):
        raise PluginRegistrationError(
            f"named resource `{name}` is a {type(resource).__name__}, not a Resource",
            hint="the decorated function has to return a torchx.specs.Resource",
        )
    # The function may return an object that others use too.
    return dataclasses.replace(
        resource,
        capabilities=dict(resource.capabilities),
        devices=dict(resource.devices),
        tags={**resource.tags, **tags},
    )


def _mark(fn: PluginFactory, plugin_type: PluginType, name: str) -> None:
    _set(fn, _plugin_type=plugin_type, _plugin_name=name)


def _set(fn: PluginFactory, **attributes: object) -> None:
    for name, value in attributes.items():
        setattr(fn, name, value)


def _module_of(fn: PluginFactory) -> ModuleType:
    module = sys.modules.get(fn.__module__)
    if module is None:
        raise PluginRegistrationError(
            f"named resource `{fn.__name__}` belongs to module {fn.__module__!r}, which is not"
            " imported",
            hint="register named resources in modules that are imported, not in executed text",
        )
    return module


def _add(
    made: dict[str, Callable[..., Resource]], name: str, factory: Callable[..., Resource]
) -> None:
    if name in made:
        raise ValueError(f"duplicate named resource `{name}` among its aliases and fractions")
    made[name] = factory


def _check_names(
    module: ModuleType, made: Mapping[str, Callable[..., Resource]], decorated: str
) -> None:
    taken = vars(module).get(NAMED_RESOURCES_ATTR, {})
    for name in made:
        if name in taken:
            raise ValueError(f"duplicate named resource `{name}` in module {module.__name__}")
        if name != decorated and hasattr(module, name):
            raise AttributeError(
                f"module {module.__name__} has an attribute `{name}` already, so no named resource"
                " of that name can be added"
            )
