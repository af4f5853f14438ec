"""Tells by its name whether something is a secret. Use it through ``torchx.util.redact``."""

from __future__ import annotations

import functools
import re

REDACTED = "<redacted>"
"""What is shown in place of a secret."""

_SECRET_WORDS = frozenset(
    [
        "auth",
        "authorization",
        "bearer",
        "cookie",
        "credential",
        "credentials",
        "dsn",
        "key",
        "keys",
        "passphrase",
        "passwd",
        "password",
        "passwords",
        "pwd",
        "sas",
        "secret",
        "secrets",
        "token",
        "tokens",
    ]
)
_SECRET_ENDINGS = ("token", "password", "passwd", "passphrase", "secret", "apikey", "credentials")
_SUFFIXES = frozenset(("value", "string", "text", "base64", "b64"))
_COUNTERS = frozenset(["batch", "count", "max", "min", "n", "new", "num", "per", "total"])
_PLAIN_KEYS = frozenset(
    [
        "cache",
        "column",
        "foreign",
        "group",
        "index",
        "label",
        "object",
        "partition",
        "primary",
        "public",
        "sort",
        "topology",
    ]
)
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")


@functools.lru_cache(maxsize=4096)
def sounds_secret(name: str) -> bool:
    """Tells whether a variable or option of this name holds a secret.

    Args:
        name: Its name, in any case and style (``HF_TOKEN``, ``--db-password``, ``apiKey``).

    Returns:
        True if its value must not be shown.
    """
    words = _words(name)
    if words[:1] == ["key"] and words[1:] and all(word.isdigit() for word in words[1:]):
        return False  # `key1=value1` is how people write an example
    while words and (words[-1].isdigit() or words[-1] in _SUFFIXES):
        words.pop()
    if words[-2:] == ["key", "id"]:
        words.pop()
    if not words or (words[-1] == "tokens" and _COUNTERS.intersection(words)):
        return False
    if words[-1] in ("key", "keys") and _PLAIN_KEYS.intersection(words):
        return False
    if words[0] == "image" and words[-1] in ("secret", "secrets"):
        return False  # what a cluster calls the secret that images are pulled with
    return words[-1] in _SECRET_WORDS or words[-1].endswith(_SECRET_ENDINGS)


def is_plain_word(name: str) -> bool:
    """Tells whether people also write a name of a secret when they talk of something else.

    Args:
        name: A name that sounds secret.

    Returns:
        True for ``key`` and ``token``, as in "unexpected token: x"; False for ``password`` and
        ``api_key``.
    """
    words = _words(name)
    return len(words) == 1 and not words[0].endswith(
        ("password", "passwd", "passphrase", "secret", "apikey")
    )


def _words(name: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(name)]
