"""Calls into code of plugins, which may raise, hang or try to end the process.

Whatever it does, the rest of torchx goes on: only Ctrl-C gets through.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeVar

from torchx.errors import TorchXError
from torchx.settings import ENV_TORCHX_PLUGINS_TIMEOUT_S

T = TypeVar("T")

DEFAULT_TIMEOUT_S = 30.0
"""Longest time that the import of a plugin may take, in seconds."""

_ONE_DAY_S = 86_400.0


class PluginLoadError(TorchXError):
    """A plugin cannot be loaded: it hangs, or tries to end the process."""


def call_foreign(what: str, function: Callable[[], T]) -> T:
    """Calls code of a plugin.

    Args:
        what: Names the call in messages, for example ``importing x``.
        function: What to call.

    Returns:
        What it returned.

    Raises:
        Exception: What it raised, if that is an ``Exception``.
        PluginLoadError: It raised something else, such as ``SystemExit``, or did not end within
            ``TORCHX_PLUGINS_TIMEOUT_S`` seconds.
        KeyboardInterrupt: Somebody pressed Ctrl-C.
    """
    from torchx.util.time_limit import TimeLimitExceeded, call_within

    try:
        return call_within(timeout_s(), what, function)
    except TimeLimitExceeded as error:
        raise PluginLoadError(
            str(error),
            hint=f"repair or uninstall it, or allow more time with {ENV_TORCHX_PLUGINS_TIMEOUT_S}",
        ) from None
    except (Exception, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise PluginLoadError(
            f"{what} tried to end the process: {reason_of(error)}", hint="repair or uninstall it"
        ) from error


def reason_of(error: BaseException) -> str:
    """Returns an error as text.

    Args:
        error: The error.

    Returns:
        Its kind and its text; only the text of a `PluginLoadError`, which tells the kind itself.
    """
    try:
        text = str(error)
    except Exception as failure:
        text = f"(its text cannot be read: {type(failure).__name__})"
    return text if isinstance(error, PluginLoadError) else f"{type(error).__name__}: {text}"


def timeout_s() -> float:
    """Returns how long the import of a plugin may take.

    Returns:
        Seconds, from the environment or by default; 0 for no limit. Text that is no such number
        stands for the default.
    """
    try:
        limit_s = float(os.environ.get(ENV_TORCHX_PLUGINS_TIMEOUT_S, ""))
    except ValueError:
        return DEFAULT_TIMEOUT_S
    return limit_s if 0 <= limit_s <= _ONE_DAY_S else DEFAULT_TIMEOUT_S
