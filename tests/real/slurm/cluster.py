"""A real cluster, as tests use it: alone or next to other tests, watched and disturbed."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

COMMANDS = ("sacct", "sacctmgr", "sbatch", "scancel", "scontrol", "sinfo", "squeue")


@contextlib.contextmanager
def use_cluster(*, alone: bool = False) -> Iterator[None]:
    """Skips the running test if there is no cluster; else reserves it.

    Args:
        alone: Let no other test use the cluster at the same time.
    """
    if shutil.which("sinfo") is None:
        pytest.skip("Slurm is not installed: scripts/services/slurm-up.sh brings a cluster up")
    answer = subprocess.run(["sinfo", "--noheader"], capture_output=True, text=True, check=False)
    if answer.returncode:
        pytest.skip(f"no cluster is up (scripts/services/slurm-up.sh): {answer.stderr.strip()}")
    path = os.path.join(tempfile.gettempdir(), f"torchx-test-slurm-{os.getuid()}.lock")
    with open(path, "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        yield


def need_root() -> None:
    """Skips the running test if it may not administer the cluster."""
    if os.getuid():
        pytest.skip("only root may administer the cluster")


def command(*words: str) -> str:
    """Runs a command of Slurm, past the counting ones.

    Args:
        *words: The command.

    Returns:
        What it printed.
    """
    path = f"/usr/bin/{words[0]}"
    return subprocess.run([path, *words[1:]], capture_output=True, text=True, check=True).stdout


class CountedCommands:
    """Counts how often each command of Slurm is called.

    Args:
        directory: An empty directory.
        monkeypatch: Puts it in front of ``PATH``.
    """

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._calls = directory / "calls"
        for name in COMMANDS:
            real = shutil.which(name)
            path = directory / name
            # Jobs inherit the search path; what they call does not count.
            count = f'[ -n "$SLURM_JOB_ID" ] || echo {name} >>"{self._calls}"'
            path.write_text(f'#!/bin/sh\n{count}\nexec {real} "$@"\n')
            path.chmod(0o755)
        monkeypatch.setenv("PATH", f"{directory}:{os.environ['PATH']}")

    def take(self) -> dict[str, int]:
        """Returns the number of calls by command, and begins anew."""
        text = self._calls.read_text() if self._calls.exists() else ""
        self._calls.write_text("")
        return dict(Counter(text.split()))


def without_accounting(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets sacct answer as it does on a cluster without accounting.

    Args:
        directory: An empty directory.
        monkeypatch: Puts it in front of ``PATH``.
    """
    directory.mkdir()
    sacct = directory / "sacct"
    sacct.write_text('#!/bin/sh\necho "Slurm accounting storage is disabled" >&2\nexit 1\n')
    sacct.chmod(0o755)
    monkeypatch.setenv("PATH", f"{directory}:{os.environ['PATH']}")
