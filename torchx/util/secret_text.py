"""Finds secrets in free text by their form. Use it through ``torchx.util.redact``.

Every pattern can start at few places of a text only and reads little from each, so that all of
them are linear in the length of the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from torchx.util.secret_names import REDACTED, is_plain_word

# Text, which `re` compiles (and keeps) when it is first needed: few processes need them all.
_PRIVATE_KEY = (
    r"(?s)-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY-----.*?"
    r"(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY-----|\Z)"
)
_CLOUD_KEY = (
    r"(?<![\w\-])(?:"
    r"(?:AKIA|ASIA)[0-9A-Z]{16}(?!\w)"  # AWS
    r"|AIza[\w\-]{35}|ya29\.[\w\-]{20,}"  # Google
    r"|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|glpat-[\w\-]{16,}"
    r"|hf_[A-Za-z0-9]{16,}"
    r"|sk-(?=[A-Za-z_\-]*[0-9])[\w\-]{16,}"
    r"|xox[abeoprs]-[\w\-]{10,}"
    r"|npm_[A-Za-z0-9]{30,}|pypi-[\w\-]{40,}"
    r"|eyJ[\w\-]{10,}\.[\w\-]{10,}\.[\w\-]*"  # JSON web tokens
    r")"
)
_CLOUD_KEY_STARTS = (
    *("AKIA", "ASIA", "AIza", "ya29.", "gh", "glpat-"),
    *("hf_", "sk-", "xox", "npm_", "pypi-", "eyJ"),
)
_URI_PASSWORD = r"(?P<head>://[^\s/:@?#'\"]*:)[^\s/'\"]+(?=@)"
_URI_USER = r"(?P<head>://)[^\s/:@?#'\"<>]{20,}(?=@)"
_AUTHORIZATION = (
    r"(?i)(?P<head>(?<!\w)authorization\\*[\"']?\s*[:=]\s*\\*[\"']?)"
    r"(?P<value>(?:(?:basic|bearer|digest|token)[ \t]+)?[^\s\"',;\\]+)"
)
_BEARER = r"(?i)(?P<head>(?<!\w)bearer[ \t]+)[\w.~+/\-]{16,}=*"
_SIGNATURE = (
    r"(?i)(?P<head>[?&](?:sig|signature|x-amz-signature|x-goog-signature)=)[\w%+/\-]{16,}=*"
)
_ASSIGNMENT = (
    r"(?m)(?<![\w.\-])(?P<name>[\w.\-]+)(?P<sign>[\"']?\]?[ \t]*[:=][ \t]*)"
    r"(?P<value>[rbuf]?\"[^\"\n]+\"|[rbuf]?'[^'\n]+'|[A-Za-z0-9+/_.\-]{16,}=*(?=[\s,;}]|$))"
)
_QUOTED = (
    r"(?P<open>\\*(?P<quote>[\"']))(?:(?!(?P=quote)|\\).)*(?P<close>(?P=open))|\\*[\"'][^\s\"']*"
)
# What follows the name of a secret in a sentence about it.
_PROSE = (
    r"(?:an?|and|are|as|at|be|by|can|cannot|did|does|for|from|has|have|if|in|instead|is|it|may"
    r"|missing|must|needs|not?|of|on|only|or|required?|requires|shall|should|that|the|to|twice"
    r"|unset|value|was|were|which|will|with|without)[.:!?)]?"
)

_IsSecret = Callable[[str], bool]


class _Named(NamedTuple):
    """A value behind its name."""

    mark: str
    head: str
    value: str
    in_prose: bool = False


_NAMED = (
    _Named(
        ":",
        r"(?P<q>\\*[\"'])(?P<name>[\w.\-]+)(?P=q)\s*:\s*",
        rf"{_QUOTED}|[^\s,\"'\]}}{{\[]+",
    ),
    _Named(
        ":",
        r"(?<![\w.\-])(?P<name>[\w.\-]+):[ \t]+",
        rf"{_QUOTED}|(?P<word>[^\s,;'\"]+)",
        in_prose=True,
    ),
    _Named(
        "=",
        r"(?<![\w.\-])(?P<name>[\w.\-]+)=",
        rf"{_QUOTED}|[^\s&,;'\"]+",
    ),
    _Named(
        "-",
        r"(?<![\w\-])(?P<name>--?[\w\-]+)(?:[ \t]+|\\*[\"'],\s+|\n[ \t]*-[ \t]+)",
        rf"{_QUOTED}|(?P<word>[^\s\"',\-][^\s\"',]*)",
    ),
)


def without_patterns(text: str, is_secret: _IsSecret) -> str:
    """Replaces secrets that can be told by their form or by the name before them.

    Args:
        text: Any text.
        is_secret: Tells whether what goes by a name is secret.

    Returns:
        The text with each of them replaced.
    """
    if "PRIVATE KEY" in text:
        text = re.sub(_PRIVATE_KEY, REDACTED, text)
    if any(start in text for start in _CLOUD_KEY_STARTS):
        text = re.sub(_CLOUD_KEY, REDACTED, text)
    if "://" in text:
        for pattern in (_URI_PASSWORD, _URI_USER, _SIGNATURE):
            text = re.sub(pattern, _after_head, text)
    lowered = text.lower()
    if "authorization" in lowered:
        text = re.sub(_AUTHORIZATION, _after_head, text)
    if "bearer" in lowered:
        text = re.sub(_BEARER, _after_head, text)
    for named in _NAMED:
        if named.mark in text:
            text = _without_named(text, named, is_secret)
    return text


def _after_head(found: re.Match[str]) -> str:
    return found["head"] + REDACTED


def _without_named(text: str, named: _Named, is_secret: _IsSecret) -> str:
    find_head = re.compile(named.head).search
    pieces = []
    copied = position = 0
    while head := find_head(text, position):
        position = head.end()
        if not is_secret(head["name"]) or (named.in_prose and is_plain_word(head["name"])):
            continue
        value = re.compile(named.value, re.DOTALL).match(text, position)
        if value is None or _is_prose(value):
            continue
        shown = f"{value['open'] or ''}{REDACTED}{value['close'] or ''}"
        pieces += [text[copied:position], shown]
        copied = position = value.end()
    return "".join([*pieces, text[copied:]])


def _is_prose(value: re.Match[str]) -> bool:
    word = value.groupdict().get("word")
    return word is not None and re.fullmatch(_PROSE, word) is not None


def without_literals(text: str, is_secret: _IsSecret) -> str:
    """Replaces literals that source code assigns to secret names.

    Args:
        text: Source code, a configuration file, or a diff.
        is_secret: Tells whether a name is that of a secret.

    Returns:
        The text with each such literal replaced.
    """

    def replaced(found: re.Match[str]) -> str:
        value = found["value"]
        is_literal = value.endswith(("'", '"')) or any(map(str.isdigit, value))
        if not is_literal or not is_secret(found["name"]):
            return found[0]
        return f"{found['name']}{found['sign']}{REDACTED}"

    return re.sub(_ASSIGNMENT, replaced, text)
