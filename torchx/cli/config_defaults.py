"""Defaults of the options of a command that come from ``[cli:COMMAND]`` of ``.torchxconfig``.

They are looked up when the command is used, and what is wrong with them is told only after its
command line has been read: ``--help`` works with any file, and an option that is given on the
command line needs no valid default.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Collection, Mapping
from typing import Any

from torchx.cli.argparse_util import torchxconfig
from torchx.util.config_layers import Setting

logger: logging.Logger = logging.getLogger(__name__)

_COMMAND_KIND = "cli"
# Names of commands are short: two letters of `run` swapped leave no more in common.
_LIKELY_TYPO = 0.66
# What a section holds that is no option: `component` is the first word behind the options.
_OTHER_KEYS: Mapping[str, Collection[str]] = {"run": ("component",)}


class ConfigDefaults:
    """The configured defaults of one command.

    Args:
        parser: The parser of the command, which has all its arguments.
        command: Name of the command.
        commands: Names of all commands.
    """

    def __init__(
        self, parser: argparse.ArgumentParser, command: str, commands: Collection[str]
    ) -> None:
        self._parser = parser
        self._command = command
        self._commands = commands
        self._problem: Exception | None = None
        self._unfit: dict[str, _Unfit] = {}

    def apply(self) -> None:
        """Replaces the defaults of the options that files configure."""
        from torchx.util import config_layers
        from torchx.util.config_file import ConfigFileError

        try:
            if not config_layers.find_configs():
                return
            found = config_layers.settings(f"{_COMMAND_KIND}:{self._command}")
            self._reject_misspelt_section(config_layers.sections_of_kind(_COMMAND_KIND))
            self._apply_settings(found)
        except (ConfigFileError, OSError) as error:
            self._problem = error

    def check(self, args: argparse.Namespace) -> None:
        """Raises what is wrong with the defaults that the command is about to use.

        Args:
            args: What the parser made of the command line.

        Raises:
            ConfigFileError: A default does not fit its option, or an option is unknown.
            OSError: A file cannot be read.
        """
        for option, unfit in self._unfit.items():
            if getattr(args, option, None) is unfit:
                raise unfit.error
        if self._problem is None:
            return
        if any(isinstance(action, torchxconfig) for action in self._parser._actions):
            raise self._problem
        # Ending a job must not depend on a file that only serves to start some.
        logger.warning("no defaults are taken from configuration files: %s", self._problem)

    def _apply_settings(self, found: Mapping[str, Setting]) -> None:
        actions = _configurable(self._parser)
        others = _OTHER_KEYS.get(self._command, ())
        for option, setting in found.items():
            if option in actions:
                self._apply_setting(actions[option], option, setting)
            elif option not in others:
                raise _unknown(option, setting, self._command, [*actions, *others])

    def _apply_setting(self, action: argparse.Action, option: str, setting: Setting) -> None:
        from torchx.util.config_file import ConfigFileError

        try:
            action.default = _default(self._parser, action, setting.value)
        except (ValueError, argparse.ArgumentError) as error:
            reason = getattr(error, "message", None) or str(error)
            action.default = self._unfit[action.dest] = _Unfit(
                setting.value,
                ConfigFileError(
                    f"{setting.where(option)}: {reason}",
                    hint=f"correct the file, or give `{action.option_strings[-1]}` yourself",
                ),
            )
        action.required = action.required and not action.default

    def _reject_misspelt_section(self, names: Collection[str]) -> None:
        from torchx.util.config_file import ConfigFileError
        from torchx.util.config_layers import place_of
        from torchx.util.strings import closest_match

        for name in names:
            meant = closest_match(name, self._commands, cutoff=_LIKELY_TYPO)
            if name not in self._commands and meant == self._command:
                raise ConfigFileError(
                    f"{place_of(f'{_COMMAND_KIND}:{name}')} belongs to no command",
                    hint=f"did you mean [{_COMMAND_KIND}:{meant}]?",
                )


class _Unfit:
    """Stands for a default that does not fit its option; an error only if it gets used."""

    def __init__(self, text: str, error: Exception) -> None:
        self._text = text
        self.error = error

    def __str__(self) -> str:
        return self._text


def _configurable(parser: argparse.ArgumentParser) -> dict[str, argparse.Action]:
    """Returns the options by the names that a file may use: the ``dest``, or a long spelling."""
    options = [
        action
        for action in parser._actions
        if action.option_strings
        and action.default != argparse.SUPPRESS
        and action.dest != "profile"
    ]
    by_name = {action.dest: action for action in options}
    for action in options:
        for spelling in action.option_strings:
            if spelling.startswith("--"):
                by_name.setdefault(spelling[2:].replace("-", "_"), action)
    return by_name


def _default(parser: argparse.ArgumentParser, action: argparse.Action, text: str) -> Any:
    from torchx.util.types import to_bool

    if isinstance(action, argparse.BooleanOptionalAction):
        return to_bool(text)
    if isinstance(action, argparse._CountAction):
        return int(text)
    if action.nargs == 0:
        return action.const if to_bool(text) else action.default
    if isinstance(action, argparse._AppendAction) or action.nargs in ("*", "+"):
        return [_checked(parser, action, line) for line in text.split("\n") if line.strip()]
    _checked(parser, action, text)
    # As text: argparse converts it, as it converts a default in the code.
    return text


def _checked(parser: argparse.ArgumentParser, action: argparse.Action, text: str) -> Any:
    value = parser._get_value(action, text)
    if action.choices is not None and value not in action.choices:
        names = ", ".join(map(str, action.choices))
        raise ValueError(f"`{text}` is not one of {names}")
    return value


def _unknown(option: str, setting: Setting, command: str, known: Collection[str]) -> Exception:
    from torchx.util.config_file import ConfigFileError
    from torchx.util.strings import closest_match

    closest = closest_match(option, known)
    advice = f"did you mean `{closest}`? " if closest else ""
    return ConfigFileError(
        f"{setting.where(option)} is no option of `torchx {command}`",
        hint=f"{advice}see `torchx {command} --help`",
    )
