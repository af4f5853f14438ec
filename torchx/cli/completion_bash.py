"""Bash hands over a line and wants the part of each candidate behind the last word break."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Sequence

from torchx.cli.completion_sources import Candidate

_NOT_PLAIN = re.compile(r"([^\w@%+=:,./~-])")


def bash_lines(
    line: str, wordbreaks: str, candidates: Callable[[Sequence[str]], list[Candidate]]
) -> list[str]:
    """Returns what goes into ``COMPREPLY``.

    Args:
        line: The command line up to the cursor, with the name of the program.
        wordbreaks: Value of ``COMP_WORDBREAKS``: where bash ends a word, among others at ``=``.
        candidates: Finds what the last of some words can become.

    Returns:
        One candidate each, quoted for bash.
    """
    words, quote = split_line(line)
    current = words[-1]
    # Inside of quotes bash ends words at blanks only, and replaces all that follows the quote.
    breaks = (current.rfind(mark) for mark in ":=" if mark in wordbreaks)
    cut = 0 if quote else 1 + max(breaks, default=-1)
    values = [one.value[cut:] for one in candidates(words)]
    return values if quote else [_NOT_PLAIN.sub(r"\\\1", value) for value in values]


def split_line(line: str) -> tuple[list[str], str]:
    """Splits a command line that is still being typed.

    Args:
        line: The line, with the name of the program.

    Returns:
        The words behind that name, the last one being what has been typed of the word at the
        cursor, and the quote that is open there, or ``""``.
    """
    for quote in ("", '"', "'"):
        # A full stop marks where the cursor is, so that the last word is kept when it is empty.
        try:
            words = shlex.split(f"{line}.{quote}", posix=True)
        except ValueError:
            continue
        return [*words[1:-1], words[-1][:-1]] if len(words) > 1 else [""], quote
    return [*line.split()[1:], ""], ""
