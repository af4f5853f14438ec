"""Reads the error files of replicas and picks the one that explains a failure."""

from __future__ import annotations

import os
from collections.abc import Iterable

from torchx.specs.api import NONE

_LONGEST_ERROR_BYTES = 1 << 20


def first_error(paths: Iterable[str], not_before: float = 0.0) -> str:
    """Reads the error file that was written first.

    Args:
        paths: Error files; they need not exist.
        not_before: Files last changed before that time (seconds since the epoch) do not count.

    Returns:
        Its content as JSON, or ``NONE`` if there is no such file.
    """
    found = [(time, path) for path in paths if (time := _changed(path)) >= max(not_before, 0.0)]
    return read_error(min(found)[1]) if found else NONE


def read_error(path: str) -> str:
    """Reads an error file; one that is half-written or no JSON is wrapped, not refused.

    Args:
        path: The file.

    Returns:
        Its content as JSON, or ``NONE`` if it cannot be read.
    """
    try:
        with open(path, "rb") as file:
            text = file.read(_LONGEST_ERROR_BYTES).decode("utf-8", "replace")
    except OSError:
        return NONE
    import json

    try:
        return json.dumps(json.loads(text))
    except (ValueError, RecursionError):
        return json.dumps({"message": text})


def _changed(path: str) -> float:
    try:
        return os.stat(path).st_mtime
    except (OSError, ValueError):
        return -1.0
