"""``torchx run``."""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import sys
import threading
from argparse import ArgumentParser
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from torchx.cli import json_output
from torchx.cli.argparse_util import ArgOnceAction, torchxconfig_run
from torchx.cli.cmd_base import SubCommand
from torchx.cli.cmd_builtins import CmdBuiltins
from torchx.cli.cmd_log import get_logs
from torchx.cli.component_defaults import require_known_defaults
from torchx.cli.component_words import (
    MISSING_COMPONENT_ERROR_MSG,
    repeated_options,
    split_component_words,
)
from torchx.cli.failures import fail
from torchx.cli.json_output import add_json_option
from torchx.cli.profile_option import add_profile_option
from torchx.cli.run_args import (
    TorchXRunArgs,
    current_directory,
    torchx_run_args_from_argparse,
    torchx_run_args_from_json,
)
from torchx.cli.run_output import print_dryrun, print_outcome
from torchx.cli.scheduler_cfg import (
    available_scheduler,
    fill_from_config,
    has_option,
    parse_scheduler_args,
    parse_scheduler_json,
)
from torchx.cli.secret_options import add_secret_options, read_secret_env
from torchx.cli.waiting import (
    join_log_thread,
    reported_if_interrupted,
    say_how_to_follow,
    shown_status,
)
from torchx.runner import config, get_runner
from torchx.runner.submit import previewed_workspaces
from torchx.schedulers import get_default_scheduler_name, get_scheduler_factories
from torchx.specs import NONE, AppState, AppStatus, Workspace
from torchx.specs.finder import ComponentNotFoundException, ComponentValidationException
from torchx.specs.runopts import InvalidRunConfigException
from torchx.util.colors import use_color
from torchx.util.log_tee_helpers import tee_logs

if TYPE_CHECKING:
    from torchx.runner.api import Runner
    from torchx.specs import AppDryRunInfo

__all__ = [
    "LOCAL_SCHEDULER_WARNING_MSG",
    "MISSING_COMPONENT_ERROR_MSG",
    "CmdBuiltins",
    "CmdRun",
    "TorchXRunArgs",
    "torchx_run_args_from_argparse",
    "torchx_run_args_from_json",
]

logger: logging.Logger = logging.getLogger(__name__)

LOCAL_SCHEDULER_WARNING_MSG = (
    "`local` scheduler is deprecated and will be removed in the near future,"
    " please use other variants of the local scheduler (e.g. `local_cwd`)"
)
"""Logged for a scheduler registered as ``local``."""

_NOT_IN_CONFLICT_WITH_STDIN = ("stdin", "help", "dryrun", "json", "log_level", "profile")


def _parse_component_name_and_args(
    component_name_and_args: list[str],
    subparser: ArgumentParser,
    dirs: list[str] | None = None,
) -> tuple[str, list[str]]:
    """Splits the words behind the options into a component and its arguments.

    Args:
        component_name_and_args: The words.
        subparser: Reports what is wrong with them.
        dirs: Directories of config files, which may name a default component.

    Returns:
        Name of the component and its arguments.

    Raises:
        SystemExit: There is no component, or one of its options is repeated.
    """
    default = config.get_config(prefix="cli", name="run", key="component", dirs=dirs)
    component, words = split_component_words(component_name_and_args, default)
    if not component:
        subparser.error(MISSING_COMPONENT_ERROR_MSG)
    repeated = repeated_options(component, words)
    if repeated:
        subparser.error(f"Repeated Command Line Arguments: {repeated}")
    return component, words


