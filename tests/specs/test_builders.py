from __future__ import annotations

import argparse

import pytest

import torchx.specs as specs
from torchx.specs import AppDef, Role, builders
from torchx.specs.builders import _create_args_parser, materialize_appdef


def echo(foo: str, *args: str, bar: str = "asdf") -> AppDef:
    """Says what it got.

    Args:
        foo: first
    """
    return AppDef(foo, [Role(foo, "", args=[foo, bar, *args])])


def only_varargs(*args: str) -> AppDef:
    assert isinstance(args, tuple)
    return AppDef("x", [Role("x", "", args=list(args))])


@pytest.mark.parametrize(
    "words",
    [
        ["--foo", "fooval", "--bar", "barval", "arg1", "arg2"],
        ["--foo=fooval", "--bar=barval", "arg1", "arg2"],
        ["--bar", "barval", "--foo", "fooval", "--", "arg1", "arg2"],
    ],
)
def test_materialize(words: list[str]) -> None:
    app = materialize_appdef(echo, words)
    assert app.roles[0].args == ["fooval", "barval", "arg1", "arg2"]


def test_varargs_take_what_looks_like_options() -> None:
    for words in (["--", "--foo", "x", "y"], ["--foo", "x", "y"]):
        if words[0] == "--":
            assert materialize_appdef(only_varargs, words).roles[0].args == words[1:]
    app = materialize_appdef(only_varargs, ["x", "--foo", "y"])
    assert app.roles[0].args == ["x", "--foo", "y"]


def test_a_component_must_return_a_job() -> None:
    def number() -> AppDef:
        return 5  # type: ignore[return-value]  # the fault under test

    with pytest.raises(TypeError, match="component number must return an AppDef, not int"):
        materialize_appdef(number, [])


def test_the_caller_may_reuse_what_it_passed() -> None:
    words, defaults, config = ["--foo", "x"], {"bar": "y"}, {"args": ["z"]}
    for _ in range(2):
        app = materialize_appdef(echo, words, defaults, config)
        assert app.roles[0].args == ["x", "y", "z"]
    assert (words, defaults, config) == (["--foo", "x"], {"bar": "y"}, {"args": ["z"]})


def test_the_parser_is_an_argparse_parser(capsys: pytest.CaptureFixture[str]) -> None:
    parser = _create_args_parser(echo, {"bar": "configured"}, {"foo": "x"})
    assert isinstance(parser, argparse.ArgumentParser)
    with pytest.raises(SystemExit):
        parser.parse_args(["--help"])
    assert "(default: configured)" in capsys.readouterr().out


def test_names_that_are_importable_from_here() -> None:
    assert builders.make_app_handle("local", "s", "a") == "local://s/a"
    assert builders.parse_mounts is specs.parse_mounts
    assert builders.ComponentArgs._fields == ("positional_args", "var_args", "kwargs")
    for name in ("AppDef", "BindMount", "DeviceMount", "VolumeMount"):
        assert getattr(builders, name) is getattr(specs, name)
    assert set(builders.__all__) <= vars(builders).keys()
