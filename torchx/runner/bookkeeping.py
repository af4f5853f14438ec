"""Remembers submissions. Nothing here may raise: a job must not be lost over its record.

An intent is written before a job is handed to its scheduler, and confirmed afterwards. A launcher
that is killed in between leaves an unconfirmed entry, which `torchx.runner.refresh` settles by
asking the scheduler: for the id, where the scheduler knows it beforehand, else for the mark that
the submission carried.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from torchx.schedulers.abilities import FindsSubmissions, LocatesLogs, PlansAppIds
from torchx.specs import NONE, AppDef, AppDryRunInfo, AppState, AppStatus, CfgVal, Workspace
from torchx.util.redact import redact_text
from torchx.workspace.api import WorkspaceMixin

if TYPE_CHECKING:
    from torchx.runner.store import JobStore, RememberedJob
    from torchx.schedulers.api import Scheduler

logger: logging.Logger = logging.getLogger(__name__)

_PROVENANCE_LIMIT_S = 2.0
"""How long a submission may be held up by asking git about the code."""


class Bookkeeper:
    """Writes into the memory of jobs, and says so where it cannot."""

    def __init__(self) -> None:
        self._store: JobStore | None = None

    def intend(
        self, sched: Scheduler[Any], backend: str, session: str, info: AppDryRunInfo[Any]
    ) -> None:
        """Remembers that a request is about to be submitted, and marks the request.

        Args:
            sched: The scheduler.
            backend: Its name.
            session: Name of the runner's session.
            info: The request; ``_submission_id`` is set.
        """
        try:
            # One request may be submitted several times.
            info._submission_id = os.urandom(16).hex()
            store = self._open_store()
            if store is not None:
                store.add(_new_job(sched, backend, session, info))
        except Exception as error:
            self._report("the job will not be remembered", error)

    def confirm(
        self, sched: Scheduler[Any], info: AppDryRunInfo[Any], app_id: str, handle: str
    ) -> None:
        """Remembers that a job was accepted.

        Args:
            sched: The scheduler.
            info: The request.
            app_id: Id of the app.
            handle: Its handle.
        """
        try:
            store = self._open_store()
            if store is None or info._submission_id is None:
                return
            values: dict[str, object] = {"app_id": str(app_id), "is_confirmed": 1}
            if isinstance(sched, LocatesLogs):
                values["log_location"] = sched.log_location(str(app_id), info)
            store.change(info._submission_id, values)
        except Exception as error:
            self._report(f"keep the handle, it is not remembered: {handle}", error)

    def withdraw(self, sched: Scheduler[Any], info: AppDryRunInfo[Any], failure: Exception) -> None:
        """Forgets a submission that failed, unless the scheduler can be asked whether it did.

        Args:
            sched: The scheduler.
            info: The request.
            failure: What the scheduler raised.
        """
        try:
            store = self._open_store()
            if store is None or info._submission_id is None:
                return
            if isinstance(sched, (PlansAppIds, FindsSubmissions)):
                reason = redact_text(f"submit failed: {failure}")
                values = {"state": AppState.UNSUBMITTED.name, "reason": reason}
                store.change(info._submission_id, values)
            else:
                store.forget([info._submission_id])
        except Exception as error:
            self._report("the failed submission is still remembered", error)

    def note_end(self, backend: str, app_id: str, status: AppStatus) -> None:
        """Remembers how a job ended.

        Args:
            backend: Name of the scheduler.
            app_id: Id of the app.
            status: Its final status.
        """
        self._change(
            backend,
            app_id,
            {
                "state": status.state.name,
                "reason": reason_of(status.msg),
                "state_seen_at_s": time.time(),
                "is_over": 1,
            },
        )

    def note_deletion(self, backend: str, app_id: str) -> None:
        """Forgets a job that was deleted.

        Args:
            backend: Name of the scheduler.
            app_id: Id of the app.
        """
        try:
            store = self._open_store()
            job = None if store is None else store.of_handle(backend, app_id)
            if store is not None and job is not None:
                store.forget([job.submission_id])
        except Exception as error:
            self._report("the deleted job is still remembered", error)

    def close(self) -> None:
        """Closes the store."""
        store, self._store = self._store, None
        if store is not None:
            store.close()

    def _change(self, backend: str, app_id: str, values: Mapping[str, object]) -> None:
        try:
            store = self._open_store()
            job = None if store is None else store.of_handle(backend, app_id)
            if store is not None and job is not None:
                store.change(job.submission_id, values)
        except Exception as error:
            self._report("the end of the job is not remembered", error)

    def _open_store(self) -> JobStore | None:
        from torchx.runner.store import JobStore

        if not JobStore.is_enabled():
            return None
        if self._store is None:
            self._store = JobStore()
        return self._store

    def _report(self, consequence: str, error: Exception) -> None:
        logger.warning("%s: %s", consequence, error, exc_info=logger.isEnabledFor(logging.DEBUG))


def note_launch(
    info: AppDryRunInfo[Any],
    cfg: object,
    workspace: Workspace | str | None,
    parent_run_id: str | None,
    secret_env: Iterable[str],
) -> None:
    """Notes on a request what its app was made from.

    Args:
        info: The request.
        cfg: Run options that were asked for.
        workspace: Local code to lay over the image of the first role.
        parent_run_id: Run that the job descends from.
        secret_env: Names of variables whose values are never shown.
    """
    from torchx.runner.store import Launch

    info._launch = Launch(
        workspace=str(workspace) if workspace else None,
        parent_run_id=parent_run_id,
        cfg=_as_mapping(cfg),
        secrets=list(secret_env),
    )


def note_component(
    info: AppDryRunInfo[Any],
    component: str,
    component_args: list[str] | dict[str, Any],
    defaults: Mapping[str, str] | None,
) -> None:
    """Notes on a request which component made its app.

    Args:
        info: The request. A runner of another package may have made it.
        component: Name of the component.
        component_args: Its arguments.
        defaults: Texts that config files give for its parameters.
    """
    from torchx.runner.store import Launch

    made_from = getattr(info, "_launch", None)
    info._launch = replace(
        made_from if isinstance(made_from, Launch) else Launch(),
        component=component,
        component_args=component_args,
        component_defaults=defaults or {},
    )


def reason_of(message: object) -> str:
    """Returns what the message of a status says, without texts that stand for nothing.

    Args:
        message: The message.

    Returns:
        The reason, possibly ``""``.
    """
    return "" if message in ("", NONE, None) else str(message)


def _new_job(
    sched: Scheduler[Any], backend: str, session: str, info: AppDryRunInfo[Any]
) -> RememberedJob:
    from torchx.runner.store import Launch, RememberedJob
    from torchx.runner.store.app_data import app_to_data
    from torchx.schedulers.local.processes import process_identity
    from torchx.version import __version__

    app, launch = info._app, getattr(info, "_launch", None)
    submission_id = info._submission_id
    assert submission_id is not None, "set by the caller"
    planned = sched.planned_app_id(info) if isinstance(sched, PlansAppIds) else None
    return RememberedJob(
        submission_id=submission_id,
        scheduler=backend,
        session=session,
        app_id=planned if isinstance(planned, str) else None,
        name=app.name if app is not None else "",
        is_confirmed=False,
        submitted_at_s=time.time(),
        launch=launch if isinstance(launch, Launch) else Launch(),
        cfg=_as_mapping(info._cfg),
        app=None if app is None else app_to_data(app),
        sources=_sources(sched, app),
        log_location=None,
        cwd=_working_directory(),
        user=_user_name(),
        host=os.uname().nodename,
        launcher=process_identity(os.getpid()),
        torchx_version=__version__,
        state=AppState.SUBMITTED,
        reason="",
        state_seen_at_s=None,
        is_over=False,
    )


def _sources(sched: Scheduler[Any], app: AppDef | None) -> list[Mapping[str, Any]]:
    """Describes the code that was sent along, once for each workspace."""
    if app is None or not isinstance(sched, WorkspaceMixin):
        return []
    import dataclasses

    from torchx.workspace.provenance import provenance_of

    workspaces = dict.fromkeys(role.workspace for role in app.roles if role.workspace)
    return [
        dataclasses.asdict(source)
        for workspace in workspaces
        for source in provenance_of(workspace, time_limit_s=_PROVENANCE_LIMIT_S)
    ]


def _as_mapping(cfg: object) -> Mapping[str, CfgVal]:
    # Schedulers of other packages may use a class of their own.
    return cfg if isinstance(cfg, Mapping) else dict(getattr(cfg, "__dict__", {}))


def _working_directory() -> str | None:
    try:
        return os.getcwd()
    except OSError:
        return None


def _user_name() -> str:
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
