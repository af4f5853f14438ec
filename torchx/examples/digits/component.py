"""A component of your own, in a file of your own.

::

    torchx run -s local_cwd path/to/component.py:train --epochs 5 --workers 2
    torchx run -s local_cwd path/to/component.py:train --help

It is `dist.ddp` with the decisions of this project taken: the program, sizes that have names, and
arguments that are checked before anything is launched.
"""

from __future__ import annotations

from typing import Literal

from torchx import specs
from torchx.components import dist

_CPUS = {"small": 1, "large": 4}
_MEMORY_MIB = {"small": 1024, "large": 4096}


def train(
    epochs: int = 20,
    lr: float = 0.01,
    workers: int = 2,
    size: Literal["small", "large"] = "small",
    data: str | None = None,
    image: str = "",
) -> specs.AppDef:
    """Trains a network to read digits.

    Args:
        epochs: how often to see each image
        lr: learning rate at the start
        workers: number of processes, all on one host
        size: how much of a host each worker gets
        data: path or URL of prepared data
        image: image to run in, on schedulers that run containers
    """
    if workers < 1:
        raise ValueError(f"--workers must be at least 1, not {workers}")
    argv = ["--epochs", str(epochs), "--lr", str(lr)]
    if data:
        argv += ["--data", data]
    return dist.ddp(
        *argv,
        m="torchx.examples.digits.train",
        name="digits/",
        image=image,
        j=f"1x{workers}",
        cpu=_CPUS[size] * workers,
        memMB=_MEMORY_MIB[size] * workers,
        env={"OMP_NUM_THREADS": "1"},
    )
