"""The program ``torchx``."""

from __future__ import annotations

import argparse
import os
import sys
from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from torchx.cli.cmd_base import SubCommand
from torchx.cli.lazy import CommandParser, LazyCommand
from torchx.util.entrypoints import load_group

COMMANDS_GROUP = "torchx.cli.cmds"
"""Entry-point group in which packages register sub-commands."""

sub_parser_description = "what torchx can do; `torchx COMMAND --help` tells more about one"
"""Shown above the list of sub-commands."""

# Importing logging takes as long as all the rest that these do.
_NEED_NO_LOGGING = ("--version", "--help", "-h")

_DEFAULT_COMMANDS = {
    "builtins": ("CmdBuiltins", "list the components that come with torchx and its plugins"),
    "cancel": ("CmdCancel", "end an app that is pending or running"),
    "delete": ("CmdDelete", "end an app and remove it from the records of its scheduler"),
    "describe": ("CmdDescribe", "print the definition of an app"),
    "list": ("CmdList", "list the apps of a scheduler"),
    "log": ("CmdLog", "print or follow the logs of an app"),
    "run": ("CmdRun", "launch an app from a component"),
    "runopts": ("CmdRunopts", "print the options of schedulers"),
    "status": ("CmdStatus", "print the state of an app and of its replicas"),
    "tracker": ("CmdTracker", "show what runs have told their trackers"),
}


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


def get_default_sub_cmds() -> dict[str, SubCommand]:
    """Makes the sub-commands that come with torchx.

    Returns:
        A new command under each name. Their modules are not imported before they are used.
    """
    return {
        name: LazyCommand(f"torchx.cli.cmd_{name}", class_name, summary)
        for name, (class_name, summary) in _DEFAULT_COMMANDS.items()
    }


def get_sub_cmds() -> dict[str, SubCommand]:
    """Makes all sub-commands: ours, and those that installed packages add or replace.

    A package whose command cannot be loaded does not hinder the other commands.

    Returns:
        A new command under each name.

    Raises:
        AssertionError: An entry point yields something that is no sub-command.
    """
    commands = get_default_sub_cmds()
    for name, make in (load_group(COMMANDS_GROUP) or {}).items():
        command = _make_command(name, make)
        if isinstance(command, BrokenCommand) and name in commands:
            _warn_of_broken_replacement(name, command)
        else:
            commands[name] = command
    return commands


def create_parser(subcmds: dict[str, SubCommand]) -> ArgumentParser:
    """Makes the parser of the whole command line.

    Args:
        subcmds: The sub-commands by name. Each declares its arguments when it is first used.

    Returns:
        The parser. What it parses has an attribute ``func`` if a sub-command was named.
    """
    parser = ArgumentParser(description="torchx CLI")
    parser.add_argument(
        "--log_level",
        type=str,
        default=_default_log_level(),
        help="lowest level of log records to show; default: environment variable LOGLEVEL or INFO",
    )
    parser.add_argument("--version", action=_VersionAction, nargs=0, help="print the version")
    group = parser.add_subparsers(
        title="sub-commands",
        description=sub_parser_description,
        metavar="COMMAND",
        parser_class=CommandParser,
    )
    for name, command in subcmds.items():
        summary = _summary(command)
        subparser = group.add_parser(name, help=summary, description=summary)
        subparser.attach(command)
    return parser


def run_main(subcmds: dict[str, SubCommand], argv: list[str] | None = None) -> None:
    """Runs the sub-command that a command line names.

    Args:
        subcmds: The sub-commands by name.
        argv: The words behind the name of the program; by default those of this process.

    Raises:
        SystemExit: The command did not succeed, or had no more to do than to print help.
    """
    words = sys.argv[1:] if argv is None else argv
    try:
        if words and words[0] not in _NEED_NO_LOGGING:
            _set_up_logging(_default_log_level())
        parser = create_parser(subcmds)
        args = parser.parse_args(words)
        _set_up_logging(args.log_level)
        if not hasattr(args, "func"):
            parser.print_help()
            sys.exit(1)
        args.func(args)
        # A reader that is gone is noticed here, or only when the interpreter exits.
        sys.stdout.flush()
    except (Exception, KeyboardInterrupt) as error:
        from torchx.cli.failures import exit_after

        exit_after(error)


def main(argv: list[str] | None = None) -> None:
    """Runs ``torchx``.

    Args:
        argv: The words behind the name of the program; by default those of this process.

    Raises:
        SystemExit: The command did not succeed, or had no more to do than to print help.
    """
    run_main(get_sub_cmds(), argv)


class _VersionAction(argparse.Action):
    """Prints the version, which is read from a file, so only when it is asked for."""

    def __call__(
        self,
        parser: ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        from torchx.version import __version__

        print(f"torchx-{__version__}")
        parser.exit()


def _make_command(name: str, make: Callable[[], object]) -> SubCommand:
    try:
        command = make()
    except (Exception, SystemExit) as error:
        return BrokenCommand(name, error)
    if not isinstance(command, SubCommand):
        raise AssertionError(
            f"entry point `{name}` of group `{COMMANDS_GROUP}` must be a class derived from"
            f" torchx.cli.cmd_base.SubCommand, but it yields a {type(command).__name__}"
        )
    return command


def _warn_of_broken_replacement(name: str, command: BrokenCommand) -> None:
    import logging

    logging.getLogger(__name__).warning(
        "a package replaces command `%s`, but cannot be loaded; the built-in one is used: %s",
        name,
        command.error,
    )


def _summary(command: SubCommand) -> str:
    text = getattr(command, "summary", None) or type(command).__doc__ or ""
    first_line = str(text).strip().partition("\n")[0]
    return first_line.replace("%", "%%")


def _default_log_level() -> str:
    return os.environ.get("LOGLEVEL", "INFO")


def _set_up_logging(level: str) -> None:
    from torchx.cli.logs_format import set_up_logging

    set_up_logging(level)


if __name__ == "__main__":
    main()
