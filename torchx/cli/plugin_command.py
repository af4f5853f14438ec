"""Sub-commands of installed packages: one that is broken does not hinder the others."""

from __future__ import annotations

import argparse
from argparse import ArgumentParser
from collections.abc import Callable
from typing import Any, NoReturn

from torchx.cli.cmd_base import SubCommand
from torchx.cli.lazy import summary_of

COMMANDS_GROUP = "torchx.cli.cmds"
"""Entry-point group in which packages register sub-commands."""


class BrokenCommand(SubCommand):
    """Stands for a sub-command of an installed package that cannot be loaded.

    Args:
        name: Name of the command.
        error: Why it cannot be loaded.

    Attributes:
        error: Why it cannot be loaded.
        summary: One line for ``torchx --help``.
    """

    def __init__(self, name: str, error: BaseException) -> None:
        self._name = name
        self.error = error
        self.summary = "cannot be loaded"

    def add_arguments(self, subparser: ArgumentParser) -> None:
        """Reports why the command cannot be loaded; called when it is about to be used.

        Args:
            subparser: Not used.

        Raises:
            TorchXError: Always.
        """
        self._report()

    def run(self, args: argparse.Namespace) -> None:
        """Reports why the command cannot be loaded.

        Args:
            args: Not used.

        Raises:
            TorchXError: Always.
        """
        self._report()

    def _report(self) -> NoReturn:
        from torchx.errors import TorchXError

        raise TorchXError(
            f"command `{self._name}` cannot be loaded: {type(self.error).__name__}: {self.error}",
            hint=f"repair or remove the package that registers it in `{COMMANDS_GROUP}`",
        ) from self.error


class PluginCommand(SubCommand):
    """Stands for the sub-command of a package until it is used, then hands everything to it.

    Args:
        name: Name of the command.
        make: Imports the class and creates the command.
        builtin: The command of ours that it replaces, if it can be loaded.
    """

    def __init__(
        self, name: str, make: Callable[[], object], builtin: SubCommand | None = None
    ) -> None:
        self._name = name
        self._make = make
        self._builtin = builtin
        self._command: SubCommand | None = None

    @property
    def summary(self) -> str:
        """One line for ``torchx --help``."""
        return summary_of(self._load())

    def add_arguments(self, subparser: ArgumentParser) -> None:
        """Declares the arguments of the command.

        Args:
            subparser: The parser of this command alone.
        """
        self._load().add_arguments(subparser)

    def run(self, args: argparse.Namespace) -> None:
        """Runs the command.

        Args:
            args: What the parser made of the command line.
        """
        self._load().run(args)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self._load(), name)

    def _load(self) -> SubCommand:
        if self._command is None:
            try:
                self._command = make_command(self._name, self._make, self._builtin)
            except AssertionError as error:
                self._command = _without(self._name, error, self._builtin)
        return self._command


def make_command(
    name: str, make: Callable[[], object], builtin: SubCommand | None = None
) -> SubCommand:
    """Makes the sub-command of a package.

    Args:
        name: Name of the command.
        make: Creates the command.
        builtin: The command of ours that it replaces.

    Returns:
        The command. If it cannot be made, the one of ours, with a warning, or else one that
        reports why.

    Raises:
        AssertionError: What was made is no sub-command.
    """
    try:
        command = make()
    except (Exception, SystemExit) as error:
        return _without(name, error, builtin)
    if not isinstance(command, SubCommand):
        raise AssertionError(
            f"entry point `{name}` of group `{COMMANDS_GROUP}` must be a class derived from"
            f" torchx.cli.cmd_base.SubCommand, but it yields a {type(command).__name__}"
        )
    return command


def _without(name: str, error: BaseException, builtin: SubCommand | None) -> SubCommand:
    if builtin is None:
        return BrokenCommand(name, error)
    import logging

    logging.getLogger(__name__).warning(
        "a package replaces command `%s`, but cannot be loaded; the built-in one is used: %s",
        name,
        error,
    )
    return builtin
