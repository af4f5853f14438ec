"""The program ``torchx``."""

from __future__ import annotations

import argparse
import atexit
import contextlib
import gc
import os
import sys
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

from torchx.cli.cmd_base import SubCommand
from torchx.cli.json_output import errors_as_json, print_json
from torchx.cli.lazy import LOG_LEVEL_OPTIONS, CommandParser, LazyCommand, MainParser
from torchx.cli.plugin_command import COMMANDS_GROUP, BrokenCommand, PluginCommand, make_command
from torchx.cli.profile_option import add_profile_option, forget_profile
from torchx.util.entrypoints import DeferredEntryPoint, load_group

__all__ = [
    "COMMANDS_GROUP",
    "BrokenCommand",
    "create_parser",
    "get_default_sub_cmds",
    "get_sub_cmds",
    "main",
    "run_main",
    "sub_parser_description",
]

COMPLETE_COMMAND = "__complete"
"""First word of the command lines by which the scripts of ``torchx completion`` ask."""

sub_parser_description = "what torchx can do; `torchx COMMAND --help` tells more about one"
"""Shown above the list of sub-commands."""

# Importing logging takes as long as all the rest that these do.
_NEED_NO_LOGGING = ("--version", "--help", "-h")

_COLLECTION_THRESHOLD = 5_000

_DEFAULT_COMMANDS = {
    "builtins": ("CmdBuiltins", "list the components that come with torchx and its plugins"),
    "cancel": ("CmdCancel", "end an app that is pending or running"),
    "completion": ("CmdCompletion", "print a script that completes commands in your shell"),
    "configure": ("CmdConfigure", "write or complete a .torchxconfig to fill in"),
    "delete": ("CmdDelete", "end an app and remove it from the records of its scheduler"),
    "describe": ("CmdDescribe", "print the definition of an app"),
    "list": ("CmdList", "list the jobs that were launched, or the apps of a scheduler"),
    "log": ("CmdLog", "print or follow the logs of an app"),
    "plugins": ("CmdPlugins", "show what installed packages add to torchx, and what failed"),
    "prune": (
        "CmdPrune",
        "forget jobs that ended long ago, and remove what they left on this machine",
    ),
    "rerun": ("CmdRerun", "launch a remembered job again, with changes"),
    "run": ("CmdRun", "launch an app from a component"),
    "runopts": ("CmdRunopts", "print the options of schedulers"),
    "status": ("CmdStatus", "print the state of an app and of its replicas"),
    "tracker": ("CmdTracker", "show what runs have told their trackers"),
}


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

    A package whose command cannot be loaded does not hinder the other commands. Entry points are
    imported when their command is used, or when help is printed.

    Returns:
        A new command under each name.

    Raises:
        AssertionError: What was registered as a command is none. An entry point of that kind is
            reported when its command is used.
    """
    commands = get_default_sub_cmds()
    for name, make in (load_group(COMMANDS_GROUP) or {}).items():
        stands_for = PluginCommand if isinstance(make, DeferredEntryPoint) else make_command
        commands[name] = stands_for(name, make, commands.get(name))
    return commands


def create_parser(subcmds: dict[str, SubCommand]) -> ArgumentParser:
    """Makes the parser of the whole command line.

    Args:
        subcmds: The sub-commands by name. Each declares its arguments when it is first used.

    Returns:
        The parser. What it parses has an attribute ``func`` if a sub-command was named.
    """
    parser = MainParser(description="torchx CLI")
    parser.add_argument(
        "--log_level",
        type=str,
        default=_default_log_level(),
        help="lowest level of log records to show; default: environment variable LOGLEVEL or INFO",
    )
    for spellings, (level, text) in LOG_LEVEL_OPTIONS.items():
        parser.add_argument(
            *spellings,
            dest="log_level",
            action="store_const",
            const=level,
            default=argparse.SUPPRESS,
            help=text,
        )
    add_profile_option(parser)
    parser.add_argument("--version", action=_VersionAction, nargs=0, help="print the version")
    group = parser.add_subparsers(
        title="sub-commands",
        description=sub_parser_description,
        metavar="COMMAND",
        parser_class=CommandParser,
    )
    for name, command in subcmds.items():
        # An empty help makes the command appear in the list; the text is filled in with the list.
        group.add_parser(name, help="").attach(command, name, subcmds)
    parser.attach(group, subcmds)
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
        with errors_as_json():
            _run(subcmds, words)
    except BrokenPipeError as error:
        _exit_after(error)
    finally:
        forget_profile()


def main(argv: list[str] | None = None) -> None:
    """Runs ``torchx``.

    Args:
        argv: The words behind the name of the program; by default those of this process.

    Raises:
        SystemExit: The command did not succeed, or had no more to do than to print help.
    """
    words = sys.argv[1:] if argv is None else argv
    if words[:1] == [COMPLETE_COMMAND]:
        from torchx.cli.completion import print_completions

        print_completions(words[1:])
        return
    with _little_garbage_collection():
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

        if "--json" in getattr(parser, "words", ()):
            print_json("version", {"version": __version__})
        else:
            print(f"torchx-{__version__}")
        parser.exit()


@contextlib.contextmanager
def _little_garbage_collection() -> Iterator[None]:
    """A command keeps what it loads, and looking for garbage in that takes a sixth of its time."""
    usual = gc.get_threshold()
    gc.set_threshold(_COLLECTION_THRESHOLD, *usual[1:])
    atexit.register(gc.freeze)
    try:
        yield
    finally:
        gc.set_threshold(*usual)


def _run(subcmds: dict[str, SubCommand], words: list[str]) -> None:
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
        _exit_after(error)


def _exit_after(error: BaseException) -> NoReturn:
    from torchx.cli.failures import exit_after

    exit_after(error)


def _default_log_level() -> str:
    return os.environ.get("LOGLEVEL", "INFO")


def _set_up_logging(level: str) -> None:
    from torchx.cli.logs_format import set_up_logging

    set_up_logging(level)


if __name__ == "__main__":
    main()
