"""Evaluates the booth function and stores the result: the program of ``utils.booth``."""

from __future__ import annotations

import argparse
import sys

from torchx.runtime.tracking import FsspecResultTracker


def parse_args(argv: list[str]) -> argparse.Namespace:
    """Reads the command line.

    Args:
        argv: Arguments without the program's name.

    Returns:
        ``x1``, ``x2``, ``trial_idx`` and ``tracker_base``.
    """
    parser = argparse.ArgumentParser(description="Evaluates the booth function.")
    parser.add_argument("--x1", type=float, required=True, help="first coordinate")
    parser.add_argument("--x2", type=float, required=True, help="second coordinate")
    parser.add_argument("--trial_idx", type=int, default=0, help="key of the result")
    parser.add_argument(
        "--tracker_base",
        default="/tmp/torchx-utils-booth",
        help="path or URL of the directory of the results",
    )
    return parser.parse_args(argv)


def main(argv: list[str]) -> None:
    """Evaluates the function and stores ``booth_eval`` under the number of the trial.

    Args:
        argv: Arguments without the program's name.
    """
    args = parse_args(argv)
    value = (args.x1 + 2 * args.x2 - 7) ** 2 + (2 * args.x1 + args.x2 - 5) ** 2
    FsspecResultTracker(args.tracker_base)[args.trial_idx] = {"booth_eval": value}
    print(f"booth({args.x1}, {args.x2}) = {value}")


if __name__ == "__main__":
    main(sys.argv[1:])
