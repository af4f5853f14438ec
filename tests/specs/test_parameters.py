from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import pytest

from torchx.specs.argument_types import ListOf, Optionally, Primitive
from torchx.specs.parameters import component_parameters

if TYPE_CHECKING:
    from decimal import Decimal


def decorated(fn: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(fn)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return fn(*args, **kwargs)

    return wrapper


def component(
    n: int,
    name: Annotated[str, "doc", "--why", "-w"],
    x: Annotated[list[int] | None, "-y"] = None,
    later: Decimal | None = None,
    *args: str,
    keyword: bool = True,
) -> None:
    pass


def test_spellings() -> None:
    spellings = {name: one.spellings for name, one in component_parameters(component).items()}
    assert spellings == {
        "n": ("--n", "-n"),
        "name": ("--name", "--why", "-w"),
        "x": ("--x", "-y"),
        "later": ("--later",),
        "args": (),
        "keyword": ("--keyword",),
    }


def test_postponed_annotations_are_resolved_one_by_one() -> None:
    found = component_parameters(component)
    assert found["n"].type == Primitive(int)
    assert found["n"].annotation is int
    assert found["x"].type == Optionally(ListOf(Primitive(int)))
    assert found["later"].type is None
    assert "Decimal" in found["later"].fault
    assert found["args"].is_varargs
    assert not found["n"].has_default
    assert found["keyword"].kind is inspect.Parameter.KEYWORD_ONLY


def test_a_decorated_component_keeps_its_signature() -> None:
    wrapped = component_parameters(decorated(component))
    assert wrapped == component_parameters(component)


def test_a_missing_annotation_is_a_fault() -> None:
    found = component_parameters(lambda x: x)
    assert found["x"].fault == "Missing type annotation"


def test_variable_keyword_arguments_are_refused() -> None:
    def takes_all(**options: str) -> None: ...

    with pytest.raises(TypeError, match=r"takes_all .*\*\*options.*use a dict or explicit"):
        component_parameters(takes_all)
