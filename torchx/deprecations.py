"""Warnings about names that are going away.

They are ``UserWarning`` on purpose: Python hides ``DeprecationWarning`` by default, so the people
who have to act would never see it.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import TypeVar

F = TypeVar("F", bound=Callable[..., object])


def deprecated_module(old_import: str, new_import: str, *, stacklevel: int = 3) -> None:
    """Warns that a module has moved. Called at the top of the module that stays behind.

    Args:
        old_import: Dotted path that is going away.
        new_import: Dotted path to import instead.
        stacklevel: How many frames above this function the warning is attributed to.
    """
    warnings.warn(
        f"[Deprecated] `{old_import}` will be removed in a future release, change the import:\n"
        f"- import {old_import}\n"
        f"+ import {new_import}",
        UserWarning,
        stacklevel=stacklevel,
    )


def deprecated(*, replacement: str | None = None) -> Callable[[F], F]:
    """Makes a decorator for functions that are going away: each call warns the caller.

    Args:
        replacement: What to use instead, if there is something.

    Returns:
        A decorator that keeps the signature, the name and the docstring.

    Example:
        >>> @deprecated(replacement="new_api")
        ... def old_api() -> int:
        ...     return 1
    """

    def decorate(fn: F) -> F:
        message = f"[Deprecated] `{fn.__qualname__}` will be removed in a future release"
        if replacement:
            message += f", use `{replacement}` instead"

        @functools.wraps(fn)
        def warn_and_call(*args: object, **kwargs: object) -> object:
            warnings.warn(message, UserWarning, stacklevel=2)
            return fn(*args, **kwargs)

        return warn_and_call  # type: ignore[return-value]  # wraps() keeps the signature of fn

    return decorate
