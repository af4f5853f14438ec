"""Checkpoints that survive a kill, and that are never taken for those of another run."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from torchx.util.files import replacing

_FORMAT = 1


@dataclass(frozen=True)
class Settings:
    """What decides the result of a run; a checkpoint belongs to runs with the same settings.

    Attributes:
        epochs: How often each training image is seen.
        batch_size: Images in one step, of all workers together.
        lr: Learning rate at the start; it falls to zero.
        seed: Start of all random numbers.
        data: Path or URL of the data; empty for those that ship with scikit-learn.
    """

    epochs: int
    batch_size: int
    lr: float
    seed: int
    data: str = ""

    def fingerprint(self) -> str:
        """Names the settings.

        Returns:
            Eight hexadecimal digits.
        """
        text = json.dumps({"format": _FORMAT, **asdict(self)}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:8]


@dataclass
class Checkpoint:
    """The state of a run after an epoch.

    Attributes:
        epoch: Number of epochs done.
        model: State of the network.
        optimizer: State of the optimizer.
        scheduler: State of the learning rate.
        rng: State of the random numbers of each worker.
        finished: True after the network was tested: there is nothing left to do.
    """

    epoch: int
    model: dict[str, Any]
    optimizer: dict[str, Any]
    scheduler: dict[str, Any]
    rng: list[torch.Tensor]
    finished: bool = False


class CheckpointFile:
    """Keeps the newest checkpoint of runs with the same settings.

    Args:
        directory: Where to keep it; it is created when it is first needed.
        settings: Settings of the run.

    Attributes:
        path: The file, whose name tells the settings.
    """

    def __init__(self, directory: str | os.PathLike[str], settings: Settings) -> None:
        self.path = Path(directory) / f"digits-{settings.fingerprint()}.pt"

    def load(self) -> Checkpoint | None:
        """Reads the checkpoint.

        Returns:
            The checkpoint, None if there is none.

        Raises:
            ValueError: The file cannot be understood.
        """
        if not self.path.exists():
            return None
        try:
            return Checkpoint(**torch.load(self.path, weights_only=True))
        except (RuntimeError, EOFError, TypeError, pickle.UnpicklingError) as error:
            raise ValueError(
                f"{self.path} is no checkpoint of this program; remove it to start afresh"
            ) from error

    def save(self, checkpoint: Checkpoint) -> None:
        """Replaces the checkpoint; a kill leaves the former one or this one, both whole.

        Args:
            checkpoint: The new state.

        Raises:
            OSError: The directory cannot be written.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(self.path) as temporary:
            torch.save(vars(checkpoint), temporary)


def default_directory() -> Path:
    """Returns a directory of this job alone.

    A job that is retried or restarted keeps its id, so that it finds its checkpoint, and another
    job does not. Programs that were started without torchrun have no id and share one directory.

    Returns:
        A directory below the system's temporary directory, owned by this user.

    Raises:
        PermissionError: Somebody else owns that directory.
    """
    own = Path(tempfile.gettempdir()) / f"torchx-digits-{os.getuid()}"
    own.mkdir(mode=0o700, exist_ok=True)
    if own.lstat().st_uid != os.getuid():
        raise PermissionError(f"{own} belongs to another user; choose a --checkpoint-dir")
    run_id = os.environ.get("TORCHELASTIC_RUN_ID", "none")
    return own / ("by-hand" if run_id == "none" else run_id.replace("/", "_"))
