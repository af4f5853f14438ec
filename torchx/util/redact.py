"""Hides secrets in everything that torchx prints, logs or stores.

A value is secret when its *name* says so (``HF_TOKEN``, ``db-password``), when its *text* does
(the password of ``scheme://user:password@host``, ``--api-key=...``, a cloud key), or when this
process was told so (:func:`remember_secrets`). This is the only place that decides, so that a dry
run, a log line, an event and a stored record agree.
"""

from __future__ import annotations

import functools
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from torchx.util.secret_names import REDACTED, sounds_secret

__all__ = [
    "REDACTED",
    "is_secret_name",
    "redact_args",
    "redact_data",
    "redact_env",
    "redact_source",
    "redact_text",
    "redact_value",
    "remember_secrets",
    "secrets_in",
]

_Show = Callable[[str], str]

_MAX_DEPTH = 32
_MAX_REMEMBERED = 1000
_SHORTEST_SECRET = 6
_SHORTEST_LINE = 16
_WORD_PAIR = re.compile(r"(?P<head>(?P<name>-{0,2}[\w.\-]+)=)(?P<value>.+)", re.DOTALL)
# Selectors and tolerations of Kubernetes, whose `key` is the name of a label.
_SELECTOR_FIELDS = frozenset(("operator", "effect"))
# A mapping of nothing else tells where a secret is, not what it is.
_REFERENCE_FIELDS = frozenset(
    ("arn", "defaultMode", "id", "items", "key", "name", "namespace", "optional", "secretName")
)


class _Remembered:
    """What this process was told, the oldest first."""

    lock = threading.Lock()
    names: dict[str, None] = {}
    values: dict[str, None] = {}
    spellings: tuple[str, ...] = ()


def is_secret_name(name: str) -> bool:
    """Tells whether a variable or option of this name holds a secret.

    Args:
        name: Name of an environment variable, option or key, in any case and style
            (``HF_TOKEN``, ``--db-password``, ``apiKey``).

    Returns:
        True if its value must not be shown.
    """
    return name in _Remembered.names or sounds_secret(name)


def remember_secrets(values: Mapping[str, str] | Iterable[str]) -> None:
    """Has values hidden from now on wherever they occur in what this process shows or stores.

    Values of fewer than 6 characters are hidden only behind their names, since they are part of too
    many other texts. Of more than 1000 values the oldest are forgotten.

    Args:
        values: The values, or the variables that hold them. Such variables are secret from now on,
            whatever their names say.
    """
    names = list(values) if isinstance(values, Mapping) else []
    texts = list(values.values()) if isinstance(values, Mapping) else list(values)
    with _Remembered.lock:
        known = len(_Remembered.values)
        _Remembered.names.update(dict.fromkeys(names))
        _Remembered.values.update(dict.fromkeys(filter(_can_be_found, texts)))
        if len(_Remembered.values) == known:
            return
        for kept in (_Remembered.names, _Remembered.values):
            while len(kept) > _MAX_REMEMBERED:
                kept.pop(next(iter(kept)))
        _Remembered.spellings = _spellings(_Remembered.values)


def secrets_in(value: object) -> list[str]:
    """Finds values that are secret by their names.

    Args:
        value: Mappings, lists, tuples and values of any kind. A list of text is read as the words
            of a command line.

    Returns:
        The values that are long enough to be recognised elsewhere, without duplicates.
    """
    return list(dict.fromkeys(filter(_can_be_found, _secrets_of(value, 0))))


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


def redact_text(text: str, secrets: Iterable[str] = ()) -> str:
    """Replaces secrets in free text.

    These are: what this process remembers; passwords and signatures in URIs; the values of
    ``secret=value``, ``--secret value`` and ``"secret": "value"``; ``Authorization`` headers;
    private keys and keys of cloud services that can be told by their form.

    Args:
        text: Any text.
        secrets: Further values to hide, see :func:`secrets_in`.

    Returns:
        The text with each secret replaced.
    """
    return _text(text, _spellings(secrets))


def redact_source(text: str) -> str:
    """Replaces secrets in source code, configuration files and diffs of them.

    Beyond what `redact_text` finds, these are literals that are assigned to a secret name in any of
    the usual ways (``api_key = "..."``, ``"password": "..."``, ``token: 3f9a...``). Code that only
    handles secrets stays readable.

    Args:
        text: Any text.

    Returns:
        The text with each secret replaced; it has the same lines except for those of keys.
    """
    from torchx.util.secret_text import without_literals

    return redact_text(without_literals(text, is_secret_name))


def redact_args(args: Iterable[str]) -> list[str]:
    """Returns the words of a command line with secrets replaced.

    Both ``--token=value`` and ``--token value`` are recognised.

    Args:
        args: The words.

    Returns:
        As many words, safe to show.
    """
    return _words(args, _shower(()))


