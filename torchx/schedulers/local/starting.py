"""Starts replicas: a few one by one, many by helper processes that share the work.

To start a process is mostly to wait for the kernel, and helpers wait at the same time. What they
start becomes a child of the supervisor, which adopts orphans, as soon as they end.

The supervisor imports this module in a bare interpreter: only cheap standard modules here.
"""

from __future__ import annotations

import json
import os
import sys

from torchx.schedulers.local.ending import end_with_parent

TYPE_CHECKING = False
if TYPE_CHECKING:
    from torchx.schedulers.local.replica import Replica

_HELPERS = 4
_REPLICAS_PER_HELPER = 16
"""A multiple of what is faster to start without a helper; each takes pipes, so not too many."""


class StartFailure(Exception):
    """A replica could not be started.

    Args:
        replica: Which one.
        cause: Why.
    """

    def __init__(self, replica: Replica, cause: OSError | ValueError) -> None:
        super().__init__(str(cause))
        self.replica = replica
        self.cause = cause


def start_all(replicas: list[Replica], soft_file_limit: int, created: list[str]) -> None:
    """Starts replicas, each with log files of its own.

    Args:
        replicas: The replicas.
        soft_file_limit: Limit on open files that they get.
        created: Gets the paths of the log files that were created.

    Raises:
        StartFailure: One could not be started. Others may run.
    """
    can_share = sys.platform == "linux" and len(replicas) >= _REPLICAS_PER_HELPER
    if not can_share:
        for replica in replicas:
            try:
                replica.create_files(created)
                replica.start(soft_file_limit)
            except (OSError, ValueError) as error:
                raise StartFailure(replica, error) from error
        return
    together = _HELPERS * _REPLICAS_PER_HELPER
    for first in range(0, len(replicas), together):
        _start_together(replicas[first : first + together], soft_file_limit, created)


def _start_together(replicas: list[Replica], soft_file_limit: int, created: list[str]) -> None:
    share = -(-len(replicas) // _HELPERS)
    shares = [replicas[first : first + share] for first in range(0, len(replicas), share)]
    failures: list[StartFailure] = []
    try:
        for replica in replicas:
            replica.open_pipes()
        helpers = [_Helper(members, soft_file_limit) for members in shares]
    except OSError as error:
        raise StartFailure(replicas[0], error) from error
    finally:
        for replica in replicas:
            replica.close_write_ends()
    for helper in helpers:
        try:
            helper.collect(created)
        except StartFailure as failure:
            failures.append(failure)
    if failures:
        raise failures[0]


class _Helper:
    """A copy of this process that starts some replicas and ends.

    Args:
        replicas: The replicas, whose pipes are open.
        soft_file_limit: Limit on open files that they get.

    Raises:
        OSError: There can be no more processes.
    """

    def __init__(self, replicas: list[Replica], soft_file_limit: int) -> None:
        self._replicas = replicas
        self._reader, writer = os.pipe()
        supervisor = os.getpid()
        try:
            self._pid = os.fork()
        except OSError:
            os.close(self._reader)
            os.close(writer)
            raise
        if not self._pid:
            try:
                end_with_parent(supervisor)
                report = json.dumps(_start_here(replicas, soft_file_limit)).encode()
                os.write(writer, report)
            finally:
                os._exit(0)
        os.close(writer)

    def collect(self, created: list[str]) -> None:
        """Waits for the end of the helper, and takes over what it has started.

        Args:
            created: Gets the paths of the log files that were created.

        Raises:
            StartFailure: A replica could not be started.
        """
        with open(self._reader, "rb") as file:
            report = file.read()
        os.waitpid(self._pid, 0)
        if not report:
            error = OSError(0, "the process that was to start it was killed")
            raise StartFailure(self._replicas[0], error)
        started, paths, failure = json.loads(report)
        created += paths
        for replica, (pid, start_ticks) in zip(self._replicas, started, strict=False):
            replica.note_start(pid, start_ticks)
        if failure is not None:
            kind, *arguments = failure
            cause = ValueError(*arguments) if kind == "ValueError" else OSError(*arguments)
            raise StartFailure(self._replicas[len(started)], cause)


def _start_here(replicas: list[Replica], soft_file_limit: int) -> object:
    started: list[tuple[int, int | None]] = []
    created: list[str] = []
    for replica in replicas:
        try:
            replica.create_files(created)
            started.append(replica.spawn(soft_file_limit))
        except OSError as error:
            failure = ("OSError", error.errno, error.strerror, error.filename)
            return started, created, failure
        except ValueError as error:
            return started, created, ("ValueError", str(error))
    return started, created, None
