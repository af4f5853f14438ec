"""Joins what LSF tells about apps with what torchx keeps about them."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from torchx.schedulers import error_files
from torchx.schedulers.api import DescribeAppResponse, ListAppResponse
from torchx.schedulers.lsf import client, parse, queries, store
from torchx.schedulers.lsf.client import LsfError, UnknownProjectError
from torchx.schedulers.lsf.history import read_history
from torchx.schedulers.lsf.parse import JobRecord
from torchx.schedulers.lsf.states import CANCELLED_EXIT_CODE
from torchx.specs.api import AppState, Resource, RetryPolicy, Role

log: logging.Logger = logging.getLogger(__name__)

_NEED_A_REASON = (AppState.FAILED, AppState.PENDING, AppState.UNKNOWN)


def ask(app_id: str) -> DescribeAppResponse | None:
    """Describes an app: one question, and one more if there is a reason to tell.

    Args:
        app_id: Its id.

    Returns:
        The description; ``None`` if there is no such app.

    Raises:
        LsfError: LSF does not answer.
    """
    try:
        text = client.published(queries.jobs_of(app_id))
    except UnknownProjectError:
        text = ""
    records = parse.read_jobs(text)
    if any(record.state in _NEED_A_REASON for record in records):
        records = _details(app_id) or records
    return completed(app_id, records) if records else _without_jobs(app_id, text)


def describe_many(app_ids: Sequence[str]) -> dict[str, DescribeAppResponse]:
    """Describes any number of apps by one question.

    Args:
        app_ids: Their ids.

    Returns:
        Description by id, of those that are known.

    Raises:
        LsfError: LSF does not answer.
    """
    if not app_ids:
        return {}
    projects = parse.group_by_project(_all_jobs())
    described = {app_id: completed(app_id, projects.get(app_id, ())) for app_id in app_ids}
    return {app_id: found for app_id, found in described.items() if found is not None}


def listed() -> list[ListAppResponse]:
    """Lists the apps of this user.

    Returns:
        One entry for each. Projects whose names no app can have are left out.

    Raises:
        LsfError: LSF does not answer.
    """
    try:
        text = client.published(queries.all_states())
    except UnknownProjectError:
        return []
    apps = parse.bjobs_msg_to_list(text)
    return [
        ListAppResponse(app.app_id, _known_better(app))
        for app in apps
        if "-" in app.app_id and not store.is_deleted(app.app_id)
    ]


def completed(app_id: str, records: Sequence[JobRecord]) -> DescribeAppResponse | None:
    """Describes an app by its jobs and by what torchx itself keeps about it.

    Args:
        app_id: Its id.
        records: Its jobs that LSF knows; it forgets them some time after their end.

    Returns:
        The description; ``None`` if there is no such app, or it was deleted.
    """
    kept = None if store.is_deleted(app_id) else store.recall(app_id)
    if kept is None:
        is_there = records and not store.is_deleted(app_id)
        return parse.describe(app_id, records) if is_there else None
    notes, names = kept.notes(), kept.job_names()
    response = parse.describe(app_id, list(_with_notes(kept, records, notes)), names)
    response.num_restarts = sum(lines.count("restart") for lines in notes.values())
    if response.state == AppState.FAILED:
        response.structured_error_msg = error_files.first_error(kept.error_files())
    _add_hosts(response, names, kept.hosts())
    _add_details(response.roles, kept.roles)
    return response


def _without_jobs(app_id: str, text: str) -> DescribeAppResponse | None:
    response = completed(app_id, ())
    if response is not None or store.is_deleted(app_id):
        return response
    return parse.bjobs_msg_to_describe(app_id, text) or _forgotten(app_id)


def _forgotten(app_id: str) -> DescribeAppResponse | None:
    """Describes an app that bjobs does not know, and that another user or machine submitted."""
    try:
        records = read_history(client.run(queries.history_of(app_id)))
    except LsfError as error:
        log.debug("the history tells nothing about %s: %s", app_id, error)
        return None
    records = [record for record in records if record.project == app_id]
    return parse.describe(app_id, records) if records else None


def _details(app_id: str) -> list[JobRecord]:
    try:
        return parse.read_details(client.run(queries.details(app_id)))
    except LsfError as error:
        log.debug("LSF does not tell the reasons: %s", error)
        return []


def _all_jobs() -> list[JobRecord]:
    try:
        return parse.read_details(client.run(queries.details()))
    except UnknownProjectError:
        return []
    except client.LsfNotInstalledError:
        raise
    except LsfError as error:
        if error.transient:
            raise
        # A version that lacks one of the fields.
        log.debug("LSF does not tell the reasons: %s", error)
        return parse.read_jobs(client.run(queries.all_states(by_job=True)))


def _with_notes(
    kept: store.KeptApp, records: Sequence[JobRecord], notes: Mapping[str, Sequence[str]]
) -> Iterator[JobRecord]:
    """Adds what the jobs themselves noted, in the order of roles and replicas."""
    told = {record.name: record for record in records}
    for name in kept.job_names():
        code = _noted_exit_code(notes.get(name, ()))
        record = told.get(name)
        if record is None:
            yield _not_told(kept, name, code)
        elif record.state == AppState.FAILED and not code and kept.is_cancelled():
            # Ended before it could note anything: it never ran, or it was killed.
            yield replace(record, exit_code=CANCELLED_EXIT_CODE, exit_reason="TERM_OWNER")
        else:
            yield record


def _not_told(kept: store.KeptApp, name: str, code: str) -> JobRecord:
    record = JobRecord(kept.app_id, name, "EXIT", code or "-")
    if code:
        return replace(record, word="DONE" if code == "0" else "EXIT")
    if kept.is_cancelled():
        return replace(record, exit_code=CANCELLED_EXIT_CODE, exit_reason="TERM_OWNER")
    if not kept.is_submitted():
        return replace(record, word="PEND", pend_reason="it has not been submitted yet")
    return replace(record, exit_reason="LSF has forgotten it, and it left no word")


def _noted_exit_code(lines: Sequence[str]) -> str:
    last = lines[-1] if lines else ""
    return last.removeprefix("end ") if last.startswith("end ") else ""


def _known_better(app: ListAppResponse) -> AppState:
    kept = store.recall(app.app_id)
    if kept is None:
        return app.state
    if app.state == AppState.SUCCEEDED and not kept.is_submitted():
        return AppState.PENDING
    if app.state != AppState.FAILED or not kept.is_cancelled():
        return app.state
    codes = {_noted_exit_code(lines) for lines in kept.notes().values()}
    return AppState.FAILED if codes - {"", "0", CANCELLED_EXIT_CODE} else AppState.CANCELLED


def _add_hosts(
    response: DescribeAppResponse,
    names: Mapping[str, tuple[str, int]],
    hosts: Mapping[str, str],
) -> None:
    by_replica = {names[name]: host for name, host in hosts.items() if host}
    for status in response.roles_statuses:
        for replica in status.replicas:
            replica.hostname = replica.hostname or by_replica.get((replica.role, replica.id), "")


def _add_details(roles: Sequence[Role], kept: Sequence[Mapping[str, Any]]) -> None:
    by_name = {str(details["name"]): details for details in kept}
    for role in roles:
        details = by_name.get(role.name)
        if details is None:
            continue
        role.image = str(details.get("image", ""))
        role.entrypoint = str(details.get("entrypoint", ""))
        role.args = [str(arg) for arg in details.get("args", ())]
        role.max_retries = int(details.get("max_retries", 0))
        role.retry_policy = RetryPolicy(details.get("retry_policy", "APPLICATION"))
        role.resource = Resource(
            cpu=int(details.get("cpu", -1)),
            gpu=int(details.get("gpu", -1)),
            memMB=int(details.get("memory_mib", -1)),
        )
