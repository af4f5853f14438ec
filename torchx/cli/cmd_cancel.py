"""``torchx cancel``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from torchx.cli.cmd_base import AppHandleSubCommand, is_missing

if TYPE_CHECKING:
    from torchx.runner.api import Runner


class CmdCancel(AppHandleSubCommand):
    """Ends an app; one that has already ended stays as it is."""

    def run_with_runner(self, args: argparse.Namespace, runner: Runner) -> None:
        """Cancels the app.

        Args:
            args: ``app_handle``.
            runner: An open runner.

        Raises:
            SystemExit: The app does not exist.
        """
        if is_missing(runner, args.app_handle):
            self.exit_missing_app(args.app_handle)
        runner.cancel(args.app_handle)
