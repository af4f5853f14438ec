from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, make_dataclass
from enum import Enum, IntEnum
from typing import Any

import pytest

from torchx.plugins import PluginRegistry, PluginType, resource_tags
from torchx.plugins._equality import is_same_plugin
from torchx.specs import Resource

normal = PluginRegistry._normalize_value


@dataclass
class Point:
    x: int


class Struct:
    """As generated code has them: an iterable of its fields."""

    def __init__(self, **fields: object) -> None:
        self.fields = fields

    def __iter__(self) -> Iterator[tuple[str, object]]:
        return iter(self.fields.items())


class Plain:
    def __init__(self, value: object) -> None:
        self.value = value


def twin_of(cls: type[Enum]) -> Any:
    return Enum(cls.__name__, {member.name: member.value for member in cls})


Color = Enum("Color", {"RED": 1, "BLUE": 2})
Level = IntEnum("Level", {"LOW": 1})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Color["RED"], twin_of(Color)["RED"]),
        (Level["LOW"], twin_of(Level)["LOW"]),
        (Point(1), make_dataclass("Point", ["x"])(1)),
        (Point(1), type("Point", (Struct,), {})(x=1)),
        ({0, 8}, {8, 0}),
        ({0, 8}, frozenset([8, 0])),
        ({"a": 1, "b": {2}}, OrderedDict(b={2}, a=1)),
        ([1, (2, 3)], (1, [2, 3])),
        (Plain([1]), Plain([1])),
        (range(3), range(3)),
    ],
)
def test_equal_contents_are_equal_whatever_made_them(one: object, other: object) -> None:
    assert normal(one) == normal(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Color["RED"], Color["BLUE"]),
        (Color["RED"], 1),
        (True, 1),
        (Point(1), Point(2)),
        ([1, 2], [2, 1]),
        ({"a": 1}, {"a": 2}),
        ([], {}),
        ("1", 1),
        (Plain(1), Plain(2)),
        (range(3), range(4)),
    ],
)
def test_other_contents_are_not(one: object, other: object) -> None:
    assert normal(one) != normal(other)


def giving(made: object) -> Callable[[], Any]:
    return lambda: made


def box(**changes: Any) -> Resource:
    return Resource(**{"cpu": 1, "gpu": 0, "memMB": 1, **changes})


WHOLE_TAG = {resource_tags.IS_FRACTIONAL: False}
PART_TAG = {resource_tags.IS_FRACTIONAL: True}


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (box(), box(), True),
        (box(tags=WHOLE_TAG), box(), True),
        (box(tags=PART_TAG), box(), False),
        (box(), box(cpu=2), False),
        (box(capabilities={"a": {1, 2}}), box(capabilities={"a": {2, 1}}), True),
        (box(devices={"d": 1}), box(devices={"d": 2}), False),
        ("text", "text", True),
        ("text", box(), False),
    ],
)
def test_named_resources_are_compared_by_what_they_describe(
    one: object, other: object, same: bool
) -> None:
    assert is_same_plugin(PluginType.NAMED_RESOURCE, giving(one), giving(other)) is same


def test_a_named_resource_that_cannot_be_made_is_like_no_other_but_itself() -> None:
    def fail() -> Resource:
        raise SystemExit(1)

    assert not is_same_plugin(PluginType.NAMED_RESOURCE, fail, giving(box()))
    assert is_same_plugin(PluginType.NAMED_RESOURCE, fail, fail)


def test_other_plugins_are_the_same_only_if_they_are_one_object() -> None:
    one, other = giving(1), giving(1)
    assert is_same_plugin(PluginType.TRACKER, one, one)
    assert not is_same_plugin(PluginType.TRACKER, one, other)
