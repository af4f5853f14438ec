"""The only code that runs the commands of LSF."""

from __future__ import annotations

import logging
import subprocess
from collections.abc import Sequence

from torchx.errors import BackendError
from torchx.schedulers.batch.commands import Answer, CommandTimeoutError, run_command

log: logging.Logger = logging.getLogger(__name__)

TIMEOUT_S = 120.0
"""How long a command may take, in seconds. LSF itself asks again and again when it is down."""

_UNKNOWN = (
    "no job found",
    "no matching job found",
    "no unfinished job found",
    "is not found",
)
_UNREACHABLE = (
    "lsf is down",
    "batch system daemon not responding",
    "batch daemon not responding",
    "failed in an lsf library call",
    "communication time out",
    "please wait",
    "too many connections",
    "slave lim",
)
_TOO_OLD = ("invalid option", "illegal option", "not a valid field name")


class LsfError(BackendError):
    """A command of LSF failed."""


class LsfNotInstalledError(LsfError):
    """This machine lacks a command of LSF."""


class UnknownProjectError(LsfError):
    """LSF knows no such job (any more)."""


def run(words: Sequence[str]) -> str:
    """Runs a command of LSF.

    Args:
        words: The command.

    Returns:
        What it printed.

    Raises:
        LsfNotInstalledError: There is no such command.
        UnknownProjectError: It says that there is no such job.
        LsfError: It failed. Transient if LSF could not be reached.
    """
    answer = ask(words)
    if answer.code:
        raise failure(words[0], answer.code, answer.err)
    return answer.out


def ask(words: Sequence[str], timeout_s: float = TIMEOUT_S) -> Answer:
    """Runs a command of LSF that may fail.

    Args:
        words: The command.
        timeout_s: How long it may take, in seconds.

    Returns:
        What came of it.

    Raises:
        LsfNotInstalledError: There is no such command.
        LsfError: It did not end in time.
    """
    log.debug("running %s", words[0])
    try:
        return run_command(words, timeout_s)
    except OSError as error:
        raise not_installed(words[0], error) from None
    except CommandTimeoutError as error:
        raise LsfError(
            str(error),
            hint="the master of the cluster may be overloaded or down; try again",
            transient=True,
        ) from None


def published(words: Sequence[str]) -> str:
    """Runs a query whose form is published; packages and tests stand in for it.

    Args:
        words: The command.

    Returns:
        What it printed.

    Raises:
        LsfError: As of :func:`run`.
    """
    try:
        process = subprocess.run(
            list(words), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True
        )
    except subprocess.CalledProcessError:
        # Asks again for the reason, which the published form throws away.
        return run(words)
    except OSError as error:
        raise not_installed(words[0], error) from error
    return text_of(process.stdout)


def text_of(out: str | bytes) -> str:
    """Decodes what a command printed.

    Args:
        out: Its output, or what stands in for it.

    Returns:
        The text.
    """
    return out if isinstance(out, str) else out.decode("utf-8", "replace")


def not_installed(command: str, error: OSError) -> LsfNotInstalledError:
    """Makes the error for a command that cannot be started.

    Args:
        command: Name of the command.
        error: Why it cannot.

    Returns:
        The error.
    """
    return LsfNotInstalledError(
        f"cannot run `{command}`: {error.strerror or error}",
        hint="run torchx on a host of the cluster, in an environment that has its commands"
        " (`. profile.lsf`)",
    )


def failure(command: str, code: int, said: str) -> LsfError:
    """Translates how a command failed.

    Args:
        command: Name of the command.
        code: Its exit code.
        said: What it printed on standard error.

    Returns:
        The error.
    """
    said = " ".join(said.split())
    lowered = said.lower()
    message = f"`{command}` failed with exit code {code}{f': {said}' if said else ''}"
    if any(words in lowered for words in _UNKNOWN):
        return UnknownProjectError(
            message, hint="`torchx list -s lsf` shows the apps that there are"
        )
    if any(words in lowered for words in _UNREACHABLE):
        return LsfError(
            message, hint="the master of the cluster may be down; try again", transient=True
        )
    if any(words in lowered for words in _TOO_OLD):
        return LsfError(message, hint="this scheduler needs IBM Spectrum LSF 10.1 or newer")
    return LsfError(message)
