"""Texts as names."""

from __future__ import annotations

import re
from collections.abc import Iterable

_NOT_ALLOWED = "[^a-z0-9-]"


def normalize_str(data: str) -> str:
    """Reduces text to lower-case letters, digits and inner dashes.

    Args:
        data: Any text.

    Returns:
        The text in lower case without other characters and without leading dashes, which may be
        empty.

    Example:
        >>> normalize_str("-/_a/b/CD!123!")
        'abcd123'
    """
    return re.sub(_NOT_ALLOWED, "", data.lower()).lstrip("-")


def closest_match(word: str, words: Iterable[str], cutoff: float = 0.6) -> str | None:
    """Finds the word that somebody probably meant.

    Args:
        word: What was written.
        words: What exists.
        cutoff: How similar the two have to be, from 0 (anything) to 1 (equal).

    Returns:
        The most similar word, or None if none is similar enough.
    """
    known = list(words)
    if not known:
        return None
    import difflib

    matches = difflib.get_close_matches(word, known, n=1, cutoff=cutoff)
    return matches[0] if matches else None