class CmdRun(SubCommand):
    """Launches an app from a component, and optionally follows it to its end."""

    def __init__(self) -> None:
        self._subparser: ArgumentParser | None = None
        self._stdin_data_json: dict[str, Any] | None = None

    def add_arguments(self, subparser: ArgumentParser) -> None:
        """Declares the arguments.

        Args:
            subparser: The parser of this command alone.
        """
        self._subparser = subparser
        add = subparser.add_argument
        add(
            "-s",
            "--scheduler",
            type=str,
            action=torchxconfig_run,
            choices=list(get_scheduler_factories()),
            default=get_default_scheduler_name(),
            help="where to run; default: [cli:run] of .torchxconfig, else %(default)s",
        )
        add(
            "-cfg",
            "--scheduler_args",
            type=str,
            action=ArgOnceAction,
            help="options of the scheduler, such as log_dir=/tmp,prepend_cwd=true;"
            " see `torchx runopts`",
        )
        add("--dryrun", action="store_true", help="print what would be submitted, and stop there")
        add("--wait", action="store_true", help="wait until the app has ended")
        add("--log", action="store_true", help="follow the logs of the app, and wait for its end")
        add(
            "--workspace",
            "--buck-target",
            type=str,
            action=torchxconfig_run,
            default=current_directory(),
            help="code to bring along, where the scheduler builds images; default: [cli:run] of"
            " .torchxconfig, else the current directory; an empty text brings nothing",
        )
        add("--detach", action="store_true", help="return at once; the app goes on by itself")
        add(
            "--parent_run_id",
            type=str,
            action=ArgOnceAction,
            help="run of the experiment tracker that this app belongs to",
        )
        add(
            "--tee_logs",
            action="store_true",
            help="follow the logs with one thread per replica, without waiting for a start",
        )
        add_secret_options(subparser)
        add("--stdin", action="store_true", help="read all of this as a JSON object from stdin")
        add_json_option(subparser, "print one JSON object instead of the handle")
        add_profile_option(subparser)
        add(
            "component_name_and_args",
            nargs=argparse.REMAINDER,
            help="component and its arguments, such as `utils.echo --msg hello`;"
            " `torchx run COMPONENT --help` tells them",
        )

    def run(self, args: argparse.Namespace) -> None:
        """Launches the app.

        Args:
            args: The options and the words behind them.

        Raises:
            SystemExit: The app cannot be launched, or did not succeed.
        """
        os.environ.setdefault("TORCHX_CONTEXT_NAME", "cli_run")
        component_defaults = config.load_sections("component")
        with get_runner(component_defaults=component_defaults) as runner:
            self._run(runner, args)

    def verify_no_extra_args(self, args: argparse.Namespace) -> None:
        """Ends the process if ``--stdin`` is given together with what belongs into the JSON.

        Args:
            args: The options and the words behind them.

        Raises:
            SystemExit: Something else was given.
        """
        if not args.stdin:
            return
        subparser = self._parser()
        conflicts = []
        for action in subparser._actions:
            value = getattr(args, action.dest, action.default)
            is_default = value == action.default or (not value and not action.default)
            if action.dest not in _NOT_IN_CONFLICT_WITH_STDIN and not is_default:
                conflicts.append(f"--{action.dest.replace('_', '-')}")
        if conflicts:
            subparser.error(
                f"Cannot specify {', '.join(conflicts)} when using --stdin."
                " All of it belongs into the JSON object."
            )

    def torchx_json_from_stdin(self, args: argparse.Namespace | None = None) -> dict[str, Any]:
        """Reads the JSON object from standard input.

        Args:
            args: The options; ``--dryrun`` on the command line wins over the object.

        Returns:
            The object.

        Raises:
            SystemExit: It is no JSON object.
        """
        import json

        hint = 'give an object such as {"scheduler": "local_cwd", "scheduler_args": {},'
        hint += ' "component_name": "utils.echo"}'
        try:
            data = json.load(sys.stdin)
        except (ValueError, EOFError) as error:
            fail(f"standard input is not JSON: {error}", hint=hint)
        if not isinstance(data, dict):
            fail("standard input is JSON, but not an object", hint=hint)
        if args is not None and args.dryrun:
            data["dryrun"] = True
        if args is not None and getattr(args, "json", False):
            data["json"] = True
        return data

    def _run(self, runner: Runner, args: argparse.Namespace) -> None:
        self.verify_no_extra_args(args)
        payload = self._get_torchx_stdin_args(args)
        if payload is not None:
            self._run_from_stdin_args(runner, payload)
        else:
            self._run_from_cli_args(runner, args)

    def _get_torchx_stdin_args(self, args: argparse.Namespace) -> dict[str, Any] | None:
        if not args.stdin:
            return None
        if self._stdin_data_json is None:
            self._stdin_data_json = self.torchx_json_from_stdin(args)
        return self._stdin_data_json

    def _run_from_cli_args(self, runner: Runner, args: argparse.Namespace) -> None:
        with _invalid_config_reported(args.scheduler):
            with available_scheduler(args.scheduler):
                options = runner.scheduler_run_opts(args.scheduler)
            cfg = parse_scheduler_args(options, args.scheduler, args.scheduler_args)
        component, words = _parse_component_name_and_args(
            args.component_name_and_args, self._parser()
        )
        self._run_inner(runner, torchx_run_args_from_argparse(args, component, words, cfg))

    def _run_from_stdin_args(self, runner: Runner, stdin_data: dict[str, Any]) -> None:
        run_args = torchx_run_args_from_json(stdin_data)
        with _invalid_config_reported(run_args.scheduler):
            with available_scheduler(run_args.scheduler):
                options = runner.scheduler_run_opts(run_args.scheduler)
            run_args.scheduler_cfg = parse_scheduler_json(
                options, run_args.scheduler, run_args.scheduler_args
            )
        self._run_inner(runner, run_args)

    def _run_inner(self, runner: Runner, args: TorchXRunArgs) -> None:
        if args.scheduler == "local":
            logger.warning(LOCAL_SCHEDULER_WARNING_MSG)
        with (
            _invalid_config_reported(args.scheduler),
            _component_errors_reported(args.component_name),
        ):
            require_known_defaults(args.component_name)
            fill_from_config(args.scheduler, args.scheduler_cfg)
            if args.detach and has_option(runner, args.scheduler, "detach"):
                args.scheduler_cfg["detach"] = True
            component_args = args.component_args_str or args.component_args
            secret_env = read_secret_env(args.env_file, args.secret_env)
            # Runners of other packages need not know of it.
            secrets: dict[str, Any] = {"secret_env": secret_env} if secret_env else {}
            if args.dryrun:
                with previewed_workspaces() as previews:
                    info = self._dryrun(runner, args, component_args, secrets)
                print_dryrun(args, info, previews)
                return
            app_handle = runner.run_component(
                args.component_name,
                component_args,
                args.scheduler,
                workspace=args.workspace,
                cfg=args.scheduler_cfg,
                parent_run_id=args.parent_run_id,
                **secrets,
            )
        json_output.note_launched(app_handle)
        self._follow(runner, args, app_handle)

    def _dryrun(
        self,
        runner: Runner,
        args: TorchXRunArgs,
        component_args: list[str] | dict[str, Any],
        secrets: dict[str, Any],
    ) -> AppDryRunInfo[Any]:
        return runner.dryrun_component(
            args.component_name,
            component_args,
            args.scheduler,
            workspace=Workspace.from_str(args.workspace) if args.workspace else None,
            cfg=args.scheduler_cfg,
            parent_run_id=args.parent_run_id,
            **secrets,
        )

    def _follow(self, runner: Runner, args: TorchXRunArgs, app_handle: str) -> None:
        if not args.json:
            # The handle is all that standard output gets: scripts read it.
            print(app_handle, flush=True)
        if args.leaves_app:
            say_how_to_follow(app_handle)
        # With --detach nobody waits for the scheduler to answer, unless there is JSON to fill.
        asks = args.leaves_app and (args.json or not args.detach)
        status = runner.status(app_handle) if asks else None
        if status is not None:
            logger.info("%s", status.format())
        if args.waits:
            log = args.log or not args.leaves_app
            with reported_if_interrupted(runner, app_handle, goes_on=args.leaves_app):
                if not args.json:
                    self._wait_and_exit(runner, app_handle, log=log, tee_logs=args.tee_logs)
                    return
                status = self._wait(runner, app_handle, log=log, tee_logs=args.tee_logs)
        if args.json:
            print_outcome(app_handle, status)
            if status is not None and args.waits:
                self._exit_unless_succeeded(app_handle, status)

    def _wait_and_exit(
        self, runner: Runner, app_handle: str, log: bool, tee_logs: bool = False
    ) -> None:
        status = self._wait(runner, app_handle, log=log, tee_logs=tee_logs)
        self._exit_unless_succeeded(app_handle, status)

    def _wait(self, runner: Runner, app_handle: str, log: bool, tee_logs: bool) -> AppStatus:
        logger.info("waiting for the app to finish...")
        with shown_status(runner, app_handle):
            thread = self._start_log_thread(runner, app_handle, tee_logs) if log else None
            status = runner.wait(app_handle, wait_interval=1)
            if status is None:
                raise RuntimeError(
                    f"unknown status: `{app_handle}` vanished from its scheduler while it was"
                    " waited for"
                )
            if thread is not None:
                join_log_thread(thread)
        logger.info("job finished: `%s`", status.state)
        return status

    def _exit_unless_succeeded(self, app_handle: str, status: AppStatus) -> None:
        if status.state != AppState.SUCCEEDED:
            reason = "" if status.msg in ("", NONE) else f": {status.msg}"
            fail(
                f"the app ended as {status.state}{reason}\n{status!r}".rstrip(),
                hint=f"see `torchx log {app_handle}` for what the replicas wrote",
            )
        logger.debug("%s", status)

    def _start_log_thread(
        self, runner: Runner, app_handle: str, tee_logs_enabled: bool = False
    ) -> threading.Thread:
        if tee_logs_enabled:
            thread = tee_logs(
                dst=sys.stderr,
                app_handle=app_handle,
                regex=None,
                runner=runner,
                should_tail=True,
                streams=None,
                colorize=use_color(sys.stderr),
            )
        else:
            thread = threading.Thread(
                target=_follow_logs,
                kwargs={
                    "file": sys.stderr,
                    "runner": runner,
                    "identifier": app_handle,
                    "regex": None,
                    "should_tail": True,
                },
                daemon=True,
            )
        thread.start()
        return thread

    def _parser(self) -> ArgumentParser:
        if self._subparser is None:
            raise RuntimeError("add_arguments() has to be called before run()")
        return self._subparser


