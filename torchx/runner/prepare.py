"""Makes the app that is submitted out of the app that the caller handed in."""

from __future__ import annotations

import copy
import logging
import os
from collections.abc import Mapping

from torchx.runner.tracker_factories import tracker_factories
from torchx.settings import (
    ENV_TORCHX_INTERNAL_SESSION_ID,
    ENV_TORCHX_JOB_ID,
    ENV_TORCHX_PARENT_RUN_ID,
    ENV_TORCHX_TRACKERS,
    tracker_env,
)
from torchx.specs import AppDef, Role, Workspace, macros, make_app_handle
from torchx.specs.lazy import raw_overrides
from torchx.specs.macros import escape_macros
from torchx.util.redact import remember_secrets, secrets_in
from torchx.util.session import get_session_id_or_create_new

logger: logging.Logger = logging.getLogger(__name__)


def copy_app(app: AppDef) -> AppDef:
    """Copies an app, so that the caller's stays as it is.

    Args:
        app: The caller's app.

    Returns:
        A deep copy, except that its roles share the caller's ``overrides``: those may hold what
        cannot be copied, and a lazy value that one of the two resolves is resolved for both.
    """
    shared = [raw_overrides(role) for role in app.roles]
    return copy.deepcopy(app, {id(overrides): overrides for overrides in shared})


def parent_run_id_of(given: str | None) -> str | None:
    """Returns the run that a job descends from.

    Args:
        given: What the caller said.

    Returns:
        The value of ``TORCHX_PARENT_RUN_ID``, if set, else what the caller said.
    """
    inherited = os.environ.get(ENV_TORCHX_PARENT_RUN_ID)
    if inherited is None:
        return given
    logger.info("parent run id from %s: %s", ENV_TORCHX_PARENT_RUN_ID, inherited)
    return inherited


def inject_env(
    app: AppDef,
    scheduler: str,
    session_name: str,
    trackers: Mapping[str, str | None],
    parent_run_id: str | None,
) -> None:
    """Sets the variables by which a replica learns what it belongs to.

    Args:
        app: The copy to submit, changed in place.
        scheduler: Name of the scheduler.
        session_name: Name of the runner's session.
        trackers: Configuration of each tracker by its name.
        parent_run_id: Run that the job descends from.
    """
    injected = {
        ENV_TORCHX_JOB_ID: make_app_handle(scheduler, session_name, macros.app_id),
        ENV_TORCHX_INTERNAL_SESSION_ID: get_session_id_or_create_new(),
    }
    if parent_run_id:
        injected[ENV_TORCHX_PARENT_RUN_ID] = parent_run_id
    if trackers:
        injected[ENV_TORCHX_TRACKERS] = ",".join(trackers)
    for name, config in trackers.items():
        if config:
            injected[tracker_env(name, "CONFIG")] = config
    for name, factory in tracker_factories(trackers).items():
        injected[tracker_env(name, "FACTORY")] = factory
    for role in app.roles:
        _warn_of_replaced(role, injected)
        # Assigned, not updated: a lazy `env` is one dict for the caller's role and its copy.
        role.env = {**role.env, **injected}


def inject_secrets(app: AppDef, secret_env: Mapping[str, str]) -> None:
    """Gives every role variables whose values are shown nowhere, whatever their names.

    Args:
        app: The copy to submit, changed in place.
        secret_env: The variables; they replace those of a role.
    """
    if secret_env:
        remember_secrets(secret_env)
        verbatim = {name: _verbatim(value) for name, value in secret_env.items()}
        for role in app.roles:
            role.env = {**role.env, **verbatim}


def remember_secrets_of(app: AppDef, cfg: object) -> None:
    """Has the secrets of an app hidden from now on, also in what others say about it.

    Args:
        app: The app, checked.
        cfg: Its run options.
    """
    known = [{"env": role.env, "args": role.args, "more": role.metadata} for role in app.roles]
    remember_secrets(secrets_in([*known, app.metadata, cfg]))


def override_workspace(app: AppDef, workspace: Workspace | str) -> None:
    """Gives the first role the workspace that the caller named.

    Args:
        app: The copy to submit, changed in place.
        workspace: The workspace, or its text form.
    """
    role = app.roles[0]
    if role.workspace:
        logger.info(
            "role `%s`: workspace %s is replaced by %s", role.name, role.workspace, workspace
        )
    role.workspace = Workspace.from_str(workspace) if isinstance(workspace, str) else workspace


def warn_of_unused_workspace(scheduler: str, workspace: Workspace | str) -> None:
    """Says that a scheduler builds no workspaces, unless it runs in the directory named anyway.

    Args:
        scheduler: Name of the scheduler.
        workspace: The workspace that goes unused.
    """
    path = str(workspace).removeprefix("file://")
    try:
        is_working_directory = os.path.realpath(path) == os.getcwd()
    except OSError:
        is_working_directory = False
    if not is_working_directory:
        logger.warning("scheduler `%s` builds no workspaces: %s is ignored", scheduler, workspace)


def _verbatim(value: str) -> str:
    # What is no text is reported together with all other faults of the app.
    return escape_macros(value) if isinstance(value, str) else value


def _warn_of_replaced(role: Role, injected: Mapping[str, str]) -> None:
    replaced = [name for name, value in injected.items() if role.env.get(name, value) != value]
    if replaced:
        logger.warning(
            "role `%s`: its values of %s are replaced, torchx sets these itself",
            role.name,
            ", ".join(replaced),
        )
