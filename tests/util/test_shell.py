"""Quoting: a real shell must hand over exactly the words that went in."""

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from torchx.util import shell
from torchx.util import shlex as older_path

HOSTILE = [
    "a b",
    "it's",
    'say "x"',
    "two\nlines",
    "a,b;c&&d|e",
    "$HOME `id` $(id) ${HOME}",
    "back\\slash",
    "~ * ? [a] {b,c} !1 #x",
    "",
    "snö ☃ 🐍",
    "--",
    "x" * 100_000,
]


def _words_seen_by_program(command: str) -> list[str]:
    show = [sys.executable, "-c", "import sys; print('\\0'.join(sys.argv[1:]), end='')"]
    ran = subprocess.run(
        ["sh", "-c", f"{shell.join(show)} {command}"], capture_output=True, check=True
    )
    return ran.stdout.decode("utf-8", "surrogateescape").split("\0")


def test_hostile_words_pass_a_shell_byte_for_byte() -> None:
    assert _words_seen_by_program(shell.join(HOSTILE)) == HOSTILE


@settings(max_examples=25, deadline=None)
@given(st.lists(st.text(st.characters(exclude_characters="\0", codec="utf-8")), min_size=1))
def test_any_words_pass_a_shell(words: list[str]) -> None:
    assert _words_seen_by_program(shell.join(words)) == words


def test_marked_words_are_read_by_the_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHERE", "here")
    line = shell.join(["$WHERE", shell.NoQuote("$WHERE")])
    assert line == "'$WHERE' $WHERE"
    assert _words_seen_by_program(line) == ["$WHERE", "here"]


def test_a_nul_character_is_refused_because_no_program_can_get_it() -> None:
    with pytest.raises(ValueError, match=r"NUL character.*'a\\x00b'"):
        shell.quote("a\0b")


def test_older_import_path_joins() -> None:
    assert older_path.join(["foo", "foo bar", "$yes"]) == "foo 'foo bar' '$yes'"
