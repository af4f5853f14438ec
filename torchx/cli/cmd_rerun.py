"""``torchx rerun``."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from torchx.cli import json_output
from torchx.cli.argparse_util import ArgOnceAction
from torchx.cli.cmd_run import CmdRun
from torchx.cli.json_output import add_json_option
from torchx.cli.run_args import TorchXRunArgs
from torchx.cli.run_output import print_dryrun
from torchx.cli.scheduler_cfg import available_scheduler, has_option, parse_scheduler_args
from torchx.cli.secret_options import add_secret_options, read_secret_env
from torchx.runner.submit import previewed_workspaces
from torchx.schedulers import get_scheduler_factories

if TYPE_CHECKING:
    from torchx.runner.api import Runner
    from torchx.specs import AppDryRunInfo, CfgVal


class CmdRerun(CmdRun):
    """Launches a remembered job again, with changes if you like."""

    def add_arguments(self, subparser: argparse.ArgumentParser) -> None:
        """Declares the arguments.

        Args:
            subparser: The parser of this command alone.
        """
        self._subparser = subparser
        add = subparser.add_argument
        add("app_handle", help="handle of the job, or the beginning of its id")
        add(
            "-s",
            "--scheduler",
            choices=list(get_scheduler_factories()),
            action=ArgOnceAction,
            help="where to run; default: where the job ran. The options that the job had for"
            " another scheduler are left behind",
        )
        add(
            "-cfg",
            "--scheduler_args",
            type=str,
            action=ArgOnceAction,
            help="options of the scheduler that replace those of the job",
        )
        add("--workspace", action=ArgOnceAction, help="code to bring along instead of the job's")
        add("--dryrun", action="store_true", help="print what would be submitted, and stop there")
        add("--wait", action="store_true", help="wait until the app has ended")
        add("--log", action="store_true", help="follow the logs of the app, and wait for its end")
        add("--detach", action="store_true", help="print the handle and return at once")
        add_secret_options(subparser)
        add_json_option(subparser, "print one JSON object instead of the handle")
        add(
            "component_args",
            nargs="*",
            metavar="-- ARG",
            help="arguments that replace those of the component, behind `--`, such as"
            " `-- --lr 0.1`",
        )

    def run(self, args: argparse.Namespace) -> None:
        """Launches the app.

        Args:
            args: The handle, the options, and the words behind ``--``.

        Raises:
            SystemExit: The app cannot be launched, or did not succeed.
        """
        from torchx.runner import get_runner
        from torchx.runner.remembered import find_handle

        with get_runner() as runner:
            self._rerun(runner, find_handle(args.app_handle), args)

    def _rerun(self, runner: Runner, app_handle: str, args: argparse.Namespace) -> None:
        from torchx.specs import parse_app_handle

        scheduler = args.scheduler or parse_app_handle(app_handle).scheduler_backend
        with available_scheduler(scheduler):
            options = runner.scheduler_run_opts(scheduler)
        cfg = parse_scheduler_args(options, scheduler, args.scheduler_args)
        if args.detach and has_option(runner, scheduler, "detach"):
            cfg["detach"] = True
        with contextlib.ExitStack() as stack:
            previews = stack.enter_context(previewed_workspaces()) if args.dryrun else []
            outcome = runner.rerun(
                app_handle,
                args.component_args,
                scheduler,
                cfg,
                args.workspace,
                dryrun=args.dryrun,
                secret_env=read_secret_env(args.env_file or (), args.secret_env or ()),
            )
        call = TorchXRunArgs(
            component_name="",
            scheduler=scheduler,
            scheduler_args={},
            scheduler_cfg={**self._cfg_of(runner, app_handle, scheduler), **cfg},
            wait=args.wait,
            log=args.log,
            json=args.json,
            detach=args.detach,
        )
        if args.dryrun:
            print_dryrun(call, cast("AppDryRunInfo[Any]", outcome), previews)
            return
        handle = cast("str", outcome)
        json_output.note_launched(handle)
        self._follow(runner, call, handle)

    def _cfg_of(self, runner: Runner, app_handle: str, scheduler: str) -> Mapping[str, CfgVal]:
        job = runner.job(app_handle)
        return job.cfg if job is not None and job.scheduler == scheduler else {}
