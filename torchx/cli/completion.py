"""What a shell offers when somebody presses TAB behind ``torchx``.

The scripts of ``torchx completion`` call ``torchx __complete SHELL WORD...`` and get one candidate
a line, with a description behind a tab. No plugin is looked for to complete the name of a command.
"""

from __future__ import annotations

import argparse
import itertools
import logging
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from torchx.cli import completion_sources as sources
from torchx.cli.completion_sources import Candidate
from torchx.cli.lazy import CommandParser

_WITH_HANDLE = ("app_handle", "identifier")
_MOST_HANDLES = 100

logger: logging.Logger = logging.getLogger(__name__)


def known_handles() -> list[str]:
    """Returns handles of remembered apps to offer, the newest first.

    Returns:
        At most 100 handles; none if they cannot be read.
    """
    from torchx.runner.store import JobStore
    from torchx.runner.store.database import StoreError

    store = JobStore()
    try:
        newest = store.newest(wanted=_MOST_HANDLES)
        return [job.handle for job in itertools.islice(newest, _MOST_HANDLES) if job.handle]
    except StoreError as error:
        logger.debug("no handles to offer: %s", error)
        return []
    finally:
        store.close()


def print_completions(words: Sequence[str]) -> None:
    """Prints the candidates for the last word of a command line.

    Args:
        words: Name of the shell, then for ``bash`` the text up to the cursor and the value of
            ``COMP_WORDBREAKS``, for others the words behind ``torchx`` up to the one at the cursor.
    """
    shell, *line = words
    if shell == "bash":
        from torchx.cli.completion_bash import bash_lines

        lines = bash_lines(line[0], line[1], candidates)
    else:
        found = candidates(line or [""])
        lines = [f"{one.value}\t{one.text}" if one.text else one.value for one in found]
    sys.stdout.write("".join(f"{text}\n" for text in lines))


def candidates(words: Sequence[str]) -> list[Candidate]:
    """Finds what the last word can become.

    Args:
        words: The words behind ``torchx`` up to the cursor; the last one is what has been typed of
            the word there, maybe nothing.

    Returns:
        The candidates. Empty if there are none, and also if something on the way does not work:
        nobody wants to read an error there.
    """
    *before, current = words
    try:
        found = _candidates(before, current)
        return [one for one in found if one.value.startswith(current)]
    except (Exception, SystemExit):
        if os.environ.get("TORCHX_COMPLETION_DEBUG"):
            raise
        return []


class _Line(NamedTuple):
    """What a parser would make of the words before the cursor.

    Attributes:
        pending: The option whose value is at the cursor, if it is one.
        options: Value of each option that was given one, by its ``dest``.
        words: The words that belong to no option.
    """

    pending: argparse.Action | None
    options: dict[str, str]
    words: list[str]


def _candidates(before: list[str], current: str) -> Iterable[Candidate]:
    from torchx.cli.main import create_parser, get_default_sub_cmds

    commands = get_default_sub_cmds()
    parser = create_parser(commands)
    line = _read(parser, before, stop_at_word=True)
    _use_profile(line)
    if line.pending is not None or (current.startswith("-") and not line.words):
        return _options_or_values(parser, line, current)
    if not line.words:
        return [Candidate(name, str(getattr(one, "summary", ""))) for name, one in commands.items()]
    command, *rest = line.words
    return _of_command(_parser_of(command), command, rest, current)


def _parser_of(command: str) -> CommandParser:
    from torchx.cli.main import get_default_sub_cmds, get_sub_cmds

    commands = get_default_sub_cmds()
    if command not in commands:
        commands = get_sub_cmds()
    parser = CommandParser(prog=f"torchx {command}")
    parser.attach(commands[command], command, commands)
    parser.fill()
    return parser


def _of_command(
    parser: CommandParser, command: str, before: list[str], current: str
) -> Iterable[Candidate]:
    is_run = command == "run"
    line = _read(parser, before, stop_at_word=is_run)
    _use_profile(line)
    if line.pending is not None or (current.startswith("-") and not (is_run and line.words)):
        return _options_or_values(parser, line, current)
    if is_run:
        words = line.words[1:] if line.words[:1] == ["--"] else line.words
        return _of_component(words, current) if words else sources.components(current)
    positionals = [action for action in parser._actions if not action.option_strings]
    if len(line.words) < len(positionals):
        return _values(positionals[len(line.words)], line, current)
    return ()


def _of_component(words: list[str], current: str) -> Iterable[Candidate]:
    from torchx.cli.component_words import parser_of

    component, *before = words
    is_file = ":" in component
    # TAB must not run what a file does when it is imported.
    make = sources.parser_of_file_component if is_file else parser_of
    parser: argparse.ArgumentParser | None = make(component)
    if parser is None:
        return ()
    line = _read(parser, before, stop_at_word=True)
    if line.words or not (line.pending or current.startswith("-")):
        return ()
    return _options_or_values(parser, line, current)


def _options_or_values(
    parser: argparse.ArgumentParser, line: _Line, current: str
) -> Iterable[Candidate]:
    if line.pending is not None:
        return _values(line.pending, line, current)
    spelling, equal_sign, value = current.partition("=")
    action = parser._option_string_actions.get(spelling)
    if equal_sign and action is not None:
        found = _values(action, line, value)
        return (Candidate(f"{spelling}={one.value}", one.text) for one in found)
    return _options(parser, line)


def _options(parser: argparse.ArgumentParser, line: _Line) -> Iterator[Candidate]:
    formatter = argparse.HelpFormatter(prog="")
    for action in parser._actions:
        if action.option_strings and action.dest not in line.options:
            text = formatter._expand_help(action) if action.help else ""
            first_line = text.partition("\n")[0]
            yield from (Candidate(spelling, first_line) for spelling in action.option_strings)


def _values(action: argparse.Action, line: _Line, current: str) -> Iterable[Candidate]:
    if action.choices is not None:
        return [Candidate(str(getattr(one, "value", one))) for one in action.choices]
    if action.dest in ("scheduler", "schedulers"):
        return sources.schedulers(current)
    if action.dest == "scheduler_args":
        return sources.run_options(line.options.get("scheduler"), current)
    if action.dest == "profile":
        return sources.profiles()
    if action.dest == "log_level":
        return map(Candidate, ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"))
    if action.dest in _WITH_HANDLE:
        return _handles(current)
    return sources.component_values(action)


def _handles(current: str) -> Iterator[Candidate]:
    """Offers the ids alone, which commands take for handles, unless a handle has been begun."""
    for handle in known_handles():
        app_id = handle.rpartition("/")[2]
        yield Candidate(handle) if "://" in current else Candidate(app_id, handle)


def _read(parser: argparse.ArgumentParser, words: list[str], stop_at_word: bool) -> _Line:
    options: dict[str, str] = {}
    plain: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        spelling, equal_sign, value = word.partition("=")
        action = parser._option_string_actions.get(spelling)
        if not word.startswith("-") or word in ("-", "--"):
            plain.append(word)
            if stop_at_word:
                return _Line(None, options, plain + rest)
        elif action is None or action.nargs == 0:
            options[action.dest if action is not None else word] = ""
        elif equal_sign:
            options[action.dest] = value
        elif rest:
            options[action.dest] = rest.pop(0)
        else:
            return _Line(action, options, plain)
    return _Line(None, options, plain)


def _use_profile(line: _Line) -> None:
    if line.options.get("profile"):
        from torchx.util.config_layers import use_profile

        use_profile(line.options["profile"])
