# ruff: noqa: UP006, UP007, UP035, UP045 - users write annotations in the old spelling too

from __future__ import annotations

import inspect
from typing import Annotated, Any, Dict, List, Optional, Union

import pytest

from torchx.util.types import (
    _decode_string_to_dict,
    _decode_string_to_list,
    decode,
    decode_from_string,
    decode_optional,
    get_argparse_param_type,
    is_bool,
    is_primitive,
    none_throws,
    strip_annotated,
    to_bool,
    to_dict,
    to_list,
)


@pytest.mark.parametrize(
    ("text", "items"),
    [("", []), ("  ", []), ("a, b", ["a", "b"]), ("a,,b", ["a", "", "b"]), (",", ["", ""])],
)
def test_to_list(text: str, items: list[str]) -> None:
    assert to_list(text) == items


def test_to_dict_reads_pairs() -> None:
    assert to_dict("A=1,2,B=3") == {"A": "1,2", "B": "3"}


@pytest.mark.parametrize("text", ["true", "1", "YES", "On"])
def test_true_words(text: str) -> None:
    assert to_bool(text)


@pytest.mark.parametrize("text", ["false", "0", "NO", "Off"])
def test_false_words(text: str) -> None:
    assert not to_bool(text)


def test_a_misspelt_truth_value_is_not_silently_false() -> None:
    with pytest.raises(ValueError, match="'ture' is not a truth value"):
        to_bool("ture")


@pytest.mark.parametrize(
    ("value", "annotation", "decoded"),
    [
        (None, int, None),
        ("5", int, "5"),
        ("true", bool, True),
        (True, bool, True),
        (False, bool, False),
        ("a,b", Annotated[list[str], "-l"], ["a", "b"]),
        ({"a": 1}, dict[str, int], {"a": 1}),
        ("", list[str], None),
    ],
)
def test_decode(value: object, annotation: Any, decoded: object) -> None:
    assert decode(value, annotation) == decoded


@pytest.mark.parametrize(
    ("text", "annotation", "decoded"),
    [
        ("1=1.0,2=42.1,3=10", Dict[int, float], {1: 1.0, 2: 42.1, 3: 10.0}),
        ("1.0,42.2,3.9", List[float], [1.0, 42.2, 3.9]),
        ("a=false,b=on", dict[str, bool], {"a": False, "b": True}),
        ("", Optional[int], None),
    ],
)
def test_decode_from_string(text: str, annotation: Any, decoded: object) -> None:
    assert decode_from_string(text, annotation) == decoded


@pytest.mark.parametrize(
    "annotation", [Optional[float], Union[int, str], list, dict, tuple[str, str], int]
)
def test_an_unsupported_annotation_is_named(annotation: Any) -> None:
    with pytest.raises(ValueError, match="unsupported argument annotation"):
        decode_from_string("2", annotation)


def test_containers_of_containers_are_refused() -> None:
    with pytest.raises(ValueError, match="list of int, str or float"):
        _decode_string_to_list("1", list[list[float]])
    with pytest.raises(ValueError, match="must be a dict type"):
        _decode_string_to_dict("a=1", list[int])


def test_is_primitive_and_is_bool() -> None:
    assert [is_primitive(one) for one in (int, str, float, bool, list)] == [True] * 3 + [False] * 2
    assert is_bool(bool)
    assert not is_bool(int)


@pytest.mark.parametrize(
    "annotation",
    [Optional[int], Union[int, None], Union[None, int], int | None, Annotated[int | None, "-x"]],
)
def test_decode_optional_unwraps(annotation: Any) -> None:
    assert decode_optional(annotation) is int


@pytest.mark.parametrize("annotation", [int, Union[int, str, None], list[int]])
def test_decode_optional_keeps(annotation: Any) -> None:
    assert decode_optional(annotation) == annotation


def test_strip_annotated() -> None:
    assert strip_annotated(Annotated[Annotated[int, 1], 2]) is int


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [(int, int), (float, float), (str, str), (bool, str), (list[int], str)],
)
def test_argparse_type(annotation: Any, expected: type) -> None:
    parameter = inspect.Parameter("x", inspect.Parameter.KEYWORD_ONLY, annotation=annotation)
    assert get_argparse_param_type(parameter) is expected
    annotated = parameter.replace(annotation=Annotated[annotation, "-y"])
    assert get_argparse_param_type(annotated) is expected


def test_none_throws() -> None:
    assert none_throws(0) == 0
    with pytest.raises(AssertionError, match=r"Unexpected.*None"):
        none_throws(None)
    with pytest.raises(AssertionError, match="no id"):
        none_throws(None, "no id")
