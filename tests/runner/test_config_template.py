from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchx.runner.config_template import merged_text, missing_from, option_texts, render
from torchx.specs import runopts
from torchx.util.config_file import parse


def texts(required_only: bool = False, **options: Any) -> dict[str, str]:
    opts = runopts()
    for name, (type_, default) in options.items():
        opts.add(name, type_=type_, help="about\n it", default=default, required=default is ...)
    return option_texts(opts, required_only)


def test_each_type_of_default_has_its_form() -> None:
    shown = texts(
        s=(str, "x"),
        i=(int, 1),
        f=(float, 1.5),
        b=(bool, True),
        none=(str, None),
        some=(list[str], ["a", "b"]),
        no=(list[str], []),
        pairs=(dict[str, str], {"k": "v", "k2": "v2"}),
        nothing=(dict[str, str], None),
        date=(str, "%Y"),
        reference=(str, "%(x)s %%"),
    )
    assert shown == {
        "s": "x",
        "i": "1",
        "f": "1.5",
        "b": "True",
        "none": "None",
        "some": "a;b",
        "no": "None",
        "pairs": "k:v;k2:v2",
        "nothing": "None",
        "date": "%Y",
        "reference": "%%(x)s %%%%",
    }


def test_a_required_option_is_a_placeholder_of_limited_length() -> None:
    opts = runopts()
    opts.add("queue", type_=str, help="Queue to submit to", required=True)
    opts.add("long", type_=int, help="many words\n" * 20, required=True)
    opts.add("optional", type_=int, help="", default=1)
    placeholder = f"#FIXME:(int) {'many words ' * 20}"[:60]
    assert option_texts(opts, required_only=True) == {
        "queue": "#FIXME:(str) Queue to submit to",
        "long": f"{placeholder}...",
    }


def test_a_section_is_written_in_the_published_form() -> None:
    assert render("demo", {"queue": "q", "node": "None"}) == ("[demo]\nqueue = q\nnode = None\n\n")
    assert render("other", {}) == "[other]\n\n"


def test_what_a_file_has_in_any_spelling_is_not_missing() -> None:
    file = parse("[s]\nlogDir = 1\nqueue = 2\n", "file")
    options = {"log_dir": "a", "queue": "b", "new": "c"}
    assert missing_from(file, "s", options) == {"new": "c"}
    assert missing_from(file, "t", options) == options


@pytest.mark.parametrize(
    ("text", "merged"),
    [
        ("", "[s]\nk = v\n\n"),
        ("[t]\na = 1", "[t]\na = 1\n\n[s]\nk = v\n\n"),
        ("[t]\na = 1\n\n", "[t]\na = 1\n\n[s]\nk = v\n\n"),
        (
            "# top\n[s]\n# why\na = 1\n\n; next\n[t]\n",
            "# top\n[s]\n# why\na = 1\nk = v\n\n; next\n[t]\n",
        ),
        ("[s]", "[s]\nk = v\n"),
        ("[s]\na = 1\n  2\n# c\n  3\n", "[s]\na = 1\n  2\n# c\n  3\nk = v\n"),
        ("[s]\r\na = 1\r\n", "[s]\r\na = 1\r\nk = v\r\n"),
        ("  [s]\n  a = 1\n  [t]\n", "  [s]\n  a = 1\n  k = v\n  [t]\n"),
        ("[t]\na = 1\n  [s]\n", "[t]\na = 1\n  [s]\n\n[s]\nk = v\n\n"),
        ("\ufeff[s]\n", "\ufeff[s]\nk = v\n"),
    ],
)
def test_additions_leave_all_lines_as_they_are(text: str, merged: str) -> None:
    assert merged_text(text, [("s", {"k": "v"})]) == merged


NAMES = st.sampled_from(["a", "b.c", "cli:run", "x y"])
LINES = st.lists(
    st.sampled_from(
        [
            *["", "# note", "; note", "k = v", "K: 50%", "empty =", "  deep = 1", "\tt = 1"],
            *["bracket = [a]", "long = 1\n\t2\n\n  # no\n\t3"],
        ]
    ),
    max_size=6,
)


@given(st.dictionaries(NAMES, LINES, max_size=3), st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_merging_adds_exactly_what_is_missing(
    sections: dict[str, list[str]], newline: str, ends: bool
) -> None:
    lines = [line for name, body in sections.items() for line in (f"[{name}]", *body)]
    text = "\n".join(lines).replace("\n", newline)
    text += newline if ends and text else ""
    try:
        before = parse(text, "file").sections
    except ValueError:
        return
    additions = [("a", {"new": "1", "more": "x;y"}), ("fresh", {"n": "None"}), ("x y", {"z": "%"})]
    merged = merged_text(text, additions)
    expected = {name: dict(options) for name, options in before.items()}
    for section, options in additions:
        expected.setdefault(section, {}).update(options)
    assert parse(merged, "file").sections == expected
    kept = iter(merged.splitlines())
    assert all(line in kept for line in text.splitlines())
