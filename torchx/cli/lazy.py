"""Sub-commands and their parsers, made only when they are used."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from torchx.cli import json_output
from torchx.cli.cmd_base import SubCommand


class LazyCommand(SubCommand):
    """Stands for a command of ours until it is used, then hands everything to it.

    Args:
        module: Full name of the module of the command.
        class_name: Name of its class there.
        summary: One line for ``torchx --help``.
    """

    def __init__(self, module: str, class_name: str, summary: str) -> None:
        self._module = module
        self._class_name = class_name
        self._command: SubCommand | None = None
        self.summary = summary

    def add_arguments(self, subparser: argparse.ArgumentParser) -> None:
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
            import importlib

            command_class = getattr(importlib.import_module(self._module), self._class_name)
            command: SubCommand = command_class()
            self._command = command
        return self._command


class MainParser(argparse.ArgumentParser):
    """A parser whose errors can be told as JSON, too.

    Attributes:
        words: What it was last given to parse.
    """

    words: Sequence[str] = ()

    # The signatures of argparse are overloads on the type of the namespace.
    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[Any, list[str]]:
        """As in ``argparse``.

        Args:
            args: The words.
            namespace: What to fill.

        Returns:
            The filled namespace and the words that were not understood.
        """
        self.words = sys.argv[1:] if args is None else args
        try:
            return super().parse_known_args(args, namespace)
        except Exception:
            # A command may fail when it is asked for its arguments, before it sees the words.
            json_output.expect_json(self.words, self)
            raise

    def error(self, message: str) -> NoReturn:
        """Prints usage and message, without secrets, and exits with code 2.

        Args:
            message: What is wrong.

        Raises:
            SystemExit: Always.
        """
        from torchx.util.redact import redact_text

        message = redact_text(message)
        hint = f"see `{self.prog} --help`"
        json_output.note_failure(json_output.Failure("UsageError", message, hint))
        json_output.expect_json(self.words, self)
        super().error(message)


class CommandParser(MainParser):
    """The parser of one sub-command, which asks it for its arguments only when it is used.

    Asking may read config files and look for plugins, which the other commands can do without.
    """

    _command: SubCommand | None = None

    def attach(self, command: SubCommand) -> None:
        """Names the command that this parser is for.

        Args:
            command: The command.
        """
        self._command = command

    def parse_known_args(  # type: ignore[override] # see above
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[Any, list[str]]:
        """As in ``argparse``.

        Args:
            args: The words.
            namespace: What to fill.

        Returns:
            The filled namespace and the words that were not understood.
        """
        self._fill()
        return super().parse_known_args(args, namespace)

    def format_help(self) -> str:
        """As in ``argparse``.

        Returns:
            The help text.
        """
        self._fill()
        return super().format_help()

    def format_usage(self) -> str:
        """As in ``argparse``.

        Returns:
            The usage text.
        """
        self._fill()
        return super().format_usage()

    def _fill(self) -> None:
        command, self._command = self._command, None
        if command is not None:
            command.add_arguments(self)
            self.set_defaults(func=command.run)
