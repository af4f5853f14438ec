"""Adds up a one from each worker."""

from __future__ import annotations

import os
from typing import Any

import torch
import torch.distributed as dist


def compute_world_size(cfg: Any) -> int:
    """Counts the workers.

    Args:
        cfg: ``main`` holds ``backend`` and, for a program that no launcher has started, ``rank``,
            ``world_size``, ``master_addr`` and ``master_port``.

    Returns:
        The number of workers that answered.
    """
    for name in ("rank", "world_size", "master_addr", "master_port"):
        os.environ.setdefault(name.upper(), str(cfg.main[name]))
    dist.init_process_group(backend=cfg.main.backend)
    try:
        ones = torch.ones(1)
        dist.all_reduce(ones)
        computed = int(ones.item())
        print(
            f"rank: {dist.get_rank()}, actual world_size: {dist.get_world_size()},"
            f" computed world_size: {computed}",
            flush=True,
        )
        return computed
    finally:
        dist.destroy_process_group()
