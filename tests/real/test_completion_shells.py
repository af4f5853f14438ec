"""Completion as somebody sees it who presses TAB in a real shell, on a terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import shutil
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

TIMEOUT_S = 60.0
BASH = ["bash", "--norc", "--noprofile", "-i"]
ZSH = ["zsh", "-f", "-i"]
SET_UP = {
    "bash": 'eval "$(torchx completion bash)"',
    "zsh": 'autoload -Uz compinit && compinit -u && eval "$(torchx completion zsh)"',
}
_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x08|\r")


def needed(shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "with space").mkdir()
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("TORCHX")},
        "HOME": str(tmp_path),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PS1": "$ ",
        "TERM": "xterm",
    }


class Terminal:
    """A shell on a terminal of its own."""

    def __init__(self, argv: list[str], env: dict[str, str], directory: Path) -> None:
        self._shown = ""
        self._descriptor, inner = pty.openpty()
        self.process = subprocess.Popen(
            argv,
            cwd=directory,
            env=env,
            stdin=inner,
            stdout=inner,
            stderr=inner,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(inner)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._descriptor)

    def type(self, keys: str) -> None:
        self._shown = ""
        os.write(self._descriptor, keys.encode())

    def wait_for(self, text: str) -> None:
        deadline = time.monotonic() + TIMEOUT_S
        while text not in self._shown:
            ready, _, _ = select.select([self._descriptor], [], [], deadline - time.monotonic())
            assert ready, f"{text!r} was not shown, but {self._shown!r}"
            read = os.read(self._descriptor, 65536).decode(errors="replace")
            self._shown += _ESCAPE.sub("", read)


@pytest.fixture(params=["bash", "zsh"])
def terminal(
    request: pytest.FixtureRequest, environment: dict[str, str], tmp_path: Path
) -> Iterator[Terminal]:
    needed(request.param)
    opened = Terminal(BASH if request.param == "bash" else ZSH, environment, tmp_path)
    opened.type(f"{SET_UP[request.param]}; echo rea''dy\n")
    opened.wait_for("ready")
    yield opened
    opened.close()


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("torchx compl", "completion "),
        ("torchx run -s local_c", "local_cwd "),
        ("torchx run -s local_cwd -cfg log_dir=/x,pre", "log_dir=/x,prepend_cwd="),
        ("torchx run --scheduler=local_c", "--scheduler=local_cwd"),
        ("torchx run utils.echo --ms", "--msg "),
        ("torchx run with", r"with\ space/"),
    ],
)
def test_a_tab_completes_the_word(terminal: Terminal, typed: str, shown: str) -> None:
    terminal.type(f"{typed}\t")
    terminal.wait_for(shown)


def test_two_tabs_list_what_there_is(terminal: Terminal) -> None:
    terminal.type("torchx dele\b\b\b\b\t\t")
    for command in ("builtins", "completion", "status"):
        terminal.wait_for(command)


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("torchx compl", ["completion\tprint a script that completes commands in your shell"]),
        ("torchx run -s local_c", ["local_cwd"]),
        ("torchx run utils.echo --msg x --num_r", ["--num_replicas\t"]),
        ("torchx run -s local_cwd -cfg log_dir=/x,pre", ["log_dir=/x,prepend_cwd=\t"]),
        ("torchx run with", ["with space/"]),
    ],
)
def test_fish_offers_words_with_descriptions(
    typed: str, offered: list[str], environment: dict[str, str], tmp_path: Path
) -> None:
    needed("fish")
    script = f"torchx completion fish | source; complete -C '{typed}'"
    done = subprocess.run(
        ["fish", "-c", script], capture_output=True, text=True, env=environment, cwd=tmp_path
    )
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) == len(offered)
    for line, start in zip(done.stdout.splitlines(), offered, strict=True):
        assert line.replace("\\ ", " ").startswith(start)
