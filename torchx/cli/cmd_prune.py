"""``torchx prune``."""

from __future__ import annotations

import argparse
import logging
from datetime import timedelta

from torchx.cli.cmd_base import SubCommand
from torchx.cli.json_output import add_json_option, print_json

logger: logging.Logger = logging.getLogger(__name__)


class CmdPrune(SubCommand):
    """Forgets jobs that ended long ago, and removes what they left on this machine."""

    def add_arguments(self, subparser: argparse.ArgumentParser) -> None:
        """Declares the arguments.

        Args:
            subparser: The parser of this command alone.
        """
        add = subparser.add_argument
        add(
            "--older-than",
            type=_age,
            required=True,
            metavar="AGE",
            help="age from which on jobs are forgotten, such as 30d, 12h or 2w",
        )
        add("--dryrun", action="store_true", help="only tell what would be forgotten and removed")
        add_json_option(subparser)

    def run(self, args: argparse.Namespace) -> None:
        """Forgets the jobs, and prints their handles.

        Args:
            args: ``older_than``, ``dryrun`` and ``json``.
        """
        from torchx.cli.job_text import job_data
        from torchx.runner import get_runner
        from torchx.workspace.prune import prune_workspaces

        with get_runner() as runner:
            pruned = runner.prune(args.older_than, dryrun=args.dryrun)
        leftovers = prune_workspaces(args.older_than, dryrun=args.dryrun)
        if args.json:
            jobs = [job_data(job) for job in pruned]
            removed = [leftover._asdict() for leftover in leftovers]
            print_json("prune", {"dryrun": args.dryrun, "jobs": jobs, "leftovers": removed})
            return
        for job in pruned:
            print(job.handle or job.name)
        for leftover in leftovers:
            print(f"{leftover.kind} {leftover.name}")
        logger.info(
            "%d jobs %s forgotten and %d leftovers of workspaces removed",
            len(pruned),
            "would be" if args.dryrun else "were",
            len(leftovers),
        )


def _age(text: str) -> timedelta:
    from torchx.util.durations import parse_duration

    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
