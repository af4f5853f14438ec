"""The runner: one object through which apps are submitted, watched, read and ended.

The way of an app: it is copied, so that the caller's stays as it is; checked, with all faults in
one error; given the variables by which its replicas know it; its workspaces are built; the
scheduler makes its own request of it (all that is `Runner.dryrun`) and submits that
(`Runner.schedule`).
"""

from __future__ import annotations

import builtins
import logging
import os
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypedDict, TypeVar, overload

from torchx.runner.config import get_config, get_configs
from torchx.runner.events import log_event
from torchx.runner.remembered import RememberedJobs
from torchx.runner.telemetry import note_app, runcfg_json
from torchx.schedulers import SchedulerFactory, get_scheduler_factories
from torchx.schedulers.api import ListAppResponse, Scheduler, Stream
from torchx.settings import (
    ENV_TORCHX_INTERNAL_SESSION_ID,
    ENV_TORCHX_JOB_ID,
    ENV_TORCHX_PARENT_RUN_ID,
    ENV_TORCHX_TRACKERS,
    tracker_env,
)
from torchx.specs import (
    NONE,
    AppDef,
    AppDryRunInfo,
    AppHandle,
    CfgVal,
    UnknownAppException,
    Workspace,
    make_app_handle,
)
from torchx.util.redact import remember_secrets, secrets_in
from torchx.util.types import none_throws

if TYPE_CHECKING:
    from torchx.specs.finder import _Component

__all__ = [
    "ENV_TORCHX_INTERNAL_SESSION_ID",
    "ENV_TORCHX_JOB_ID",
    "ENV_TORCHX_PARENT_RUN_ID",
    "ENV_TORCHX_TRACKERS",
    "NONE",
    "ListAppResponse",
    "Runner",
    "Scheduler",
    "SchedulerFactory",
    "Stream",
    "get_component",
    "get_config",
    "get_configs",
    "get_configured_trackers",
    "get_runner",
    "get_scheduler_factories",
    "log_event",
]

logger: logging.Logger = logging.getLogger(__name__)

# Older code imports these two from here.
S = TypeVar("S")
T = TypeVar("T")

_Cfg = Mapping[str, CfgVal]

_DEFAULT_SESSION_NAME = "torchx"


def get_component(name: str) -> _Component:
    """Finds a component, see `torchx.specs.finder.get_component`.

    Args:
        name: For example ``utils.echo`` or ``path/to/file.py:function``.

    Returns:
        The component.

    Raises:
        ComponentNotFoundException: There is no such component.
        ComponentValidationException: It breaks the rules for components.
    """
    from torchx.specs import finder

    return finder.get_component(name)


def get_configured_trackers() -> dict[str, str | None]:
    """Returns the trackers that jobs shall report to.

    Their names are the options of ``[torchx:tracker]``, or what ``TORCHX_TRACKERS`` lists instead.
    The configuration of a tracker is ``config`` of ``[tracker:NAME]``, or what
    ``TORCHX_TRACKER_<NAME>_CONFIG`` holds instead.

    Returns:
        Configuration of each tracker by its name, in order.
    """
    names = list(get_configs(prefix="torchx", name="tracker"))
    listed = os.environ.get(ENV_TORCHX_TRACKERS)
    if listed is not None:
        logger.info("trackers from %s: %s", ENV_TORCHX_TRACKERS, listed)
        names = [name for part in listed.split(",") if (name := part.strip())]
    trackers: dict[str, str | None] = {}
    for name in names:
        configured = os.environ.get(tracker_env(name, "CONFIG"))
        trackers[name] = (
            get_config(prefix="tracker", name=name, key="config")
            if configured is None
            else configured
        )
    if trackers:
        logger.info("configured trackers: %s", ", ".join(trackers))
    return trackers


