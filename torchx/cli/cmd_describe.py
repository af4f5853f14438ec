"""``torchx describe``."""

from __future__ import annotations

import argparse
import logging
from typing import TYPE_CHECKING, Any

from torchx.cli.cmd_base import AppHandleSubCommand
from torchx.cli.json_output import add_json_option, print_json

if TYPE_CHECKING:
    from torchx.runner.api import Runner
    from torchx.runner.store import RememberedJob
    from torchx.specs import AppDef

logger: logging.Logger = logging.getLogger(__name__)


class CmdDescribe(AppHandleSubCommand):
    """Prints the definition of an app, how it was launched, and how to launch it again."""

    def add_arguments(self, subparser: argparse.ArgumentParser) -> None:
        """Declares the arguments.

        Args:
            subparser: The parser of this command alone.
        """
        super().add_arguments(subparser)
        add_json_option(subparser)

    def run_with_runner(self, args: argparse.Namespace, runner: Runner) -> None:
        """Prints the app.

        Args:
            args: ``app_handle`` and ``json``.
            runner: An open runner.

        Raises:
            SystemExit: The app does not exist.
        """
        from torchx.specs import parse_app_handle

        parse_app_handle(args.app_handle)
        app = runner.describe(args.app_handle)
        job = _remembered(runner, args.app_handle)
        if app is None and (job is None or job.app is None):
            self.exit_missing_app(args.app_handle)
        if app is None:
            logger.warning("its scheduler does not know it any more, this is what is remembered")
        if args.json:
            _print_json(args.app_handle, app, job)
        else:
            _print_text(app, job)


def _remembered(runner: Runner, app_handle: str) -> RememberedJob | None:
    from torchx.errors import TorchXError

    try:
        return runner.job(app_handle, refresh=True)
    except TorchXError as error:
        logger.warning("how it was launched cannot be looked up: %s", error)
        return None


def _print_text(app: AppDef | None, job: RememberedJob | None) -> None:
    from torchx.cli.app_text import format_app
    from torchx.cli.job_text import launch_lines
    from torchx.runner.store.app_data import app_from_data

    if app is None and job is not None and job.app is not None:
        app = app_from_data(job.app)
    if app is not None:
        print(format_app(app))
    if job is not None:
        # Comments: programs that read the definition as a Python literal still can.
        print()
        for line in launch_lines(job):
            print(f"# {line}")


def _print_json(app_handle: str, app: AppDef | None, job: RememberedJob | None) -> None:
    from torchx.cli.job_text import job_data
    from torchx.runner.store.app_data import app_to_data
    from torchx.specs import parse_app_handle

    scheduler, _, app_id = parse_app_handle(app_handle)
    definition: Any = app_to_data(app) if app is not None else job and job.app
    print_json(
        "describe",
        {
            "handle": app_handle,
            "app_id": app_id,
            "scheduler": scheduler,
            "app": definition,
            "launch": None if job is None else job_data(job),
        },
    )
