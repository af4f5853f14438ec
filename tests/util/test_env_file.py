from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchx.util.env_file import EnvFileError, parse_env_file, read_env_file

TEXT = st.text(st.characters(exclude_characters="\0\r", exclude_categories=["Cs"]))


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("", {}),
        ("\n  \n# only a comment", {}),
        ("A=1", {"A": "1"}),
        ("A=1\nB=2\n", {"A": "1", "B": "2"}),
        ("export A=1\n  export\tB = 2 ", {"A": "1", "B": "2"}),
        ("export=1", {"export": "1"}),
        ("A=\nB= # nothing\nC=''", {"A": "", "B": "", "C": ""}),
        ("A=#1 # comment", {"A": "#1"}),
        ("A=a b#c # comment", {"A": "a b#c"}),
        ("A=x=y", {"A": "x=y"}),
        ("A=$HOME ${B} $(ls) `ls`", {"A": "$HOME ${B} $(ls) `ls`"}),
        ('A="$HOME ${B} \\$x"', {"A": "$HOME ${B} \\$x"}),
        ("A='it\\n' # c", {"A": "it\\n"}),
        ('A="a\\nb\\t\\"c\\" \\\\ \\q"', {"A": 'a\nb\t"c" \\ \\q'}),
        ("A='two\nlines'\nB=\"three\nlines\n\"", {"A": "two\nlines", "B": "three\nlines\n"}),
        ("A=it's\nB=2", {"A": "it's", "B": "2"}),
        ("A=1\nA=2", {"A": "2"}),
        ("my.name-1=x", {"my.name-1": "x"}),
    ],
)
def test_a_file_is_read(text: str, values: dict[str, str]) -> None:
    assert parse_env_file(text, "f") == values


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("A=1\n\n# c\nhunter2", 4, "no NAME="),
        ("1A=hunter2", 1, "no NAME="),
        ("=hunter2", 1, "no NAME="),
        ("A='x\n\n'\nB='hunter2", 4, "not closed"),
        ('A="hunter2\\"', 1, "not closed"),
        ("A='hunter2' hunter2", 1, "closing quote"),
        ("A=\0hunter2", 1, "NUL"),
    ],
)
def test_a_malformed_line_is_named_and_not_shown(text: str, line: int, reason: str) -> None:
    with pytest.raises(EnvFileError, match=rf"my\.env, line {line}: .*{reason}") as info:
        parse_env_file(text, "my.env")
    assert "hunter2" not in str(info.value) + info.value.hint


@given(st.dictionaries(st.from_regex(r"[A-Za-z_]\w{0,8}", fullmatch=True), TEXT))
def test_every_text_can_be_written_in_double_quotes(values: dict[str, str]) -> None:
    def escaped(value: str) -> str:
        return value.replace("\\", "\\\\").replace('"', '\\"')

    text = "\n".join(f'{name}="{escaped(value)}"' for name, value in values.items())
    ascii_values = {name: value for name, value in values.items() if name.isascii()}
    if ascii_values == values:
        assert parse_env_file(text, "f") == values


@given(TEXT.filter(lambda text: "'" not in text))
def test_single_quotes_mean_what_they_mean_to_a_shell(value: str) -> None:
    assert parse_env_file(f"A='{value}' # c", "f") == {"A": value}


def test_a_shell_reads_the_same_from_what_both_understand(tmp_path: Path) -> None:
    text = "A=plain\nexport B='single $x \\n'\nC=\"a \\\\ b\"  # c\n"
    (tmp_path / "f.env").write_text(text)
    script = '. ./f.env; printf "%s|%s|%s" "$A" "$B" "$C"'
    done = subprocess.run(["sh", "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout == "|".join(read_env_file(tmp_path / "f.env").values())


def test_files_of_other_systems_are_read(tmp_path: Path) -> None:
    path = tmp_path / "f.env"
    path.write_bytes("\ufeffA=1\r\nB='x\r\ny'\r\n".encode())
    assert read_env_file(path) == {"A": "1", "B": "x\ny"}


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(EnvFileError, match="missing"):
        read_env_file(tmp_path / "missing")
    (tmp_path / "latin").write_bytes(b"A=\xe4hunter2")
    with pytest.raises(EnvFileError, match="latin is not UTF-8") as info:
        read_env_file(tmp_path / "latin")
    assert "hunter2" not in str(info.value)
    assert info.value.__cause__ is None
