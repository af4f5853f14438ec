"""A hyper-parameter sweep: one job for each learning rate, and then the best of them.

::

    python -m torchx.examples.digits.sweep --lr 0.001 0.01 0.1

The jobs run at the same time, as far as the scheduler has room. What came out is read from the
first tracker that is configured.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from torchx.examples.digits.pipeline import wait_for_success
from torchx.runner import get_runner
from torchx.runner.api import get_configured_trackers
from torchx.tracker.api import build_trackers


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the jobs and prints their results, the best one last.

    Args:
        argv: Arguments without the program's name; by default those of this process.

    Raises:
        RuntimeError: No tracker is configured, or a job did not succeed.
    """
    parser = argparse.ArgumentParser(description="Finds the best learning rate.")
    parser.add_argument("--scheduler", default="local_cwd", help="where the jobs run")
    parser.add_argument("--lr", nargs="+", default=["0.001", "0.01", "0.1"], help="what to try")
    parser.add_argument("--epochs", default="5", help="how often to see each image")
    args = parser.parse_args(sys.argv[1:] if argv is None else argv)
    trackers = build_trackers(get_configured_trackers())
    if not trackers:
        raise RuntimeError("results are read from a tracker: name one in .torchxconfig")
    with get_runner() as runner:
        jobs = {
            lr: runner.run_component(
                "dist.ddp",
                {
                    "script_args": ("--lr", lr, "--epochs", args.epochs, "--min-accuracy", "0"),
                    "m": "torchx.examples.digits.train",
                    "name": f"digits-sweep/lr-{lr}",
                    "j": "1x1",
                },
                args.scheduler,
            )
            for lr in args.lr
        }
        for handle in jobs.values():
            wait_for_success(runner, handle)
    accuracy = {
        lr: float(str(trackers[0].metadata(handle)["test_accuracy"])) for lr, handle in jobs.items()
    }
    for lr in sorted(accuracy, key=accuracy.__getitem__):
        print(f"lr {lr}: test accuracy {accuracy[lr]:.1f} %, {jobs[lr]}")


if __name__ == "__main__":
    main()
