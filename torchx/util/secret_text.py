"""Finds secrets in free text by their form. Use it through ``torchx.util.redact``.

Every pattern can start at few places of a text only and reads little from each, so that all of
them are linear in the length of the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from torchx.util.secret_names import REDACTED, is_plain_word

_PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY-----.*?"
    r"(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY-----|\Z)",
    re.DOTALL,
)
_CLOUD_KEY = re.compile(
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
_URI_PASSWORD = re.compile(r"(?P<head>://[^\s/:@?#'\"]*:)[^\s/'\"]+(?=@)")
_URI_USER = re.compile(r"(?P<head>://)[^\s/:@?#'\"<>]{20,}(?=@)")
_AUTHORIZATION = re.compile(
    r"(?P<head>(?<!\w)authorization\\*[\"']?\s*[:=]\s*\\*[\"']?)"
    r"(?P<value>(?:(?:basic|bearer|digest|token)[ \t]+)?[^\s\"',;\\]+)",
    re.IGNORECASE,
)
_BEARER = re.compile(r"(?P<head>(?<!\w)bearer[ \t]+)[\w.~+/\-]{16,}=*", re.IGNORECASE)
_SIGNATURE = re.compile(
    r"(?P<head>[?&](?:sig|signature|x-amz-signature|x-goog-signature)=)[\w%+/\-]{16,}=*",
    re.IGNORECASE,
)
_ASSIGNMENT = re.compile(
    r"(?<![\w.\-])(?P<name>[\w.\-]+)(?P<sign>[\"']?\]?[ \t]*[:=][ \t]*)"
    r"(?P<value>[rbuf]?\"[^\"\n]+\"|[rbuf]?'[^'\n]+'|[A-Za-z0-9+/_.\-]{16,}=*(?=[\s,;}]|$))",
    re.MULTILINE,
)
_QUOTED = (
    r"(?P<open>\\*(?P<quote>[\"']))(?:(?!(?P=quote)|\\).)*(?P<close>(?P=open))|\\*[\"'][^\s\"']*"
)
# What follows the name of a secret in a sentence about it.
_PROSE = re.compile(
    r"(?:an?|and|are|as|at|be|by|can|cannot|did|does|for|from|has|have|if|in|instead|is|it|may"
    r"|missing|must|needs|not?|of|on|only|or|required?|requires|shall|should|that|the|to|twice"
    r"|unset|value|was|were|which|will|with|without)[.:!?)]?"
)

_IsSecret = Callable[[str], bool]


@dataclass(frozen=True)
class _Named:
    """A value behind its name."""

    mark: str
    head: re.Pattern[str]
    value: re.Pattern[str]
    in_prose: bool = False


_NAMED = (
    _Named(
        ":",
        re.compile(r"(?P<q>\\*[\"'])(?P<name>[\w.\-]+)(?P=q)\s*:\s*"),
        re.compile(rf"{_QUOTED}|[^\s,\"'\]}}{{\[]+", re.DOTALL),
    ),
    _Named(
        ":",
        re.compile(r"(?<![\w.\-])(?P<name>[\w.\-]+):[ \t]+"),
        re.compile(rf"{_QUOTED}|(?P<word>[^\s,;'\"]+)", re.DOTALL),
        in_prose=True,
    ),
    _Named(
        "=",
        re.compile(r"(?<![\w.\-])(?P<name>[\w.\-]+)="),
        re.compile(rf"{_QUOTED}|[^\s&,;'\"]+", re.DOTALL),
    ),
    _Named(
        "-",
        re.compile(r"(?<![\w\-])(?P<name>--?[\w\-]+)(?:[ \t]+|\\*[\"'],\s+|\n[ \t]*-[ \t]+)"),
        re.compile(rf"{_QUOTED}|(?P<word>[^\s\"',\-][^\s\"',]*)", re.DOTALL),
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
        text = _PRIVATE_KEY.sub(REDACTED, text)
    if any(start in text for start in _CLOUD_KEY_STARTS):
        text = _CLOUD_KEY.sub(REDACTED, text)
    if "://" in text:
        for pattern in (_URI_PASSWORD, _URI_USER, _SIGNATURE):
            text = pattern.sub(_after_head, text)
    lowered = text.lower()
    if "authorization" in lowered:
        text = _AUTHORIZATION.sub(_after_head, text)
    if "bearer" in lowered:
        text = _BEARER.sub(_after_head, text)
    for named in _NAMED:
        if named.mark in text:
            text = _without_named(text, named, is_secret)
    return text


def _after_head(found: re.Match[str]) -> str:
    return found["head"] + REDACTED


def _without_named(text: str, named: _Named, is_secret: _IsSecret) -> str:
    pieces = []
    copied = position = 0
    while head := named.head.search(text, position):
        position = head.end()
        if not is_secret(head["name"]) or (named.in_prose and is_plain_word(head["name"])):
            continue
        value = named.value.match(text, position)
        if value is None or _is_prose(value):
            continue
        shown = f"{value['open'] or ''}{REDACTED}{value['close'] or ''}"
        pieces += [text[copied:position], shown]
        copied = position = value.end()
    return "".join([*pieces, text[copied:]])


def _is_prose(value: re.Match[str]) -> bool:
    word = value.groupdict().get("word")
    return word is not None and _PROSE.fullmatch(word) is not None


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

    return _ASSIGNMENT.sub(replaced, text)
