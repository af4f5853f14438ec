"""Copies the logs of all replicas of an app to a stream, one thread per replica.

The command line follows many replicas through :mod:`torchx.schedulers.merge`; this module is the
published way for programs that want their own thread, and what ``torchx run --tee_logs`` uses.
"""

from __future__ import annotations

import logging
import re
import threading
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from queue import Queue

    from torchx.runner.api import Runner
    from torchx.schedulers.api import Stream
    from torchx.specs import AppDef

logger: logging.Logger = logging.getLogger(__name__)

_GREEN = "\033[32m"
_ENDC = "\033[0m"
_LINE_START = re.compile(r"\r|\n(?!\Z)")


def tee_logs(
    dst: TextIO,
    app_handle: str,
    regex: str | None,
    runner: Runner,
    should_tail: bool = False,
    streams: Stream | None = None,
    colorize: bool = False,
) -> threading.Thread:
    """Makes the thread that copies the logs of every replica of an app.

    Args:
        dst: Where lines go, each preceded by ``ROLE/REPLICA``.
        app_handle: Handle of the app.
        regex: Copies only lines in which this is found.
        runner: The runner to ask.
        should_tail: Goes on until the app has ended.
        streams: Which stream of the replicas; None leaves the choice to the scheduler.
        colorize: Writes the prefixes in green.

    Returns:
        A daemon thread, not started.
    """
    return threading.Thread(
        target=_start_threads_to_monitor_role_replicas,
        kwargs={
            "dst": dst,
            "runner": runner,
            "app_handle": app_handle,
            "regex": regex,
            "should_tail": should_tail,
            "streams": streams,
            "colorize": colorize,
        },
        daemon=True,
    )


def _find_role_replicas(app: AppDef, role_name: str | None) -> list[tuple[str, int]]:
    """Lists ``(role, replica)`` of an app or of one of its roles."""
    return [
        (role.name, replica)
        for role in app.roles
        if role_name is None or role.name == role_name
        for replica in range(role.num_replicas)
    ]


def _prefix_line(prefix: str, line: str) -> str:
    """Puts a prefix before each line of a text; a carriage return begins a line as well."""
    prefixed = _LINE_START.sub(lambda found: found[0] + prefix, line)
    return prefixed if line.startswith("\r") else prefix + prefixed


def _start_threads_to_monitor_role_replicas(
    dst: TextIO,
    app_handle: str,
    regex: str | None,
    runner: Runner,
    which_role: str | None = None,
    should_tail: bool = False,
    streams: Stream | None = None,
    colorize: bool = False,
) -> None:
    """Copies the logs of all replicas and returns when the last one is through.

    Raises:
        AssertionError: The app does not exist.
        ValueError: The app has no such role.
        Exception: What reading the first of the failed replicas raised.
    """
    app = runner.describe(app_handle)
    if app is None:
        raise AssertionError(f"app `{app_handle}` does not exist")
    replicas = _find_role_replicas(app, which_role)
    if not replicas:
        valid = [role.name for role in app.roles]
        raise ValueError(f"{which_role} is not a valid role name. Available: {valid}")

    from queue import Queue

    exceptions: Queue[BaseException] = Queue()
    threads = [
        threading.Thread(
            target=_copy_quietly,
            args=(dst, app_handle, regex, runner, role, replica, exceptions, should_tail, streams),
            kwargs={"colorize": colorize},
            daemon=True,
        )
        for role, replica in replicas
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    _raise_first(exceptions)


def _print_log_lines_for_role_replica(
    dst: TextIO,
    app_handle: str,
    regex: str | None,
    runner: Runner,
    which_role: str,
    which_replica: int,
    exceptions: Queue[BaseException],
    should_tail: bool,
    streams: Stream | None,
    colorize: bool = False,
) -> None:
    """Copies the log of one replica; an error is put into ``exceptions`` and raised again."""
    name = f"{which_role}/{which_replica}"
    prefix = f"{_GREEN}{name}{_ENDC} " if colorize else f"{name} "
    try:
        lines = runner.log_lines(
            app_handle, which_role, which_replica, regex, should_tail=should_tail, streams=streams
        )
        for line in lines:
            # The indentation of a line is part of what it says, the blanks at its end are not.
            # One write per line, so that lines of other threads cannot come in between.
            dst.write(_prefix_line(prefix, line.rstrip()) + "\n")
            dst.flush()
    except Exception as error:
        exceptions.put(error)
        raise


def _copy_quietly(
    dst: TextIO,
    app_handle: str,
    regex: str | None,
    runner: Runner,
    which_role: str,
    which_replica: int,
    exceptions: Queue[BaseException],
    should_tail: bool,
    streams: Stream | None,
    colorize: bool,
) -> None:
    """Runs in a thread: whoever joins it raises the error, so the thread must not print it too."""
    try:
        _print_log_lines_for_role_replica(
            dst,
            app_handle,
            regex,
            runner,
            which_role,
            which_replica,
            exceptions,
            should_tail,
            streams,
            colorize=colorize,
        )
    except Exception:
        logger.debug("reading the log of %s/%s failed", which_role, which_replica, exc_info=True)


def _raise_first(exceptions: Queue[BaseException]) -> None:
    """Raises the first of the recorded errors and logs the others, each as a record of its own."""
    if exceptions.empty():
        return
    first = exceptions.get()
    while not exceptions.empty():
        logger.error("%s", exceptions.get())
    raise first
