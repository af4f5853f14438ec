"""Turns the signals that end this process into an exception, so that its apps end, too."""

from __future__ import annotations

import os
import signal
import threading
import weakref
from types import FrameType

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class SignalException(Exception):
    """This process was told to end.

    Args:
        msg: What happened.
        sigval: The signal.

    Attributes:
        sigval: The signal.
    """

    def __init__(self, msg: str, sigval: signal.Signals) -> None:
        super().__init__(msg)
        self.sigval = sigval


def terminate_process_handler(signum: int, frame: FrameType | None) -> None:
    """Raises in the main thread.

    Args:
        signum: The signal.
        frame: Where the main thread is.

    Raises:
        SignalException: Always.
    """
    sigval = signal.Signals(signum)
    raise SignalException(f"Process {os.getpid()} got signal: {sigval}", sigval=sigval)


class _Registry:
    """The handlers that were replaced, and the objects on whose behalf."""

    def __init__(self) -> None:
        self.owners: weakref.WeakSet[object] = weakref.WeakSet()
        self.replaced: dict[signal.Signals, signal._HANDLER] = {}


_registry = _Registry()


def register(owner: object | None = None) -> None:
    """Installs the handler, on the main thread, where nobody has installed one of their own.

    Args:
        owner: On whose behalf, see :func:`release`.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    if owner is not None:
        _registry.owners.add(owner)
    for signum in _SIGNALS:
        current = signal.getsignal(signum)
        if current in (signal.SIG_DFL, signal.default_int_handler):
            _registry.replaced[signum] = current
            signal.signal(signum, terminate_process_handler)


def release(owner: object) -> None:
    """Puts back the former handlers when nobody needs ours any more.

    Args:
        owner: The object that does not.
    """
    _registry.owners.discard(owner)
    if _registry.owners or threading.current_thread() is not threading.main_thread():
        return
    for signum in list(_registry.replaced):
        former = _registry.replaced.pop(signum)
        if signal.getsignal(signum) is terminate_process_handler:
            signal.signal(signum, former)
