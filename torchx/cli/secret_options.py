"""``--env-file`` and ``--secret-env``: variables for a job that are shown nowhere."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Sequence

from torchx.errors import TorchXError
from torchx.util.redact import remember_secrets
from torchx.util.secret_files import remember_secret_file

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class SecretEnvError(TorchXError, ValueError):
    """What ``--secret-env`` names cannot be taken from the environment of this process."""


def add_secret_options(parser: argparse.ArgumentParser) -> None:
    """Declares ``--env-file`` and ``--secret-env``.

    Args:
        parser: The parser of a sub-command that launches jobs.
    """
    parser.add_argument(
        "--env-file",
        action="append",
        metavar="FILE",
        help="give all replicas the variables of this file, which has lines such as NAME=value;"
        " the values are never shown; may be repeated, the last value of a variable counts",
    )
    parser.add_argument(
        "--secret-env",
        action="append",
        metavar="NAME",
        help="give all replicas this variable of your environment; its value is never shown; may be"
        " repeated, and wins over --env-file",
    )


def read_secret_env(env_files: Sequence[str] | str, names: Sequence[str] | str) -> dict[str, str]:
    """Reads the variables that the two options name, and has their values hidden from now on.

    Args:
        env_files: The files, or one file.
        names: Names of variables of this process, or one name.

    Returns:
        Values by their names.

    Raises:
        EnvFileError: A file cannot be read.
        SecretEnvError: A variable is not set, or something else than a name was given.
    """
    values: dict[str, str] = {}
    for path in [env_files] if isinstance(env_files, str) else env_files:
        from torchx.util.env_file import read_env_file

        values.update(read_env_file(path))
        remember_secret_file(path)
    for name in [names] if isinstance(names, str) else names:
        values[name] = _from_environment(name)
    remember_secrets(values)
    return values


def _from_environment(name: str) -> str:
    before, equals, _ = name.partition("=")
    if equals:
        # What follows may be the secret itself.
        raise SecretEnvError(
            f"--secret-env takes the name of a variable, not `{before}=...`: everybody on this"
            " machine can read command lines",
            hint=f"set {before} in your environment and give `--secret-env {before}`",
        )
    if not _NAME.fullmatch(name):
        raise SecretEnvError(
            "--secret-env was given something that is no name of a variable",
            hint="give names such as HF_TOKEN",
        )
    value = os.environ.get(name)
    if value is None:
        raise SecretEnvError(
            # Worded so that redaction takes nothing behind the name for its value.
            f"your environment has no variable `{name}`, which --secret-env is to take",
            hint=f"export `{name}` first, or put it into a file and give `--env-file FILE`",
        )
    return value
