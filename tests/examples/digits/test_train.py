"""The training example, for real: torchrun, several workers, kill -9 in the middle."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

pytest.importorskip("sklearn")
torch = pytest.importorskip("torch")

EPOCHS = 30
TRAIN = ["-m", "torchx.examples.digits.train", "--epochs", str(EPOCHS)]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2"]


class Run:
    """A training run under torchrun, of which nothing is left after the test."""

    def __init__(self, *argv: str, temporary: Path) -> None:
        environ = {**os.environ, "TMPDIR": str(temporary), "OMP_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [*TORCHRUN, *argv],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environ,
        )
        self._lines: list[str] = []

    def wait_for(self, text: str) -> None:
        for line in self._stdout():
            if text in line:
                return
        pytest.fail(f"ended without {text!r}: {self._lines} {self._errors()}")

    def workers(self) -> list[int]:
        pid = self._process.pid
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def kill(self) -> None:
        workers = self.workers() if self._process.poll() is None else []
        self._process.kill()  # the launcher first, so that it cannot clean up
        for worker in workers:
            os.kill(worker, signal.SIGKILL)
        self._process.communicate()

    def result(self) -> list[str]:
        """Waits for success; returns all lines."""
        for _ in self._stdout():
            pass
        errors = self._errors()
        assert self._process.wait() == 0, errors
        return self._lines

    def _stdout(self) -> Iterator[str]:
        assert self._process.stdout
        for line in self._process.stdout:
            self._lines.append(line.rstrip("\n"))
            yield self._lines[-1]

    def _errors(self) -> str:
        assert self._process.stderr
        return self._process.stderr.read()


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """The last line and the checkpoint of a run that nothing disturbed."""
    directory = tmp_path_factory.mktemp("uninterrupted")
    lines = Run(*TRAIN, "--checkpoint-dir", str(directory), temporary=directory).result()
    assert f"epoch {EPOCHS}/{EPOCHS}: " in lines[-2]
    return lines[-1], _only_checkpoint(directory)


def _only_checkpoint(directory: Path) -> Path:
    (path,) = directory.rglob("*.pt")
    return path


def _assert_same_result(
    lines: Sequence[str], directory: Path, uninterrupted: tuple[str, Path]
) -> None:
    assert lines[-1] == uninterrupted[0]
    ours = torch.load(_only_checkpoint(directory), weights_only=True)
    theirs = torch.load(uninterrupted[1], weights_only=True)
    assert all(torch.equal(ours["model"][name], value) for name, value in theirs["model"].items())


def _resumed_after(lines: Sequence[str]) -> int:
    (line,) = (line for line in lines if line.startswith("resuming"))
    found = re.fullmatch(rf"resuming after epoch (\d+) of {EPOCHS}", line)
    assert found
    return int(found[1])


def test_accuracy_is_printed_last(uninterrupted: tuple[str, Path]) -> None:
    found = re.fullmatch(r"test accuracy: (\d+\.\d) %", uninterrupted[0])
    assert found
    assert float(found[1]) > 95


def test_killed_run_resumes_to_the_same_result(
    uninterrupted: tuple[str, Path], tmp_path: Path
) -> None:
    argv = [*TRAIN, "--checkpoint-dir", str(tmp_path / "a'; echo foo")]
    killed = Run(*argv, temporary=tmp_path)
    killed.wait_for("epoch  3/")
    killed.kill()
    lines = Run(*argv, temporary=tmp_path).result()
    epoch = _resumed_after(lines)
    assert 3 <= epoch < EPOCHS
    assert f"epoch {epoch + 1:2}/{EPOCHS}: " in lines[2]
    assert not any(f"epoch {epoch:2}/" in line for line in lines)
    _assert_same_result(lines, tmp_path, uninterrupted)


def test_restart_of_a_killed_worker_resumes_in_the_default_directory(
    uninterrupted: tuple[str, Path], tmp_path: Path
) -> None:
    options = ["--max_restarts", "1", "--rdzv_backend", "c10d", "--rdzv_id", "job-1"]
    run = Run(*options, "--rdzv_endpoint", "localhost:0", *TRAIN, temporary=tmp_path)
    run.wait_for("epoch  3/")
    os.kill(run.workers()[-1], signal.SIGKILL)
    lines = run.result()
    assert 3 <= _resumed_after(lines) < EPOCHS
    _assert_same_result(lines, tmp_path, uninterrupted)
    assert _only_checkpoint(tmp_path).parent.name == "job-1"
