"""``torchx cancel``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from torchx.cli.cmd_base import AppHandleSubCommand, is_missing
from torchx.cli.json_output import add_json_option, handle_parts, print_json

if TYPE_CHECKING:
    from torchx.runner.api import Runner


class CmdCancel(AppHandleSubCommand):
    """Ends an app; one that has already ended stays as it is."""

    def add_arguments(self, subparser: argparse.ArgumentParser) -> None:
        """Declares the arguments.

        Args:
            subparser: The parser of this command alone.
        """
        super().add_arguments(subparser)
        add_json_option(subparser)

    def run_with_runner(self, args: argparse.Namespace, runner: Runner) -> None:
        """Cancels the app.

        Args:
            args: ``app_handle`` and ``json``.
            runner: An open runner.

        Raises:
            SystemExit: The app does not exist.
        """
        if is_missing(runner, args.app_handle):
            self.exit_missing_app(args.app_handle)
        runner.cancel(args.app_handle)
        if args.json:
            print_json("cancel", handle_parts(args.app_handle))
