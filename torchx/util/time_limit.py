"""Ends a call into foreign code that takes too long, such as the import of a module that hangs."""

from __future__ import annotations

import contextvars
import logging
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import TypeVar

T = TypeVar("T")

logger: logging.Logger = logging.getLogger(__name__)

_SIGNAL = signal.SIGURG
"""Ignored by default, so that one that comes late does no harm."""

_NOTICE_S = 3.0
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


def call_within(limit_s: float, what: str, function: Callable[[], T]) -> T:
    """Calls a function, but not for longer than a limit.

    On the main thread the call is made right here and is interrupted, which ends all but C code
    that ignores signals. On other threads, which cannot be interrupted, it is made on a daemon
    thread that is left behind.

    Args:
        limit_s: Longest duration in seconds; 0 for no limit.
        what: Names the call in messages, for example ``importing x``.
        function: What to call.

    Returns:
        What the function returned.

    Raises:
        TimeLimitExceeded: It did not end in time.
        BaseException: What the function raised.
    """
    if limit_s <= 0:
        return function()
    if threading.current_thread() is not threading.main_thread():
        return _call_aside(limit_s, what, function)
    handler = signal.getsignal(_SIGNAL)
    if handler is None:
        # Installed by C code, hence nothing that could be put back.
        return _call_aside(limit_s, what, function)
    return _Watch(limit_s, what, handler).call(function)


class _Watch:
    """Interrupts the main thread when the limit has passed.

    Args:
        limit_s: The limit in seconds.
        what: Names the call in messages.
        handler: How the signal was handled before.
    """

    def __init__(
        self,
        limit_s: float,
        what: str,
        handler: Callable[[int, FrameType | None], object] | int,
    ) -> None:
        self._limit_s = limit_s
        self._what = what
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
            raise _timeout(self._limit_s, self._what) from None
        finally:
            self._done.set()
            signal.signal(_SIGNAL, self._handler)

    def _wait(self) -> None:
        notice_s = min(_NOTICE_S, self._limit_s)
        if self._done.wait(notice_s):
            return
        if notice_s < self._limit_s:
            _notice(self._limit_s, self._what)
            if self._done.wait(self._limit_s - notice_s):
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


def _call_aside(limit_s: float, what: str, function: Callable[[], T]) -> T:
    results: list[T] = []
    errors: list[BaseException] = []
    context = contextvars.copy_context()

    def call() -> None:
        try:
            results.append(context.run(function))
        except BaseException as error:  # raised again by the caller
            errors.append(error)

    thread = threading.Thread(target=call, name=f"torchx-{what}", daemon=True)
    thread.start()
    notice_s = min(_NOTICE_S, limit_s)
    thread.join(notice_s)
    if thread.is_alive() and notice_s < limit_s:
        _notice(limit_s, what)
        thread.join(limit_s - notice_s)
    if errors:
        raise errors[0]
    if not results:
        raise _timeout(limit_s, what)
    return results[0]


def _notice(limit_s: float, what: str) -> None:
    logger.warning("%s takes long; it is given up after %g s", what, limit_s)


def _timeout(limit_s: float, what: str) -> TimeLimitExceeded:
    return TimeLimitExceeded(f"{what} took longer than {limit_s:g} s")