class Runner(RememberedJobs):
    """Submits apps and acts on submitted ones.

    Use it as a context manager, or call `close` when done. Methods may be called from several
    threads.

    Args:
        name: Name of the session, part of the handles of its apps; may be empty.
        scheduler_factories: Creates each scheduler by its name; by default all that are installed.
        component_defaults: Component -> parameter -> default as text, used by `run_component`.
        scheduler_params: Keyword arguments for every factory. They win over those that
            ``TORCHX_*`` variables of the environment give.

    Example:
        >>> with get_runner() as runner:
        ...     handle = runner.run_component("utils.echo", ["--msg", "hi"], "local_cwd")
        ...     status = runner.wait(handle)
    """

    def __init__(
        self,
        name: str = "",
        scheduler_factories: dict[str, SchedulerFactory] | None = None,
        component_defaults: dict[str, dict[str, str]] | None = None,
        scheduler_params: dict[str, object] | None = None,
    ) -> None:
        super().__init__(
            name,
            get_scheduler_factories() if scheduler_factories is None else scheduler_factories,
            component_defaults,
            scheduler_params,
        )

    @overload
    def run(
        self,
        app: AppDef,
        scheduler: str,
        cfg: _Cfg | None = None,
        workspace: Workspace | str | None = None,
        parent_run_id: str | None = None,
        *,
        dryrun: Literal[False] = False,
        secret_env: Mapping[str, str] | None = None,
    ) -> AppHandle: ...

    @overload
    def run(
        self,
        app: AppDef,
        scheduler: str,
        cfg: _Cfg | None = None,
        workspace: Workspace | str | None = None,
        parent_run_id: str | None = None,
        *,
        dryrun: Literal[True],
        secret_env: Mapping[str, str] | None = None,
    ) -> AppDryRunInfo[Any]: ...

    def run(
        self,
        app: AppDef,
        scheduler: str,
        cfg: _Cfg | None = None,
        workspace: Workspace | str | None = None,
        parent_run_id: str | None = None,
        *,
        dryrun: bool = False,
        secret_env: Mapping[str, str] | None = None,
    ) -> AppHandle | AppDryRunInfo[Any]:
        """Submits an app: `dryrun`, then `schedule`.

        Args:
            app: The app; it is not changed.
            scheduler: Name of the scheduler.
            cfg: Run options.
            workspace: Local code to lay over the image of the first role.
            parent_run_id: Run that this one descends from.
            dryrun: Stop before anything is submitted.
            secret_env: Further variables for every role. Their values are never shown.

        Returns:
            The handle of the app; with ``dryrun`` what would be submitted.

        Raises:
            ValueError: The app has faults, all of which the message names.
            UnknownSchedulerException: There is no such scheduler.
            InvalidRunConfigException: A run option is missing or of the wrong type.
        """
        with log_event("run", scheduler, runcfg=runcfg_json(cfg), workspace=str(workspace)) as ctx:
            info = self.dryrun(
                app,
                scheduler,
                cfg=cfg,
                workspace=workspace,
                parent_run_id=parent_run_id,
                **_if_given(secret_env),
            )
            if dryrun:
                note_app(ctx, scheduler, app.name, info._app)
                return info
            handle = self.schedule(info)
            note_app(ctx, scheduler, _app_id_of(handle), info._app)
            return handle

    def dryrun(
        self,
        app: AppDef,
        scheduler: str,
        cfg: _Cfg | None = None,
        workspace: Workspace | str | None = None,
        parent_run_id: str | None = None,
        *,
        secret_env: Mapping[str, str] | None = None,
    ) -> AppDryRunInfo[Any]:
        """Makes the request that would be submitted. Workspaces are built, nothing is launched.

        Args:
            app: The app; it is not changed.
            scheduler: Name of the scheduler.
            cfg: Run options. Unknown ones are warned about.
            workspace: Local code to lay over the image of the first role; it replaces the role's
                own. Roles with workspaces of their own keep them.
            parent_run_id: Run that this one descends from; ``TORCHX_PARENT_RUN_ID`` wins over it.
            secret_env: Further variables for every role. Their values are never shown.

        Returns:
            The request, to print or to hand to `schedule`, with the app as it would run.

        Raises:
            ValueError: The app has faults, all of which the message names.
            UnknownSchedulerException: There is no such scheduler.
            InvalidRunConfigException: A run option is missing or of the wrong type.
        """
        from torchx.runner import bookkeeping, prepare, submit, validate

        app = prepare.copy_app(app)
        prepare.inject_secrets(app, secret_env or {})
        validate.validate_app(app)
        parent_run_id = prepare.parent_run_id_of(parent_run_id)
        prepare.inject_env(app, scheduler, self._name, get_configured_trackers(), parent_run_id)
        runcfg = runcfg_json(cfg)
        with log_event("dryrun", scheduler, runcfg=runcfg, workspace=str(workspace)) as ctx:
            sched = self._scheduler(scheduler)
            resolved = submit.resolve_cfg(sched, scheduler, cfg or {})
            prepare.remember_secrets_of(app, resolved)
            submit.build_and_validate(sched, scheduler, app, resolved, workspace)
            info: AppDryRunInfo[Any] = sched.submit_dryrun(app, resolved)
            info._scheduler = scheduler
            bookkeeping.note_launch(info, cfg or {}, workspace, parent_run_id, secret_env or {})
            note_app(ctx, scheduler, app.name, app)
            return info

    def schedule(self, dryrun_info: AppDryRunInfo[Any]) -> AppHandle:
        """Submits a request.

        Args:
            dryrun_info: What `dryrun` returned. Its ``request`` may have been changed since.

        Returns:
            The handle of the app.

        Raises:
            AssertionError: The request was not made by a runner.
        """
        with log_event("schedule") as ctx:
            backend = none_throws(
                dryrun_info._scheduler,
                "this request names no scheduler: make it with `Runner.dryrun`",
            )
            sched, books = self._scheduler(backend), self._bookkeeper()
            books.intend(sched, backend, self._name, dryrun_info)
            try:
                app_id = sched.schedule(dryrun_info)
            except Exception as error:
                books.withdraw(sched, dryrun_info, error)
                raise
            handle = make_app_handle(backend, self._name, app_id)
            books.confirm(sched, dryrun_info, app_id, handle)
            if dryrun_info._app is not None:
                self._remember(handle, dryrun_info._app)
            note_app(ctx, backend, app_id, dryrun_info._app, runcfg_json(dryrun_info._cfg))
            return handle

    def run_component(
        self,
        component: str,
        component_args: builtins.list[str] | dict[str, Any],
        scheduler: str,
        cfg: _Cfg | None = None,
        workspace: Workspace | str | None = None,
        parent_run_id: str | None = None,
        *,
        secret_env: Mapping[str, str] | None = None,
    ) -> AppHandle:
        """Submits the app that a component makes: `dryrun_component`, then `schedule`.

        Args:
            component: Name of the component, see `dryrun_component`.
            component_args: Its arguments, see `dryrun_component`.
            scheduler: Name of the scheduler.
            cfg: Run options.
            workspace: Local code to lay over the image of the first role.
            parent_run_id: Run that this one descends from.
            secret_env: Further variables for every role. Their values are never shown.

        Returns:
            The handle of the app.

        Raises:
            ComponentNotFoundException: There is no such component.
            ComponentValidationException: The component breaks the rules for components.
        """
        with log_event("run_component", scheduler, workspace=str(workspace)) as ctx:
            info = self.dryrun_component(
                component,
                component_args,
                scheduler,
                cfg=cfg,
                workspace=workspace,
                parent_run_id=parent_run_id,
                **_if_given(secret_env),
            )
            handle = self.schedule(info)
            note_app(ctx, scheduler, _app_id_of(handle), info._app)
            return handle

    def dryrun_component(
        self,
        component: str,
        component_args: builtins.list[str] | dict[str, Any],
        scheduler: str,
        cfg: _Cfg | None = None,
        workspace: Workspace | str | None = None,
        parent_run_id: str | None = None,
        *,
        secret_env: Mapping[str, str] | None = None,
    ) -> AppDryRunInfo[Any]:
        """Makes the request for the app that a component makes.

        Args:
            component: Name of a built-in (``utils.echo``) or installed component, or
                ``path/to/file.py:function``.
            component_args: Its arguments, as on a command line (list) or as values (dict).
            scheduler: Name of the scheduler.
            cfg: Run options.
            workspace: Local code to lay over the image of the first role.
            parent_run_id: Run that this one descends from.
            secret_env: Further variables for every role. Their values are never shown.

        Returns:
            The request.

        Raises:
            ComponentNotFoundException: There is no such component.
            ComponentValidationException: The component breaks the rules for components.
        """
        from torchx.runner.bookkeeping import note_component
        from torchx.specs import materialize_appdef

        words, values = _words_and_values(component_args)
        defaults = self._component_defaults.get(component)
        remember_secrets(secrets_in([words, values, defaults]))
        app = materialize_appdef(get_component(component).fn, words, defaults, values)
        info = self.dryrun(
            app,
            scheduler,
            cfg=cfg,
            workspace=workspace,
            parent_run_id=parent_run_id,
            **_if_given(secret_env),
        )
        note_component(info, component, component_args, defaults)
        return info

    def rerun(
        self,
        app_handle: AppHandle,
        component_args: Sequence[str] = (),
        scheduler: str | None = None,
        cfg: _Cfg | None = None,
        workspace: Workspace | str | None = None,
        *,
        dryrun: bool = False,
        secret_env: Mapping[str, str] | None = None,
    ) -> AppHandle | AppDryRunInfo[Any]:
        """Launches a remembered job again, from the directory that it was launched from.

        Args:
            app_handle: Handle of the job.
            component_args: Words of a command line that replace arguments of its component.
            scheduler: Name of another scheduler; the job's run options are then left behind.
            cfg: Run options that replace those of the job.
            workspace: Workspace to use instead of the job's.
            dryrun: Stop before anything is submitted.
            secret_env: Further variables for every role. Their values are never shown. Those of the
                first time are taken from the environment of this process if they are not given.

        Returns:
            The handle of the new app; with ``dryrun`` what would be submitted.

        Raises:
            UnknownAppException: No such job is remembered.
            RelaunchError: It cannot be launched again as it was.
        """
        from torchx.runner.relaunch import relaunch

        job = self.job(app_handle)
        if job is None:
            raise UnknownAppException(app_handle)
        return relaunch(
            self, job, component_args, scheduler, cfg, workspace, secret_env, dryrun=dryrun
        )


