from __future__ import annotations

import argparse

from torchx.specs.docstrings import TorchXArgumentHelpFormatter, get_fn_docstring


def documented(a: int, b: str, c: str = "") -> None:
    """Short.

    Long.

    Args:
        a: first
        b: second
        gone: not in the signature
    """


def short_only(a: int) -> None:
    """Short"""


def undocumented(a: int) -> None:
    pass


def test_description_and_parameters() -> None:
    assert get_fn_docstring(documented) == (
        "Short.\nLong.",
        {"a": "first", "b": "second", "c": " ", "gone": "not in the signature"},
    )
    assert get_fn_docstring(short_only) == ("Short", {"a": " "})


def test_a_missing_docstring_gives_a_tip() -> None:
    description, texts = get_fn_docstring(undocumented)
    assert description == (
        "undocumented TIP: improve this help string by adding a docstring\n"
        "to your component (see: "
        "https://meta-pytorch.org/torchx/latest/component_best_practices.html)"
    )
    assert texts == {"a": " "}


def parser() -> argparse.ArgumentParser:
    return argparse.ArgumentParser(
        prog="demo 100%",
        description="100% of %(prog)s and %s",
        formatter_class=TorchXArgumentHelpFormatter,
        add_help=False,
    )


def test_help_tells_the_default_or_that_there_is_none() -> None:
    formatter = TorchXArgumentHelpFormatter("demo")
    demo = parser()
    foo = demo.add_argument("--foo", required=True, help="foo")
    bar = demo.add_argument("--bar", default=1, help="bar")
    quiet = demo.add_argument("--quiet", default=argparse.SUPPRESS, help="quiet")
    assert formatter._get_help_string(foo) == "foo (required)"
    assert formatter._get_help_string(bar) == "bar (default: 1)"
    assert formatter._get_help_string(quiet) == "quiet"


def test_a_percent_sign_is_just_text() -> None:
    demo = parser()
    demo.add_argument("--lr", type=float, default="5%s", help="100% %(default)s", required=False)
    text = demo.format_help()
    assert "100% of %(prog)s and %s" in text
    assert "--lr float  100% %(default)s (default: 5%s)" in text


def test_undocumented_arguments_show_their_default_too() -> None:
    demo = parser()
    demo.add_argument("--a", default=3, help=" ")
    demo.add_argument("--b", required=True, help=" ")
    text = demo.format_help()
    assert "(default: 3)" in text
    assert "(required)" in text
