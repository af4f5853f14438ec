from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchx.util import config_file
from torchx.util.config_file import ConfigFileError, parse, read

OLD_S = 1_700_000_000


def options(text: str, section: str = "s", with_defaults: bool = False) -> dict[str, str]:
    return parse(text, "file").options(section, with_defaults)


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("k = v", "v"),
        ("k: v", "v"),
        ("k = a = b : c", "a = b : c"),
        ("k = a # kept ; too", "a # kept ; too"),
        ("k =", ""),
        ('k = "q"', '"q"'),
        ("k = a\n  b\n# no part of it\n  c", "a\nb\nc"),
        ("k = é", "é"),
    ],
)
def test_values_are_read_as_written(line: str, value: str) -> None:
    assert options(f"# comment\n; comment\n[s]\n{line}\n") == {"k": value}


def test_names_of_options_keep_their_case() -> None:
    assert options("[s]\nKey = 1\nkey = 2\n") == {"Key": "1", "key": "2"}


@pytest.mark.parametrize(
    ("value", "read_as"),
    [
        ("50%", "50%"),
        ("%", "%"),
        ("%Y-%m-%d", "%Y-%m-%d"),
        ("100%%", "100%"),
        ("%%(other)s", "%(other)s"),
        ("<%(other)s>", "<o>"),
        ("<%(shared)s>", "<d>"),
        ("%(other)d", "%(other)d"),
        ("%(asctime)s", "%(asctime)s"),
        ("%(chain)s", "o!"),
    ],
)
def test_a_percent_in_a_value_does_not_break_reading(value: str, read_as: str) -> None:
    text = f"[DEFAULT]\nshared = d\n[s]\nother = o\nchain = %(other)s!\nk = {value}\n"
    assert options(text)["k"] == read_as


@given(st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), max_size=30))
def test_any_text_without_references_survives(value: str) -> None:
    escaped = value.replace("%", "%%")
    assert options(f"[s]\nk = {escaped}\n")["k"] == value


def test_references_in_circles_name_file_section_and_option() -> None:
    with pytest.raises(ConfigFileError, match=r"file, section \[s\], option `a`"):
        options("[s]\na = %(b)s\nb = %(a)s\n")


def test_default_options_are_inherited_only_on_request() -> None:
    text = "[DEFAULT]\na = 1\nb = 2\n[s]\nb = 3\n"
    assert options(text) == {"b": "3"}
    assert options(text, with_defaults=True) == {"a": "1", "b": "3"}
    assert options(text, "absent", with_defaults=True) == {}


@pytest.mark.parametrize(
    "text",
    ["k = v\n", "[s]\nk\n", "[s]\nk = 1\nk = 2\n", "[s]\n[s]\n", "[s\n"],
    ids=["no section", "no value", "option twice", "section twice", "unclosed"],
)
def test_text_that_breaks_the_rules_names_the_file(text: str) -> None:
    with pytest.raises(ConfigFileError, match="the/file") as caught:
        parse(text, "the/file")
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_utf8_is_named(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_bytes(b"[s]\nk = \xff\n")
    with pytest.raises(ConfigFileError, match=r"config is not UTF-8 text \(byte 8\)"):
        read(str(path))


def test_utf8_is_read_whatever_the_locale(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_bytes("\ufeff[s]\nk = ü\n".encode())
    assert read(str(path)).options("s") == {"k": "ü"}


def test_a_file_is_parsed_once_until_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed: list[str] = []

    def counted(text: str, source: str) -> config_file.ConfigFile:
        parsed.append(text)
        return parse(text, source)

    monkeypatch.setattr(config_file, "parse", counted)
    path = tmp_path / "config"
    path.write_text("[s]\nk = 1\n")
    os.utime(path, (OLD_S, OLD_S))
    assert [read(str(path)).options("s")["k"] for _ in range(3)] == ["1"] * 3
    assert len(parsed) == 1
    path.write_text("[s]\nk = 2\n")
    os.utime(path, (OLD_S, OLD_S + 1))
    assert read(str(path)).options("s") == {"k": "2"}


def test_a_file_changed_twice_at_once_is_read_each_time(tmp_path: Path) -> None:
    path = tmp_path / "config"
    for value in "123456789":
        path.write_text(f"[s]\nk = {value}\n")
        assert read(str(path)).options("s") == {"k": value}
