"""App definitions and native requests as text, without the secrets in them."""

from __future__ import annotations

import dataclasses
import json
import shlex
from collections.abc import Iterable, Mapping
from pprint import pformat
from typing import TYPE_CHECKING, Any

from torchx.util.redact import (
    REDACTED,
    is_secret_name,
    redact_args,
    redact_text,
    redact_value,
)

if TYPE_CHECKING:
    from torchx.specs import AppDef

_SHORTEST_SECRET = 6
"""Shorter texts than this, in characters, are part of too many others to be replaced there."""


def format_app(app: AppDef) -> str:
    """Returns the definition of an app as text that is safe to print.

    Args:
        app: The app.

    Returns:
        Its fields as a nested dict, with secrets in env, arguments and metadata replaced.
    """
    return pformat(redact_data(dataclasses.asdict(app), app), indent=2, width=80)


def redact_data(value: Any, app: AppDef | None) -> Any:
    """Replaces secrets in nested data.

    Args:
        value: Mappings, lists, tuples and values of any kind.
        app: The app that the data is about: secrets of its env are replaced wherever they are.

    Returns:
        A copy that is safe to print.
    """
    return _redacted(value, "", _spellings(_secrets(app)))


def redact_request(text: str, app: AppDef | None) -> str:
    """Replaces the secrets of an app in the text of what would be sent to a scheduler.

    Args:
        text: The text, in whichever format the scheduler uses.
        app: The app that the request was made from.

    Returns:
        The text without the values of secret variables of the app.
    """
    return redact_text(_without(_spellings(_secrets(app)), text))


def _redacted(value: Any, name: str, secrets: list[str]) -> Any:
    if isinstance(value, Mapping):
        return {key: _redacted(item, str(key), secrets) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        if all(isinstance(item, str) for item in value):
            return [_without(secrets, word) for word in redact_args(value)]
        return [_redacted(item, name, secrets) for item in value]
    return _without(secrets, redact_value(name, value)) if isinstance(value, str) else value


def _without(secrets: list[str], text: str) -> str:
    for secret in secrets:
        text = text.replace(secret, REDACTED)
    return text


def _secrets(app: AppDef | None) -> list[str]:
    return [
        str(value)
        for role in getattr(app, "roles", ())
        for name, value in role.env.items()
        if is_secret_name(name) and len(str(value)) >= _SHORTEST_SECRET
    ]


def _spellings(secrets: Iterable[str]) -> list[str]:
    """Lists how formats write a text; a secret that contains another one comes first."""
    spellings = {
        spelling
        for secret in secrets
        for spelling in (
            secret,
            repr(secret)[1:-1],
            json.dumps(secret)[1:-1],
            json.dumps(secret, ensure_ascii=False)[1:-1],
            shlex.quote(secret),
        )
    }
    return sorted(spellings, key=len, reverse=True)
