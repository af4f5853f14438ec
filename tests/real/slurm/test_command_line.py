"""The command line on a real cluster: the published acceptance run, and distributed training."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.real.slurm.cluster import command, use_cluster

MAIN = "import sys; print('hello from the script', file=sys.stderr)"


def torchx(*words: str) -> str:
    code = "import sys; from torchx.cli.main import main; main(sys.argv[1:])"
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=280,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
    )
    return done.stdout


def test_the_published_acceptance_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = tmp_path / "project"
    workspace.mkdir()
    monkeypatch.chdir(workspace)
    (workspace / "main.py").write_text(MAIN)
    (workspace / ".torchxconfig").write_text(
        f"[slurm]\npartition=main\ntime=10\ncomment=hello\njob_dir={tmp_path}/job\n"
    )
    with use_cluster():
        handle = torchx(
            *[
                "run",
                "--wait",
                "--log",
                "--scheduler",
                "slurm",
                "dist.ddp",
                "-j",
                "2x1",
                "--cpu",
                "1",
                "--memMB",
                "1000",
            ],
            *["--max_retries", "1", "--script", "main.py"],
        ).strip()
        assert handle.startswith("slurm://torchx/")
        assert "SUCCEEDED" in torchx("status", handle)
        assert "main" in torchx("describe", handle)
        assert torchx("log", handle).count("hello from the script") == 2
        assert torchx("list", "-s", "slurm").count(f"{handle} ") == 1
        # From anywhere, and by anyone who has only the cluster.
        monkeypatch.chdir("/")
        monkeypatch.setenv("TORCHX_HOME", str(tmp_path / "elsewhere"))
        assert torchx("log", handle).count("hello from the script") == 2
        torchx("delete", handle)


def test_four_nodes_of_two_workers_train_the_digits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    with use_cluster(alone=True):
        nodes = command("sinfo", "--noheader", "--partition=main", "--format=%D").split()
        if sum(map(int, nodes)) < 4:
            pytest.skip("the cluster has fewer than four nodes")
        handle = torchx(
            *[
                "run",
                "--wait",
                "-s",
                "slurm",
                "dist.ddp",
                "-j",
                "4x2",
                "--cpu",
                "2",
                "--memMB",
                "1500",
            ],
            *["-m", "torchx.examples.digits.train"],
        ).strip()
        app_id = handle.rpartition("/")[2]
        told = command("squeue", "--noheader", "--states=all", "--jobs", app_id, "--format=%D %T")
        assert told.split() == ["4", "COMPLETED"]
        assert "accuracy" in torchx("log", handle)
        torchx("delete", handle)
