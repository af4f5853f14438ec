from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import pytest

from torchx.specs.component_parser import ComponentParser


def component(
    script: str,
    lr: float = 0.1,
    n: int = 4,
    debug: bool = False,
    opt: bool | None = None,
    why: Annotated[str, "--because", "-w"] = "",
) -> None:
    """Trains 100% of a model.

    Args:
        script: path
        lr: rate in %
    """


def with_varargs(*args: str, script: str = "", debug: bool = False, n: int = 1) -> None: ...


def parse(fn: Any, *words: str, **defaults: Any) -> dict[str, Any]:
    return vars(ComponentParser(fn, defaults).parse_args(words))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--script", "a"], {"script": "a", "lr": 0.1, "n": 4, "debug": "False"}),
        (["--script=a b=c", "--lr", "-1e-3"], {"script": "a b=c", "lr": -0.001}),
        (["--script", "-x"], {"script": "-x"}),
        (["--script", "-x y"], {"script": "-x y"}),
        (["--script=--x"], {"script": "--x"}),
        (["--script", ""], {"script": ""}),
        (["--script", "a\nb"], {"script": "a\nb"}),
        (["--script", "a", "--debug"], {"debug": "True"}),
        (["--debug", "--script", "a"], {"debug": "True", "script": "a"}),
        (["--script", "a", "--debug", "no"], {"debug": "no"}),
        (["--script", "a", "--debug=yes"], {"debug": "yes"}),
        (["--script", "a", "--opt"], {"opt": "True"}),
        (["--script", "a", "-n", "5"], {"n": 5}),
        (["--script", "a", "-n5"], {"n": 5}),
        (["--script", "a", "-n=5"], {"n": 5}),
        (["--script", "a", "--n", "5", "--n", "6"], {"n": 6}),
        (["--script", "a", "--because", "x"], {"why": "x"}),
        (["--script", "a", "-w", "x"], {"why": "x"}),
    ],
)
def test_options(words: Sequence[str], expected: dict[str, Any]) -> None:
    parsed = parse(component, *words)
    assert {name: parsed[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], []),
        (["a", "b"], ["a", "b"]),
        (["--", "--foo", "x", "y"], ["--foo", "x", "y"]),
        (["x", "--foo", "y"], ["x", "--foo", "y"]),
        (["--script", "s", "a1"], ["a1"]),
        (["--script=s", "--debug", "a1"], ["a1"]),
        (["--debug", "True", "a1"], ["a1"]),
        (["a1", "--debug"], ["a1", "--debug"]),
        (["a", "--", "b"], ["a", "--", "b"]),
        (["--", "--", "b"], ["--", "b"]),
        (["-1", "--n", "3"], ["-1", "--n", "3"]),
        (["--script=a b", "c"], ["c"]),
        (["-", "--n"], ["-", "--n"]),
        (["--help me"], ["--help me"]),
    ],
)
def test_varargs_begin_at_the_first_word_of_no_option(
    words: Sequence[str], expected: list[str]
) -> None:
    assert parse(with_varargs, *words)["args"] == expected


def test_varargs_have_configured_defaults() -> None:
    assert parse(with_varargs, args="arg3 arg4")["args"] == ["arg3", "arg4"]
    assert parse(with_varargs, "x", args="arg3 arg4")["args"] == ["x"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "the following arguments are required: --script"),
        (["--script", "a", "--scirpt", "b"], "(did you mean --script?)"),
        (["--script", "a", "b"], "unrecognized arguments: b"),
        (["--script", "a", "--lr", "x"], "argument --lr: invalid float value: 'x'"),
        (["--script"], "expected one argument"),
        (["--script", "--lr", "1"], "expected one argument"),
        (["--script", "--other"], "write --script=VALUE"),
        (["--script", "a", "-h"], "unrecognized arguments: -h"),
        (["--script", "a", "--", "b"], "unrecognized arguments"),
    ],
)
def test_a_malformed_command_line_ends_with_status_2(
    words: Sequence[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        parse(component, *words)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


def test_an_abbreviation_is_accepted_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert parse(component, "--scr", "a")["script"] == "a"
    assert "--scr is taken for --script" in caplog.text


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse(component, "--help")
    assert caught.value.code == 0
    text = capsys.readouterr().out
    assert text.startswith("usage: torchx run <run args...> component  [--help] --script str")
    assert "Trains 100% of a model." in text
    assert "rate in % (default: 0.1)" in text
    assert "path (required)" in text
    assert "--debug [bool]" in text
    assert "--why str, --because str, -w str" in text


def test_actions_can_be_inspected() -> None:
    actions = {action.dest: action for action in ComponentParser(component, {"n": "7"})._actions}
    assert actions["script"].help == "path"
    assert actions["n"].help == " "
    assert actions["n"].default == "7"
    assert actions["lr"].default == 0.1
    assert actions["debug"].default == "False"
    assert actions["why"].option_strings == ["--why", "--because", "-w"]


def test_a_parameter_may_be_called_help(capsys: pytest.CaptureFixture[str]) -> None:
    def component(help: str = "none", kind: Literal["a", "b c"] = "a") -> None: ...

    assert parse(component, "--help", "me")["help"] == "me"
    with pytest.raises(SystemExit) as caught:
        parse(component, "-h")
    assert caught.value.code == 0
    assert "--kind value" in capsys.readouterr().out


def test_a_parameter_may_be_called_h() -> None:
    def component(h: str = "", help: str = "") -> None: ...

    assert parse(component, "-h", "gpu.small") == {"h": "gpu.small", "help": ""}


def test_two_parameters_cannot_share_a_spelling() -> None:
    def component(a: Annotated[str, "-x"] = "", x: str = "") -> None: ...

    with pytest.raises(ValueError, match="'a' and 'x' both claim the option -x"):
        ComponentParser(component, {})


def test_what_was_given_is_remembered() -> None:
    parser = ComponentParser(with_varargs, {"n": 3})
    parser.parse_args(["--debug", "x"])
    assert parser.given == {"debug", "args"}
    parser.parse_args([])
    assert parser.given == set()
