from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchx.specs.overlay_merge import DEL, JOIN, PUT, apply_overlay

fields = st.sampled_from("abc")
keys = (
    fields
    | st.builds(PUT, fields)
    | st.builds(DEL, fields)
    | st.builds(lambda field: JOIN(field, on="a"), fields)
)
primitives = st.none() | st.booleans() | st.integers(0, 3) | st.sampled_from("xyz")


def trees(names: st.SearchStrategy[str]) -> st.SearchStrategy[dict[str, Any]]:
    values = st.recursive(
        primitives,
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.lists(inner, max_size=2).map(tuple)
            | st.dictionaries(names, inner, max_size=3)
        ),
        max_leaves=8,
    )
    return st.dictionaries(names, values, max_size=4)


def applied(base: dict[str, Any], *overlays: dict[str, Any]) -> dict[str, Any]:
    result = copy.deepcopy(base)
    for overlay in overlays:
        apply_overlay(result, overlay)
    return result


def accumulated(*overlays: dict[str, Any]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for overlay in overlays:
        apply_overlay(result, overlay, _resolve=False)
    return result


def test_encoding_of_operators_is_stable() -> None:
    assert PUT("a") == "__put__:a"
    assert JOIN("a", on="b") == "__join__:a:b"
    assert DEL("a") == "__del__:a"


@pytest.mark.parametrize(
    ("base", "overlay", "expected"),
    [
        ({"a": {"b": 1}}, {"a": {"c": 2}}, {"a": {"b": 1, "c": 2}}),
        ({"a": [1]}, {"a": [1, 2]}, {"a": [1, 1, 2]}),
        ({"a": [1]}, {"a": (2,)}, {"a": [2]}),
        ({"a": 1}, {"a": "x"}, {"a": "x"}),
        ({"a": 1}, {"a": None}, {"a": None}),
        ({"a": None}, {"a": 1}, {"a": 1}),
        ({}, {"a": {"b": [1]}}, {"a": {"b": [1]}}),
        ({}, {"a": (1, 2)}, {"a": [1, 2]}),
        ({"a": 1}, {}, {"a": 1}),
        ({"a": [1]}, {PUT("a"): [2]}, {"a": [2]}),
        ({"a": 1}, {PUT("a"): {"b": 1}}, {"a": {"b": 1}}),
        ({}, {PUT("a"): 1}, {"a": 1}),
        ({"a": 1, "b": 2}, {DEL("a"): "ignored"}, {"b": 2}),
        ({"b": 2}, {DEL("a"): None}, {"b": 2}),
        ({1: "x"}, {1: "y"}, {1: "y"}),
        ({PUT("a"): 1}, {"a": 2}, {"a": 2}),
        ({PUT("a"): 1, DEL("a"): 1}, {DEL("a"): 0}, {}),
    ],
)
def test_merging(base: dict[Any, Any], overlay: dict[Any, Any], expected: dict[Any, Any]) -> None:
    assert applied(base, overlay) == expected


@pytest.mark.parametrize(
    ("current", "items", "expected"),
    [
        ([{"n": 1, "x": 1}], [{"n": 1, "x": 2, "y": 3}], [{"n": 1, "x": 2, "y": 3}]),
        ([{"n": 1}], [{"n": 2}], [{"n": 1}, {"n": 2}]),
        ([{"n": 1}], [{"x": 2}], [{"n": 1}, {"x": 2}]),
        ([{"n": 1}], [{"n": 1, "x": 1}, {"n": 1, "y": 2}], [{"n": 1, "x": 1, "y": 2}]),
        ([{"n": 1}, {"n": 1}], [{"n": 1, "x": 1}], [{"n": 1, "x": 1}, {"n": 1, "x": 1}]),
        ([{"n": [1]}], [{"n": [1], "x": 1}], [{"n": [1], "x": 1}]),
        ([{"n": 1, "l": [1]}], [{"n": 1, "l": [2]}], [{"n": 1, "l": [2]}]),
        ([{"n": 1, "m": {"a": 1}}], [{"n": 1, "m": {"b": 2}}], [{"n": 1, "m": {"a": 1, "b": 2}}]),
        ([{"n": 1, "x": 1}], [{"n": 1, DEL("x"): 0}], [{"n": 1}]),
        ([{"n": 1}], [], [{"n": 1}]),
        (None, [{"n": 1}], [{"n": 1}]),
    ],
)
def test_joining(current: Any, items: list[Any], expected: list[Any]) -> None:
    base = {} if current is None else {"list": current}
    assert applied(base, {JOIN("list", on="n"): items}) == {"list": expected}


def test_field_of_a_join_may_contain_a_colon() -> None:
    assert applied({"a:b": [{"n": 1}]}, {JOIN("a:b", on="n"): [{"n": 1, "x": 2}]}) == {
        "a:b": [{"n": 1, "x": 2}]
    }


@pytest.mark.parametrize(
    ("overlay", "expected"),
    [
        ({"new": {PUT("x"): [1], DEL("y"): 0}}, {"new": {"x": [1]}}),
        ({PUT("new"): {"deep": {PUT("x"): 1}}}, {"new": {"deep": {"x": 1}}}),
        ({"new": [{PUT("x"): 1}]}, {"new": [{"x": 1}]}),
        ({JOIN("new", on="n"): [{"n": 1, PUT("x"): 2}]}, {"new": [{"n": 1, "x": 2}]}),
        ({"new": {JOIN("l", on="n"): [{"n": 1}]}}, {"new": {"l": [{"n": 1}]}}),
    ],
)
def test_operators_are_resolved_wherever_they_stand(
    overlay: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert applied({}, overlay) == expected


@pytest.mark.parametrize(
    ("base", "overlay", "error", "text"),
    [
        ({"a": "x"}, {"a": [1]}, TypeError, "type mismatch for attr: `a`. list != str"),
        ({"a": {"b": None}}, {"a": {"b": {}}}, TypeError, r"`b`\. dict != NoneType.*at `a\.b`"),
        ({"a": [1]}, {"a": 1}, TypeError, "type mismatch for attr: `a`"),
        ({"a": {}}, {"a": None}, TypeError, "type mismatch for attr: `a`"),
        ({"a": [{"n": 1}]}, {JOIN("a", on="n"): {}}, TypeError, "`a`: the overlay must be a list"),
        ({"a": [{"n": 1}]}, {JOIN("a", on="n"): [1]}, TypeError, "item 0 of the overlay"),
        ({"a": "x"}, {JOIN("a", on="n"): []}, TypeError, "the base must be a list of dicts"),
        ({"a": [{}, 1]}, {JOIN("a", on="n"): []}, TypeError, "item 1 of the base"),
        ({}, {"__join__:a": []}, ValueError, "malformed JOIN key `__join__:a`"),
        ({}, {"__join__:a:": []}, ValueError, "malformed JOIN key"),
        ({}, {"x": {"__join__::n": []}}, ValueError, "malformed JOIN key"),
    ],
)
def test_overlay_that_does_not_fit_leaves_the_request_alone(
    base: dict[str, Any], overlay: dict[str, Any], error: type[Exception], text: str
) -> None:
    before = {"first": 1, **base}
    request = copy.deepcopy(before)
    with pytest.raises(error, match=text):
        apply_overlay(request, {"first": 2, **overlay})
    assert request == before


@given(trees(fields), trees(keys))
def test_overlay_is_never_changed_and_a_failing_one_changes_nothing(
    base: dict[str, Any], overlay: dict[str, Any]
) -> None:
    request, given_overlay = copy.deepcopy(base), copy.deepcopy(overlay)
    try:
        apply_overlay(request, overlay)
    except TypeError:
        assert request == base
    assert overlay == given_overlay


@given(trees(fields), trees(keys))
def test_no_operator_is_left_in_the_request(base: dict[str, Any], overlay: dict[str, Any]) -> None:
    try:
        request = applied(base, overlay)
    except TypeError:
        return
    assert "__" not in repr(request)


@given(trees(fields), trees(fields), trees(fields))
def test_accumulated_plain_overlays_do_what_they_would_do_in_turn(
    base: dict[str, Any], first: dict[str, Any], second: dict[str, Any]
) -> None:
    try:
        in_turn = applied(base, first, second)
        combined = accumulated(first, second)
    except TypeError:
        return
    assert applied(base, combined) == in_turn


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ({"t": [1]}, {PUT("t"): [2]}, {PUT("t"): [2]}),
        ({PUT("t"): [1]}, {"t": [2]}, {"t": [2]}),
        ({PUT("t"): [1]}, {PUT("t"): [2]}, {PUT("t"): [2]}),
        ({PUT("t"): {"a": 1}}, {PUT("t"): {"b": 1}}, {PUT("t"): {"b": 1}}),
        ({"t": 1}, {DEL("t"): 0}, {DEL("t"): 0}),
        ({DEL("t"): 0}, {"t": {"a": 1}}, {PUT("t"): {"a": 1}}),
        ({"t": [1]}, {JOIN("t", on="n"): []}, {JOIN("t", on="n"): []}),
        ({JOIN("t", on="n"): []}, {JOIN("t", on="m"): []}, {JOIN("t", on="m"): []}),
        ({"t": (1,)}, {"t": [2]}, {"t": (1, 2)}),
        ({"t": [1]}, {"t": (2,)}, {"t": (2,)}),
        ({"d": {PUT("t"): 1}}, {"d": {"t": 2}}, {"d": {"t": 2}}),
    ],
)
def test_last_operation_on_a_field_wins_when_overlays_are_accumulated(
    first: dict[str, Any], second: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert accumulated(first, second) == expected
