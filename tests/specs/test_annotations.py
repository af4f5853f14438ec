# ruff: noqa: UP006, UP007, UP035, UP045 - users write annotations in the old spelling too
from __future__ import annotations

import ast
import enum
import typing
from typing import Annotated, Any, Dict, List, Literal, NewType, Optional, Set, Tuple, Union

import pytest

from torchx.specs.annotations import (
    FileNames,
    UnsupportedAnnotation,
    names_of_file,
    type_from_hint,
    type_from_syntax,
)
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


class Plain:
    pass


UserId = NewType("UserId", int)
TEXT, INT = Primitive(str), Primitive(int)

ACCEPTED: list[tuple[str, ArgumentType]] = [
    ("int", INT),
    ("bool", Primitive(bool)),
    ("object", Primitive(object)),
    ("Any", Primitive(object)),
    ("list", ListOf(TEXT)),
    ("List", ListOf(TEXT)),
    ("list[int]", ListOf(INT)),
    ("List[int]", ListOf(INT)),
    ("typing.List[int]", ListOf(INT)),
    ("dict", Mapped(TEXT, TEXT)),
    ("Dict[int, str]", Mapped(INT, TEXT)),
    ("tuple", TupleOf((TEXT,), is_repeated=True)),
    ("tuple[int, str]", TupleOf((INT, TEXT))),
    ("Tuple[int, ...]", TupleOf((INT,), is_repeated=True)),
    ("Optional[int]", Optionally(INT)),
    ("typing.Optional[int]", Optionally(INT)),
    ("int | None", Optionally(INT)),
    ("None | int", Optionally(INT)),
    ("Union[None, int]", Optionally(INT)),
    ("list[int] | None", Optionally(ListOf(INT))),
    ("Annotated[int, '-x']", INT),
    ("Annotated[Optional[int], '--extra']", Optionally(INT)),
    ("Optional[Annotated[int, '-x']]", Optionally(INT)),
    ("'int'", INT),
    ("'int | None'", Optionally(INT)),
    ("Literal['a', 1, True]", Choice({"a": "a", "1": 1, "True": True})),
    ("list[Literal['a']]", ListOf(Choice({"a": "a"}))),
]

REFUSED: list[tuple[str, str]] = [
    ("Dict[List[int], str]", "Non-primitive key type 'List[int]'"),
    ("Dict[int, List[str]]", "Non-primitive value type 'List[str]'"),
    ("List[List[str]]", "Non-primitive element type 'List[str]'"),
    ("dict[str]", "Malformed dict type 'dict[str]', expected exactly two type parameters"),
    ("list[int, str]", "Malformed list type 'list[int, str]'"),
    ("tuple[List[int], str]", "Non-primitive element type ''List[int]''"),
    ("tuple[str]", "Unsupported tuple type 'tuple[str]': single-element tuples are valid typing"),
    ("Optional[Optional[str]]", "Unsupported container type 'Optional'"),
    ("Set[str]", "Unsupported container type 'Set'"),
    ("Union[int, str]", "Unsupported container type 'Union'"),
    ("int | str", "Unsupported argument type 'int | str'"),
    ("None", "Unsupported argument type 'None'"),
    ("bytes", "Unsupported argument type 'bytes'"),
    ("3", "Unsupported argument type '3'"),
    ("'a b'", "Unsupported argument type"),
    ("list[int][str]", "Unsupported container type"),
]


def from_text(annotation: str, names: FileNames | None = None) -> ArgumentType:
    return type_from_syntax(ast.parse(annotation, mode="eval").body, names or FileNames())


@pytest.mark.parametrize(("annotation", "kind"), ACCEPTED)
def test_syntax_and_hints_agree_on_what_is_accepted(annotation: str, kind: ArgumentType) -> None:
    assert from_text(annotation) == kind

    def component(x: Any) -> None: ...

    component.__annotations__ = {"x": annotation}
    hint = typing.get_type_hints(component, globalns=globals(), include_extras=True)["x"]
    if isinstance(hint, typing.ForwardRef):
        return
    assert type_from_hint(hint) == kind


@pytest.mark.parametrize(("annotation", "reason"), REFUSED)
def test_syntax_refuses_with_a_reason(annotation: str, reason: str) -> None:
    with pytest.raises(UnsupportedAnnotation) as caught:
        from_text(annotation)
    assert str(caught.value).startswith(reason)


@pytest.mark.parametrize(
    "hint",
    [
        Dict[int, List[str]],
        List[List[str]],
        tuple[str],
        Tuple[List[int], str],
        Set[str],
        Union[int, str],
        Union[int, str, None],
        int | str,
        None,
        bytes,
        Plain,
        Optional,
        typing.Callable[[], int],
        typing.TypeVar("T"),
    ],
)
def test_hints_refuse_with_the_annotation(hint: Any) -> None:
    with pytest.raises(UnsupportedAnnotation, match=r"Unsupported|Non-primitive|Malformed"):
        type_from_hint(hint)


def test_classes_that_only_a_hint_can_resolve() -> None:
    assert type_from_hint(Color) == Choice({"RED": Color.RED})
    assert type_from_hint(UserId) == INT
    assert type_from_hint(Optional[Color]) == Optionally(Choice({"RED": Color.RED}))
    assert from_text("Color") == Named("Color")
    assert from_text("enums.Color") == Named("enums.Color")


def test_a_file_tells_which_names_cannot_be_decoded() -> None:
    names = names_of_file(
        ast.parse(
            "from typing import Optional as Maybe\n"
            "from enum import Enum\n"
            "from elsewhere import Base\n"
            "class Color(Enum): ...\n"
            "class Shade(Color): ...\n"
            "class Unknown(Base): ...\n"
            "class Plain: ...\n"
            "class Number(int): ...\n"
        )
    )
    assert from_text("Maybe[int]", names) == Optionally(INT)
    for name in ("Color", "Shade", "Unknown"):
        assert from_text(name, names) == Named(name)
    for name in ("Plain", "Number"):
        with pytest.raises(UnsupportedAnnotation, match=f"Unsupported argument type '{name}'"):
            from_text(name, names)


def test_literal_of_the_module_scope() -> None:
    assert type_from_hint(Annotated[Literal["p", "q"], "-l"]) == Choice({"p": "p", "q": "q"})
