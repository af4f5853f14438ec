"""Flattens nested configurations into the flat parameters that MLflow has."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Mapping
from typing import TypeGuard

_PRIMITIVES = (str, int, float, bool)


def flatten(cfg: object, key: str = "") -> dict[str, object]:
    """Flattens a configuration.

    Args:
        cfg: A mapping, a dataclass, a list, or a single value.
        key: What to put before the names.

    Returns:
        Values by name. Names of nested values are joined with dots, elements of a list are called
        ``_0``, ``_1`` and so on. A list of plain values is one value, and so is what is empty.
    """
    return dict(_flatten(cfg, key))


def _flatten(cfg: object, key: str) -> Iterator[tuple[str, object]]:
    if dataclasses.is_dataclass(cfg) and not isinstance(cfg, type):
        cfg = {field.name: getattr(cfg, field.name) for field in dataclasses.fields(cfg)}
    inner = dict(_items(cfg))
    if inner:
        for name, value in inner.items():
            yield from _flatten(value, f"{key}.{name}" if key else name)
    elif key:
        yield key, cfg


def _items(cfg: object) -> Iterator[tuple[str, object]]:
    """Yields what is nested in a value; nothing for one that is a parameter itself."""
    if isinstance(cfg, Mapping):
        yield from ((str(name), value) for name, value in cfg.items())
    elif _is_list(cfg) and not isinstance(next(iter(cfg)), _PRIMITIVES):
        yield from ((f"_{index}", value) for index, value in enumerate(cfg))


def _is_list(cfg: object) -> TypeGuard[Collection[object]]:
    return isinstance(cfg, (list, tuple, set, frozenset)) and len(cfg) > 0
