"""Makes tags of the metadata of an app: flat, legal, and without secrets."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from typing import Any

from torchx.util.redact import redact_value

log: logging.Logger = logging.getLogger(__name__)

MAX_TAGS = 50
"""How many tags a resource may have."""

MAX_KEY_CHARACTERS = 128
"""How long a key may be."""

MAX_VALUE_CHARACTERS = 256
"""How long a value may be."""

_RESERVED = "aws:"
_SHOWN = 10
_ILLEGAL = re.compile(r"[^\w\s.:/=+\-@]|[\r\n\t\v\f]")


def make_tags(own: Mapping[str, str], metadata: Mapping[str, Any] | None) -> dict[str, str]:
    """Makes tags that AWS accepts.

    Nested metadata is flattened: ``{"team": {"name": "x"}}`` becomes ``team.name``, and items of
    lists have their number as name. Characters that tags must not have become ``_``, long texts are
    cut, and values whose names say that they are secret are hidden. What is changed or left out is
    reported by log.

    Args:
        own: The tags that torchx itself needs. They come first, and are never left out.
        metadata: Metadata of the app. It may give the tags of torchx other values.

    Returns:
        Value by key, at most 50.
    """
    tags = {_legal(key, MAX_KEY_CHARACTERS): _tag_value(key, own[key]) for key in own}
    left_out: list[str] = []
    for path, value in _flat(metadata or {}, ""):
        key = _legal(path, MAX_KEY_CHARACTERS).strip()
        is_legal = bool(key) and not key.lower().startswith(_RESERVED)
        if not is_legal or (key not in tags and len(tags) >= MAX_TAGS):
            left_out.append(path)
        else:
            tags[key] = _tag_value(path, value)
    if left_out:
        log.warning(
            "%d metadata do not become tags (at most %d, none named %s*): %s",
            len(left_out),
            MAX_TAGS,
            _RESERVED,
            ", ".join(left_out[:_SHOWN]),
        )
    return tags


def _tag_value(name: str, value: str) -> str:
    return _legal(redact_value(name, value), MAX_VALUE_CHARACTERS)


def _legal(text: str, most: int) -> str:
    legal = _ILLEGAL.sub("_", text)[:most]
    if legal != text:
        log.info("a tag cannot be %r, so it is %r", text, legal)
    return legal


def _flat(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _flat(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from _flat(item, f"{path}.{index}" if path else str(index))
    elif isinstance(value, bool):
        yield path, str(value).lower()
    elif value is not None:
        yield path, str(value)