def _follow_logs(**arguments: Any) -> None:
    """Runs in a thread: nobody would see an exception, and the app does not fail with its logs."""
    try:
        get_logs(**arguments)
    except BrokenPipeError:
        logger.debug("nobody reads the logs any more")
    except (Exception, SystemExit) as error:
        logger.warning(
            "the logs of `%s` cannot be followed any further: %s",
            arguments["identifier"],
            error,
            exc_info=logger.isEnabledFor(logging.DEBUG),
        )


@contextlib.contextmanager
def _invalid_config_reported(scheduler: str) -> Iterator[None]:
    try:
        yield
    except InvalidRunConfigException as error:
        see = f"see `torchx runopts {scheduler}`"
        advice = error.hint.removesuffix(see).rstrip(" ;")
        fail(
            f"Invalid scheduler configuration: {error}",
            hint=f"{advice}{'; ' if advice else ''}give options with"
            f" `-cfg key1=value1,key2=value2` or in section [{scheduler}] of .torchxconfig; {see}",
            type=type(error).__name__,
        )


@contextlib.contextmanager
def _component_errors_reported(component: str) -> Iterator[None]:
    try:
        yield
    except (ComponentNotFoundException, ComponentValidationException) as error:
        fail(
            f"cannot run component `{component}`: {error}",
            hint=error.hint or "`torchx builtins` lists components; FILE.py:FUNCTION is your own",
            type=type(error).__name__,
        )
