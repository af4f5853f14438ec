from __future__ import annotations

import enum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchx.specs.argument_types import (
    ArgumentType,
    Choice,
    ListOf,
    Mapped,
    Named,
    Optionally,
    Primitive,
    TupleOf,
)


class Color(enum.Enum):
    RED = "r"
    BLUE = 2


TEXT, INT, FLOAT, BOOL = (Primitive(one) for one in (str, int, float, bool))
COLOR = Choice(dict(Color.__members__))


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (TEXT, "", ""),
        (INT, "5", 5),
        (FLOAT, "1e-3", 0.001),
        (BOOL, "Off", False),
        (Primitive(object), "x", "x"),
        (COLOR, "RED", Color.RED),
        (COLOR, "red", Color.RED),
        (COLOR, "r", Color.RED),
        (COLOR, "2", Color.BLUE),
        (Choice({"a": "a", "1": 1, "True": True}), "1", 1),
        (Choice({"True": True}), "true", True),
        (ListOf(TEXT), "a,,b", ["a", "", "b"]),
        (ListOf(INT), "", []),
        (ListOf(BOOL), "yes,no", [True, False]),
        (Mapped(TEXT, BOOL), "a=false,b=on", {"a": False, "b": True}),
        (Mapped(INT, FLOAT), "1=2", {1: 2.0}),
        (TupleOf((INT, TEXT)), "1,x", (1, "x")),
        (TupleOf((INT,), is_repeated=True), "1,2,3", (1, 2, 3)),
        (Optionally(INT), "5", 5),
        (Optionally(INT), "", None),
        (Optionally(ListOf(TEXT)), "", None),
        (Optionally(TEXT), "", ""),
    ],
)
def test_decode(kind: ArgumentType, text: str, value: object) -> None:
    decoded = kind.decode(text)
    assert decoded == value
    assert type(decoded) is type(value)


@pytest.mark.parametrize(
    ("kind", "text", "reason"),
    [
        (INT, "x", "'x' is not an int"),
        (FLOAT, "", "'' is not a float"),
        (BOOL, "", "'' is not a truth value"),
        (COLOR, "green", "'green' is none of RED, BLUE"),
        (ListOf(INT), "1,x", "item 2: 'x' is not an int"),
        (Mapped(TEXT, INT), "a=1,b=x", "value of b: 'x' is not an int"),
        (Mapped(TEXT, INT), "a", "NAME=VALUE"),
        (TupleOf((INT, TEXT)), "1", r"expected 2 items \(int,str\), not 1"),
        (Named("Foo"), "x", "nothing is known about the type 'Foo'"),
    ],
)
def test_decode_refuses(kind: ArgumentType, text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        kind.decode(text)


@pytest.mark.parametrize(
    ("kind", "given_value", "value"),
    [
        (INT, "5", 5),
        (INT, 5.0, 5),
        (FLOAT, 2, 2.0),
        (TEXT, 5, "5"),
        (BOOL, True, True),
        (BOOL, "no", False),
        (Primitive(object), [1], [1]),
        (COLOR, "r", Color.RED),
        (COLOR, 2, Color.BLUE),
        (COLOR, Color.RED, Color.RED),
        (ListOf(INT), [1, "2"], [1, 2]),
        (ListOf(INT), "1,2", [1, 2]),
        (Mapped(INT, TEXT), {"1": 2}, {1: "2"}),
        (Mapped(INT, TEXT), "1=2", {1: "2"}),
        (TupleOf((INT, TEXT)), [1, "x"], (1, "x")),
        (TupleOf((INT, TEXT)), "1,x", (1, "x")),
        (Optionally(INT), None, None),
        (Optionally(INT), 5, 5),
    ],
)
def test_convert(kind: ArgumentType, given_value: object, value: object) -> None:
    converted = kind.convert(given_value)
    assert converted == value
    assert type(converted) is type(value)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (INT, True),
        (INT, 1.5),
        (INT, None),
        (INT, [1]),
        (TEXT, True),
        (TEXT, ["x"]),
        (BOOL, 1),
        (FLOAT, False),
        (COLOR, 3),
        (ListOf(INT), {"a": 1}),
        (ListOf(INT), [None]),
        (Mapped(TEXT, TEXT), ["a"]),
        (TupleOf((INT, INT)), [1]),
        (TupleOf((INT, INT)), 1),
        (Named("Foo"), 1),
    ],
)
def test_convert_refuses(kind: ArgumentType, value: object) -> None:
    with pytest.raises(ValueError, match=r"expected|none of|nothing is known"):
        kind.convert(value)


@pytest.mark.parametrize(
    ("kind", "label"),
    [
        (ListOf(INT), "int,..."),
        (Mapped(TEXT, BOOL), "str=bool,..."),
        (TupleOf((INT, TEXT)), "int,str"),
        (TupleOf((INT,), is_repeated=True), "int,..."),
        (Optionally(COLOR), "{RED,BLUE}"),
    ],
)
def test_labels(kind: ArgumentType, label: str) -> None:
    assert kind.label == label


@given(st.lists(st.integers()))
def test_lists_of_numbers_survive_their_text(numbers: list[int]) -> None:
    assert ListOf(INT).decode(",".join(map(str, numbers))) == numbers
