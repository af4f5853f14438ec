"""Runs the command line tools of a batch system."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Answer", "CommandTimeoutError", "run_command"]


@dataclass(frozen=True)
class Answer:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str


class CommandTimeoutError(Exception):
    """A command did not end in time and was killed; back ends say what that means for them."""


def run_command(words: Sequence[str], timeout_s: float) -> Answer:
    """Runs a command.

    Args:
        words: The command.
        timeout_s: How long it may take, in seconds.

    Returns:
        What came of it, whatever its exit code. Bytes that are no UTF-8 are replaced.

    Raises:
        OSError: It cannot be started.
        CommandTimeoutError: It did not end in time.
    """
    # Not `subprocess.run`: code that stands in for it expects the published commands only.
    process = subprocess.Popen(
        words,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
    )
    with process:
        try:
            out, err = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            raise CommandTimeoutError(
                f"`{words[0]}` did not answer within {timeout_s:g} s"
            ) from None
    return Answer(process.returncode, out, err)
