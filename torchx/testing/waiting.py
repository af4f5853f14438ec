"""Waiting for what happens elsewhere, with a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_PAUSE_S = 0.01


def eventually(probe: Callable[[], T], what: str, timeout_s: float) -> T:
    """Asks again and again until the answer is true.

    Args:
        probe: The question.
        what: What is waited for, for the error.
        timeout_s: Longest time to wait.

    Returns:
        The first answer that is true.

    Raises:
        TimeoutError: If there was none in time.

    Example:
        >>> eventually(lambda: [1], "a list that is not empty", timeout_s=1)
        [1]
    """
    deadline_s = time.monotonic() + timeout_s
    while not (answer := probe()):
        if time.monotonic() >= deadline_s:
            raise TimeoutError(f"{what}: not within {timeout_s:g} s")
        time.sleep(_PAUSE_S)
    return answer
