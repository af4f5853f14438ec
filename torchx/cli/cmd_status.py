"""``torchx status``."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from torchx.cli.cmd_base import AppHandleSubCommand
from torchx.cli.json_output import add_json_option, handle_parts, print_json
from torchx.cli.state_colors import paint_states
from torchx.util.redact import redact_text

if TYPE_CHECKING:
    from torchx.runner.api import Runner


def parse_list_arg(arg: str) -> list[str] | None:
    """Splits a list that was given as one word.

    Args:
        arg: Items separated by commas.

    Returns:
        The items; None for an empty text.
    """
    return arg.split(",") if arg else None


class CmdStatus(AppHandleSubCommand):
    """Prints the state of an app and of its replicas."""

    def add_arguments(self, subparser: argparse.ArgumentParser) -> None:
        """Declares the arguments.

        Args:
            subparser: The parser of this command alone.
        """
        super().add_arguments(subparser)
        subparser.add_argument(
            "--roles", type=str, default="", help="show only these roles, separated by commas"
        )
        add_json_option(subparser)

    def run_with_runner(self, args: argparse.Namespace, runner: Runner) -> None:
        """Prints the status.

        Args:
            args: ``app_handle``, ``roles`` and ``json``.
            runner: An open runner.

        Raises:
            SystemExit: The app does not exist.
        """
        identity = handle_parts(args.app_handle)
        status = runner.status(args.app_handle)
        if status is None:
            self.exit_missing_app(args.app_handle)
        roles = parse_list_arg(args.roles)
        if not args.json:
            print(paint_states(redact_text(status.format(roles)), sys.stdout))
            return
        print_json("status", {**identity, **status.to_json(roles), "ui_url": status.ui_url})
