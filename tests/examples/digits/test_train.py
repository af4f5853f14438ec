"""The training example, for real: torchrun, several workers, kill -9 in the middle."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sklearn")
torch = pytest.importorskip("torch")

EPOCHS = 30
TRAIN = ["-m", "torchx.examples.digits.train", "--epochs", str(EPOCHS)]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2"]


class Run:
    """A training run under torchrun.

    Args:
        argv: Arguments of torchrun.
        directory: Where temporary files go.
    """

    def __init__(self, *argv: str, directory: Path) -> None:
        self._errors = directory / "stderr"
        with self._errors.open("w") as errors:
            self._process = subprocess.Popen(
                [*TORCHRUN, *argv],
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env={**os.environ, "TMPDIR": str(directory), "OMP_NUM_THREADS": "1"},
            )
        self._lines: list[str] = []

    def wait_for(self, text: str) -> None:
        while text not in self._next_line():
            assert self._lines[-1], self._errors.read_text()

    def workers(self) -> list[int]:
        pid = self._process.pid
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def kill(self) -> None:
        workers = self.workers()
        self._process.kill()  # the launcher first, so that it cannot end the workers properly
        for worker in workers:
            os.kill(worker, signal.SIGKILL)
        self._process.communicate()

    def result(self) -> list[str]:
        """Waits for success; returns all lines."""
        while self._next_line():
            pass
        self._process.communicate()
        assert self._process.returncode == 0, self._errors.read_text()
        return [line.rstrip("\n") for line in self._lines if line]

    def _next_line(self) -> str:
        assert self._process.stdout
        self._lines.append(self._process.stdout.readline())
        return self._lines[-1]


def _checkpoint(directory: Path) -> tuple[Path, dict[str, Any]]:
    (path,) = directory.rglob("*.pt")
    return path, torch.load(path, weights_only=True)


def _resumed_after(lines: Sequence[str]) -> int:
    (line,) = (line for line in lines if line.startswith("resuming"))
    found = re.fullmatch(rf"resuming after epoch (\d+) of {EPOCHS}", line)
    assert found
    return int(found[1])


def test_run_that_was_killed_twice_ends_like_one_that_was_not(tmp_path: Path) -> None:
    job = ["--max_restarts", "1", "--rdzv_backend", "c10d", "--rdzv_endpoint", "localhost:0"]
    argv = [*job, "--rdzv_id", "job-1", *TRAIN]
    directory = tmp_path / "a'; echo foo"
    directory.mkdir()

    run = Run(*argv, directory=directory)
    run.wait_for("epoch  3/")
    os.kill(run.workers()[-1], signal.SIGKILL)
    run.wait_for("resuming after epoch")
    run.wait_for(f"/{EPOCHS}: ")
    run.kill()
    resumed = Run(*argv, directory=directory).result()

    epoch = _resumed_after(resumed)
    assert 4 <= epoch < EPOCHS
    done = [line.split(":")[0] for line in resumed if line.startswith("epoch")]
    assert done == [f"epoch {number:2}/{EPOCHS}" for number in range(epoch + 1, EPOCHS + 1)]

    other = tmp_path / "undisturbed"
    other.mkdir()
    undisturbed = Run(*TRAIN, "--checkpoint-dir", str(other), directory=other).result()
    assert resumed[-1] == undisturbed[-1]
    assert float(resumed[-1].removeprefix("test accuracy: ").removesuffix(" %")) > 95
    path, ours = _checkpoint(directory)
    _, theirs = _checkpoint(other)
    assert path.parent.name == "job-1"
    assert ours["finished"]
    assert all(torch.equal(ours["model"][name], value) for name, value in theirs["model"].items())


THREADS_LEFT = """
from pathlib import Path
from torchx.examples.digits.train import main

main(["--epochs", "1", "--min-accuracy", "0"])
print([name.read_text().strip() for name in Path("/proc/self/task").glob("*/comm")])
"""


def test_no_thread_of_the_process_group_meets_the_end_of_the_interpreter(tmp_path: Path) -> None:
    # One that does aborts the worker, now and then, after a good run.
    run = subprocess.run(
        [sys.executable, "-c", THREADS_LEFT],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "python" in run.stdout
    assert "gloo" not in run.stdout
