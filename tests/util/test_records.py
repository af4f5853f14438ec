from __future__ import annotations

import copy
import dataclasses
import pickle
from dataclasses import dataclass, field
from typing import Any

import pytest

from torchx.util.records import record


class Plain:
    name: str
    items: list[Any] = field(default_factory=list)
    hidden: int = field(default=0, repr=False)
    ignored: int = field(default=0, compare=False)


@record
class Record(Plain):
    name: str
    items: list[Any] = field(default_factory=list)
    hidden: int = field(default=0, repr=False)
    ignored: int = field(default=0, compare=False)


@dataclass
class Reference(Plain):
    name: str
    items: list[Any] = field(default_factory=list)
    hidden: int = field(default=0, repr=False)
    ignored: int = field(default=0, compare=False)


@dataclass
class Derived(Record):
    more: int = 1


def test_it_looks_like_a_dataclass() -> None:
    assert [item.name for item in dataclasses.fields(Record)] == [
        item.name for item in dataclasses.fields(Reference)
    ]
    assert repr(Record("a", [1])) == repr(Reference("a", [1])).replace("Reference", "Record")
    assert dataclasses.asdict(Record("a", [1])) == dataclasses.asdict(Reference("a", [1]))
    assert Record.__match_args__ == Reference.__match_args__
    recursive = Record("a")
    recursive.items.append(recursive)
    assert repr(recursive) == "Record(name='a', items=[...], ignored=0)"


def test_it_compares_like_a_dataclass() -> None:
    assert Record("a", [1], 2, 3) == Record("a", [1], 2, 4)
    assert Record("a", [1], 2) != Record("a", [1], 3)
    others: list[object] = [Reference("a"), Derived("a"), "a"]
    assert Record("a") not in others
    assert Derived("a", more=1) != Derived("a", more=2)
    for cls in (Record, Reference, Derived):
        with pytest.raises(TypeError, match="unhashable"):
            hash(cls("a"))
    not_a_number = float("nan")
    assert Record("a", [not_a_number]) == Record("a", [not_a_number])


def test_it_is_copied_and_pickled() -> None:
    original = Record("a", [1])
    assert copy.deepcopy(original) == pickle.loads(pickle.dumps(original)) == original


def test_methods_of_the_class_stay() -> None:
    @record
    class Own:
        name: str

        def __repr__(self) -> str:
            return "own"

        def __eq__(self, other: object) -> bool:
            return True

        def __hash__(self) -> int:
            return 7

    assert (repr(Own("a")), Own("a") == Own("b"), hash(Own("a"))) == ("own", True, 7)
