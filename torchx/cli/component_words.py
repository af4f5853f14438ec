"""Splits what follows ``torchx run [options]`` into a component and its arguments."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torchx.specs.component_parser import ComponentParser

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
    parser = parser_of(component)
    return _repeated_by_spelling(words) if parser is None else parser.repeated_options(words)


def _repeated_by_spelling(words: list[str]) -> list[str]:
    """The check for components that could not be looked up; each ``--`` begins anew."""
    repeated: dict[str, None] = {}
    seen: set[str] = set()
    for word in (text.strip() for text in words):
        if word == "--":
            seen = set()
        elif word.startswith("-") and word != "-" and not _NUMBER.match(word):
            name = word.partition("=")[0]
            if name in seen:
                repeated[name] = None
            seen.add(name)
    return list(repeated)


def parser_of(component: str) -> ComponentParser | None:
    """Makes the parser of a component.

    Args:
        component: Name of the component.

    Returns:
        The parser, or None if the component cannot be looked up.
    """
    from torchx.specs.arguments import create_args_parser
    from torchx.specs.finder import get_component

    try:
        return create_args_parser(get_component(component).fn)
    except Exception:
        # Whatever is wrong with the component is reported by the attempt to run it.
        logger.debug("cannot look up the options of `%s`", component, exc_info=True)
        return None
