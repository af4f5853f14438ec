"""``torchx describe``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from torchx.cli.cmd_base import AppHandleSubCommand

if TYPE_CHECKING:
    from torchx.runner.api import Runner


class CmdDescribe(AppHandleSubCommand):
    """Prints the definition of an app, as far as its scheduler remembers it."""

    def run_with_runner(self, args: argparse.Namespace, runner: Runner) -> None:
        """Prints the app.

        Args:
            args: ``app_handle``.
            runner: An open runner.

        Raises:
            SystemExit: The app does not exist.
        """
        from torchx.cli.app_text import format_app
        from torchx.specs import parse_app_handle

        parse_app_handle(args.app_handle)
        app = runner.describe(args.app_handle)
        if app is None:
            self.exit_missing_app(args.app_handle)
        print(format_app(app))
