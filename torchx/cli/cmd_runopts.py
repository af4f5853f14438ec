"""``torchx runopts``."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from torchx.cli.cmd_base import SubCommand
from torchx.util.colors import paint

if TYPE_CHECKING:
    from torchx.runner.api import Runner
    from torchx.specs import CfgVal


class CmdRunopts(SubCommand):
    """Prints the options that schedulers take (``torchx run -cfg``)."""

    def add_arguments(self, subparser: argparse.ArgumentParser) -> None:
        """Declares the arguments.

        Args:
            subparser: The parser of this command alone.
        """
        subparser.add_argument(
            "scheduler", type=str, nargs="?", help="name of one scheduler; all by default"
        )
        subparser.add_argument(
            "--origin",
            action="store_true",
            help="print the value that each option has here, and where it comes from",
        )

    def run(self, args: argparse.Namespace) -> None:
        """Prints the options of one scheduler or of all.

        Args:
            args: ``scheduler`` and ``origin``.

        Raises:
            SystemExit: There is no scheduler of that name.
        """
        from torchx.runner import get_runner
        from torchx.specs.handle import UnknownSchedulerException

        with get_runner() as runner:
            names = runner.scheduler_backends()
            if args.scheduler and args.scheduler not in names:
                raise UnknownSchedulerException(args.scheduler, known=names)
            for name in [args.scheduler] if args.scheduler else names:
                shown = _origins(name) if args.origin else _options(runner, name)
                print(f"{paint(f'{name}:', 'GREEN', sys.stdout)}{shown}\n")


def _options(runner: Runner, scheduler: str) -> str:
    try:
        return f"\n{runner.scheduler_run_opts(scheduler)!r}"
    except (Exception, SystemExit) as error:
        # One scheduler that lacks what it needs must not hide the options of the others.
        return f" {str(error) or type(error).__name__}"


def _origins(scheduler: str) -> str:
    from torchx.runner import config
    from torchx.util.redact import redact_value

    try:
        config.require_known_options(scheduler)
        options = config.effective_options(scheduler)
    except config.ConfigFileError:
        raise
    except (Exception, SystemExit) as error:
        # As above.
        return f" {str(error) or type(error).__name__}"
    rows = [(one.name, redact_value(one.name, _text(one.value)), one.origin) for one in options]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (f"    {n:{widths[0]}} = {v:{widths[1]}}  ({origin})" for n, v, origin in rows)
    return "\n" + "\n".join(lines)


def _text(value: CfgVal) -> str:
    if isinstance(value, list):
        return ",".join(value)
    if isinstance(value, dict):
        return ",".join(f"{key}:{item}" for key, item in value.items())
    return str(value)
