"""Measures torchx side by side with the released original and judges it by its budgets.

Run ``python -m benchmarks.run`` from the root of the repository. Both are installed from scratch
into environments below ``--cache``, the original from the package index. The work is done in turns,
so that a busy machine is busy for both; medians are compared.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks import environments, report
from benchmarks.cases import BENCHMARKS
from benchmarks.environments import Side
from benchmarks.measure import run_all


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the benchmarks that the command line asks for.

    Args:
        argv: The command line; ``None`` uses that of the process.

    Returns:
        The exit code: 1 if a budget was missed.
    """
    options = parse(argv)
    chosen = [item for item in BENCHMARKS if not options.only or item.name in options.only]
    ours = options.ours_python or environments.ours(options.cache)
    original = options.original_python or environments.original(options.cache)
    with tempfile.TemporaryDirectory() as ours_home, tempfile.TemporaryDirectory() as other_home:
        sides = [
            Side("ours", ours.absolute(), Path(ours_home)),
            Side("original", original.absolute(), Path(other_home)),
        ]
        results = run_all(chosen, sides, is_quick=options.quick)
    print(report.table(results))
    load, cpus = os.getloadavg()[1], os.cpu_count()
    print(f"\nload of this machine in the last five minutes: {load:.1f} on {cpus} CPUs")
    if options.json:
        options.json.write_text(json.dumps(report.as_json(results), indent=2) + "\n")
    return int(any(result.is_within_budget is False for result in results))


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Reads the command line.

    Args:
        argv: The words.

    Returns:
        The options.
    """
    parser = argparse.ArgumentParser("benchmarks.run", description=__doc__)
    names = [item.name for item in BENCHMARKS]
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    parser.add_argument("--only", action="append", choices=names, help="only this; repeatable")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all measurements there")
    parser.add_argument(
        "--cache",
        type=Path,
        default=environments.ROOT / ".cache" / "benchmarks",
        help="where the environments are kept (default: %(default)s)",
    )
    for side in ("ours", "original"):
        parser.add_argument(
            f"--{side}-python",
            type=Path,
            metavar="PYTHON",
            help=f"interpreter of an environment that has {side}; none is made",
        )
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
