"""Turns errors into two lines for a person and an exit code.

::

    error: what was wrong
    hint: what to do about it

The traceback is shown at log level DEBUG only.
"""

from __future__ import annotations

import errno
import logging
import os
import select
import signal
import sys
from typing import NoReturn

from torchx.cli.json_output import Failure, note_failure
from torchx.errors import TorchXError
from torchx.util.redact import redact_text

logger: logging.Logger = logging.getLogger("torchx.cli")

EXIT_FAILURE = 1
"""Exit code of everything that goes wrong, except a wrong command line (2, by argparse)."""

_FULL_DISK_HINT = "free some space there, or set TORCHX_HOME to a directory on another disk"
_TRACEBACK_HINT = "run it again with `torchx -v ...` to see at level DEBUG where this comes from"


def fail(
    message: str, *, hint: str = "", exit_code: int = EXIT_FAILURE, type: str = "CommandError"
) -> NoReturn:
    """Reports an error and ends the process.

    Args:
        message: What was wrong.
        hint: What to do about it, or ``""``.
        exit_code: The exit code.
        type: Class name of the error, for those who read it as JSON.

    Raises:
        SystemExit: Always.
    """
    _fail(Failure(type, message, hint), exit_code)


def explain(error: BaseException) -> tuple[str, str]:
    """Puts an error into words.

    Args:
        error: Any error.

    Returns:
        What was wrong, and what to do about it.
    """
    hint = str(getattr(error, "hint", "")) or _TRACEBACK_HINT
    if isinstance(error, TorchXError):
        return str(error), getattr(error, "hint", "")
    if isinstance(error, KeyError) and error.args:
        return str(error.args[0]), hint
    if isinstance(error, ModuleNotFoundError):
        return str(error), hint if hasattr(error, "hint") else _missing_module_hint(error)
    text = str(error)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return text, _FULL_DISK_HINT
    if isinstance(error, (OSError, ValueError, NotImplementedError, RuntimeError)) and text:
        return text, hint
    return f"{type(error).__name__}: {text}" if text else type(error).__name__, hint


def exit_after(error: BaseException) -> NoReturn:
    """Reports an error that nobody handled and ends the process with the exit code for it.

    Args:
        error: The error.

    Raises:
        SystemExit: Always: with 1, or with 128 plus the number of the signal that ended the
            command (130 for Ctrl-C, 141 for a reader that closed the pipe).
    """
    number = signal_number(error)
    if number is not None:
        logger.debug("ended by signal %d", number, exc_info=error)
        note_failure(Failure("Interrupted", f"ended by signal {number}", transient=True))
        sys.exit(128 + number)
    if isinstance(error, BrokenPipeError) and _reader_is_gone():
        _discard_outputs()
        sys.exit(128 + signal.SIGPIPE)
    message, hint = explain(error)
    logger.debug("%s", type(error).__name__, exc_info=error)
    is_transient = bool(getattr(error, "transient", False))
    _fail(Failure(type(error).__name__, message, hint, is_transient), EXIT_FAILURE)


def signal_number(error: BaseException) -> int | None:
    """Returns the number of the signal that an exception stands for.

    Args:
        error: Any exception.

    Returns:
        Its number for an interrupt and for the exception that local schedulers raise when the
        process is told to end; None for all others.
    """
    if isinstance(error, KeyboardInterrupt):
        return signal.SIGINT
    number = getattr(error, "sigval", None)
    return number if isinstance(number, int) else None


def _fail(failure: Failure, exit_code: int) -> NoReturn:
    failure = failure._replace(message=redact_text(failure.message), hint=redact_text(failure.hint))
    note_failure(failure)
    logger.error("%s", failure.message, extra={"hint": failure.hint})
    sys.exit(exit_code)


def _missing_module_hint(error: ModuleNotFoundError) -> str:
    if not error.name:
        return _TRACEBACK_HINT
    return f"install what provides `{error.name.partition('.')[0]}` into this environment"


def _reader_is_gone() -> bool:
    """Tells our own output from a connection somewhere inside a library."""
    poll = select.poll()
    for descriptor in (1, 2):
        poll.register(descriptor, 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def _discard_outputs() -> None:
    """Sends what is still buffered nowhere, or the interpreter complains when it exits."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        os.dup2(nowhere, descriptor)
    os.close(nowhere)
