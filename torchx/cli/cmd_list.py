"""``torchx list``."""

from __future__ import annotations

import argparse
import logging
import sys
import time
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from torchx.cli.argparse_util import ArgOnceAction, torchxconfig_list
from torchx.cli.cmd_base import SubCommand
from torchx.cli.json_output import add_json_option, print_json
from torchx.cli.scheduler_cfg import available_scheduler, fill_from_config, parse_scheduler_args
from torchx.cli.tables import print_table
from torchx.runner import config, get_runner
from torchx.schedulers import get_scheduler_factories
from torchx.specs import AppState

if TYPE_CHECKING:
    from datetime import datetime

    from torchx.runner.api import Runner
    from torchx.runner.store import RememberedJob
    from torchx.schedulers.api import ListAppResponse
    from torchx.specs import CfgVal

__all__ = ["HANDLE_HEADER", "NAME_HEADER", "STATUS_HEADER", "CmdList", "config"]

HANDLE_HEADER = "APP HANDLE"
"""Title of the column with the handles."""
STATUS_HEADER = "APP STATUS"
"""Title of the column with the states."""
NAME_HEADER = "APP NAME"
"""Title of the column with the names."""
AGE_HEADER = "AGE"
"""Title of the column with the times since the submission."""
SCHEDULER_HEADER = "SCHEDULER"
"""Title of the column with the names of the schedulers."""

UNCONFIRMED = "UNCONFIRMED"
"""Shown for a job of which nobody knows whether its scheduler has accepted it."""

_DEFAULT_LIMIT = 50

logger: logging.Logger = logging.getLogger(__name__)


class CmdList(SubCommand):
    """Lists the jobs that were launched from here, or the apps that a scheduler knows."""

    def add_arguments(self, subparser: argparse.ArgumentParser) -> None:
        """Declares the arguments.

        Args:
            subparser: The parser of this command alone.
        """
        add = subparser.add_argument
        add(
            "-s",
            "--scheduler",
            type=str,
            action=torchxconfig_list,
            choices=list(get_scheduler_factories()),
            help="list what this scheduler knows, whoever launched it; default: [cli:list] of"
            " .torchxconfig, else the remembered jobs of all schedulers",
        )
        add(
            "-cfg",
            "--scheduler_args",
            type=str,
            action=ArgOnceAction,
            help="options of the scheduler, such as cluster=foo; see `torchx runopts`",
        )
        add(
            "--state",
            type=_states,
            metavar="STATE,...",
            help="show only apps in these states, such as running,pending",
        )
        add(
            "--since",
            type=_moment,
            metavar="TIME",
            help="show only jobs launched since then: 10m, 2h or 1d ago, or an ISO date and time",
        )
        add(
            "--name",
            help="show only apps whose name matches this pattern, such as train-*, or holds it",
        )
        add(
            "--limit",
            type=_limit,
            metavar="N",
            help=f"show at most this many, the newest first; 0 shows all; default:"
            f" {_DEFAULT_LIMIT} remembered jobs, or all that a scheduler knows",
        )
        add_json_option(subparser)

    def run(self, args: argparse.Namespace) -> None:
        """Prints the apps.

        Args:
            args: The scheduler and its options, and the filters.

        Raises:
            SystemExit: The scheduler is not available or cannot list.
        """
        with get_runner() as runner:
            if args.scheduler:
                _list_scheduler(runner, args)
            else:
                _list_remembered(runner, args)


def status_word(job: RememberedJob) -> str:
    """Returns what is shown as the state of a remembered job.

    Args:
        job: The job.

    Returns:
        Name of its state, or :data:`UNCONFIRMED`.
    """
    is_open = not job.is_confirmed and not job.is_over and job.state is not AppState.UNSUBMITTED
    return UNCONFIRMED if is_open else job.state.name


def short_age(seconds: float) -> str:
    """Writes an age in one unit, as short as can be.

    Args:
        seconds: The age.

    Returns:
        For example ``8s``, ``12m``, ``3h`` or ``21d``.
    """
    whole = max(0, int(seconds))
    for unit, length in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if whole >= length:
            return f"{whole // length}{unit}"
    return f"{whole}s"


