from __future__ import annotations

import subprocess
import sys
from typing import NoReturn
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchx.cli.cmd_log import validate
from torchx.cli.log_identifier import LogIdentifier


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("kubernetes://s/queue:name-1", LogIdentifier("kubernetes://s/queue:name-1")),
        ("slurm://s/1/trainer", LogIdentifier("slurm://s/1", "trainer")),
        ("slurm://s/1/trainer/1", LogIdentifier("slurm://s/1", "trainer", (1,))),
        ("slurm://s/1/trainer/1,2,3", LogIdentifier("slurm://s/1", "trainer", (1, 2, 3))),
        ("slurm://s/1/trainer/0,2,0,", LogIdentifier("slurm://s/1", "trainer", (0, 2))),
        ("two_part:///app", LogIdentifier("two_part://default/app")),
        ("my-plugin.x://s/app", LogIdentifier("my-plugin.x://s/app")),
    ],
)
def test_an_identifier_is_taken_apart(text: str, expected: LogIdentifier) -> None:
    assert LogIdentifier.parse(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "kubernetes://session",
        "session/name/role",
        "kubernetes://session/name/role/",
        "local:///App/",
        "local://s//role",
        "local://s/app/role/1,,2",
        "local://s/app/role/x",
        "local://s/app/role/1/2",
        "local://s/app\n",
        "local://s/app/role/\u0661",
        "://s/app",
    ],
)
def test_another_form_is_none(text: str) -> None:
    assert LogIdentifier.parse(text) is None


@given(st.text(max_size=30), st.text(max_size=30))
def test_no_text_breaks_the_parser(scheduler: str, path: str) -> None:
    parsed = LogIdentifier.parse(f"{scheduler}://{path}")
    assert parsed is None or parsed.app_handle.startswith(f"{scheduler}://")


def test_a_long_list_of_digits_does_not_take_for_ever() -> None:
    code = (
        "from torchx.cli.log_identifier import LogIdentifier as L;"
        "assert L.parse('slurm://s/1/r/' + '1' * 100_000 + 'x') is None;"
        "assert L.parse('slurm://s/1/r/' + '1,' * 100_000 + 'x') is None"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=20)


def test_a_malformed_identifier_exits_once_with_1(caplog: pytest.LogCaptureFixture) -> None:
    class Exited(Exception):
        pass

    def leave(code: int) -> NoReturn:
        raise Exited(code)

    with patch("sys.exit", side_effect=leave) as exit_call, pytest.raises(Exited):
        validate("session/name")
    exit_call.assert_called_once_with(1)
    assert "session/name" in caplog.text


def test_a_valid_identifier_passes() -> None:
    validate("kubernetes://session/queue:name-1234/role/1,2,3")