def redact_data(value: Any, secrets: Iterable[str] = ()) -> Any:
    """Replaces secrets in nested data. What is secret in one place is hidden in all others.

    Args:
        value: Mappings, lists, tuples and values of any kind. A list of text is read as the words
            of a command line.
        secrets: Further values to hide, see :func:`secrets_in`.

    Returns:
        A copy that is safe to show or to store. Tuples have become lists.
    """
    return _redacted(value, _shower(_spellings([*secrets, *secrets_in(value)])), 0)


def _shower(spellings: tuple[str, ...]) -> _Show:
    """Makes a function that redacts text; requests have the same texts for each replica."""
    return functools.cache(lambda text: _text(text, spellings))


def _redacted(value: Any, show: _Show, depth: int) -> Any:
    if depth > _MAX_DEPTH:
        return "..."
    if isinstance(value, Mapping):
        hidden = _secret_keys(value)
        return {
            key: REDACTED
            if key in hidden and _is_something(item)
            else _redacted(item, show, depth + 1)
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        if all(isinstance(item, str) for item in value):
            return _words(value, show)
        return [_redacted(item, show, depth + 1) for item in value]
    return show(value) if isinstance(value, str) else value


def _words(words: Iterable[str], show: _Show) -> list[str]:
    return [
        show(head) if secret is None else head + REDACTED for head, secret in _split_words(words)
    ]


def _text(text: str, spellings: tuple[str, ...]) -> str:
    from torchx.util.secret_text import without_patterns

    text = text[:]  # members of an enum of texts are shown as text
    for known in (spellings, _Remembered.spellings):
        for spelling in known:
            text = text.replace(spelling, REDACTED)
    return without_patterns(text, is_secret_name)


def _split_words(words: Iterable[str]) -> Iterator[tuple[str, str | None]]:
    """Yields each word as what can be shown and, if there is one, the secret behind that."""
    value_is_secret = False
    for word in words:
        pair = _WORD_PAIR.fullmatch(word)
        if value_is_secret and not word.startswith("-"):
            value_is_secret = False
            yield "", word
        elif pair is not None and is_secret_name(pair["name"]):
            value_is_secret = False
            yield pair["head"], pair["value"]
        else:
            value_is_secret = word.startswith("-") and pair is None and is_secret_name(word)
            yield word, None


def _secrets_of(value: object, depth: int) -> Iterator[str]:
    if depth > _MAX_DEPTH:
        return
    if isinstance(value, Mapping):
        hidden = _secret_keys(value)
        for key, item in value.items():
            yield from _leaves(item, depth) if key in hidden else _secrets_of(item, depth + 1)
    elif isinstance(value, (list, tuple)):
        if all(isinstance(item, str) for item in value):
            yield from (secret for _, secret in _split_words(value) if secret is not None)
        else:
            for item in value:
                yield from _secrets_of(item, depth + 1)


def _leaves(value: object, depth: int) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping) and depth < _MAX_DEPTH:
        for item in value.values():
            yield from _leaves(item, depth + 1)
    elif isinstance(value, (list, tuple)) and depth < _MAX_DEPTH:
        for item in value:
            yield from _leaves(item, depth + 1)


def _secret_keys(mapping: Mapping[Any, Any]) -> set[object]:
    keys: set[object] = {
        key
        for key, item in mapping.items()
        if isinstance(key, str) and is_secret_name(key) and not _is_reference(item)
    }
    if _SELECTOR_FIELDS.intersection(mapping):
        keys.discard("key")
    # The form that variables have in requests for containers.
    for name, value in (("name", "value"), ("Name", "Value")):
        if value in mapping and isinstance(mapping.get(name), str):
            keys |= {value} if is_secret_name(mapping[name]) else set()
    # The form that tags have in requests to AWS: the key is a name.
    for name, value in (("key", "value"), ("Key", "Value")):
        if mapping.keys() == {name, value} and isinstance(mapping[name], str):
            keys = {value} if is_secret_name(mapping[name]) else set()
    return keys


def _is_reference(value: object) -> bool:
    if isinstance(value, (list, tuple)):
        return bool(value) and all(_is_reference(item) for item in value)
    return isinstance(value, Mapping) and _REFERENCE_FIELDS.issuperset(value)


def _is_something(value: object) -> bool:
    return not isinstance(value, bool) and bool(value)


def _can_be_found(secret: object) -> bool:
    """Shorter texts are part of too many others to be replaced there."""
    return isinstance(secret, str) and len(secret) >= _SHORTEST_SECRET and secret != REDACTED


def _spellings(secrets: Iterable[str]) -> tuple[str, ...]:
    """Lists how formats write secrets; one that contains another one comes first."""
    found = {spelling for secret in secrets for spelling in _spellings_of(secret)}
    return tuple(sorted(found, key=len, reverse=True))


def _spellings_of(secret: str) -> Iterator[str]:
    import json
    import shlex
    from urllib.parse import quote

    yield secret
    yield repr(secret)[1:-1]
    yield json.dumps(secret)[1:-1]
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
    yield shlex.quote(secret)
    yield quote(secret, safe="", errors="replace")
    # A long text is printed line by line in many formats.
    lines = secret.splitlines()
    yield from (line for line in lines if len(lines) > 1 and len(line) >= _SHORTEST_LINE)
