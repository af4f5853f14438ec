from __future__ import annotations

import signal

import pytest

from torchx.cli.failures import exit_after, explain, fail, signal_number
from torchx.errors import TorchXError
from torchx.schedulers.local_scheduler import SignalException


def exit_code(error: BaseException) -> object:
    with pytest.raises(SystemExit) as exit_info:
        exit_after(error)
    return exit_info.value.code


@pytest.mark.parametrize(
    ("error", "message", "hint"),
    [
        (TorchXError("bad", hint="do this"), "bad", "do this"),
        (TorchXError("bad"), "bad", ""),
        (KeyError("name"), "name", "DEBUG"),
        (ValueError("bad value"), "bad value", "DEBUG"),
        (ValueError(), "ValueError", "DEBUG"),
        (OSError(28, "No space left", "/x"), "[Errno 28] No space left: '/x'", "free some space"),
        (ZeroDivisionError("by zero"), "ZeroDivisionError: by zero", "DEBUG"),
        (ModuleNotFoundError("No module named 'x.y'", name="x.y"), "No module named 'x.y'", "`x`"),
    ],
)
def test_an_error_is_put_into_words(error: Exception, message: str, hint: str) -> None:
    words, advice = explain(error)
    assert words == message
    assert hint in advice


def test_a_signal_gives_the_exit_code_that_shells_give() -> None:
    assert exit_code(KeyboardInterrupt()) == 130
    assert exit_code(SignalException("ended", signal.SIGTERM)) == 143
    assert signal_number(ValueError()) is None


def test_a_broken_connection_is_not_taken_for_a_closed_pipe(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert exit_code(BrokenPipeError(32, "the server hung up")) == 1
    assert "the server hung up" in caplog.text


def test_secrets_are_not_reported(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(SystemExit):
        fail("cannot reach https://me:pass-word@host/", hint="see https://me:pass-word@host/")
    record = caplog.records[-1]
    assert "pass-word" not in record.getMessage() + vars(record)["hint"]
