"""Terminal colours: which streams take them, and the codes."""

from __future__ import annotations

import os
import sys
from typing import TextIO

_CODES = {
    "GREEN": "\033[32m",
    "BLUE": "\033[34m",
    "ORANGE": "\033[38:2:238:76:44m",
    "GRAY": "\033[2m",
    "RED": "\033[31m",
    "YELLOW": "\033[33m",
    "ENDC": "\033[0m",
}


def is_terminal(stream: TextIO | None) -> bool:
    """Tells whether a person watches a stream.

    Args:
        stream: An output stream, or None (as ``sys.stdout`` of a program without a console).

    Returns:
        True for an open terminal that understands control codes.
    """
    if stream is None or os.environ.get("TERM") == "dumb":
        return False
    # What callers hand in as a file need not have more than write().
    isatty = getattr(stream, "isatty", None)
    return isatty is not None and not getattr(stream, "closed", False) and bool(isatty())


def use_color(stream: TextIO | None) -> bool:
    """Tells whether to write colour codes to a stream.

    ``NO_COLOR`` (any text) switches colours off and ``FORCE_COLOR`` (any text but ``0``) on;
    otherwise terminals get them.

    Args:
        stream: The stream that will be written to.

    Returns:
        True if colours are wanted there.
    """
    if os.environ.get("NO_COLOR"):
        return False
    forced = os.environ.get("FORCE_COLOR")
    if forced:
        return forced != "0"
    return is_terminal(stream)


def color_code(name: str, stream: TextIO | None) -> str:
    """Returns the control code of a colour if the stream takes colours.

    Args:
        name: ``GREEN``, ``BLUE``, ``ORANGE``, ``GRAY``, ``RED``, ``YELLOW`` or ``ENDC`` (back to
            normal).
        stream: The stream that will be written to.

    Returns:
        The code, or ``""``.

    Raises:
        KeyError: There is no colour of that name.
    """
    code = _CODES[name]
    return code if use_color(stream) else ""


def paint(text: str, name: str, stream: TextIO | None) -> str:
    """Returns a text in a colour if the stream takes colours.

    Args:
        text: The text.
        name: Name of the colour, as for :func:`color_code`.
        stream: The stream that will be written to.

    Returns:
        The text, with codes around it where they are wanted.

    Raises:
        KeyError: There is no colour of that name.
    """
    if not use_color(stream):
        return text
    return f"{_CODES[name]}{text}{_CODES['ENDC']}"


# Published as constants that are decided at import for standard output. Everything in torchx asks
# the functions above instead, which know the stream that is really written to.
GREEN: str = color_code("GREEN", sys.stdout)
"""Green on standard output, or ``""``."""
BLUE: str = color_code("BLUE", sys.stdout)
"""Blue on standard output, or ``""``."""
ORANGE: str = color_code("ORANGE", sys.stdout)
"""Orange on standard output, or ``""``."""
GRAY: str = color_code("GRAY", sys.stdout)
"""Dimmed on standard output, or ``""``."""
ENDC: str = color_code("ENDC", sys.stdout)
"""Back to normal on standard output, or ``""``."""
