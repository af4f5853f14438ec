"""How an overlay changes a request: plain keys merge, operators replace, join or delete.

An operator is encoded in the key of the overlay, so that overlays stay plain data that can be
written as JSON or YAML. The encoding is a stable format.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, NamedTuple

_PUT = "__put__:"
_JOIN = "__join__:"
_DEL = "__del__:"

_MergePlain = Callable[[Any, Any, str], Any]


class Operation(NamedTuple):
    """What a key of an overlay means.

    Attributes:
        operator: Prefix of the operator, ``""`` for a plain key.
        field: The key that it is about.
        on: For a join, the key that identifies the items of the list.
    """

    operator: str
    field: Any
    on: str = ""


def PUT(key: str) -> str:
    """Makes an overlay key that replaces a field as a whole.

    Args:
        key: The field.

    Returns:
        The encoded key.

    Example:
        >>> base = {"tags": ["a"]}
        >>> apply_overlay(base, {PUT("tags"): ["b"]})
        >>> base
        {'tags': ['b']}
    """
    return f"{_PUT}{key}"


def JOIN(key: str, *, on: str) -> str:
    """Makes an overlay key that merges a list of dicts item by item.

    Args:
        key: The field that holds the list.
        on: The key by which an item of the overlay finds its counterpart.

    Returns:
        The encoded key.

    Example:
        >>> base = {"containers": [{"name": "main", "image": "a"}]}
        >>> apply_overlay(base, {JOIN("containers", on="name"): [{"name": "main", "image": "b"}]})
        >>> base
        {'containers': [{'name': 'main', 'image': 'b'}]}
    """
    return f"{_JOIN}{key}:{on}"


def DEL(key: str) -> str:
    """Makes an overlay key that removes a field.

    Args:
        key: The field.

    Returns:
        The encoded key; its value in the overlay does not matter.
    """
    return f"{_DEL}{key}"


def decode(key: object) -> Operation:
    """Takes the key of an overlay apart.

    Args:
        key: A plain or encoded key.

    Returns:
        What it means.

    Raises:
        ValueError: A join does not say on what.
    """
    if not isinstance(key, str):
        return Operation("", key)
    for operator in (_PUT, _DEL):
        if key.startswith(operator):
            return Operation(operator, key[len(operator) :])
    if not key.startswith(_JOIN):
        return Operation("", key)
    field, _, on = key[len(_JOIN) :].rpartition(":")
    if not field or not on:
        raise ValueError(f"malformed JOIN key `{key}`: expected `{_JOIN}FIELD:ON`")
    return Operation(_JOIN, field, on)


def apply_overlay(base: dict[str, Any], overlay: dict[str, Any], *, _resolve: bool = True) -> None:
    """Changes a request as an overlay says.

    Dicts are merged, lists are appended to, tuples replace lists, other values are overwritten;
    keys made by :func:`PUT`, :func:`JOIN` and :func:`DEL` do what those say. Within an item that a
    join has matched, dicts are merged and all else is overwritten.

    Args:
        base: The request. It is changed, or left alone if the overlay does not fit.
        overlay: The overlay. It is never changed and shares nothing with the result.

    Raises:
        TypeError: A container meets a value of another kind.
        ValueError: A key is malformed.
    """
    merge = _resolved if _resolve else _accumulated
    merged = merge(base, overlay, "")
    base.clear()
    base.update(merged)


def _resolved(base: dict[Any, Any], overlay: dict[Any, Any], path: str) -> dict[Any, Any]:
    return _resolved_by(_merge_plain, base, overlay, path)


def _resolved_by(
    merge_plain: _MergePlain, base: dict[Any, Any], overlay: dict[Any, Any], path: str
) -> dict[Any, Any]:
    result = dict(base)
    for key, value in overlay.items():
        operator, field, on = decode(key)
        here = f"{path}.{field}" if path else str(field)
        _remove_encoded(result, field)
        if operator in (_PUT, _DEL):
            result.pop(field, None)
        if operator == _DEL:
            continue
        if operator == _JOIN:
            result[field] = _joined(result.get(field, []), value, on, here)
        elif field in result:
            result[field] = merge_plain(result[field], value, here)
        else:
            result[field] = _resolved_copy(value, here)
    return result


def _resolved_copy(value: Any, path: str) -> Any:
    """Deep-copies a value that is new to the request, with the operators inside applied."""
    if isinstance(value, dict):
        return _resolved({}, value, path)
    if isinstance(value, (list, tuple)):
        return [_resolved_copy(item, f"{path}[{i}]") for i, item in enumerate(value)]
    return copy.deepcopy(value)


def _merge_plain(current: Any, value: Any, path: str) -> Any:
    if isinstance(current, dict) and isinstance(value, dict):
        return _resolved(current, value, path)
    if isinstance(current, (list, tuple)) and isinstance(value, list):
        return [*current, *_resolved_copy(value, path)]
    if isinstance(current, (list, tuple)) and isinstance(value, tuple):
        return _resolved_copy(value, path)
    _check_primitive(current, value, path)
    return copy.deepcopy(value)


def _merge_item(current: Any, value: Any, path: str) -> Any:
    if isinstance(current, dict) and isinstance(value, dict):
        return _resolved_by(_merge_item, current, value, path)
    return _resolved_copy(value, path)


def _check_primitive(current: object, value: object, path: str) -> None:
    if isinstance(current, (dict, list, tuple)) or isinstance(value, (dict, list, tuple)):
        field = path.rpartition(".")[2]
        raise TypeError(
            f"type mismatch for attr: `{field}`."
            f" {type(value).__name__} != {type(current).__name__} (overlay != base, at `{path}`)"
        )


def _joined(current: Any, items: Any, on: str, path: str) -> list[Any]:
    _check_dicts(items, path, "overlay")
    _check_dicts(current, path, "base")
    result = list(current)
    for item in items:
        matches = [
            index
            for index, candidate in enumerate(result)
            if on in item and on in candidate and candidate[on] == item[on]
        ]
        for index in matches:
            result[index] = _merge_item(result[index], item, f"{path}[{index}]")
        if not matches:
            result.append(_resolved_copy(item, path))
    return result


def _check_dicts(value: object, path: str, side: str) -> None:
    if not isinstance(value, list):
        raise TypeError(
            f"JOIN of `{path}`: the {side} must be a list of dicts, not {type(value).__name__}"
        )
    for index, item in enumerate(value):
        if not isinstance(item, dict):
            raise TypeError(
                f"JOIN of `{path}`: item {index} of the {side} must be a dict,"
                f" not {type(item).__name__}"
            )


def _accumulated(base: dict[Any, Any], overlay: dict[Any, Any], path: str) -> dict[Any, Any]:
    """Combines two overlays into one that does what both would do in turn."""
    result = dict(base)
    for key, value in overlay.items():
        operator, field, _ = decode(key)
        here = f"{path}.{field}" if path else str(field)
        previous = result.get(key)
        continues = key in result and operator in ("", _JOIN)
        follows_deletion = not operator and DEL(field) in result
        _remove_encoded(result, field)
        if operator:
            result.pop(field, None)
        if continues:
            result[key] = _accumulate_plain(previous, value, here)
        else:
            result[PUT(field) if follows_deletion else key] = copy.deepcopy(value)
    return result


def _accumulate_plain(previous: Any, value: Any, path: str) -> Any:
    if isinstance(previous, dict) and isinstance(value, dict):
        return _accumulated(previous, value, path)
    if isinstance(previous, (list, tuple)) and isinstance(value, list):
        return type(previous)([*previous, *copy.deepcopy(value)])
    if not (isinstance(previous, (list, tuple)) and isinstance(value, tuple)):
        _check_primitive(previous, value, path)
    return copy.deepcopy(value)


def _remove_encoded(fields: dict[Any, Any], field: object) -> None:
    """Removes all operators on a field, however they are spelled."""
    for key in [key for key in fields if (op := decode(key)).operator and op.field == field]:
        del fields[key]
