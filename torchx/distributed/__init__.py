"""Conveniences around ``torch.distributed`` that work the same with and without a launcher.

Example:
    A program that runs alone, under ``torchrun`` and as a ``dist.ddp`` job::

        from torchx.distributed import init_pg, is_rank0, on_local_rank0_first

        device = init_pg()
        with on_local_rank0_first():
            data = download()           # the others find it in the cache
        ...
        if is_rank0():
            save(model)
"""

from __future__ import annotations

import importlib
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import torch

__all__ = [
    "Backend",
    "init_pg",
    "is_local_rank0",
    "is_rank0",
    "local_cuda_device",
    "local_device",
    "local_rank",
    "on_local_rank0_first",
    "on_rank0_first",
    "rank",
    "world_size",
]

Backend = Literal["nccl", "gloo", "auto"]
"""How processes talk to each other; ``auto`` is ``nccl`` where there are GPUs, else ``gloo``."""

_LAZY = {"torch": "torch", "dist": "torch.distributed"}
_ENV_OF_A_GROUP = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


def __getattr__(name: str) -> ModuleType:
    # PyTorch takes seconds to import, and only those need it who call something here.
    if name in _LAZY:
        return importlib.import_module(_LAZY[name])
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def local_rank() -> int:
    """Returns the number of this process on its host.

    Returns:
        ``LOCAL_RANK`` as launchers set it; 0 without a launcher.
    """
    given = os.environ.get("LOCAL_RANK")
    if given is not None:
        return int(given)
    if _dist().is_initialized():
        warnings.warn(
            "LOCAL_RANK is not set although there is a process group: taking 0, so that all"
            " processes of a host share one device; launch with torchrun",
            stacklevel=2,
        )
    return 0


def rank() -> int:
    """Returns the number of this process among all.

    Returns:
        Its rank in the process group; without one ``RANK`` as launchers set it, or 0.
    """
    if _dist().is_initialized():
        return int(_dist().get_rank())
    return int(os.environ.get("RANK", "0"))


def world_size() -> int:
    """Returns the number of processes.

    Returns:
        The size of the process group; without one ``WORLD_SIZE`` as launchers set it, or 1.
    """
    if _dist().is_initialized():
        return int(_dist().get_world_size())
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_rank0() -> bool:
    """Tells whether this process is the first of all.

    Returns:
        True for one process of the job.
    """
    return rank() == 0


def is_local_rank0() -> bool:
    """Tells whether this process is the first of its host.

    Returns:
        True for one process of each host.
    """
    return local_rank() == 0


def local_cuda_device() -> torch.device:
    """Returns the GPU of this process.

    Returns:
        ``cuda:LOCAL_RANK``.
    """
    device: torch.device = _torch().device(f"cuda:{_this().local_rank()}")
    return device


def local_device() -> torch.device:
    """Returns the device of this process.

    Returns:
        In a process group what its back end works with: the GPU of this process for ``nccl``, else
        the CPU. Without one ``cuda`` if there are GPUs, else the CPU.
    """
    from torchx.util.cuda import has_cuda_devices

    if _dist().is_initialized():
        on_gpu = _dist().get_backend() == "nccl"
        return _this().local_cuda_device() if on_gpu else _cpu()
    device: torch.device = _torch().device("cuda" if has_cuda_devices() else "cpu")
    return device


def init_pg(backend: Backend = "auto", **kwargs: Any) -> torch.device:
    """Joins the other processes of the job; a program that was started alone is its own group.

    Args:
        backend: How processes talk to each other.
        kwargs: Further arguments of ``torch.distributed.init_process_group``.

    Returns:
        The device to work with: the GPU of this process for ``nccl``, else the CPU.
    """
    chosen = _default_backend() if backend == "auto" else backend
    if _dist().is_torchelastic_launched() or _is_launched_otherwise():
        _dist().init_process_group(backend=chosen, **kwargs)
    else:
        with _alone():
            _dist().init_process_group(backend=chosen, rank=0, world_size=1, **kwargs)
    return _this().local_cuda_device() if chosen == "nccl" else _cpu()


@contextmanager
def on_rank0_first() -> Iterator[None]:
    """Runs the body in the first process of all, and then in the others.

    The others go on also if the body has failed in the first one. Without a process group nothing
    waits. All processes of the group must get here.

    Example::

        with on_rank0_first():
            data = download(cache_dir)
    """
    with _first(is_rank0):
        yield


@contextmanager
def on_local_rank0_first() -> Iterator[None]:
    """Runs the body in the first process of each host, and then in the others.

    The others go on also if the body has failed in a first one. Without a process group nothing
    waits. All processes of the group must get here.
    """
    with _first(is_local_rank0):
        yield


@contextmanager
def _first(is_first: Callable[[], bool]) -> Iterator[None]:
    # A group that the body makes or ends is none that others wait in.
    in_group = _dist().is_initialized()
    waits = in_group and not is_first()
    if waits:
        _dist().barrier()
    try:
        yield
    finally:
        if in_group and not waits and _dist().is_initialized():
            _dist().barrier()


def _default_backend() -> Literal["nccl", "gloo"]:
    cuda = _torch().cuda
    has_gpu = cuda.is_available() and cuda.device_count() > 0
    return "nccl" if has_gpu and _dist().is_nccl_available() else "gloo"


def _is_launched_otherwise() -> bool:
    """Tells whether another launcher than torchrun has said all that a group needs."""
    return all(name in os.environ for name in _ENV_OF_A_GROUP)


@contextmanager
def _alone() -> Iterator[None]:
    """Makes this process the host of a group; variables that were set are put back."""
    former = {name: os.environ[name] for name in _ENV_OF_A_GROUP if name in os.environ}
    os.environ.update(MASTER_ADDR="localhost", MASTER_PORT="0")
    try:
        yield
    finally:
        os.environ.update(former)


def _cpu() -> torch.device:
    device: torch.device = _torch().device("cpu")
    return device


def _this() -> Any:
    """Returns this module, through which tests replace parts of it."""
    return sys.modules[__name__]


def _dist() -> Any:
    return _this().dist


def _torch() -> Any:
    return _this().torch
