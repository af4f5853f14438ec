"""``torchx list``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from torchx.cli.argparse_util import ArgOnceAction, torchxconfig_list
from torchx.cli.cmd_base import SubCommand
from torchx.cli.scheduler_cfg import available_scheduler, fill_from_config, parse_scheduler_args
from torchx.cli.tables import print_table
from torchx.runner import config, get_runner
from torchx.schedulers import get_default_scheduler_name, get_scheduler_factories

if TYPE_CHECKING:
    from torchx.specs import CfgVal

__all__ = ["HANDLE_HEADER", "NAME_HEADER", "STATUS_HEADER", "CmdList", "config"]

HANDLE_HEADER = "APP HANDLE"
"""Title of the column with the handles."""
STATUS_HEADER = "APP STATUS"
"""Title of the column with the states."""
NAME_HEADER = "APP NAME"
"""Title of the column with the names."""


class CmdList(SubCommand):
    """Lists the apps that a scheduler knows."""

    def add_arguments(self, subparser: argparse.ArgumentParser) -> None:
        """Declares the arguments.

        Args:
            subparser: The parser of this command alone.
        """
        subparser.add_argument(
            "-s",
            "--scheduler",
            type=str,
            action=torchxconfig_list,
            choices=list(get_scheduler_factories()),
            default=get_default_scheduler_name(),
            help="name of the scheduler; default: [cli:list] of .torchxconfig, else %(default)s",
        )
        subparser.add_argument(
            "-cfg",
            "--scheduler_args",
            type=str,
            action=ArgOnceAction,
            help="options of the scheduler, such as cluster=foo; see `torchx runopts`",
        )

    def run(self, args: argparse.Namespace) -> None:
        """Prints the apps.

        Args:
            args: ``scheduler`` and ``scheduler_args``.

        Raises:
            SystemExit: The scheduler is not available or cannot list.
        """
        with get_runner() as runner, available_scheduler(args.scheduler):
            cfg: dict[str, CfgVal] = {}
            if args.scheduler_args:
                options = runner.scheduler_run_opts(args.scheduler)
                cfg = parse_scheduler_args(options, args.scheduler, args.scheduler_args)
            fill_from_config(args.scheduler, cfg)
            apps = runner.list(args.scheduler, cfg if cfg else None)
            print_table(
                [HANDLE_HEADER, NAME_HEADER, STATUS_HEADER],
                [[app.app_handle, app.name, app.state.name] for app in apps],
                state_column=2,
            )
