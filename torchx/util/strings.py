"""Texts as names."""

from __future__ import annotations

import re

_NOT_ALLOWED = re.compile("[^a-z0-9-]")


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
    return _NOT_ALLOWED.sub("", data.lower()).lstrip("-")
