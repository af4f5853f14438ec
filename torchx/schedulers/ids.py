"""Ids for apps: short, unique, and legal as a name on every back end."""

from __future__ import annotations

import os

START_CANDIDATES: str = "bcdfghjklmnpqrstvwxz"
"""What an id may start with: no vowels, so that no words come out, and no ``y``."""

END_CANDIDATES: str = START_CANDIDATES + "012345679"
"""What the rest of an id consists of."""


def random_uint64() -> int:
    """Draws a number from the operating system, whatever ``random.seed`` was called with.

    Returns:
        A number from 0 to 2**64 - 1.
    """
    return int.from_bytes(os.urandom(8), "big")


def random_id(max_length: int | None = None) -> str:
    """Makes a random id that starts with a letter, usually of 11 to 14 characters.

    Args:
        max_length: Longest length in characters; ``None`` keeps all randomness.

    Returns:
        The id; empty only if ``max_length`` is not positive.
    """
    value = random_uint64()
    characters: list[str] = []
    while max_length is None or len(characters) < max_length:
        candidates = END_CANDIDATES if characters else START_CANDIDATES
        value, index = divmod(value, len(candidates))
        characters.append(candidates[index])
        if not value:
            break
    return "".join(characters)


def make_unique(name: str, string_length: int = 0) -> str:
    """Appends a random id to a name.

    Args:
        name: The name.
        string_length: Longest length of the id in characters; 0 for no limit.

    Returns:
        ``name-id``.
    """
    return f"{name}-{random_id(string_length or None)}"
