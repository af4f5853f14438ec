"""A second process that uses the same back end."""

from __future__ import annotations

import importlib
import os
import pickle
import select
import subprocess
import sys
from dataclasses import dataclass, field
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torchx.runner import Runner

_PROGRAM = "from torchx.testing.peer import serve; serve()"


@dataclass(frozen=True)
class Request:
    """A method call on the runner of the other process.

    Attributes:
        method: Name of a method of :class:`torchx.runner.Runner`.
        args: Positional arguments.
        kwargs: Keyword arguments.
    """

    method: str
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Reply:
    """What came of a request.

    Attributes:
        value: What the method returned; iterators are replaced by lists.
        error: What it raised.
    """

    value: Any = None
    error: Exception | None = None


def make_runner(reference: str) -> Runner:
    """Calls the function that makes a runner.

    Args:
        reference: The function as ``module:name``; it needs no arguments.

    Returns:
        The runner.
    """
    module, _, name = reference.partition(":")
    runner: Runner = getattr(importlib.import_module(module), name)()
    return runner


class Peer:
    """Another Python process with a runner of its own.

    Args:
        runner: The function that makes the runner, as ``module:name``.
        timeout_s: Longest time that a call may take.

    Attributes:
        process: The process.
    """

    def __init__(self, runner: str, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self.process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # What this process can import, the other one can import too.
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        self._send(runner)

    def __enter__(self) -> Peer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def call(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Calls a method of the other process's runner and waits for the result.

        Args:
            method: Name of the method.
            *args: Its positional arguments.
            **kwargs: Its keyword arguments.

        Returns:
            What it returned; a list in place of an iterator.

        Raises:
            TimeoutError: If there was no reply in time.
            ConnectionError: If the process ended instead.
            Exception: Whatever the method raised.
        """
        self.start(method, *args, **kwargs)
        assert self.process.stdout is not None
        if not select.select([self.process.stdout], [], [], self._timeout_s)[0]:
            raise TimeoutError(f"{method} took more than {self._timeout_s:g} s in another process")
        try:
            reply: Reply = pickle.load(self.process.stdout)
        except EOFError:
            exit_code = self.process.wait(self._timeout_s)
            raise ConnectionError(f"the other process ended with {exit_code}") from None
        if reply.error is not None:
            raise reply.error
        return reply.value

    def start(self, method: str, *args: Any, **kwargs: Any) -> None:
        """Calls a method of the other process's runner and does not wait.

        Args:
            method: Name of the method.
            *args: Its positional arguments.
            **kwargs: Its keyword arguments.
        """
        self._send(Request(method, args, kwargs))

    def kill(self) -> None:
        """Ends the process as ``kill -9`` does: it cannot tidy up."""
        self.process.kill()
        self._reap()

    def close(self) -> None:
        """Lets the process close its runner and end. Repeatable."""
        if self.process.stdin is not None and not self.process.stdin.closed:
            self.process.stdin.close()
        try:
            self.process.wait(self._timeout_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        finally:
            self._reap()

    def _send(self, message: object) -> None:
        assert self.process.stdin is not None
        pickle.dump(message, self.process.stdin)
        self.process.stdin.flush()

    def _reap(self) -> None:
        self.process.wait(self._timeout_s)
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()


def serve() -> None:
    """Answers requests from standard input until it ends. The body of the other process."""
    requests, replies = sys.stdin.buffer, sys.stdout.buffer
    # Whatever a back end prints must not end up among the replies.
    sys.stdout = sys.stderr
    reference: str = pickle.load(requests)
    with make_runner(reference) as runner:
        while (request := _next_request(requests)) is not None:
            pickle.dump(_answer(runner, request), replies)
            replies.flush()


def _next_request(requests: IO[bytes]) -> Request | None:
    try:
        request: Request = pickle.load(requests)
    except EOFError:
        return None
    return request


def _answer(runner: Runner, request: Request) -> Reply:
    try:
        value = getattr(runner, request.method)(*request.args, **request.kwargs)
        return Reply(list(value) if hasattr(value, "__next__") else value)
    except Exception as error:
        return Reply(error=error)
