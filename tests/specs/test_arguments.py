# ruff: noqa: RUF036, UP045 - users write annotations in the old spelling too
from __future__ import annotations

import enum
import logging
from typing import Annotated, Any, Literal, Optional
from unittest.mock import patch

import pytest

from torchx.errors import TorchXError
from torchx.specs.arguments import ComponentArgumentError, component_args_from_str, parse_args


class Color(str, enum.Enum):
    RED = "r"
    BLUE = "b"


class Unreadable:
    pass


def everything(
    i: int = 1,
    f: float = 0.5,
    s: str = "",
    b: bool = False,
    l: list[int] = [],  # noqa: B006, E741 - mutable defaults of users must not leak
    d: dict[str, float] | None = None,
    t: tuple[int, str] = (1, "a"),
    oi: Optional[int] = None,
    on: None | float = None,
    c: Color = Color.RED,
    lit: Literal["p", "q"] = "p",
    a: Annotated[Optional[int], "--alpha"] = None,
    u: Unreadable | None = None,
    text_list: list[str] = "x,y",  # type: ignore[assignment]  # what users write
) -> None: ...


def decoded(fn: Any, *words: str, defaults: Any = None, config: Any = None) -> dict[str, Any]:
    result = component_args_from_str(fn, list(words), defaults, config)
    return {**result.positional_args, **result.kwargs}


@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        (["-i", "5"], "i", 5),
        (["--b"], "b", True),
        (["--b", "0"], "b", False),
        (["-l", "1, 2"], "l", [1, 2]),
        (["--l="], "l", []),
        (["--d="], "d", None),
        (["--d", "k=1,j=2"], "d", {"k": 1.0, "j": 2.0}),
        (["--t", "3,x"], "t", (3, "x")),
        (["--on", "5"], "on", 5.0),
        (["-c", "BLUE"], "c", Color.BLUE),
        (["-c", "b"], "c", Color.BLUE),
        (["--lit", "q"], "lit", "q"),
        (["--alpha", "5"], "a", 5),
        ([], "text_list", ["x", "y"]),
        ([], "u", None),
        ([], "c", Color.RED),
    ],
)
def test_every_annotation_is_decoded_also_when_postponed(
    words: list[str], name: str, value: object
) -> None:
    result = decoded(everything, *words)[name]
    assert result == value
    assert type(result) is type(value)


@pytest.mark.parametrize("words", [["--oi", "5"], ["--alpha", "5"]])
def test_optional_int_does_not_stay_a_string(words: list[str]) -> None:
    assert 5 in [one for one in decoded(everything, *words).values() if type(one) is int]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--l", "1,x"], "argument --l: item 2: 'x' is not an int"),
        (["--b", "ture"], "argument --b: 'ture' is not a truth value"),
        (["--lit", "z"], "argument --lit: 'z' is none of p, q"),
        (["--oi", "x"], "argument --oi: 'x' is not an int"),
        (["-u", "x"], "unsupported argument annotation `.*Unreadable.*` of parameter 'u'"),
    ],
)
def test_a_value_that_does_not_fit_names_its_option(words: list[str], message: str) -> None:
    with pytest.raises(ComponentArgumentError, match=message) as caught:
        decoded(everything, *words)
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, TorchXError)


def test_errors_hide_secrets() -> None:
    def component(api_token: int | None = None) -> None: ...

    with pytest.raises(ComponentArgumentError) as caught:
        decoded(component, "--api_token", "hunter2")
    assert "hunter2" not in str(caught.value)


def test_a_mutable_default_is_not_shared_between_calls() -> None:
    decoded(everything)["l"].append(1)
    assert decoded(everything)["l"] == []


def test_command_line_beats_config_beats_configured_default_beats_signature() -> None:
    def component(a: int = 1, *args: str) -> None: ...

    def values(*words: str, defaults: Any = None, config: Any = None) -> tuple[Any, Any]:
        result = component_args_from_str(component, list(words), defaults, config)
        return result.positional_args["a"], result.var_args

    defaults = {"a": "2", "args": "x y"}
    config = {"a": 3, "args": ["z"]}
    assert values() == (1, [])
    assert values(defaults=defaults) == (2, ["x", "y"])
    assert values(defaults=defaults, config=config) == (3, ["z"])
    assert values("-a", "4", "v", defaults=defaults, config=config) == (4, ["v"])
    # an explicit value counts even if it equals the default
    assert values("-a", "1", defaults=defaults, config=config) == (1, ["z"])


def test_config_is_checked_and_converted() -> None:
    config = {"i": "5", "s": 5, "l": ["1", 2], "c": "b", "t": [1, "x"], "b": False, "oi": None}
    result = decoded(everything, config=config)
    assert {name: result[name] for name in config} == {
        "i": 5,
        "s": "5",
        "l": [1, 2],
        "c": Color.BLUE,
        "t": (1, "x"),
        "b": False,
        "oi": None,
    }


def test_all_faults_of_the_config_are_named_at_once() -> None:
    with pytest.raises(ComponentArgumentError) as caught:
        decoded(everything, config={"lits": "p", "i": "x", "b": 1})
    assert str(caught.value) == (
        "component arguments of everything: there is no parameter 'lits' (did you mean 'lit'?);"
        " --i: 'x' is not an int; --b: expected bool, not 1"
    )


def test_a_required_parameter_may_come_from_either_configuration() -> None:
    def component(name: str) -> None: ...

    assert decoded(component, config={"name": "x"}) == {"name": "x"}
    assert decoded(component, defaults={"name": "x"}) == {"name": "x"}
    with pytest.raises(SystemExit):
        decoded(component)


def test_a_none_default_may_be_configured_as_null() -> None:
    def component(name: str = None) -> None: ...  # type: ignore[assignment]  # noqa: RUF013

    assert decoded(component, config={"name": None}) == {"name": None}


def test_configured_defaults_of_no_parameter_are_ignored_with_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        assert decoded(everything, defaults={"litt": "p", "b": "yes"})["b"] is True
    assert "there is no parameter 'litt' (did you mean 'lit'?)" in caplog.text


def test_kinds_of_parameters() -> None:
    def component(first: int, /, second: str = "", *args: float, third: bool = True) -> None: ...

    words = ["--first", "1", "--second", "x", "2", "3.5"]
    result = component_args_from_str(component, words)
    assert result.positional_args == {"first": 1, "second": "x"}
    assert [float(one) * 2 for one in result.var_args] == [4.0, 7.0]
    assert result.kwargs == {"third": True}


def test_variable_keyword_arguments_are_refused() -> None:
    def component(**options: str) -> None: ...

    with pytest.raises(TypeError, match="use a dict or explicit parameters"):
        component_args_from_str(component, [])


def test_a_component_without_annotations_needs_no_decoding_of_defaults() -> None:
    def component(x="a,b"):  # type: ignore[no-untyped-def]  # a user's file
        pass

    assert decoded(component) == {"x": "a,b"}
    with pytest.raises(ComponentArgumentError, match="Missing type annotation"):
        decoded(component, "-x", "c")


def test_parse_args_exits_exactly_once() -> None:
    def component(foo: str) -> None: ...

    with patch("sys.exit") as leave:
        parse_args(component, [])
    leave.assert_called_once()


def test_parse_args_gives_values_by_parameter_name() -> None:
    parsed = parse_args(everything, ["-i", "2"], {"f": "3"}, {"s": "x"})
    assert (parsed.i, parsed.f, parsed.s, parsed.b) == (2, 3.0, "x", "False")
