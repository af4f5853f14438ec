"""Servers that the tests of trackers talk to, each a process of its own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from torchx.tracker.api import AppRun

_START_TIMEOUT_S = 120


@pytest.fixture(autouse=True)
def _no_job(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing of the job or the machine that runs the tests is seen."""
    for name in [name for name in os.environ if name.startswith("TORCHX_")]:
        monkeypatch.delenv(name)
    for name in ("RANK", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TORCHXCONFIG", "")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    AppRun.run_from_env.cache_clear()
    yield
    AppRun.run_from_env.cache_clear()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def server(module: str, *argv: str, url: str, log: Path) -> Iterator[None]:
    """Runs a Python module as a server until the body is done."""
    env = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"}
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", module, *argv],
            stdout=output,
            stderr=output,
            env=env,
            cwd=log.parent,
        )
    try:
        _wait_until_it_answers(process, url, log)
        yield
    finally:
        process.terminate()
        process.wait(timeout=30)


def _wait_until_it_answers(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline_s = time.monotonic() + _START_TIMEOUT_S
    while True:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except OSError:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline_s, log.read_text()
            time.sleep(0.05)


@pytest.fixture(scope="session")
def s3_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a server that speaks the protocol of S3."""
    url = f"http://127.0.0.1:{(port := free_port())}"
    log = tmp_path_factory.mktemp("moto") / "log"
    argv = ["-H", "127.0.0.1", "-p", str(port)]
    with server("moto.server", *argv, url=f"{url}/moto-api/data.json", log=log):
        yield url


@pytest.fixture(scope="session")
def mlflow_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of an MLflow server that keeps runs in SQLite and takes artifacts."""
    pytest.importorskip("mlflow")
    directory = tmp_path_factory.mktemp("mlflow")
    url = f"http://127.0.0.1:{(port := free_port())}"
    argv = ["server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    argv += ["--backend-store-uri", f"sqlite:///{directory}/runs.db"]
    argv += ["--artifacts-destination", str(directory / "artifacts")]
    with server("mlflow", *argv, url=f"{url}/health", log=directory / "log"):
        yield url
