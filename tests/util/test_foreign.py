from __future__ import annotations

import threading
from typing import NoReturn

import pytest

from torchx.util.foreign import (
    DEFAULT_TIMEOUT_S,
    PluginLoadError,
    call_foreign,
    reason_of,
    timeout_s,
)


class Odd(BaseException):
    pass


class Unprintable(Exception):
    def __str__(self) -> str:
        raise ValueError("no text")


def raising(error: BaseException) -> NoReturn:
    raise error


def test_a_result_and_an_ordinary_error_pass() -> None:
    assert call_foreign("importing x", lambda: 3) == 3
    with pytest.raises(ImportError, match="no libfoo"):
        call_foreign("importing x", lambda: raising(ImportError("no libfoo")))


@pytest.mark.parametrize("error", [SystemExit("no licence"), Odd("no licence")])
def test_what_would_end_the_process_becomes_an_error_that_names_the_plugin(
    error: BaseException,
) -> None:
    expected = rf"importing x tried to end the process: {type(error).__name__}: no licence"
    with pytest.raises(PluginLoadError, match=expected):
        call_foreign("importing x", lambda: raising(error))


def test_ctrl_c_is_no_error_of_the_plugin() -> None:
    with pytest.raises(KeyboardInterrupt):
        call_foreign("importing x", lambda: raising(KeyboardInterrupt()))


def test_a_call_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHX_PLUGINS_TIMEOUT_S", "0.01")
    with pytest.raises(PluginLoadError, match=r"importing x took longer than 0\.01 s") as raised:
        call_foreign("importing x", threading.Event().wait)
    assert "TORCHX_PLUGINS_TIMEOUT_S" in raised.value.hint


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("5", 5),
        ("0.5", 0.5),
        ("0", 0),
        *((bad, DEFAULT_TIMEOUT_S) for bad in ("", "x", "-1", "nan", "inf")),
    ],
)
def test_the_limit_comes_from_the_environment(
    text: str, expected: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHX_PLUGINS_TIMEOUT_S", text)
    assert timeout_s() == expected


def test_reasons_have_a_kind_and_a_text() -> None:
    assert reason_of(ValueError("v")) == "ValueError: v"
    assert reason_of(PluginLoadError("x hangs")) == "x hangs"
    assert reason_of(Unprintable()) == "Unprintable: (its text cannot be read: ValueError)"
