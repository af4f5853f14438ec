"""Whether two plugins of one name are the same: the same package may be installed twice."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from enum import Enum
from typing import TYPE_CHECKING

from torchx.plugins._model import PluginFactory, PluginType
from torchx.plugins._registration import resource_tags

if TYPE_CHECKING:
    from torchx.specs import Resource

_DEFAULT_REPR = object.__repr__


def is_same_plugin(plugin_type: PluginType, one: PluginFactory, other: PluginFactory) -> bool:
    """Tells whether it makes no difference which of two plugins is used.

    Args:
        plugin_type: Their kind.
        one: A plugin.
        other: Another one of the same name.

    Returns:
        True if they are one object, or named resources that are equal in all that they describe.
    """
    if one is other:
        return True
    if plugin_type is not PluginType.NAMED_RESOURCE:
        return False
    from torchx.util.foreign import call_foreign

    try:
        return call_foreign(
            "comparing named resources",
            lambda: _resource_form(one()) == _resource_form(other()),
        )
    except Exception:
        # One that cannot be made is like no other.
        return False


def normal_form(value: object) -> object:
    """Turns a value into one that can be compared with values of other distributions.

    Classes that were generated twice, once in each distribution, count as one.

    Args:
        value: Any value.

    Returns:
        Nested tuples that are equal if, and only if, the values have equal contents.
    """
    if value is None or type(value) in (str, int, float, bytes):
        return value
    name = type(value).__name__
    if isinstance(value, Enum):
        return (name, normal_form(value.value))
    if isinstance(value, int):
        return (name, int(value))
    if isinstance(value, str):
        return (name, str.__str__(value))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = [field.name for field in dataclasses.fields(value)]
        return (name, *((field, normal_form(getattr(value, field))) for field in fields))
    if isinstance(value, Mapping):
        pairs = [(normal_form(key), normal_form(item)) for key, item in value.items()]
        return ("mapping", *sorted(pairs, key=repr))
    if isinstance(value, (set, frozenset)):
        return ("set", *sorted((normal_form(item) for item in value), key=repr))
    if isinstance(value, (list, tuple)):
        return ("sequence", *(normal_form(item) for item in value))
    return _form_of_object(name, value)


def _form_of_object(name: str, value: object) -> object:
    pairs = _named_items(value)
    if pairs is not None:
        return (name, *((key, normal_form(item)) for key, item in pairs))
    if type(value).__repr__ is _DEFAULT_REPR and hasattr(value, "__dict__"):
        return (name, normal_form(vars(value)))
    return repr(value)


def _named_items(value: object) -> list[tuple[str, object]] | None:
    if not isinstance(value, Iterable):
        return None
    items = list(value)
    if items and all(
        isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], str) for item in items
    ):
        return items
    return None


def _resource_form(made: object) -> object:
    from torchx.specs import Resource

    if not isinstance(made, Resource):
        return normal_form(made)
    return (
        made.cpu,
        made.gpu,
        made.memMB,
        normal_form(made.capabilities),
        normal_form(made.devices),
        normal_form(_tags_that_matter(made)),
    )


def _tags_that_matter(resource: Resource) -> dict[str, object]:
    return {
        key: value
        for key, value in resource.tags.items()
        if key != resource_tags.IS_FRACTIONAL or value is not False
    }
