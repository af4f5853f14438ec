"""Finds secrets in free text by their form. Use it through ``torchx.util.redact``.

Every pattern can start at few places of a text only and reads little from each, so that all of
them are linear in the length of the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable

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
_URI_PASSWORD = re.compile(r"(?P<head>://[^\s/:@?#'\"]*:)[^\s/'\"]+(?=@)")
_URI_USER = re.compile(r"(?<=://)[^\s/:@?#'\"<>]{20,}(?=@)")
_AUTHORIZATION = re.compile(
    r"(?P<head>(?<!\w)authorization\\*[\"']?\s*[:=]\s*\\*[\"']?)"
    r"(?P<value>(?:(?:basic|bearer|digest|token)[ \t]+)?[^\s\"',;\\]+)",
    re.IGNORECASE,
)
_BEARER = re.compile(r"(?P<head>(?<!\w)bearer[ \t]+)[\w.~+/\-]{16,}=*", re.IGNORECASE)
_QUOTED = r"(?P<open>\\*[\"'])[^\"'\\]*(?P<close>(?P=open))|\\*[\"']\S*"
_PAIR = re.compile(rf"(?<![\w.\-])(?P<name>[\w.\-]+)=(?:{_QUOTED}|[^\s&,;'\"]+)")
_ITEM = re.compile(
    r"(?P<head>(?P<quote>\\*[\"'])(?P<name>[\w.\-]+)(?P=quote)\s*:\s*)"
    rf"(?:{_QUOTED}|[^\s,\"'\]}}{{\[]+)"
)
_FIELD = re.compile(rf"(?<![\w.\-])(?P<name>[\w.\-]+):[ \t]+(?:{_QUOTED}|(?P<word>[^\s,;'\"]+))")
_FLAG = re.compile(
    r"(?<![\w\-])(?P<head>(?P<name>--?[\w\-]+)"
    r"(?:[ \t]+|\\*[\"'],\s+|\n[ \t]*-[ \t]+))"
    rf"(?:{_QUOTED}|(?P<word>[^\s\"',\-][^\s\"',]*))"
)
_SIGNATURES = ("sig", "signature", "x-amz-signature", "x-goog-signature")
_SHORTEST_SIGNATURE = 16
# What follows the name of a secret in a sentence about it.
_PROSE = frozenset(
    "a and are as at be by can cannot did does for from has have if in instead is it may missing"
    " must needs no not of on only or required requires shall should that the to twice unset value"
    " was were which will with without".split()
)

_IsSecret = Callable[[str], bool]


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
    text = _CLOUD_KEY.sub(REDACTED, text)
    if "://" in text:
        text = _URI_PASSWORD.sub(_after_head, text)
        text = _URI_USER.sub(REDACTED, text)
    text = _BEARER.sub(_after_head, _AUTHORIZATION.sub(_after_head, text))
    if ":" in text:
        text = _ITEM.sub(lambda found: _item(found, is_secret), text)
        text = _FIELD.sub(lambda found: _field(found, is_secret), text)
    if "=" in text:
        text = _PAIR.sub(lambda found: _pair(found, is_secret), text)
    if "-" in text:
        text = _FLAG.sub(lambda found: _flag(found, is_secret), text)
    return text


def _after_head(found: re.Match[str]) -> str:
    return found["head"] + REDACTED


def _quoted_as(found: re.Match[str]) -> str:
    return f"{found['open'] or ''}{REDACTED}{found['close'] or ''}"


def _item(found: re.Match[str], is_secret: _IsSecret) -> str:
    return found["head"] + _quoted_as(found) if is_secret(found["name"]) else found[0]


def _pair(found: re.Match[str], is_secret: _IsSecret) -> str:
    name = found["name"]
    is_signature = name.lower() in _SIGNATURES and (len(found[0]) - len(name) > _SHORTEST_SIGNATURE)
    return f"{name}={_quoted_as(found)}" if is_signature or is_secret(name) else found[0]


def _field(found: re.Match[str], is_secret: _IsSecret) -> str:
    name = found["name"]
    if not is_secret(name) or is_plain_word(name) or _is_prose(found["word"]):
        return found[0]
    return f"{name}: {_quoted_as(found)}"


def _flag(found: re.Match[str], is_secret: _IsSecret) -> str:
    if not is_secret(found["name"]) or _is_prose(found["word"]):
        return found[0]
    return found["head"] + _quoted_as(found)


def _is_prose(word: str | None) -> bool:
    return word is not None and word.rstrip(".:!?)") in _PROSE
