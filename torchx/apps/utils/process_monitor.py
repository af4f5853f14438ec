"""Runs a process until it ends, a time is over or a file appears.

The program of ``metrics.tensorboard``. The process leads a session of its own; SIGTERM and SIGINT
are passed on to it, what ignores them is killed, and nothing of its process group is left when this
program exits.
"""

from __future__ import annotations

import argparse
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from types import FrameType, TracebackType

TIMEOUT_EXIT_CODE = 34
"""Exit code if the time was over before the process had been started."""


def parse_args(argv: list[str]) -> argparse.Namespace:
    """Reads the command line.

    Args:
        argv: Arguments without the program's name.

    Returns:
        The options by name, ``entrypoint`` and ``args`` (the program to run).
    """
    parser = argparse.ArgumentParser(description="Runs a process and ends it in time.")
    parser.add_argument("--timeout", type=float, help="seconds until the process is ended, 0: none")
    parser.add_argument("--start_on_file", help="start when this path or URL exists")
    parser.add_argument("--exit_on_file", help="end when this path or URL exists")
    parser.add_argument(
        "--poll_rate", type=float, default=5, help="seconds between two looks for a file"
    )
    parser.add_argument(
        "--kill_timeout", type=float, default=60, help="seconds from the request to end to the kill"
    )
    parser.add_argument("entrypoint", help="the program to run")
    parser.add_argument("args", nargs=argparse.REMAINDER, help="arguments of the program")
    return parser.parse_args(argv)


def main(argv: list[str]) -> None:
    """Runs the process.

    Args:
        argv: Arguments without the program's name.

    Raises:
        SystemExit: Always: with the exit code of the process (negative for a signal),
            ``TIMEOUT_EXIT_CODE``, or 128 + N for signal N before the start.
    """
    args = parse_args(argv)
    deadline = time.monotonic() + args.timeout if args.timeout else float("inf")
    with _Signals() as signals:
        if args.start_on_file:
            _wait_for_start(args.start_on_file, args.poll_rate, deadline, signals)
        process = subprocess.Popen([args.entrypoint, *args.args], start_new_session=True)
        _say(f"started process {process.pid}")
        try:
            _Monitor(process, args, deadline, signals).run()
        finally:
            _kill_group(process.pid)
            exit_code = process.wait()
    _say(f"process exited with exit code {exit_code}")
    sys.exit(exit_code)


def _wait_for_start(path: str, poll_s: float, deadline: float, signals: _Signals) -> None:
    exists = _checker(path)
    while not exists():
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            _say("reached timeout before launching, terminating...")
            sys.exit(TIMEOUT_EXIT_CODE)
        for signum in signals.wait(min(poll_s, left_s)):
            sys.exit(128 + signum)
    _say(f"{path} exists, starting process...")


def _checker(path: str) -> Callable[[], bool]:
    """Returns a function that tells whether a path or URL exists now."""
    from fsspec.core import url_to_fs

    fs, fs_path = url_to_fs(path)

    def exists() -> bool:
        fs.invalidate_cache()
        return bool(fs.exists(fs_path))

    return exists


class _Monitor:
    """Waits for the end of a process, and brings it about when it is time."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        args: argparse.Namespace,
        deadline: float,
        signals: _Signals,
    ) -> None:
        self._process = process
        self._exit_on_file: str = args.exit_on_file
        self._exit_file_exists = _checker(args.exit_on_file) if args.exit_on_file else None
        self._poll_s: float = args.poll_rate
        self._kill_timeout_s: float = args.kill_timeout
        self._deadline = deadline
        self._kill_at = float("inf")
        self._signals = signals

    def run(self) -> None:
        """Returns when the process has ended; it is not reaped."""
        while not _has_ended(self._process.pid):
            if self._kill_at == float("inf"):
                self._end_if_due()
            elif time.monotonic() >= self._kill_at:
                _say("reached safe termination timeout, killing...")
                _kill_group(self._process.pid)
                self._kill_at = self._deadline = float("inf")
                self._exit_file_exists = None
            for signum in self._signals.wait(self._pause_s()):
                self._end(f"received {signal.Signals(signum).name}", signum)

    def _end_if_due(self) -> None:
        if time.monotonic() >= self._deadline:
            self._end("reached timeout", signal.SIGTERM)
        elif self._exit_file_exists and self._exit_file_exists():
            self._end(f"{self._exit_on_file} exists", signal.SIGTERM)

    def _end(self, reason: str, signum: int) -> None:
        _say(f"{reason}, terminating...")
        os.killpg(self._process.pid, signum)
        _say(f"waiting up to {self._kill_timeout_s} s for the process to end...")
        self._kill_at = min(self._kill_at, time.monotonic() + self._kill_timeout_s)

    def _pause_s(self) -> float | None:
        due = min(self._kill_at, self._deadline if self._kill_at == float("inf") else float("inf"))
        pause_s = max(due - time.monotonic(), 0)
        if self._exit_file_exists and self._kill_at == float("inf"):
            pause_s = min(pause_s, self._poll_s)
        return None if pause_s == float("inf") else pause_s


class _Signals:
    """Turns the signals that matter here into numbers that one can wait for."""

    _PASSED_ON = (signal.SIGTERM, signal.SIGINT)

    def __enter__(self) -> _Signals:
        self._read_fd, self._write_fd = os.pipe()
        os.set_blocking(self._read_fd, False)
        os.set_blocking(self._write_fd, False)
        self._former_fd = signal.set_wakeup_fd(self._write_fd, warn_on_full_buffer=False)
        self._former = {
            signum: signal.signal(signum, _note) for signum in (*self._PASSED_ON, signal.SIGCHLD)
        }
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for signum, handler in self._former.items():
            signal.signal(signum, handler)
        signal.set_wakeup_fd(self._former_fd)
        os.close(self._read_fd)
        os.close(self._write_fd)

    def wait(self, timeout_s: float | None) -> list[int]:
        """Waits for a signal, the end of a child or the timeout; returns the signals."""
        readable, _, _ = select.select([self._read_fd], [], [], timeout_s)
        received = os.read(self._read_fd, 4096) if readable else b""
        return [signum for signum in received if signum in self._PASSED_ON]


def _note(signum: int, frame: FrameType | None) -> None:
    """Keeps a signal from its default action; the interpreter writes its number to the pipe."""


def _say(text: str) -> None:
    # One write for the line: the process writes to the same stream, and must not get in between.
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _has_ended(pid: int) -> bool:
    # The process stays unreaped, so that its id and that of its group cannot belong to another.
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


if __name__ == "__main__":
    main(sys.argv[1:])
