"""Launches a remembered job again, with changes."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from torchx.errors import TorchXError
from torchx.runner.bookkeeping import note_component
from torchx.runner.store.app_data import app_from_data
from torchx.runner.store.records import RememberedJob
from torchx.settings import (
    ENV_TORCHX_INTERNAL_SESSION_ID,
    ENV_TORCHX_JOB_ID,
    ENV_TORCHX_PARENT_RUN_ID,
    ENV_TORCHX_TRACKERS,
)
from torchx.specs import AppDef, AppDryRunInfo, AppHandle, CfgVal, Workspace
from torchx.util.redact import REDACTED

if TYPE_CHECKING:
    from torchx.runner.api import Runner
    from torchx.runner.store import Launch

logger: logging.Logger = logging.getLogger(__name__)

_INJECTED_ENV = frozenset(
    (
        ENV_TORCHX_INTERNAL_SESSION_ID,
        ENV_TORCHX_JOB_ID,
        ENV_TORCHX_PARENT_RUN_ID,
        ENV_TORCHX_TRACKERS,
    )
)
_INJECTED_TRACKER_CONFIG = ("TORCHX_TRACKER_", "_CONFIG")


class RelaunchError(TorchXError, ValueError):
    """A remembered job cannot be launched again as it was."""


class Relaunch(NamedTuple):
    """What to submit.

    Attributes:
        app: The app.
        launch: What it was made from.
        cfg: Run options.
    """

    app: AppDef
    launch: Launch
    cfg: dict[str, CfgVal]


def relaunch(
    runner: Runner,
    job: RememberedJob,
    component_args: Sequence[str] = (),
    scheduler: str | None = None,
    cfg: Mapping[str, CfgVal] | None = None,
    workspace: Workspace | str | None = None,
    secret_env: Mapping[str, str] | None = None,
    *,
    dryrun: bool = False,
) -> AppHandle | AppDryRunInfo[Any]:
    """Launches a job again, see `Runner.rerun`.

    Args:
        runner: The runner to launch it with.
        job: The job.
        component_args: Words that replace arguments of its component.
        scheduler: Scheduler to use instead.
        cfg: Run options that replace those of the job.
        workspace: Workspace to use instead of the job's.
        secret_env: Variables whose values are never shown.
        dryrun: Stop before anything is submitted.

    Returns:
        The handle of the new app; with ``dryrun`` what would be submitted.

    Raises:
        RelaunchError: It cannot be launched again as it was.
    """
    from torchx.runner.api import get_component

    given = secret_env or {}
    secrets = _from_environment([name for name in job.launch.secrets if name not in given])
    with working_directory_of(job):
        plan = plan_relaunch(
            job, lambda name: get_component(name).fn, component_args, scheduler, cfg
        )
        info = runner.dryrun(
            plan.app,
            scheduler or job.scheduler,
            cfg=plan.cfg,
            workspace=plan.launch.workspace if workspace is None else workspace,
            parent_run_id=plan.launch.parent_run_id,
            secret_env={**secrets, **given},
        )
        launch = plan.launch
        if launch.component is not None:
            note_component(info, launch.component, launch.component_args, launch.component_defaults)
        return info if dryrun else runner.schedule(info)


def plan_relaunch(
    job: RememberedJob,
    get_component: Callable[[str], Callable[..., AppDef]],
    component_args: Sequence[str] = (),
    scheduler: str | None = None,
    cfg: Mapping[str, CfgVal] | None = None,
) -> Relaunch:
    """Makes the app of a remembered job again, in the current working directory.

    Args:
        job: The job.
        get_component: Returns the function of a component by its name.
        component_args: Words that replace arguments of the component.
        scheduler: Scheduler to use instead; run options of the job's own are then dropped.
        cfg: Run options that replace those of the job.

    Returns:
        What to submit.

    Raises:
        RelaunchError: Something was not remembered because it is secret, or there is nothing to
            replace arguments of.
    """
    options = {} if scheduler not in (None, job.scheduler) else dict(job.cfg)
    options.update(cfg or {})
    _require_no_secret(options, "run option", "-cfg {name}=...")
    launch = job.launch
    if launch.component is None:
        if component_args:
            raise RelaunchError(
                f"`{job.name}` was submitted as an AppDef: there is no component whose arguments"
                f" could be replaced by {' '.join(component_args)}",
                hint="launch it again without arguments",
            )
        return Relaunch(_app_of(job), launch, options)
    _require_no_secret(launch.component_defaults, "parameter", "-- --{name}=...")
    app, made_from = _from_component(launch, get_component(launch.component), component_args)
    return Relaunch(app, made_from, options)


@contextlib.contextmanager
def working_directory_of(job: RememberedJob) -> Iterator[None]:
    """Runs its body where the job was launched from: paths in its arguments start there.

    Args:
        job: The job.

    Yields:
        Nothing.

    Raises:
        RelaunchError: The directory does not exist any more.
    """
    if job.cwd is None:
        yield
        return
    try:
        here: str | None = os.getcwd()
    except FileNotFoundError:
        here = None
    if job.cwd == here:
        yield
        return
    try:
        os.chdir(job.cwd)
    except OSError as error:
        raise RelaunchError(
            f"the directory that `{job.name}` was launched from cannot be entered: {error}",
            hint="create it, or launch the component anew with `torchx run`",
        ) from error
    logger.info("launching from %s, as the first time", job.cwd)
    try:
        yield
    finally:
        if here is not None:
            os.chdir(here)


def _from_component(
    launch: Launch, component: Callable[..., AppDef], overrides: Sequence[str]
) -> tuple[AppDef, Launch]:
    from torchx.specs import materialize_appdef
    from torchx.specs.arguments import component_args_from_str, create_args_parser

    defaults = dict(launch.component_defaults)
    if isinstance(launch.component_args, dict):
        values = launch.component_args
        app = materialize_appdef(component, list(overrides), defaults, values)
        if overrides:
            parser = create_args_parser(component)
            decoded = component_args_from_str(component, list(overrides), defaults, values)
            var_args = {n: decoded.var_args for n, p in parser.parameters.items() if p.is_varargs}
            values = {**decoded.positional_args, **decoded.kwargs, **var_args}
        _require_no_secret(values, "parameter", "-- --{name}=...")
        return app, dataclasses.replace(launch, component_args=values)
    words = create_args_parser(component).merged(launch.component_args, overrides)
    for word in words:
        if REDACTED in word:
            name = word.partition("=")[0]
            raise RelaunchError(
                f"the argument {name} was not remembered, because it holds a secret",
                hint=f"give it again behind `--`, for example: -- {name}=...",
            )
    app = materialize_appdef(component, words, defaults)
    return app, dataclasses.replace(launch, component_args=words)


def _app_of(job: RememberedJob) -> AppDef:
    if job.app is None:
        raise RelaunchError(
            f"the definition of `{job.name}` was not remembered", hint="submit it anew"
        )
    app = app_from_data(job.app)
    injected = _INJECTED_ENV.union(job.launch.secrets)
    for role in app.roles:
        kept = {
            name: value
            for name, value in role.env.items()
            if name not in injected and not _is_tracker_config(name)
        }
        hidden = [name for name, value in kept.items() if REDACTED in value]
        role.env = {**kept, **_from_environment(hidden)}
        # The image was built from the workspace as it was then, and is what ran.
        role.workspace = None
        for word in (role.entrypoint, *role.args):
            if REDACTED in word:
                raise RelaunchError(
                    f"an argument of role `{role.name}` was not remembered, because it holds a"
                    f" secret: {word}",
                    hint="submit the app anew",
                )
    return app


def _from_environment(names: Sequence[str]) -> dict[str, str]:
    missing = [name for name in names if name not in os.environ]
    if missing:
        listed = ", ".join(f"`{name}`" for name in missing)
        raise RelaunchError(
            f"variables were not remembered, because they are secrets: {listed}",
            hint="set them in the environment of this command, or give a file with them"
            " (`--env-file FILE`)",
        )
    if names:
        logger.info("taken from the environment of this process: %s", ", ".join(names))
    return {name: os.environ[name] for name in names}


def _require_no_secret(values: Mapping[str, Any], kind: str, way_out: str) -> None:
    for name, value in values.items():
        if REDACTED in str(value):
            raise RelaunchError(
                f"the {kind} `{name}` was not remembered, because it holds a secret",
                hint=f"give it again: {way_out.format(name=name)}",
            )


def _is_tracker_config(name: str) -> bool:
    prefix, suffix = _INJECTED_TRACKER_CONFIG
    return name.startswith(prefix) and name.endswith(suffix)
