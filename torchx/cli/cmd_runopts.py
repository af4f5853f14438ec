"""``torchx runopts``."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from torchx.cli.cmd_base import SubCommand
from torchx.cli.json_output import add_json_option, print_json
from torchx.util.colors import paint

if TYPE_CHECKING:
    from torchx.runner.api import Runner
    from torchx.runner.config import EffectiveOption
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
        add_json_option(subparser)
        subparser.add_argument(
            "--origin",
            action="store_true",
            help="print the value that each option has here, and where it comes from",
        )

    def run(self, args: argparse.Namespace) -> None:
        """Prints the options of one scheduler or of all.

        Args:
            args: ``scheduler``, ``origin`` and ``json``.

        Raises:
            SystemExit: There is no scheduler of that name.
        """
        from torchx.runner import get_runner
        from torchx.specs.handle import UnknownSchedulerException

        with get_runner() as runner:
            names = runner.scheduler_backends()
            if args.scheduler and args.scheduler not in names:
                raise UnknownSchedulerException(args.scheduler, known=names)
            chosen = [args.scheduler] if args.scheduler else names
            if args.json:
                shown = [_as_data(runner, name, args.origin) for name in chosen]
                print_json("runopts", {"schedulers": shown})
                return
            for name in chosen:
                text = _origins(name) if args.origin else _options(runner, name)
                print(f"{paint(f'{name}:', 'GREEN', sys.stdout)}{text}\n")


def _as_data(runner: Runner, scheduler: str, with_origin: bool) -> dict[str, Any]:
    from torchx.runner import config
    from torchx.specs.runopts import get_type_name

    try:
        options: list[dict[str, Any]] = [
            {
                "name": name,
                "type": get_type_name(option.opt_type),
                "required": option.is_required,
                "default": option.default,
                "help": option.help,
            }
            for name, option in runner.scheduler_run_opts(scheduler)
        ]
        if with_origin:
            for option, found in zip(options, _effective(scheduler), strict=True):
                option |= {"value": found.value, "origin": found.origin}
    except config.ConfigFileError:
        raise
    except (Exception, SystemExit) as error:
        return {"name": scheduler, "options": [], "error": str(error) or type(error).__name__}
    return {"name": scheduler, "options": options, "error": None}


def _options(runner: Runner, scheduler: str) -> str:
    try:
        return f"\n{runner.scheduler_run_opts(scheduler)!r}"
    except (Exception, SystemExit) as error:
        # One scheduler that lacks what it needs must not hide the options of the others.
        return f" {str(error) or type(error).__name__}"


def _origins(scheduler: str) -> str:
    from torchx.runner import config

    try:
        options = _effective(scheduler)
    except config.ConfigFileError:
        raise
    except (Exception, SystemExit) as error:
        # As above.
        return f" {str(error) or type(error).__name__}"
    rows = [(one.name, _text(one.value), one.origin) for one in options]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (f"    {n:{widths[0]}} = {v:{widths[1]}}  ({origin})" for n, v, origin in rows)
    return "\n" + "\n".join(lines)


def _effective(scheduler: str) -> list[EffectiveOption]:
    """Options with the values that hold here, secrets hidden."""
    from torchx.runner import config
    from torchx.util.redact import redact_data

    config.require_known_options(scheduler)
    return [
        option._replace(value=redact_data({option.name: option.value})[option.name])
        for option in config.effective_options(scheduler)
    ]


def _text(value: CfgVal) -> str:
    if isinstance(value, list):
        return ",".join(value)
    if isinstance(value, dict):
        return ",".join(f"{key}:{item}" for key, item in value.items())
    return str(value)
