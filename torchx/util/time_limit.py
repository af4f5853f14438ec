"""Ends a call into foreign code that takes too long, such as the import of a module that hangs."""

from __future__ import annotations

import contextvars
import logging
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import NamedTuple, TypeVar

T = TypeVar("T")

logger: logging.Logger = logging.getLogger(__name__)

_SIGNAL = signal.SIGURG
"""Ignored by default, so that one that comes late does no harm."""

_REPEAT_S = 0.5


class TimeLimitExceeded(TimeoutError):
    """A call did not end in time."""


class _Interrupt(BaseException):
    """Raised inside of the call; no ``Exception``, which the call might handle itself.

    Args:
        watch: Whose limit has passed; calls with limits may be nested.
    """

    def __init__(self, watch: _Watch) -> None:
        super().__init__()
        self.watch = watch


def call_within(
    limit_s: float, what: str, function: Callable[[], T], *, notice_s: float = 3.0
) -> T:
    """Calls a function, but not for longer than a limit.

    On the main thread the call is made right here and is interrupted, which ends all but C code
    that ignores signals. On other threads, which cannot be interrupted, it is made on a daemon
    thread that is left behind.

    Args:
        limit_s: Longest duration in seconds; 0 for no limit.
        what: Names the call in messages, for example ``importing x``.
        function: What to call.
        notice_s: After how many seconds a warning says that it takes long.

    Returns:
        What the function returned.

    Raises:
        TimeLimitExceeded: It did not end in time.
        BaseException: What the function raised.
    """
    if limit_s <= 0:
        return function()
    limit = _Limit(limit_s, what, notice_s)
    if threading.current_thread() is not threading.main_thread():
        return _call_aside(limit, function)
    handler = signal.getsignal(_SIGNAL)
    if handler is None:
        # Installed by C code, hence nothing that could be put back.
        return _call_aside(limit, function)
    return _Watch(limit, handler).call(function)


class _Limit(NamedTuple):
    limit_s: float
    what: str
    notice_s: float

    def is_kept(self, wait: Callable[[float], bool]) -> bool:
        """Waits for the end of the call; returns False once the limit has passed."""
        notice_s = min(self.notice_s, self.limit_s)
        if wait(notice_s):
            return True
        if notice_s == self.limit_s:
            return False
        logger.warning("%s takes long; it is given up after %g s", self.what, self.limit_s)
        return wait(self.limit_s - notice_s)

    def error(self) -> TimeLimitExceeded:
        """Returns what to raise once the limit has passed."""
        return TimeLimitExceeded(f"{self.what} took longer than {self.limit_s:g} s")


class _Watch:
    """Interrupts the main thread when the limit has passed.

    Args:
        limit: The limit.
        handler: How the signal was handled before.
    """

    def __init__(
        self, limit: _Limit, handler: Callable[[int, FrameType | None], object] | int
    ) -> None:
        self._limit = limit
        self._handler = handler
        self._done = threading.Event()
        self._expired = False

    def call(self, function: Callable[[], T]) -> T:
        """Calls a function on the main thread."""
        signal.signal(_SIGNAL, self._on_signal)
        threading.Thread(target=self._wait, name="torchx-time-limit", daemon=True).start()
        try:
            try:
                return function()
            finally:
                # Again below, because the interrupt may strike right here.
                self._done.set()
        except _Interrupt as interrupt:
            if interrupt.watch is not self:
                raise
            raise self._limit.error() from None
        finally:
            self._done.set()
            signal.signal(_SIGNAL, self._handler)

    def _wait(self) -> None:
        if self._limit.is_kept(self._done.wait):
            return
        self._expired = True
        # Repeated in case that the call swallows the exception.
        while not self._done.is_set():
            signal.pthread_kill(threading.main_thread().ident or 0, _SIGNAL)
            self._done.wait(_REPEAT_S)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._expired and not self._done.is_set():
            raise _Interrupt(self)
        if callable(self._handler):
            self._handler(number, frame)


def _call_aside(limit: _Limit, function: Callable[[], T]) -> T:
    results: list[T] = []
    errors: list[BaseException] = []
    ended = threading.Event()
    context = contextvars.copy_context()

    def call() -> None:
        try:
            results.append(context.run(function))
        except BaseException as error:  # raised again by the caller
            errors.append(error)
        ended.set()

    threading.Thread(target=call, name="torchx-time-limit", daemon=True).start()
    if not limit.is_kept(ended.wait):
        raise limit.error()
    if errors:
        raise errors[0]
    return results[0]
