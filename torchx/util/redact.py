"""Hides secrets in everything that torchx prints, logs or stores.

A value is secret when its *name* says so (``HF_TOKEN``, ``db-password``) or when its *text* does
(the password of ``scheme://user:password@host``, ``--api-key=...``). This is the only place that
decides, so that a dry run, a log line, an event and a stored record agree.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

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
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
# Both patterns can start at few places of a text only, so that they are linear in its length.
_URI_PASSWORD = re.compile(r"(?P<head>://[^\s/:@?#'\"]*:)[^\s/'\"]+(?=@)")
_NAMED_VALUE = re.compile(r"(?<![\w.\-])(?P<name>[\w.\-]+)=(?P<value>[^\s&,;'\"]+)")

_PRIVATE_KEY = re.compile(
    r"(?P<head>-----BEGIN [A-Z ]*PRIVATE KEY-----).*?(?=-----END |\Z)", re.DOTALL
)
_KNOWN_TOKEN = re.compile(
    r"\b(?:hf_|gh[pousr]_|github_pat_|glpat-|sk-|xox[abprs]-|AKIA|ASIA)[A-Za-z0-9_\-]{12,}"
)
_ASSIGNMENT = re.compile(
    r"(?<![\w.\-])(?P<name>[\w.\-]+)(?P<sign>[\"']?\]?[ \t]*[:=][ \t]*)"
    r"(?P<value>[rbuf]?\"[^\"\n]+\"|[rbuf]?'[^'\n]+'|[A-Za-z0-9+/_.\-]{16,}=*(?=[\s,;}]|$))",
    re.MULTILINE,
)


def is_secret_name(name: str) -> bool:
    """Tells whether a variable or option of this name holds a secret.

    Args:
        name: Name of an environment variable, option or key, in any case and style
            (``HF_TOKEN``, ``--db-password``, ``apiKey``).

    Returns:
        True if its value must not be shown.
    """
    words = [word.lower() for word in _WORD.findall(name)]
    if words[:1] == ["key"] and words[1:] and all(word.isdigit() for word in words[1:]):
        return False  # `key1=value1` is how people write an example
    while words and (words[-1].isdigit() or words[-1] in _SUFFIXES):
        words.pop()
    if words[-2:] == ["key", "id"]:
        words.pop()
    if not words or (words[-1] == "tokens" and _COUNTERS.intersection(words)):
        return False
    return words[-1] in _SECRET_WORDS or words[-1].endswith(_SECRET_ENDINGS)


def redact_value(name: str, value: str) -> str:
    """Returns ``value``, or a placeholder if its name marks it as a secret.

    Args:
        name: Name that the value goes by.
        value: The text to show.

    Returns:
        Text that is safe to show.
    """
    return REDACTED if value and is_secret_name(name) else redact_text(value)


def redact_env(env: Mapping[str, str]) -> dict[str, str]:
    """Returns a copy of an environment in which secrets are replaced.

    Args:
        env: Names and values.

    Returns:
        A new dict with the same keys in the same order.
    """
    return {name: redact_value(name, str(value)) for name, value in env.items()}


def redact_text(text: str) -> str:
    """Replaces passwords in URIs and the values of ``secret=value`` pairs in free text.

    Args:
        text: Any text.

    Returns:
        The text with each secret replaced.
    """
    if "://" in text:
        text = _URI_PASSWORD.sub(lambda found: found["head"] + REDACTED, text)
    if "=" in text:
        text = _NAMED_VALUE.sub(_redact_pair, text)
    return text


def redact_source(text: str) -> str:
    """Replaces secrets in source code, configuration files and diffs of them.

    Beyond what `redact_text` finds, these are literals that are assigned to a secret name in any of
    the usual ways (``api_key = "..."``, ``"password": "..."``, ``token: 3f9a...``), private keys,
    and tokens with a well-known beginning. Code that only handles secrets stays readable.

    Args:
        text: Any text.

    Returns:
        The text with each secret replaced; it has the same lines except for those of keys.
    """
    text = _PRIVATE_KEY.sub(lambda found: f"{found['head']}{REDACTED}", text)
    text = _KNOWN_TOKEN.sub(REDACTED, text)
    return redact_text(_ASSIGNMENT.sub(_redact_assignment, text))


def redact_args(args: Iterable[str]) -> list[str]:
    """Returns the words of a command line with secrets replaced.

    Both ``--token=value`` and ``--token value`` are recognised.

    Args:
        args: The words.

    Returns:
        As many words, safe to show.
    """
    shown: list[str] = []
    value_is_secret = False
    for word in args:
        if value_is_secret and not word.startswith("-"):
            shown.append(REDACTED)
            value_is_secret = False
            continue
        value_is_secret = word.startswith("-") and "=" not in word and is_secret_name(word)
        shown.append(redact_text(word))
    return shown


def _redact_pair(found: re.Match[str]) -> str:
    if not is_secret_name(found["name"]):
        return found[0]
    return f"{found['name']}={REDACTED}"


def _redact_assignment(found: re.Match[str]) -> str:
    value = found["value"]
    is_literal = value.endswith(("'", '"')) or any(character.isdigit() for character in value)
    if not is_literal or not is_secret_name(found["name"]):
        return found[0]
    return f"{found['name']}{found['sign']}{REDACTED}"
