"""``--json``: one JSON object on standard output, also when something goes wrong.

A command gets the option with :func:`add_json_option` and prints its answer with
:func:`print_json`. Everything else that it says goes to standard error. If it fails before it has
answered, ``main`` prints the error as the one object. The shapes are in ``schema.json``, one
definition for each ``kind``.
"""

from __future__ import annotations

import argparse
import contextlib
import math
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from typing import Any, NamedTuple

SCHEMA_VERSION = 1
"""Version of all shapes. New keys leave it; a key that goes or changes its meaning raises it."""

_IDENTITIES = ("schema_version", "kind", "handle", "app_id", "scheduler")


class Failure(NamedTuple):
    """What is told about an error.

    Args:
        type: Class name of the error, or ``UsageError`` for a wrong command line.
        message: What was wrong.
        hint: What to do about it, or ``""``.
        transient: True if the same command may succeed later without any change.
    """

    type: str
    message: str
    hint: str = ""
    transient: bool = False


class JsonFlag(argparse.Action):
    """The option ``--json``: stores True, and lets errors be printed as JSON too."""

    def __init__(self, option_strings: Sequence[str], dest: str, help: str | None = None) -> None:
        super().__init__(option_strings, dest, nargs=0, default=False, help=help)

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        """As in ``argparse``."""
        setattr(namespace, self.dest, True)
        _Session.is_asked_for = True


class _Session:
    """What the command that runs in this process was asked and has answered."""

    is_asked_for = False
    is_answered = False
    failure: Failure | None = None
    app_handle: str | None = None


def add_json_option(
    parser: argparse._ActionsContainer, help: str = "print one JSON object on one line"
) -> None:
    """Declares ``--json``; ``args.json`` tells whether it was given.

    Args:
        parser: The parser of a sub-command, or a group of its options.
        help: What the option does.
    """
    parser.add_argument("--json", action=JsonFlag, help=help)


def print_json(kind: str, data: Mapping[str, Any]) -> None:
    """Prints the answer of a command, without the secrets in it.

    Args:
        kind: Name of the shape in ``schema.json``.
        data: The keys and values besides ``schema_version`` and ``kind``. Values may be anything:
            what JSON does not have is printed as text.
    """
    envelope = {"schema_version": SCHEMA_VERSION, "kind": kind}
    print(json_text({**envelope, **data}), flush=True)
    _Session.is_answered = True


def handle_parts(app_handle: str) -> dict[str, str]:
    """Returns the keys by which all answers about one app name it.

    Args:
        app_handle: Its handle.

    Returns:
        ``handle``, ``app_id`` and ``scheduler``.

    Raises:
        MalformedAppHandleException: The handle is none.
    """
    from torchx.specs import parse_app_handle

    scheduler, _, app_id = parse_app_handle(app_handle)
    return {"handle": app_handle, "app_id": app_id, "scheduler": scheduler}


def json_text(value: object) -> str:
    """Writes a value as JSON, without the secrets in it.

    Args:
        value: Nested mappings, lists, dataclasses and values of any kind.

    Returns:
        One line of ASCII.
    """
    import json

    from torchx.util.redact import redact_data

    plain = _plain(value)
    shown = redact_data(plain)
    if isinstance(plain, dict):
        # A job stays reachable by its handle, even if that looks like a secret.
        shown.update((key, plain[key]) for key in _IDENTITIES if key in plain)
    return json.dumps(shown)


def note_failure(failure: Failure) -> None:
    """Remembers why the command is about to exit.

    Args:
        failure: What to tell about it.
    """
    _Session.failure = failure


def note_launched(app_handle: str) -> None:
    """Remembers an app that was launched: its handle must not be lost if the command fails later.

    Args:
        app_handle: Its handle.
    """
    _Session.app_handle = app_handle


def expect_json(words: Sequence[str], parser: argparse.ArgumentParser) -> None:
    """Notes that JSON is wanted, although the command line is too wrong to be parsed.

    Args:
        words: The words that were given.
        parser: The parser that they are for.
    """
    if "--json" in _own_words(words, parser):
        _Session.is_asked_for = True


@contextlib.contextmanager
def errors_as_json() -> Iterator[None]:
    """Prints the reason of an unsuccessful exit as JSON if the command was asked for JSON.

    Raises:
        SystemExit: As raised inside.
    """
    _Session.is_asked_for = _Session.is_answered = False
    _Session.failure = _Session.app_handle = None
    try:
        yield
    except SystemExit as end:
        exit_code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if exit_code and _Session.is_asked_for and not _Session.is_answered:
            failure = _Session.failure or _failure_of(end)
            error = {"error": failure._asdict() | {"exit_code": exit_code}}
            launched = _Session.app_handle
            print_json("error", {**(handle_parts(launched) if launched else {}), **error})
        raise


def _failure_of(end: SystemExit) -> Failure:
    message = getattr(end, "message", None)
    if message is not None:
        return Failure("UsageError", message, "add --help behind the component for its arguments")
    text = end.code if isinstance(end.code, str) else f"the command ended with code {end.code}"
    return Failure("SystemExit", text, "see what was printed on standard error")


def _own_words(words: Sequence[str], parser: argparse.ArgumentParser) -> Iterator[str]:
    """Yields the words without those that are for a component, see ``torchx run``."""
    rest = iter(words)
    takes_rest = any(action.nargs == argparse.REMAINDER for action in parser._actions)
    takes_value = {
        text for action in parser._actions if action.nargs is None for text in action.option_strings
    }
    for word in rest:
        if word == "--" or (takes_rest and not word.startswith("-")):
            return
        yield word
        if word in takes_value:
            next(rest, None)


def _plain(value: object) -> Any:
    """Turns a value into what JSON has."""
    import dataclasses

    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)
        }
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(item) for item in value]
    if isinstance(value, Enum):
        return _plain(value.value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return str(value)
