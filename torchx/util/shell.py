"""Builds shell command lines from words: the one place in which torchx quotes for a shell.

A word that passed through :func:`quote` arrives at the program byte for byte, whatever it holds.
Text that a shell *shall* read, such as ``${TORCHX_RANK0_HOST:=localhost}``, is marked with
:class:`NoQuote`; that is only for text that torchx itself wrote.

Example:
    >>> join(["echo", "a b", NoQuote("$HOME")])
    "echo 'a b' $HOME"
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable


class NoQuote(str):
    """A word that the shell reads as it stands, so that variables in it are expanded."""

    __slots__ = ()


def quote(word: str) -> str:
    """Returns the text that a POSIX shell reads as exactly this one word.

    Args:
        word: Any text without a NUL character; a :class:`NoQuote` is returned unchanged.

    Returns:
        Text to put into a command line.

    Raises:
        ValueError: The word holds a NUL character, which no program can be given.
    """
    if "\0" in word:
        raise ValueError(f"no command line can carry a NUL character, found one in {word!r}")
    return word if isinstance(word, NoQuote) else shlex.quote(word)


def join(words: Iterable[str]) -> str:
    """Returns the command line that a POSIX shell splits into exactly these words.

    Args:
        words: The program and its arguments, see :func:`quote`.

    Returns:
        The quoted words, separated by single spaces.

    Raises:
        ValueError: A word holds a NUL character.
    """
    return " ".join(quote(word) for word in words)
