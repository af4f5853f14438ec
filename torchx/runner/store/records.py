"""One remembered job, and its row in the store."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torchx.runner.store import schema
from torchx.runner.store.launch import Launch
from torchx.specs import AppHandle, AppState, CfgVal, make_app_handle
from torchx.util.redact import redact_data, redact_text, secrets_in


@dataclass(frozen=True)
class RememberedJob:
    """A job as the launcher remembers it. Secrets were replaced before it was stored.

    Attributes:
        submission_id: Identifies the submission, also while the job has no id.
        scheduler: Name of the scheduler.
        session: Name of the runner's session.
        app_id: Id of the app; None if the launcher ended before it knew.
        name: Name of the app.
        is_confirmed: False if the launcher ended before it knew whether the scheduler had accepted
            the job.
        submitted_at_s: When, in seconds since 1970.
        launch: What it was made from.
        cfg: Resolved run options.
        app: The ``AppDef`` as nested dicts.
        sources: What its workspaces were built from.
        log_location: Absolute directory or address of its logs, if the scheduler told.
        cwd: Working directory of the launcher.
        user: Name of the user who launched it.
        host: Name of the machine it was launched from.
        launcher: The process that launched it: its id, start time and machine.
        torchx_version: Version that launched it.
        state: Last known state.
        reason: Why it is in that state, ``""`` if that is not known.
        state_seen_at_s: When the state was last asked for, in seconds since 1970.
        is_over: True if it will not change any more: it ended, or its scheduler forgot it.
    """

    submission_id: str
    scheduler: str
    session: str
    app_id: str | None
    name: str
    is_confirmed: bool
    submitted_at_s: float
    launch: Launch
    cfg: Mapping[str, CfgVal]
    app: Mapping[str, Any] | None
    sources: list[Mapping[str, Any]]
    log_location: str | None
    cwd: str | None
    user: str
    host: str
    launcher: Mapping[str, Any]
    torchx_version: str
    state: AppState
    reason: str
    state_seen_at_s: float | None
    is_over: bool

    @property
    def handle(self) -> AppHandle | None:
        """Its handle; None if it has no id (yet)."""
        if self.app_id is None:
            return None
        return make_app_handle(self.scheduler, self.session, self.app_id)


def to_row(job: RememberedJob) -> dict[str, object]:
    """Makes the row of a job, without the secrets in it.

    Args:
        job: The job.

    Returns:
        Value of each column.
    """
    launch = job.launch
    # What is secret in one place is hidden in all others.
    secrets = secrets_in(
        [job.app, job.cfg, launch.cfg, launch.component_args, launch.component_defaults]
    )

    def as_json(value: object) -> str:
        text = json.dumps(value, default=str, ensure_ascii=False)
        return json.dumps(redact_data(json.loads(text), secrets), ensure_ascii=False)

    def as_text(text: str | None) -> str | None:
        return None if text is None else redact_text(text, secrets)

    return {
        "submission_id": job.submission_id,
        "scheduler": job.scheduler,
        "session": job.session,
        "app_id": job.app_id,
        "name": as_text(job.name),
        "is_confirmed": int(job.is_confirmed),
        "submitted_at_s": job.submitted_at_s,
        "component": launch.component,
        "component_args": as_json(launch.component_args),
        "component_defaults": as_json(dict(launch.component_defaults)),
        "secrets": json.dumps(launch.secrets),
        "given_cfg": as_json(dict(launch.cfg)),
        "cfg": as_json(dict(job.cfg)),
        "workspace": as_text(launch.workspace),
        "parent_run_id": launch.parent_run_id,
        "app": None if job.app is None else as_json(job.app),
        "sources": as_json(job.sources),
        "log_location": as_text(job.log_location),
        "cwd": job.cwd,
        "user": job.user,
        "host": job.host,
        "launcher": as_json(job.launcher),
        "torchx_version": job.torchx_version,
        "state": job.state.name,
        "reason": as_text(job.reason),
        "state_seen_at_s": job.state_seen_at_s,
        "is_over": int(job.is_over),
    }


def from_row(row: sqlite3.Row) -> RememberedJob:
    """Reads a job from its row.

    Args:
        row: All columns of the job.

    Returns:
        The job.
    """
    # A file that cannot be written may lack columns of this version.
    present = set(row.keys())
    values: dict[str, Any] = {
        name: row[name] if name in present else None for name in schema.COLUMNS
    }
    launch = Launch(
        component=values.pop("component"),
        component_args=_loaded(values.pop("component_args"), []),
        component_defaults=_loaded(values.pop("component_defaults"), {}),
        workspace=values.pop("workspace"),
        parent_run_id=values.pop("parent_run_id"),
        cfg=_loaded(values.pop("given_cfg"), {}),
        secrets=_loaded(values.pop("secrets"), []),
    )
    state = AppState.__members__.get(values.pop("state"), AppState.UNKNOWN)
    return RememberedJob(
        launch=launch,
        state=state,
        cfg=_loaded(values.pop("cfg"), {}),
        app=_loaded(values.pop("app"), None),
        sources=_loaded(values.pop("sources"), []),
        launcher=_loaded(values.pop("launcher"), {}),
        is_confirmed=bool(values.pop("is_confirmed")),
        is_over=bool(values.pop("is_over")),
        **values,
    )


def _loaded(text: str | None, default: Any) -> Any:
    return default if text is None else json.loads(text)
