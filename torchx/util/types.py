"""Text to typed values, and small questions about annotations.

These functions are the published interface for simple annotations. Component arguments are decoded
by :py:mod:`torchx.specs.arguments`, which knows every annotation that a component may use.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, Union

from torchx.util.pairs import parse_pairs

if TYPE_CHECKING:
    import inspect

T = TypeVar("T")

_TRUE_WORDS = frozenset(("true", "1", "yes", "on"))
_FALSE_WORDS = frozenset(("false", "0", "no", "off"))
_PRIMITIVES: tuple[type, ...] = (int, str, float)


def to_list(arg: str) -> list[str]:
    """Splits text at commas and strips the items.

    Args:
        arg: For example ``"a, b"``. Empty items are kept; blank text holds none.

    Returns:
        The items.
    """
    return [item.strip() for item in arg.split(",")] if arg.strip() else []


def to_dict(arg: str) -> dict[str, str]:
    """Parses ``key=value`` pairs, see :py:mod:`torchx.util.pairs`.

    Args:
        arg: For example ``"FOO=v1,v2,BAR=v3"``.

    Returns:
        The pairs.

    Raises:
        ValueError: If the text is not made of pairs.
    """
    return parse_pairs(arg)


def to_bool(arg: str) -> bool:
    """Reads a truth value as INI files spell it, in any case.

    Args:
        arg: ``true/1/yes/on`` or ``false/0/no/off``.

    Returns:
        The value.

    Raises:
        ValueError: If the text is neither.
    """
    word = arg.strip().lower()
    if word in _TRUE_WORDS:
        return True
    if word in _FALSE_WORDS:
        return False
    raise ValueError(f"{arg!r} is not a truth value: use true/1/yes/on or false/0/no/off")


def strip_annotated(annotation: Any) -> Any:
    """Returns ``T`` for ``Annotated[T, ...]`` and anything else unchanged.

    Args:
        annotation: A resolved annotation.

    Returns:
        The annotation without metadata.
    """
    while typing.get_origin(annotation) is Annotated:
        annotation = typing.get_args(annotation)[0]
    return annotation


def decode(encoded_value: Any, annotation: Any) -> Any:
    """Decodes text into a bool, list or dict; leaves every other value alone.

    Args:
        encoded_value: Text, or a value that is typed already.
        annotation: What the value should be.

    Returns:
        The decoded value; None for None.

    Raises:
        ValueError: If the text does not fit the annotation, or no text fits it.
    """
    if encoded_value is None:
        return None
    annotation = strip_annotated(annotation)
    if is_bool(annotation):
        return to_bool(encoded_value) if isinstance(encoded_value, str) else encoded_value
    if not is_primitive(annotation) and isinstance(encoded_value, str):
        return decode_from_string(encoded_value, annotation)
    return encoded_value


def decode_from_string(encoded_value: str, annotation: Any) -> dict[Any, Any] | list[Any] | None:
    """Decodes text into a dict or a list.

    Args:
        encoded_value: Items (``a,b``) or pairs (``k=v,k2=v2``).
        annotation: ``list[T]`` or ``dict[K, V]``, also in their ``typing`` spelling.

    Returns:
        The container, or None if there is no text.

    Raises:
        ValueError: If the annotation is neither, or the text does not fit it.
    """
    if not encoded_value:
        return None
    annotation = strip_annotated(annotation)
    origin = typing.get_origin(annotation)
    if origin is dict:
        return _decode_string_to_dict(encoded_value, annotation)
    if origin is list:
        return _decode_string_to_list(encoded_value, annotation)
    raise ValueError(f"unsupported argument annotation `{annotation}`, expected dict or list")


def _decode_string_to_dict(encoded_value: str, param_type: Any) -> dict[Any, Any]:
    parameters = typing.get_args(param_type)
    if len(parameters) != 2:
        raise ValueError(f"`{param_type}` must be a dict type with a key and a value type")
    key_type, value_type = (to_bool if is_bool(one) else one for one in parameters)
    return {key_type(key): value_type(value) for key, value in to_dict(encoded_value).items()}


def _decode_string_to_list(encoded_value: str, param_type: Any) -> list[Any]:
    parameters = typing.get_args(param_type)
    if len(parameters) != 1 or not is_primitive(parameters[0]):
        raise ValueError(f"`{param_type}` must be a list of int, str or float")
    return [parameters[0](item) for item in to_list(encoded_value)]


def is_bool(param_type: Any) -> bool:
    """Tells whether an annotation is ``bool``.

    Args:
        param_type: A resolved annotation.

    Returns:
        True for ``bool`` itself.
    """
    return param_type is bool


def is_primitive(param_type: Any) -> bool:
    """Tells whether an annotation is ``int``, ``str`` or ``float``.

    Args:
        param_type: A resolved annotation.

    Returns:
        True for those three; ``bool`` has its own vocabulary and is none of them.
    """
    return any(param_type is one for one in _PRIMITIVES)


def decode_optional(param_type: Any) -> Any:
    """Returns ``T`` for ``Optional[T]``, ``T | None`` and ``None | T``.

    Args:
        param_type: A resolved annotation, ``Annotated`` or not.

    Returns:
        The inner type, or the annotation unchanged if it is no union of one type and None.
    """
    bare = strip_annotated(param_type)
    if typing.get_origin(bare) not in (Union, types.UnionType):
        return param_type
    members = typing.get_args(bare)
    others = [member for member in members if member is not type(None)]
    return others[0] if len(others) == 1 < len(members) else param_type


def get_argparse_param_type(parameter: inspect.Parameter) -> Callable[[str], object]:
    """Returns what ``argparse`` should convert the text of a parameter with.

    Args:
        parameter: A parameter whose annotation is resolved.

    Returns:
        ``int``, ``float`` or ``str`` if the parameter is annotated so, else ``str``.
    """
    annotation = strip_annotated(parameter.annotation)
    return next((primitive for primitive in _PRIMITIVES if annotation is primitive), str)


def none_throws(optional: T | None, message: str = "Unexpected `None`") -> T:
    """Returns its argument, which must not be None.

    Args:
        optional: Any value.
        message: Text of the error.

    Returns:
        The value.

    Raises:
        AssertionError: If it is None.
    """
    if optional is None:
        raise AssertionError(message)
    return optional
