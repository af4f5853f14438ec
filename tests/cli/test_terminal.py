"""What a person at a terminal sees, through a real pseudo-terminal."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

SLEEPER = """
import torchx.specs as specs

def sleep(until: str) -> specs.AppDef:
    \"\"\"Says `ready` and goes on until a file exists.\"\"\"
    code = (
        "import os, time\\n"
        "print('ready', flush=True)\\n"
        f"while not os.path.exists({until!r}): time.sleep(0.01)\\n"
    )
    role = specs.Role("sleeper", image="", entrypoint="python", args=["-c", code], num_replicas=2)
    return specs.AppDef("sleep", roles=[role])
"""


class Terminal:
    """A program at a pseudo-terminal."""

    def __init__(self, words: list[str], cwd: Path) -> None:
        self._master, slave = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "torchx.cli.main", *words],
            cwd=cwd,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
        )
        os.close(slave)
        self.seen = ""

    def read_until(self, text: str) -> None:
        while text not in self.seen:
            chunk = self._read()
            assert chunk, f"ended without {text!r}: {self.seen}"
            self.seen += chunk

    def read_all(self) -> str:
        while chunk := self._read():
            self.seen += chunk
        self.process.wait(60)
        return self.seen

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._master)

    def _read(self) -> str:
        try:
            return os.read(self._master, 1 << 16).decode("utf-8", "replace")
        except OSError:
            return ""


@pytest.fixture
def terminal(project: Path) -> Iterator[Callable[..., Terminal]]:
    opened: list[Terminal] = []

    def run(*words: str) -> Terminal:
        opened.append(Terminal(list(words), project))
        return opened[-1]

    yield run
    for program in opened:
        program.close()


def test_a_status_line_is_shown_while_waiting_and_taken_away(
    project: Path, terminal: Callable[..., Terminal]
) -> None:
    (project / "mine.py").write_text(SLEEPER)
    program = terminal("run", "-s", "local_cwd", "mine.py:sleep", "--until", "done")
    program.read_until("2/2 replicas running  ")
    (project / "done").touch()
    seen = program.read_all()
    assert program.process.returncode == 0, seen
    assert "RUNNING  2/2 replicas running  " in seen
    assert "\033[32msleeper/0\033[0m ready" in seen
    last_line = seen.rstrip("\r\n").rpartition("\n")[2]
    assert "job finished" in last_line


def test_a_table_is_in_color_and_handles_are_whole(
    project: Path, terminal: Callable[..., Terminal]
) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "torchx.cli.main", "run", "-s", "local_cwd", "utils.echo"],
        cwd=project,
        capture_output=True,
        text=True,
        check=True,
    )
    seen = terminal("list", "-s", "local_cwd").read_all()
    assert ran.stdout.strip() in seen
    assert "\033[32mSUCCEEDED" in seen


def test_the_state_of_an_app_is_in_color(project: Path, terminal: Callable[..., Terminal]) -> None:
    program = terminal("run", "-s", "local_cwd", "utils.sh", "exit", "3")
    seen = program.read_all()
    assert program.process.returncode == 1
    assert "\033[31merror:\033[0m" in seen
