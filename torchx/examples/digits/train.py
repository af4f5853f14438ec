"""Trains the network: data parallel, with checkpoints, resuming where a killed run stopped.

Run it as a job, under ``torchrun`` or alone::

    torchx run -s local_cwd dist.ddp -j 2x2 -m torchx.examples.digits.train
    torchrun --nproc_per_node 2 -m torchx.examples.digits.train -- --checkpoint-dir /data/run1
    python -m torchx.examples.digits.train

Its parameters, curves and checkpoint go to the trackers that ``.torchxconfig`` names, see
docs/tracking.md. The result depends on the settings, the data and the number of workers alone: it
is the same with or without a kill in between.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict

import torch
import torch.distributed as dist
import torch.distributed.nn
from torch import nn
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.elastic.multiprocessing.errors import record
from torch.distributed.rendezvous import rendezvous
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.data.distributed import DistributedSampler

from torchx.examples.digits.checkpoint import (
    Checkpoint,
    CheckpointFile,
    Settings,
    default_directory,
)
from torchx.examples.digits.data import load_digits
from torchx.examples.digits.model import build_model
from torchx.tracker import AppRun, app_run_from_env


def parse_args(argv: Sequence[str]) -> argparse.Namespace:
    """Reads the command line.

    Args:
        argv: Arguments without the program's name.

    Returns:
        The options by name.
    """
    parser = argparse.ArgumentParser(description="Trains a network to read handwritten digits.")
    parser.add_argument("--epochs", type=int, default=20, help="how often to see each image")
    parser.add_argument(
        "--batch-size", type=int, default=128, help="images in one step, of all workers together"
    )
    parser.add_argument("--lr", type=float, default=1e-2, help="learning rate at the start")
    parser.add_argument("--seed", type=int, default=0, help="start of all random numbers")
    parser.add_argument(
        "--data",
        default="",
        help="path or URL of data that torchx.examples.digits.preprocess has written",
    )
    parser.add_argument(
        "--checkpoint-dir",
        help="where to keep the checkpoint, and to look for the one of a killed run; the first"
        " worker uses it. Default: a directory of this job alone in the temporary directory",
    )
    parser.add_argument(
        "--min-accuracy",
        type=float,
        default=95.0,
        help="exit with an error if the test accuracy is below this, in percent",
    )
    return parser.parse_args(argv)


class Trainer:
    """One worker of a run.

    Args:
        settings: Settings of the run.
        file: Where the first worker keeps the checkpoint.
        data: Images to train on.
        run: What is told how it goes.
    """

    def __init__(
        self, settings: Settings, file: CheckpointFile, data: TensorDataset, run: AppRun
    ) -> None:
        self._settings = settings
        self._file = file
        self._run = run
        torch.manual_seed(settings.seed)  # the same weights everywhere ...
        self._model = build_model()
        torch.manual_seed(settings.seed * dist.get_world_size() + dist.get_rank() + 1)
        self._parallel = DistributedDataParallel(self._model)
        self._optimizer = torch.optim.AdamW(self._model.parameters(), lr=settings.lr)
        self._scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(
            self._optimizer, T_max=settings.epochs
        )
        self._sampler: DistributedSampler[tuple[torch.Tensor, ...]] = DistributedSampler(
            data, seed=settings.seed, drop_last=True
        )
        self._loader = DataLoader(
            data, batch_size=settings.batch_size // dist.get_world_size(), sampler=self._sampler
        )
        self._epoch = 0

    def resume(self) -> None:
        """Takes over the checkpoint of a run that was stopped, if there is one."""
        found = [self._file.load() if dist.get_rank() == 0 else None]
        dist.broadcast_object_list(found)
        checkpoint = found[0]
        if checkpoint is None:
            return
        if checkpoint.finished:
            say("the run of that checkpoint is finished: starting afresh")
            return
        self._epoch = checkpoint.epoch
        self._model.load_state_dict(checkpoint.model)
        self._optimizer.load_state_dict(checkpoint.optimizer)
        self._scheduler.load_state_dict(checkpoint.scheduler)
        if len(checkpoint.rng) == dist.get_world_size():
            torch.set_rng_state(checkpoint.rng[dist.get_rank()])
        say(f"resuming after epoch {self._epoch} of {self._settings.epochs}")

    def train(self) -> None:
        """Trains to the last epoch, with a checkpoint after each."""
        while self._epoch < self._settings.epochs:
            start = time.perf_counter()
            loss, accuracy = self._train_epoch()
            seconds = time.perf_counter() - start
            self._save()
            self._run.add_metrics(self._epoch, loss=loss, accuracy=accuracy, seconds=seconds)
            say(
                f"epoch {self._epoch:2}/{self._settings.epochs}: loss {loss:.4f},"
                f" training accuracy {accuracy:5.1f} %, {seconds:.2f} s"
            )

    def test(self, data: TensorDataset) -> float:
        """Tests the network, each worker with its share of the images, and ends the run.

        Args:
            data: Images to test with.

        Returns:
            Share of the images that were read correctly, in percent.
        """
        images, digits = (part[dist.get_rank() :: dist.get_world_size()] for part in data.tensors)
        self._model.eval()
        with torch.no_grad():
            correct = (self._model(images).argmax(dim=1) == digits).sum()
        dist.all_reduce(correct)
        self._save(finished=True)
        accuracy = 100 * float(correct.item()) / len(data)
        self._run.add_metadata(test_accuracy=accuracy)
        checkpoint = str(self._file.path.absolute())
        self._run.add_artifact(
            "checkpoint", checkpoint, {"epoch": self._epoch, "test_accuracy": accuracy}
        )
        return accuracy

    def _train_epoch(self) -> tuple[float, float]:
        self._model.train()
        self._sampler.set_epoch(self._epoch)
        totals = torch.zeros(3)  # of the losses, of the images read correctly, of all images
        for images, digits in self._loader:
            self._optimizer.zero_grad()
            scores = self._parallel(images)
            loss = nn.functional.cross_entropy(scores, digits)
            loss.backward()  # type: ignore[no-untyped-call]  # PyTorch leaves it untyped
            self._optimizer.step()
            correct = (scores.argmax(dim=1) == digits).sum()
            totals += torch.stack([loss.detach() * len(digits), correct, torch.tensor(len(digits))])
        self._scheduler.step()
        self._epoch += 1
        dist.all_reduce(totals)
        loss_sum, num_correct, num_images = totals.tolist()
        return loss_sum / num_images, 100 * num_correct / num_images

    def _save(self, finished: bool = False) -> None:
        rng: list[torch.Tensor] = [torch.get_rng_state()] * dist.get_world_size()
        dist.all_gather_object(rng, torch.get_rng_state())
        if dist.get_rank() == 0:
            self._file.save(
                Checkpoint(
                    epoch=self._epoch,
                    model=self._model.state_dict(),
                    optimizer=self._optimizer.state_dict(),
                    scheduler=self._scheduler.state_dict(),
                    rng=rng,
                    finished=finished,
                )
            )


def tracked_run(settings: Settings) -> AppRun:
    """Returns the run of this job, with its parameters.

    Args:
        settings: Settings of the run.

    Returns:
        The run. The first worker speaks for all, to the others it has no trackers.
    """
    run = app_run_from_env() if dist.get_rank() == 0 else AppRun("not the first worker", [])
    run.add_params(**asdict(settings))
    run.add_metadata(workers=dist.get_world_size())
    return run


def say(text: str) -> None:
    """Prints a line, on the first worker only.

    Args:
        text: The line.
    """
    if dist.get_rank() == 0:
        print(text, flush=True)


@contextmanager
def process_group() -> Iterator[None]:
    """Joins the other workers; a program that was started by hand is its own only worker.

    The threads of the group end with the last reference to it, and that must go before the
    interpreter does: a thread that it stops on its way out aborts the process. So nothing of the
    body may outlive it, and ``torch.distributed.nn``, whose functions keep the group that they find
    when they are defined, has to be imported before there is one.
    """
    if "RANK" in os.environ:
        store, rank, world_size = next(rendezvous("env://"))
        # torchrun keeps one store for all restarts of its workers, with the stale addresses of the
        # former ones in it.
        attempt = f"attempt-{os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)}"
        store = PrefixStore(attempt, store)
        dist.init_process_group("gloo", store=store, rank=rank, world_size=world_size)
    else:
        dist.init_process_group("gloo", init_method="tcp://localhost:0", rank=0, world_size=1)
    try:
        yield
    finally:
        dist.destroy_process_group()


def train_and_test(args: argparse.Namespace) -> None:
    """Does the work of one worker.

    Args:
        args: Options by name.

    Raises:
        ValueError: A setting makes no sense, or the checkpoint cannot be understood.
        RuntimeError: The accuracy is too low.
    """
    settings = Settings(args.epochs, args.batch_size, args.lr, args.seed, args.data)
    world_size = dist.get_world_size()
    if settings.batch_size < world_size or settings.epochs < 1:
        raise ValueError(
            f"--batch-size {settings.batch_size} must be at least 1 for each of the"
            f" {world_size} workers, and --epochs {settings.epochs} at least 1"
        )
    train_data, test_data = load_digits(settings.data)
    file = CheckpointFile(args.checkpoint_dir or default_directory(), settings)
    say(
        f"training on {len(train_data)} digits, testing on {len(test_data)},"
        f" {world_size} workers, checkpoint {file.path}"
    )
    trainer = Trainer(settings, file, train_data, tracked_run(settings))
    trainer.resume()
    trainer.train()
    accuracy = trainer.test(test_data)
    say(f"test accuracy: {accuracy:.1f} %")
    if accuracy < args.min_accuracy and dist.get_rank() == 0:
        raise RuntimeError(
            f"the test accuracy of {accuracy:.1f} % is below {args.min_accuracy:.1f} %"
        )


def main(argv: Sequence[str] | None = None) -> None:
    """Trains and tests.

    Args:
        argv: Arguments without the program's name; by default those of this process.

    Raises:
        ValueError: A setting makes no sense, or the checkpoint cannot be understood.
        RuntimeError: The accuracy is too low.
    """
    args = parse_args(sys.argv[1:] if argv is None else argv)
    torch.set_num_threads(1)
    with process_group():
        train_and_test(args)


if __name__ == "__main__":
    record(main)()  # so that the launcher learns why a worker failed
