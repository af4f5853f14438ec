"""Patterns of an ignore file as regular expressions, read the way `docker build` reads them.

That is mostly the syntax of Go's ``filepath.Match``. What is odd here is odd there: a negated class
is ``[^a]`` (``[!a]`` holds an exclamation mark), a class may match ``/``, and a backslash before a
letter is an escape of regular expressions.
"""

from __future__ import annotations

import functools
import posixpath
import re
from collections.abc import Callable

_SPECIAL = frozenset("*?[]\\")
_LETTER_ESCAPES = frozenset("afnrtv")


def normalized(pattern: str) -> str:
    """Removes what carries no meaning: blanks around it, slashes at its ends, ``.`` and ``..``.

    Args:
        pattern: A pattern without ``!``.

    Returns:
        The shortest pattern that matches the same paths.
    """
    return posixpath.normpath(pattern.strip()).lstrip("/")


@functools.lru_cache(maxsize=1024)
def matcher(pattern: str) -> Callable[[str], object]:
    """Compiles one pattern.

    Args:
        pattern: A pattern without ``!``.

    Returns:
        A function that says whether a relative path matches.

    Raises:
        ValueError: The pattern is malformed.
    """
    return re.compile(expression(pattern), re.DOTALL).fullmatch


@functools.lru_cache(maxsize=1024)
def expression(pattern: str) -> str:
    """Translates one pattern.

    Args:
        pattern: A pattern without ``!``.

    Returns:
        A regular expression for whole relative paths.

    Raises:
        ValueError: The pattern is malformed.
    """
    if not pattern.strip():
        raise ValueError("an ignore file has a `!` without a pattern")
    try:
        translated = _translate(normalized(pattern))
        re.compile(translated)
    except (IndexError, re.error) as error:
        raise ValueError(f"malformed pattern `{pattern}` in an ignore file") from error
    return translated


def _translate(pattern: str) -> str:
    if pattern.startswith("**") and not _SPECIAL.intersection(pattern[2:]):
        rest = re.escape(pattern[2:].removeprefix("/"))
        return f"(?:.*/)?{rest}" if pattern[2:3] == "/" else f".*{rest}"
    translated, position = "", 0
    while position < len(pattern):
        if pattern.startswith("**", position):
            position += 2
            if pattern.startswith("/", position):
                position += 1
            translated += ".*" if position == len(pattern) else "(?:.*/)?"
            continue
        character = pattern[position]
        if character == "[":
            part, position = _translate_class(pattern, position + 1)
        elif character == "\\":
            part, position = _escaped(pattern[position + 1]), position + 2
        else:
            part = {"*": "[^/]*", "?": "[^/]"}.get(character) or re.escape(character)
            position += 1
        translated += part
    return translated


def _translate_class(pattern: str, position: int) -> tuple[str, int]:
    """Translates a class that begins before ``position``.

    Returns:
        The expression, and where the pattern goes on.

    Raises:
        IndexError: It does not end.
        re.error: It is malformed.
    """
    members = "^" if pattern[position] == "^" else ""
    position += len(members)
    start = position
    while position == start or pattern[position] != "]":
        member, position = _member(pattern, position)
        if pattern[position] == "-":
            last, position = _member(pattern, position + 1)
            member = f"{member}-{last}"
        members += member
    return f"[{members}]", position + 1


def _member(pattern: str, position: int) -> tuple[str, int]:
    if pattern[position] in "-]":
        raise re.error("misplaced character")
    if pattern[position] == "\\":
        return _escaped(pattern[position + 1]), position + 2
    return re.escape(pattern[position]), position + 1


def _escaped(character: str) -> str:
    return f"\\{character}" if character in _LETTER_ESCAPES else re.escape(character)
