"""Process groups: real ones of gloo, and the calls that are made for others."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pytest

torch = pytest.importorskip("torch")

# ruff: noqa: E402  (PyTorch is optional)
import torch.distributed as dist

import torchx.distributed
from torchx.distributed import (
    init_pg,
    is_local_rank0,
    is_rank0,
    local_cuda_device,
    local_device,
    local_rank,
    on_local_rank0_first,
    on_rank0_first,
    rank,
    world_size,
)

LAUNCHED = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT", "TORCHELASTIC_RUN_ID")


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in LAUNCHED:
        # Set first, so that what the test sets itself is removed afterwards.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    yield
    if dist.is_initialized():
        dist.destroy_process_group()


def test_importing_it_does_not_import_pytorch() -> None:
    code = "import sys, torchx.distributed; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
    assert torchx.distributed.dist is dist


def test_a_program_that_was_started_alone_is_the_first_of_one() -> None:
    assert (rank(), world_size(), local_rank()) == (0, 1, 0)
    assert is_rank0()
    assert is_local_rank0()
    assert local_device() == torch.device("cpu")
    with on_rank0_first(), on_local_rank0_first():
        assert not dist.is_initialized()


def test_what_the_launcher_says_counts_without_a_group(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1"}.items():
        monkeypatch.setenv(name, value)
    assert (rank(), world_size(), local_rank()) == (3, 4, 1)
    assert not is_rank0()
    assert not is_local_rank0()
    assert local_cuda_device() == torch.device("cuda:1")


def test_a_group_of_one_is_made_and_variables_are_put_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MASTER_ADDR", "elsewhere")
    assert init_pg("gloo") == torch.device("cpu")
    assert (dist.get_rank(), dist.get_world_size(), dist.get_backend()) == (0, 1, "gloo")
    assert os.environ["MASTER_ADDR"] == "elsewhere"
    with pytest.warns(UserWarning, match="LOCAL_RANK is not set"):
        assert local_rank() == 0
    monkeypatch.setenv("LOCAL_RANK", "0")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert local_rank() == 0


@pytest.mark.parametrize(
    ("gpus", "has_nccl", "backend"), [(2, True, "nccl"), (2, False, "gloo"), (0, True, "gloo")]
)
def test_the_back_end_fits_the_machine(gpus: int, has_nccl: bool, backend: str) -> None:
    with (
        patch("torch.cuda.is_available", return_value=gpus > 0),
        patch("torch.cuda.device_count", return_value=gpus),
        patch("torchx.distributed.dist.is_nccl_available", return_value=has_nccl),
        patch("torchx.distributed.dist.init_process_group") as joined,
        patch("torchx.distributed.local_rank", return_value=1),
    ):
        device = init_pg(timeout=None)
    joined.assert_called_once_with(backend=backend, rank=0, world_size=1, timeout=None)
    assert device == torch.device("cuda:1" if backend == "nccl" else "cpu")


@pytest.mark.parametrize(
    "env",
    [
        {"TORCHELASTIC_RUN_ID": "job"},
        {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "host", "MASTER_PORT": "29500"},
    ],
)
def test_a_launcher_decides_about_rank_and_size(
    env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    with patch("torchx.distributed.dist.init_process_group") as joined:
        init_pg(backend="gloo")
    joined.assert_called_once_with(backend="gloo")


@pytest.mark.parametrize(("backend", "device"), [("nccl", "cuda:0"), ("gloo", "cpu")])
def test_the_device_is_that_of_the_group(backend: str, device: str) -> None:
    with (
        patch("torchx.distributed.dist.is_initialized", return_value=True),
        patch("torchx.distributed.dist.get_backend", return_value=backend),
        patch("torchx.distributed.local_cuda_device", return_value=torch.device("cuda:0")),
    ):
        assert local_device() == torch.device(device)
    with (
        patch("torch.cuda.is_available", return_value=True),
        patch("torch.cuda.device_count", return_value=1),
    ):
        assert local_device() == torch.device("cuda")


def test_a_group_that_begins_or_ends_inside_of_the_body_is_not_waited_in() -> None:
    with on_rank0_first():
        init_pg("gloo")
    with on_rank0_first():
        dist.destroy_process_group()


PROGRAM = """
import os, sys, time
from torchx.distributed import *
import torch.distributed as dist
log = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND)
def note(text):
    os.write(log, f"{text}\\n".encode())
init_pg("gloo")
assert (rank(), world_size()) == (int(os.environ["RANK"]), 4) == (dist.get_rank(), 4)
assert is_rank0() == (rank() == 0) and is_local_rank0() == (local_rank() == 0)
with on_rank0_first():
    note(f"all {rank()}")
dist.barrier()
with on_local_rank0_first():
    note(f"local {local_rank()}")
dist.barrier()
try:
    with on_rank0_first():
        note(f"failed {rank()}")
        if is_rank0():
            raise ValueError
except ValueError:
    pass
dist.barrier()
dist.destroy_process_group()
"""


@pytest.mark.parametrize("launcher", ["torchrun", "by-hand"])
def test_the_first_process_goes_first_in_a_real_group(launcher: str, tmp_path: Path) -> None:
    program, log = tmp_path / "program.py", tmp_path / "log"
    program.write_text(PROGRAM)
    log.touch()
    argv = [str(program), str(log)]
    if launcher == "torchrun":
        torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
        subprocess.run(
            [*torchrun, "--nproc_per_node", "4", *argv],
            check=True,
            capture_output=True,
            timeout=300,
        )
    else:
        _launch_two_hosts_of_two(argv)
    lines = log.read_text().splitlines()
    everyone, per_host, failed = lines[:4], lines[4:8], lines[8:]
    assert everyone[0] == "all 0"
    assert sorted(everyone) == [f"all {number}" for number in range(4)]
    assert failed[0] == "failed 0"
    assert len(failed) == 4
    firsts = 1 if launcher == "torchrun" else 2
    assert set(per_host[:firsts]) == {"local 0"}
    assert "local 0" not in per_host[firsts:]


def _launch_two_hosts_of_two(argv: list[str]) -> None:
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = str(probe.getsockname()[1])
    common = {"WORLD_SIZE": "4", "MASTER_ADDR": "localhost", "MASTER_PORT": port}
    ranks = [
        subprocess.Popen(
            [sys.executable, *argv],
            env={**os.environ, **common, "RANK": str(number), "LOCAL_RANK": str(number % 2)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(4)
    ]
    for process in ranks:
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
