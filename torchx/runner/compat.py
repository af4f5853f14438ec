"""Calls schedulers of other packages the way they were written.

Packages made for older releases define ``_validate(app, scheduler)`` without the run config and
``list()`` without arguments.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def call_with_accepted(method: Callable[..., Any], *args: object) -> Any:
    """Calls a method with as many of the arguments as it takes.

    Args:
        method: A bound method.
        args: Positional arguments, the ones that older releases did not pass last.

    Returns:
        What the method returns.
    """
    return method(*args[: _accepted_count(method, len(args))])


def _accepted_count(method: Callable[..., Any], given: int) -> int:
    import inspect

    try:
        parameters = inspect.signature(method).parameters.values()
    except (TypeError, ValueError):
        # Some callables, such as those written in C, have no signature to read.
        return given
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return given
    positional = (p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD))
    return min(given, sum(1 for _ in positional))
