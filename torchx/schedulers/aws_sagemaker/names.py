"""Names of jobs, as SageMaker takes them."""

from __future__ import annotations

import re

_LONGEST_NAME = 63
_NOT_IN_NAMES = re.compile(r"[^a-zA-Z0-9]+")


def job_name(unique_name: str) -> str:
    """Makes a name one that SageMaker takes: letters, digits and dashes, at most 63.

    Args:
        unique_name: A name that ends with a dash and a random id, which stays as it is.

    Returns:
        The name.
    """
    stem, _, unique = unique_name.rpartition("-")
    unique = _NOT_IN_NAMES.sub("", unique)[:_LONGEST_NAME]
    stem = _NOT_IN_NAMES.sub("-", stem).strip("-")[: _LONGEST_NAME - 1 - len(unique)].rstrip("-")
    return "-".join(part for part in (stem, unique) if part) or "job"
