"""Splits what follows ``torchx run [options]`` into a component and its arguments."""

from __future__ import annotations

import argparse
import logging
import re
from collections.abc import Iterable, Mapping

logger: logging.Logger = logging.getLogger(__name__)

MISSING_COMPONENT_ERROR_MSG = (
    "missing component name, either provide it from the CLI or in .torchxconfig"
)
"""Shown when neither the command line nor a config file names a component."""

_NUMBER = re.compile(r"-[0-9]|-\.[0-9]")


def split_component_words(
    words: list[str], default_component: str | None
) -> tuple[str | None, list[str]]:
    """Tells the name of the component from its arguments.

    Args:
        words: What follows the options of ``torchx run``. It is not changed.
        default_component: The component of the config file, if there is one.

    Returns:
        Name of the component, or None if there is none, and its arguments.
    """
    rest = words[1:] if words[:1] == ["--"] else list(words)
    if not rest or rest[0].startswith("-"):
        return default_component, rest
    return rest[0], rest[1:]


def repeated_options(component: str, words: list[str]) -> list[str]:
    """Finds options of a component that are given more than once.

    The words behind the first one that belongs to the program the component launches are its
    business, and so are numbers and other values that begin with ``-``.

    Args:
        component: Name of the component.
        words: Its arguments.

    Returns:
        The repeated options as they were written, without duplicates.
    """
    options = _declared_options(component)
    if options is None:
        return _repeated_by_spelling(words)
    names: list[tuple[str, str]] = []
    position = 0
    while _begins_option(words, position):
        option, has_value = _find(options, words[position])
        if option is not None:
            names.append((option.dest, words[position].partition("=")[0]))
            # argparse decides in the same way whether the next word can be a value.
            if option.nargs != 0 and not has_value and not _begins_option(words, position + 1):
                position += 1
        position += 1
    return _repeated(names)


def _repeated_by_spelling(words: list[str]) -> list[str]:
    """The check for components that could not be looked up; each ``--`` begins anew."""
    found: list[str] = []
    names: list[tuple[str, str]] = []
    for word in (text.strip() for text in words):
        if word == "--":
            found += _repeated(names)
            names = []
        elif word.startswith("-") and word != "-" and not _is_number(word):
            name = word.partition("=")[0]
            names.append((name, name))
    return list(dict.fromkeys(found + _repeated(names)))


def _repeated(names: Iterable[tuple[str, str]]) -> list[str]:
    seen: set[str] = set()
    repeated: dict[str, None] = {}
    for dest, spelling in names:
        if dest in seen:
            repeated[spelling] = None
        seen.add(dest)
    return list(repeated)


def _declared_options(component: str) -> Mapping[str, argparse.Action] | None:
    from torchx.specs.builders import _create_args_parser
    from torchx.specs.finder import get_component

    try:
        parser = _create_args_parser(get_component(component).fn)
    except Exception:
        # Whatever is wrong with the component is reported by the attempt to run it.
        logger.debug("cannot look up the options of `%s`", component, exc_info=True)
        return None
    return parser._option_string_actions


def _find(options: Mapping[str, argparse.Action], word: str) -> tuple[argparse.Action | None, bool]:
    """Finds the option that a word means, as argparse does, and whether it holds the value too."""
    name, separator, _ = word.partition("=")
    if name in options:
        return options[name], bool(separator)
    if not name.startswith("--"):
        return options.get(name[:2]), True
    matches = {id(action): action for text, action in options.items() if text.startswith(name)}
    return (next(iter(matches.values())) if len(matches) == 1 else None), bool(separator)


def _begins_option(words: list[str], position: int) -> bool:
    word = words[position] if position < len(words) else ""
    is_separator = word.strip() in ("-", "--")
    return word.startswith("-") and not is_separator and " " not in word and not _is_number(word)


def _is_number(word: str) -> bool:
    return _NUMBER.match(word) is not None
