"""The process monitor with real processes and real signals."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from torchx.apps.utils.process_monitor import TIMEOUT_EXIT_CODE, main

MONITOR = [sys.executable, "-m", "torchx.apps.utils.process_monitor"]

# Each program says that it is ready only after its signals are set up.
IGNORES_SIGTERM = "trap '' TERM; echo ready; while :; do sleep 0.05; done"
TELLS_SIGNAL = "trap 'echo got TERM; exit 5' TERM; echo ready; while :; do sleep 0.05; done"
HAS_CHILD = "sleep 1000 & echo child $!; echo ready; wait"


def _exit_code(*argv: str) -> int | str | None:
    with pytest.raises(SystemExit) as exit_info:
        main(["--poll_rate", "0.02", *argv])
    return exit_info.value.code


def _is_alive(pid: int) -> bool:
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def _started(*argv: str) -> tuple["subprocess.Popen[str]", list[str]]:
    """Starts a monitor and reads its output until the monitored program is ready."""
    monitor = subprocess.Popen([*MONITOR, *argv], stdout=subprocess.PIPE, text=True)
    assert monitor.stdout
    lines: list[str] = []
    while (line := monitor.stdout.readline()) != "ready\n":
        assert line, f"the monitor ended early, it said {lines}"
        lines.append(line)
    return monitor, lines


def _child(lines: list[str]) -> int:
    """Finds the process that the monitored program started; the monitor writes in between."""
    (line,) = [line for line in lines if line.startswith("child ")]
    return int(line.removeprefix("child "))


@pytest.mark.parametrize("separator", [[], ["--"]])
def test_exit_code_is_that_of_the_process(
    separator: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    assert _exit_code(*separator, "sh", "-c", 'echo "$1"; exit 7', "-", "--timeout") == 7
    out = capfd.readouterr().out
    assert "--timeout\n" in out
    assert "started process " in out
    assert "process exited with exit code 7\n" in out


def test_program_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(FileNotFoundError):
        main(["/no/such/program"])


def test_timeout_ends_the_process(capfd: pytest.CaptureFixture[str]) -> None:
    assert _exit_code("--timeout", "0.2", "sleep", "1000") == -signal.SIGTERM
    assert "reached timeout, terminating..." in capfd.readouterr().out


def test_what_ignores_sigterm_is_killed(capfd: pytest.CaptureFixture[str]) -> None:
    code = _exit_code("--timeout", "0.5", "--kill_timeout", "0.1", "sh", "-c", IGNORES_SIGTERM)
    assert code == -signal.SIGKILL
    assert "reached safe termination timeout, killing..." in capfd.readouterr().out


def test_timeout_counts_from_the_start_of_the_program(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    code = _exit_code("--timeout", "0.1", "--start_on_file", f"{tmp_path}/go", "echo", "no")
    assert code == TIMEOUT_EXIT_CODE
    assert capfd.readouterr().out == "reached timeout before launching, terminating...\n"


@pytest.mark.parametrize("prefix", ["", "file://"])
def test_files_start_and_end_the_process(
    prefix: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    go, stop = tmp_path / "go", tmp_path / "stop"
    creator = threading.Timer(0.1, go.touch)
    creator.start()
    code = _exit_code(
        *("--start_on_file", f"{prefix}{go}", "--exit_on_file", f"{prefix}{stop}"),
        *("sh", "-c", 'touch "$1"; exec sleep 1000', "-", str(stop)),
    )
    creator.join()
    assert code == -signal.SIGTERM
    out = capfd.readouterr().out
    assert f"{prefix}{go} exists, starting process..." in out
    assert f"{prefix}{stop} exists, terminating..." in out


def test_signals_reach_the_process_and_its_exit_code_comes_back() -> None:
    monitor, _ = _started("sh", "-c", TELLS_SIGNAL)
    monitor.terminate()
    out, _ = monitor.communicate()
    assert "got TERM\n" in out
    assert monitor.returncode == 5


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_no_child_is_left_after_a_signal(signum: signal.Signals) -> None:
    monitor, lines = _started("sh", "-c", HAS_CHILD)
    child = _child(lines)
    monitor.send_signal(signum)
    monitor.communicate()
    assert not _is_alive(child)


def test_no_child_is_left_when_the_process_ends_by_itself() -> None:
    monitor, lines = _started("sh", "-c", "sleep 1000 & echo child $!; echo ready")
    monitor.communicate()
    assert monitor.returncode == 0
    assert not _is_alive(_child(lines))


def test_signal_before_the_start_ends_the_monitor(tmp_path: Path) -> None:
    fifo = tmp_path / "never"
    program = (
        "import sys; from torchx.apps.utils import process_monitor as monitor;"
        "look = monitor._checker;"
        "monitor._checker = lambda path: print('ready', flush=True) or look(path);"
        "monitor.main(sys.argv[1:])"
    )
    monitor = subprocess.Popen(
        [sys.executable, "-c", program, "--start_on_file", str(fifo), "echo", "no"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert monitor.stdout
    assert monitor.stdout.readline() == "ready\n"
    monitor.terminate()
    out, _ = monitor.communicate()
    assert out == ""
    assert monitor.returncode == 128 + signal.SIGTERM


def test_signal_handlers_of_the_caller_come_back() -> None:
    def handlers() -> list[object]:
        return [signal.getsignal(s) for s in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)]

    before = handlers()
    assert _exit_code("true") == 0
    assert handlers() == before


def test_error_while_watching_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    pids: list[int] = []

    def fails_at_once(path: str) -> Callable[[], bool]:
        def exists() -> bool:
            raise ConnectionError("the store does not answer")

        return exists

    popen = subprocess.Popen

    def remember(*args: object, **options: object) -> "subprocess.Popen[bytes]":
        process: subprocess.Popen[bytes] = popen(*args, **options)  # type: ignore[call-overload]
        pids.append(process.pid)
        return process

    monkeypatch.setattr("torchx.apps.utils.process_monitor._checker", fails_at_once)
    monkeypatch.setattr(subprocess, "Popen", remember)
    with pytest.raises(ConnectionError):
        main(["--exit_on_file", "s3://bucket/key", "sleep", "1000"])
    assert not os.path.exists(f"/proc/{pids[0]}")
