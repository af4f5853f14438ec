"""An app that a test has launched."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import TYPE_CHECKING

from torchx.schedulers.api import Stream
from torchx.specs import AppStatus

if TYPE_CHECKING:
    from torchx.runner import Runner

WAIT_INTERVAL_S = 0.2


class LogFollower:
    """Reads a log on a thread, so that a log that never ends fails a test instead of hanging it.

    Args:
        lines: The log.
        timeout_s: How long each method waits at most.
    """

    def __init__(self, lines: Iterable[str], timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._lines: list[str] = []
        self._error: BaseException | None = None
        self._has_ended = False
        self._changed = threading.Condition()
        threading.Thread(target=self._read, args=(lines,), daemon=True).start()

    def wait_for_line(self, line: str) -> None:
        """Waits until a line has come.

        Args:
            line: The line, without its newline.

        Raises:
            TimeoutError: If it has not come in time.
            AssertionError: If the log ended without it.
        """
        self._wait_until(lambda: f"{line}\n" in self._lines or self._has_ended, f"line {line!r}")
        assert f"{line}\n" in self._lines, f"the log ended without {line!r}: {self._lines}"

    def until_the_end(self) -> list[str]:
        """Waits until the log has ended by itself.

        Returns:
            All of its lines.

        Raises:
            TimeoutError: If it has not ended in time.
        """
        self._wait_until(lambda: self._has_ended, "end of the log")
        return self._lines

    def _wait_until(self, is_done: Callable[[], bool], what: str) -> None:
        with self._changed:
            if not self._changed.wait_for(is_done, self._timeout_s):
                raise TimeoutError(
                    f"{what}: not within {self._timeout_s:g} s, read {self._lines[-5:]}"
                )
        if self._error is not None:
            raise self._error

    def _read(self, lines: Iterable[str]) -> None:
        try:
            for line in lines:
                with self._changed:
                    self._lines.append(line)
                    self._changed.notify_all()
        except BaseException as error:
            self._error = error
        with self._changed:
            self._has_ended = True
            self._changed.notify_all()


class Job:
    """A launched app, as the cases use it.

    Args:
        runner: The runner that has launched it.
        handle: Its handle.
        timeout_s: Longest time to wait for anything.

    Attributes:
        runner: See above.
        handle: See above.
    """

    def __init__(self, runner: Runner, handle: str, timeout_s: float) -> None:
        self.runner = runner
        self.handle = handle
        self._timeout_s = timeout_s

    def status(self) -> AppStatus:
        """Asks for the state.

        Returns:
            The status.

        Raises:
            AssertionError: If the back end does not know the app.
        """
        status = self.runner.status(self.handle)
        assert status is not None, f"{self.handle} is unknown"
        return status

    def wait(self) -> AppStatus:
        """Waits until the app has ended.

        Returns:
            Its last status.

        Raises:
            TimeoutError: If it has not ended in time.
            AssertionError: If the back end does not know the app.
        """
        status = self.runner.wait(self.handle, WAIT_INTERVAL_S, timeout=self._timeout_s)
        assert status is not None, f"{self.handle} is unknown"
        return status

    def cancel(self) -> None:
        """Cancels the app."""
        self.runner.cancel(self.handle)

    def follow(self, role: str = "job", k: int = 0, streams: Stream | None = None) -> LogFollower:
        """Follows the log of a replica.

        Args:
            role: Name of the role.
            k: Number of the replica.
            streams: Which output; ``None`` is both.

        Returns:
            What has come so far and what will.
        """
        lines = self.runner.log_lines(self.handle, role, k, should_tail=True, streams=streams)
        return LogFollower(lines, self._timeout_s)

    def log(
        self,
        role: str = "job",
        k: int = 0,
        regex: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        streams: Stream | None = None,
    ) -> list[str]:
        """Reads the log of a replica as it is now.

        Args:
            role: Name of the role.
            k: Number of the replica.
            regex: Only lines in which this is found.
            since: Only what was written since then.
            until: Only what was written until then.
            streams: Which output; ``None`` is both.

        Returns:
            Its lines.
        """
        lines = self.runner.log_lines(
            self.handle, role, k, regex, since, until, should_tail=False, streams=streams
        )
        return LogFollower(lines, self._timeout_s).until_the_end()
