"""The only code that runs the commands of Slurm, but for those whose form is published."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from torchx.errors import BackendError
from torchx.schedulers.batch.commands import CommandTimeoutError, run_command

log: logging.Logger = logging.getLogger(__name__)

TIMEOUT_S = 60.0
"""How long a command may take, in seconds. Slurm itself gives up on its controller earlier."""

_UNKNOWN_JOB = ("invalid job id", "bad job/step", "invalid job array")
_UNREACHABLE = (
    "unable to contact slurm controller",
    "connection refused",
    "connect failure",
    "communication connection failure",
    "socket timed out",
    "zero bytes were transmitted",
    "unable to establish controller",
    "temporarily unable",
    "resource temporarily unavailable",
    "problem talking to the database",
    "sending persistconn",
)

# What a refusal says -> what to do about it.
_HINTS = {
    "invalid account": "`sacctmgr show associations user=$USER format=account,partition,qos` shows"
    " the accounts that you may use",
    "invalid qos": "`sacctmgr show associations user=$USER format=account,qos` shows what you may"
    " use",
    "invalid partition": "`sinfo` shows the partitions",
    "time limit is invalid": "`sinfo -o '%P %l'` shows the limits of the partitions",
    "node configuration is not available": "`sinfo -o '%P %D %c %m %G %f'` shows what nodes have",
    "invalid feature": "`sinfo -o '%P %f'` shows the features of nodes",
    "invalid generic resource": "`sinfo -o '%P %G'` shows the generic resources of nodes",
    "reservation": "`scontrol show reservation` shows the reservations",
    "dependency": "name jobs that exist, as in afterok:123",
    "unable to open file": "the file system may not be there",
}


class SlurmError(BackendError):
    """A command of Slurm failed.

    Attributes:
        is_explained: Whether the command said why.
    """

    is_explained = True


class SlurmNotInstalledError(SlurmError):
    """This machine lacks a command of Slurm."""


class UnknownJobError(SlurmError):
    """Slurm does not know the job."""


def run(words: Sequence[str], timeout_s: float = TIMEOUT_S) -> str:
    """Runs a command of Slurm.

    Args:
        words: The command.
        timeout_s: How long it may take, in seconds.

    Returns:
        What it printed.

    Raises:
        SlurmNotInstalledError: There is no such command.
        UnknownJobError: It says that there is no such job.
        SlurmError: It failed. Transient if the controller could not be reached.
    """
    log.debug("running %s", words[0])
    try:
        answer = run_command(words, timeout_s)
    except OSError as error:
        raise not_installed(words[0], error) from None
    except CommandTimeoutError as error:
        raise SlurmError(
            str(error),
            hint="the controller of the cluster may be overloaded or down; try again",
            transient=True,
        ) from None
    if answer.code:
        raise failure(words[0], answer.code, answer.err)
    return answer.out


def not_installed(command: str, error: OSError) -> SlurmNotInstalledError:
    """Makes the error for a command that cannot be started.

    Args:
        command: Name of the command.
        error: Why it cannot.

    Returns:
        The error.
    """
    return SlurmNotInstalledError(
        f"cannot run `{command}`: {error.strerror or error}",
        hint="run torchx on a node of the cluster that has the commands of Slurm, such as its"
        " login node",
    )


def failure(command: str, code: int, stderr: str | None) -> SlurmError:
    """Translates how a command failed.

    Args:
        command: Name of the command.
        code: Its exit code.
        stderr: What it printed on standard error, if that is known.

    Returns:
        The error.
    """
    said = " ".join((stderr or "").split())
    lowered = said.lower()
    message = (
        f"`{command}` failed with exit code {code}: {said}"
        if said
        else (f"`{command}` failed with exit code {code}")
    )
    if any(words in lowered for words in _UNKNOWN_JOB):
        return UnknownJobError(message, hint="`torchx list -s slurm` shows the jobs that there are")
    if any(words in lowered for words in _UNREACHABLE):
        return SlurmError(
            message, hint="the controller of the cluster may be down; try again", transient=True
        )
    hint = next((text for words, text in _HINTS.items() if words in lowered), "")
    error = SlurmError(message, hint=hint)
    error.is_explained = bool(said)
    return error