def get_runner(
    name: str | None = None,
    component_defaults: dict[str, dict[str, str]] | None = None,
    **scheduler_params: Any,
) -> Runner:
    """Makes a runner with all installed schedulers, none of which is created before it is used.

    Args:
        name: Name of the session. Deprecated: leave it out.
        component_defaults: Component -> parameter -> default as text, used by `run_component`.
        **scheduler_params: Keyword arguments for every scheduler's factory.

    Returns:
        The runner.

    Example:
        >>> with get_runner() as runner:
        ...     "local_cwd" in runner.scheduler_backends()
        True
    """
    if name:
        warnings.warn(
            f"names of sessions are deprecated and will be ignored, remove name={name!r}",
            FutureWarning,
            stacklevel=2,
        )
    return Runner(
        name or _DEFAULT_SESSION_NAME,
        get_scheduler_factories(),
        component_defaults,
        scheduler_params,
    )


class _SecretEnv(TypedDict, total=False):
    secret_env: Mapping[str, str]


def _if_given(secret_env: Mapping[str, str] | None) -> _SecretEnv:
    # Subclasses of other packages override these methods without this parameter.
    return {"secret_env": secret_env} if secret_env else {}


def _app_id_of(handle: AppHandle) -> str:
    # Subclasses may return handles of their own making, and a submitted job must not be lost.
    return handle.rpartition("/")[2]


def _words_and_values(
    component_args: list[str] | dict[str, Any],
) -> tuple[list[str], dict[str, Any]]:
    return ([], component_args) if isinstance(component_args, dict) else (component_args, {})