def _list_remembered(runner: Runner, args: argparse.Namespace) -> None:
    from torchx.cli.job_text import job_data
    from torchx.runner.store import JobStore

    if args.scheduler_args:
        _refuse("-cfg needs a scheduler", "name it with -s")
    if not JobStore.is_enabled():
        _refuse("jobs are not remembered, since TORCHX_JOB_STORE is off", "name a scheduler: -s")
    limit = _DEFAULT_LIMIT if args.limit is None else args.limit or None
    jobs = runner.jobs(
        states=args.state,
        since=args.since,
        name=args.name,
        limit=None if limit is None else limit + 1,
    )
    shown = jobs[:limit]
    if args.json:
        print_json("list", {"jobs": [job_data(job) for job in shown]})
    else:
        now_s = time.time()
        print_table(
            [HANDLE_HEADER, NAME_HEADER, STATUS_HEADER, AGE_HEADER, SCHEDULER_HEADER],
            [
                [
                    job.handle or "-",
                    job.name,
                    status_word(job),
                    short_age(now_s - job.submitted_at_s),
                    job.scheduler,
                ]
                for job in shown
            ],
            state_column=2,
        )
    sys.stdout.flush()
    if not shown:
        is_filtered = args.state or args.since or args.name
        logger.info("no job is remembered%s", " that fits the filters" if is_filtered else " yet")
    elif len(jobs) > len(shown):
        logger.info("these are the newest %d, there are more: --limit 0 shows all", len(shown))


def _list_scheduler(runner: Runner, args: argparse.Namespace) -> None:
    with available_scheduler(args.scheduler):
        cfg: dict[str, CfgVal] = {}
        if args.scheduler_args:
            options = runner.scheduler_run_opts(args.scheduler)
            cfg = parse_scheduler_args(options, args.scheduler, args.scheduler_args)
        fill_from_config(args.scheduler, cfg)
        apps = runner.list(args.scheduler, cfg if cfg else None)
    apps = [app for app in apps if _is_wanted(runner, app, args)]
    if args.limit:
        apps = apps[: args.limit]
    if args.json:
        print_json(
            "list",
            {
                "jobs": [
                    {
                        "handle": app.app_handle,
                        "app_id": app.app_id,
                        "scheduler": args.scheduler,
                        "name": _name_of(app),
                        "state": app.state.name,
                    }
                    for app in apps
                ]
            },
        )
        return
    print_table(
        [HANDLE_HEADER, NAME_HEADER, STATUS_HEADER],
        [[app.app_handle, _name_of(app), app.state.name] for app in apps],
        state_column=2,
    )


def _is_wanted(runner: Runner, app: ListAppResponse, args: argparse.Namespace) -> bool:
    if args.state and app.state not in args.state:
        return False
    if args.name and not _name_matches(_name_of(app), args.name):
        return False
    if args.since is None:
        return True
    # Schedulers do not tell when they got an app; what was not launched from here has no time.
    job = runner.job(app.app_handle)
    return job is not None and job.submitted_at_s >= args.since.timestamp()


def _name_of(app: ListAppResponse) -> str:
    """Not every back end tells names apart from ids, which may have a place in front."""
    return app.name or app.app_id.rpartition(":")[2]


def _name_matches(name: str, pattern: str) -> bool:
    return fnmatchcase(name, pattern if set("*?[") & set(pattern) else f"*{pattern}*")


def _refuse(message: str, hint: str) -> None:
    from torchx.cli.failures import fail

    fail(message, hint=hint)


def _states(text: str) -> frozenset[AppState]:
    names = [name.strip().upper() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in AppState.__members__]
    if unknown or not names:
        known = ", ".join(name.lower() for name in AppState.__members__)
        raise argparse.ArgumentTypeError(f"{text!r} is no list of states; the states are {known}")
    return frozenset(AppState[name] for name in names)


def _moment(text: str) -> datetime:
    from torchx.util.durations import parse_moment

    try:
        return parse_moment(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _limit(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no number of apps, 0 or more")
    return int(text)
