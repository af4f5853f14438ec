"""The ``key=value,key=value`` mini-language of run options and component arguments.

``,`` and ``;`` separate pairs *and* may stand inside values: of the text between two ``=`` signs,
what follows the last separator is the next key, and everything before it is the value. A quoted
span protects all three characters. A quote only opens at the start of an item, so an apostrophe
inside a word is just a character.
"""

from __future__ import annotations

_SEPARATORS = ",;"
_QUOTES = "'\""


def parse_pairs(text: str) -> dict[str, str]:
    """Parses ``key=value`` pairs.

    Args:
        text: Pairs separated by ``,`` or ``;``; ``""`` holds none.

    Returns:
        The pairs in the order of the text; the last of equal keys wins.

    Raises:
        ValueError: If the text is not made of pairs.

    Example:
        >>> parse_pairs("FOO=v1,v2,BAR='a=b'")
        {'FOO': 'v1,v2', 'BAR': 'a=b'}
    """
    if not text:
        return {}
    pieces = [piece for piece in _split_at_equal_signs(text) if piece]
    if len(pieces) < 2:
        raise ValueError(f"{text!r} is not a list of NAME=VALUE pairs")
    pairs: dict[str, str] = {}
    key = pieces[0]
    for piece in pieces[1:-1]:
        value, next_key = _split_value_from_key(piece, key)
        pairs[_unquote(key)] = _unquote(value)
        key = next_key
    pairs[_unquote(key)] = _unquote(pieces[-1])
    return pairs


def _split_at_equal_signs(text: str) -> list[str]:
    pieces: list[str] = []
    start = position = 0
    while position < len(text):
        if text[position] == "=":
            pieces.append(text[start:position].strip())
            start = position + 1
        position = _next_position(text, position, start)
    pieces.append(text[start:].strip())
    return pieces


def _split_value_from_key(piece: str, key: str) -> tuple[str, str]:
    cut = -1
    position = 0
    while position < len(piece):
        if piece[position] in _SEPARATORS:
            cut = position
        position = _next_position(piece, position, 0)
    value, next_key = piece[:cut].strip(), piece[cut + 1 :].strip()
    if cut <= 0 or not value or not next_key:
        raise ValueError(
            f"cannot tell the value of {key!r} from the next name in {piece!r}:"
            " expected VALUE,NAME (quote a value that contains '=')"
        )
    return value, next_key


def _next_position(text: str, position: int, start: int) -> int:
    """Steps over one character, or over a quoted span that begins here."""
    if text[position] in _QUOTES:
        before = text[start:position].rstrip()
        if not before or before[-1] in _SEPARATORS:
            return _end_of_quoted(text, position) or position + 1
    return position + 1


def _end_of_quoted(text: str, opening: int) -> int | None:
    """Returns the position behind the closing quote, None if the quote is a mere character."""
    position = opening + 1
    while position < len(text):
        if text[position] == "\\":
            position += 2
            continue
        if text[position] == text[opening]:
            rest = text[position + 1 :].lstrip()
            if not rest or rest[0] in _SEPARATORS or rest[0] == "=":
                return position + 1
        position += 1
    return None


def _unquote(text: str) -> str:
    if text and text[0] in _QUOTES and _end_of_quoted(text, 0) == len(text):
        return text[1:-1]
    return text
