"""Sub-commands and their parsers, made only when they are used."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from torchx.cli import json_output
from torchx.cli.cmd_base import SubCommand
from torchx.util.help_format import HelpFormatter

if TYPE_CHECKING:
    from torchx.cli.config_defaults import ConfigDefaults


LOG_LEVEL_OPTIONS = {
    ("-v", "--verbose"): ("DEBUG", "show all log records, and tracebacks of errors"),
    ("-q", "--quiet"): ("WARNING", "show only warnings and errors"),
}
"""Options that set the log level, with the level and the help of each."""

# Python offers the reason of an error only as text.
_INVALID_CHOICE = r"invalid choice: '(?P<word>.*)' \(choose from (?P<choices>.*)\)"
_UNRECOGNIZED = r"unrecognized arguments: (?P<word>-[^\s=]+)"


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


class ReportingParser(argparse.ArgumentParser):
    """A parser whose errors can be told as JSON, too.

    Args:
        options: As in ``argparse``.

    Attributes:
        words: What it was last given to parse.
    """

    words: Sequence[str] = ()

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"formatter_class": HelpFormatter, **options})

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

        message = redact_text(f"{message}{self._advice(message)}")
        hint = f"see `{self.prog} --help`"
        json_output.note_failure(json_output.Failure("UsageError", message, hint))
        json_output.expect_json(self.words, self)
        super().error(message)

    def _advice(self, message: str) -> str:
        """Names what was probably meant by a word that argparse does not know."""
        found = re.search(_INVALID_CHOICE, message)
        if found is not None:
            # Only some versions of Python quote the choices.
            return _closest(found["word"], found["choices"].replace("'", "").split(", "))
        found = re.search(_UNRECOGNIZED, message)
        return "" if found is None else _closest(found["word"], self._known_options())

    def _known_options(self) -> Collection[str]:
        return self._option_string_actions


class CommandParser(ReportingParser):
    """The parser of one sub-command, which asks it for its arguments only when it is used.

    Asking may read config files and look for plugins, which the other commands can do without.
    """

    _command: SubCommand | None = None
    _name = ""
    _commands: Collection[str] = ()
    _config_defaults: ConfigDefaults | None = None

    def attach(self, command: SubCommand, name: str, commands: Collection[str]) -> None:
        """Names the command that this parser is for.

        Args:
            command: The command.
            name: Its name.
            commands: The names of all commands.
        """
        self._command = command
        self._name = name
        self._commands = commands

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
        self.fill()
        words = sys.argv[1:] if args is None else args
        if self._name:
            self._take_defaults(words)
        parsed, rest = super().parse_known_args(words, namespace)
        if self._config_defaults is not None:
            self._config_defaults.check(parsed)
        return parsed, rest

    def format_help(self) -> str:
        """As in ``argparse``.

        Returns:
            The help text.
        """
        self.fill()
        return super().format_help()

    def format_usage(self) -> str:
        """As in ``argparse``.

        Returns:
            The usage text.
        """
        self.fill()
        return super().format_usage()

    def fill(self) -> None:
        """Asks the command for its arguments, unless that has been done."""
        command, self._command = self._command, None
        if command is not None:
            self.description = _escaped(summary_of(command))
            command.add_arguments(self)
            self.set_defaults(func=command.run)
            self._add_log_levels()

    def _add_log_levels(self) -> None:
        for spellings, (level, text) in LOG_LEVEL_OPTIONS.items():
            if not self._option_string_actions.keys() & set(spellings):
                self.add_argument(
                    *spellings,
                    dest="log_level",
                    action="store_const",
                    const=level,
                    default=argparse.SUPPRESS,
                    help=text,
                )

    def _take_defaults(self, words: Sequence[str]) -> None:
        from torchx.cli.config_defaults import ConfigDefaults
        from torchx.cli.profile_option import choose_profile, profile_in

        profile = profile_in(self, words)
        if profile is not None:
            choose_profile(profile)
        self._config_defaults = ConfigDefaults(self, self._name, self._commands)
        self._config_defaults.apply()


class MainParser(ReportingParser):
    """The parser of the whole command line.

    It asks commands for their summaries only when it prints them: those of plugins are imported
    for that.
    """

    def attach(
        self,
        group: argparse._SubParsersAction[CommandParser],
        commands: Mapping[str, SubCommand],
    ) -> None:
        """Names the sub-commands.

        Args:
            group: Where their parsers are.
            commands: The sub-commands by name.
        """
        self._group = group
        self._commands = commands

    def format_help(self) -> str:
        """As in ``argparse``.

        Returns:
            The help text.
        """
        for choice in self._group._choices_actions:
            choice.help = _escaped(summary_of(self._commands[choice.dest]))
        return super().format_help()

    def _known_options(self) -> Collection[str]:
        # Words that the parser of a command does not know are reported by this one.
        command = next((word for word in self.words if word in self._group.choices), None)
        options = set(self._option_string_actions)
        if command is not None:
            options.update(self._group.choices[command]._option_string_actions)
        return options


def summary_of(command: SubCommand) -> str:
    """Returns one line about a command.

    Args:
        command: The command.

    Returns:
        Its ``summary``, or the first line of the docstring of its class.
    """
    text = getattr(command, "summary", None) or type(command).__doc__ or ""
    return str(text).strip().partition("\n")[0]


def _closest(word: str, known: Collection[str]) -> str:
    import difflib

    closest = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean `{closest[0]}`?" if closest else ""


def _escaped(text: str) -> str:
    return text.replace("%", "%%")
