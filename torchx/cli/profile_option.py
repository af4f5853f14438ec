"""The option ``--profile``, which chooses a profile of ``.torchxconfig``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any, NoReturn


class ProfileAction(argparse.Action):
    """Chooses the profile for the rest of the process."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        """As in ``argparse``.

        Raises:
            ConfigFileError: There is no such profile.
        """
        choose_profile(str(values))
        setattr(namespace, self.dest, values)


def choose_profile(name: str) -> None:
    """Chooses the profile for the rest of the process.

    Args:
        name: Its name; ``""`` for none.

    Raises:
        ConfigFileError: There is no such profile.
    """
    from torchx.cli.argparse_util import torchxconfig
    from torchx.util.config_layers import require_profile, use_profile

    use_profile(name)
    torchxconfig._subcmd_configs.clear()
    require_profile()


def forget_profile() -> None:
    """Undoes `choose_profile`, for programs that call several commands."""
    layers = sys.modules.get("torchx.util.config_layers")
    if layers is not None:
        layers.use_profile(None)


def add_profile_option(parser: argparse.ArgumentParser) -> None:
    """Declares ``--profile``.

    Args:
        parser: The parser that gets it.
    """
    parser.add_argument(
        "--profile",
        action=ProfileAction,
        metavar="NAME",
        help="use this profile of .torchxconfig; default: environment variable TORCHX_PROFILE",
    )


def profile_in(parser: argparse.ArgumentParser, words: Sequence[str]) -> str | None:
    """Finds the profile that a command line chooses, before its other options are looked at.

    Args:
        parser: The parser of the command.
        words: Its words.

    Returns:
        Value of ``--profile``, or None if it is not given or the command has no such option.
    """
    # argparse accepts an option that is cut short, but not to its dashes.
    if not any(word.startswith("--p") for word in words):
        return None
    if not any(isinstance(action, ProfileAction) for action in parser._actions):
        return None
    scanner = _Scanner(add_help=False, prefix_chars=parser.prefix_chars)
    for action in parser._actions:
        if action.option_strings and action.nargs == 0:
            scanner.add_argument(*action.option_strings, dest=action.dest, action="store_true")
        elif action.option_strings:
            scanner.add_argument(*action.option_strings, dest=action.dest, nargs=action.nargs)
    scanner.add_argument("words", nargs=argparse.REMAINDER)
    try:
        profile: str | None = scanner.parse_known_args(words)[0].profile
    except _UnreadableError:
        return None
    return profile


class _UnreadableError(Exception):
    """The command line is wrong, which its own parser will report."""


class _Scanner(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise _UnreadableError(message)
