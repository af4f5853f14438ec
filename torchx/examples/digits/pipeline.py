"""Two jobs, the second of which uses what the first has made.

::

    python -m torchx.examples.digits.pipeline --scheduler local_cwd --data /data/digits.pt

With a tracker, ``torchx tracker list lineage HANDLE`` shows for each of the two what it was made
from and what was made from it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from torchx.runner import Runner, get_runner
from torchx.specs import AppState


def main(argv: Sequence[str] | None = None) -> None:
    """Prepares the data in one job and trains on them in another.

    Args:
        argv: Arguments without the program's name; by default those of this process.

    Raises:
        RuntimeError: A job did not succeed.
    """
    parser = argparse.ArgumentParser(description="Prepares data, then trains on them.")
    parser.add_argument("--scheduler", default="local_cwd", help="where the jobs run")
    parser.add_argument("--data", required=True, help="path or URL where the jobs meet")
    parser.add_argument("--epochs", default="20", help="how often to see each image")
    args = parser.parse_args(sys.argv[1:] if argv is None else argv)
    with get_runner() as runner:
        prepared = runner.run_component(
            "utils.python",
            {"args": ("--output", args.data), "m": "torchx.examples.digits.preprocess"},
            args.scheduler,
        )
        wait_for_success(runner, prepared)
        trained = runner.run_component(
            "dist.ddp",
            {
                "script_args": ("--data", args.data, "--epochs", args.epochs),
                "m": "torchx.examples.digits.train",
                "j": "1x2",
                # Workers of a busy machine may miss each other when they start.
                "max_retries": 1,
            },
            args.scheduler,
            parent_run_id=prepared,
        )
        wait_for_success(runner, trained)
    print(f"prepared by {prepared}\ntrained by {trained}")


def wait_for_success(runner: Runner, handle: str) -> None:
    """Waits for the end of a job.

    Args:
        runner: The runner.
        handle: Handle of the job.

    Raises:
        RuntimeError: The job did not succeed.
    """
    status = runner.wait(handle, wait_interval=1)
    if status is None or status.state != AppState.SUCCEEDED:
        raise RuntimeError(f"{handle} did not succeed: {status}; see: torchx log {handle}")


if __name__ == "__main__":
    main()
