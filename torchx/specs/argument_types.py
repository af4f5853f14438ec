"""The types a component argument can have: reading them from text, checking them in JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, Protocol

from torchx.util.records import record
from torchx.util.types import to_bool, to_dict, to_list

PRIMITIVES: Mapping[str, type] = {
    "str": str,
    "int": int,
    "float": float,
    "bool": bool,
    "object": object,
    "Any": object,
}
"""Types of a single value, by the name that annotations use. An ``object`` is whatever is given."""

_ARTICLES = {int: "an int", float: "a float"}


class ArgumentType(Protocol):
    """Reads values of one annotation."""

    @property
    def label(self) -> str:
        """What the value looks like on the command line, for usage texts."""

    def decode(self, text: str) -> Any:
        """Reads a value from text.

        Args:
            text: The text.

        Returns:
            The value.

        Raises:
            ValueError: If the text does not fit; the text of the error says why.
        """

    def convert(self, value: object) -> Any:
        """Checks a value that is typed already, as JSON or Python types it.

        Args:
            value: The value.

        Returns:
            The value, converted where nothing is lost (``2`` for a float, ``"2"`` for an int).

        Raises:
            ValueError: If it does not fit; the text of the error says why.
        """


@record
class Primitive:
    """``str``, ``int``, ``float``, ``bool`` or ``object``.

    Attributes:
        type: The class.
    """

    type: type

    @property
    def label(self) -> str:
        """The name of the class."""
        return self.type.__name__

    def decode(self, text: str) -> Any:
        """See :py:meth:`ArgumentType.decode`; a bool has the vocabulary of INI files."""
        if self.type is bool:
            return to_bool(text)
        if self.type is object:
            return text
        try:
            return self.type(text)
        except ValueError:
            raise ValueError(f"{text!r} is not {_ARTICLES[self.type]}") from None

    def convert(self, value: object) -> Any:
        """See :py:meth:`ArgumentType.convert`; a number may stand for its own text."""
        if type(value) is self.type or self.type is object:
            return value
        if isinstance(value, str):
            return self.decode(value)
        if not isinstance(value, bool):
            if self.type is str and isinstance(value, (int, float)):
                return str(value)
            if self.type is float and isinstance(value, int):
                return float(value)
            if self.type is int and isinstance(value, float) and value.is_integer():
                return int(value)
        raise ValueError(f"expected {self.label}, not {value!r}")


@record
class Named:
    """A type that the linter knows by name only.

    Attributes:
        label: The name.
    """

    label: str

    def decode(self, text: str) -> Any:
        """Always fails: nothing is known about the type.

        Args:
            text: Any text.

        Raises:
            ValueError: Always.
        """
        raise ValueError(f"nothing is known about the type {self.label!r}")

    def convert(self, value: object) -> Any:
        """Always fails, like :py:meth:`decode`.

        Args:
            value: Any value.

        Raises:
            ValueError: Always.
        """
        return self.decode(str(value))


@record
class Choice:
    """One of some values: a ``Literal`` or an ``Enum``.

    Attributes:
        values: The values by the text that stands for each; the name of an enum's member.
    """

    values: Mapping[str, Any]

    @property
    def label(self) -> str:
        """The texts."""
        return "{" + ",".join(self.values) + "}"

    def decode(self, text: str) -> Any:
        """See :py:meth:`ArgumentType.decode`; a member of an enum also goes by its value."""
        if text in self.values:
            return self.values[text]
        for name, value in self.values.items():
            if isinstance(value, Enum) and (str(value.value) == text or name == text.upper()):
                return value
            if isinstance(value, bool) and name.lower() == text.lower():
                return value
        raise ValueError(f"{text!r} is none of {', '.join(self.values)}")

    def convert(self, value: object) -> Any:
        """See :py:meth:`ArgumentType.convert`."""
        for choice in self.values.values():
            plain = choice.value if isinstance(choice, Enum) else choice
            if value is choice or (type(value) is type(plain) and value == plain):
                return choice
        if isinstance(value, str):
            return self.decode(value)
        raise ValueError(f"{value!r} is none of {', '.join(self.values)}")


@record
class ListOf:
    """A list; ``a,b`` in text.

    Attributes:
        item: Type of the items.
    """

    item: ArgumentType

    @property
    def label(self) -> str:
        """The label of an item, with a hint that more may follow."""
        return f"{self.item.label},..."

    def decode(self, text: str) -> Any:
        """See :py:meth:`ArgumentType.decode`; empty text is an empty list."""
        return [_named(f"item {n}", self.item.decode, item) for n, item in _numbered(text)]

    def convert(self, value: object) -> Any:
        """See :py:meth:`ArgumentType.convert`."""
        if isinstance(value, str):
            return self.decode(value)
        if not isinstance(value, (list, tuple)):
            raise ValueError(f"expected a list, not {value!r}")
        return [_named(f"item {n}", self.item.convert, item) for n, item in enumerate(value, 1)]


@record
class Mapped:
    """A dict; ``k=v,k2=v2`` in text.

    Attributes:
        key: Type of the keys.
        value: Type of the values.
    """

    key: ArgumentType
    value: ArgumentType

    @property
    def label(self) -> str:
        """The labels of a pair, with a hint that more may follow."""
        return f"{self.key.label}={self.value.label},..."

    def decode(self, text: str) -> Any:
        """See :py:meth:`ArgumentType.decode`; empty text is an empty dict."""
        return {
            _named("key", self.key.decode, key): _named(f"value of {key}", self.value.decode, value)
            for key, value in to_dict(text).items()
        }

    def convert(self, value: object) -> Any:
        """See :py:meth:`ArgumentType.convert`."""
        if isinstance(value, str):
            return self.decode(value)
        if not isinstance(value, dict):
            raise ValueError(f"expected an object, not {value!r}")
        return {
            _named("key", self.key.convert, key): _named(f"value of {key}", self.value.convert, one)
            for key, one in value.items()
        }


@record
class TupleOf:
    """A tuple; ``a,b`` in text.

    Attributes:
        items: Types of the items.
        is_repeated: True for any number of items, all of the first type.
    """

    items: tuple[ArgumentType, ...]
    is_repeated: bool = False

    @property
    def label(self) -> str:
        """The labels of the items."""
        return ",".join([item.label for item in self.items] + ["..."] * self.is_repeated)

    def decode(self, text: str) -> Any:
        """See :py:meth:`ArgumentType.decode`."""
        return self._each(to_list(text), lambda item: item.decode)

    def convert(self, value: object) -> Any:
        """See :py:meth:`ArgumentType.convert`."""
        if isinstance(value, str):
            return self.decode(value)
        if not isinstance(value, (list, tuple)):
            raise ValueError(f"expected a list, not {value!r}")
        return self._each(list(value), lambda item: item.convert)

    def _each(
        self, values: list[Any], reader: Callable[[ArgumentType], Callable[[Any], Any]]
    ) -> tuple[Any, ...]:
        items = self.items * len(values) if self.is_repeated else self.items
        if len(items) != len(values):
            raise ValueError(f"expected {len(items)} items ({self.label}), not {len(values)}")
        pairs = enumerate(zip(items, values, strict=True), 1)
        return tuple(_named(f"item {n}", reader(item), value) for n, (item, value) in pairs)


@record
class Optionally:
    """A value or None.

    Attributes:
        inner: Type of the value.
    """

    inner: ArgumentType

    @property
    def label(self) -> str:
        """The label of the value."""
        return self.inner.label

    def decode(self, text: str) -> Any:
        """See :py:meth:`ArgumentType.decode`; empty text is None unless it is a value itself."""
        if not text and self.inner != Primitive(str):
            return None
        return self.inner.decode(text)

    def convert(self, value: object) -> Any:
        """See :py:meth:`ArgumentType.convert`; None is None."""
        return None if value is None else self.inner.convert(value)


def _numbered(text: str) -> enumerate[str]:
    return enumerate(to_list(text), 1)


def _named(place: str, read: Callable[[Any], Any], value: Any) -> Any:
    try:
        return read(value)
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from None
