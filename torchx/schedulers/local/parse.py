"""Turns the record of an app into what a scheduler answers. Pure, and total."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from torchx.schedulers.api import DescribeAppResponse, ListAppResponse
from torchx.schedulers.local.store import Owner, is_terminal, why_lost
from torchx.specs.api import NONE, AppState, Resource, RetryPolicy, Role, RoleStatus
from torchx.specs.status import MeasuredReplicaStatus, ReplicaUsage

if TYPE_CHECKING:
    from torchx.schedulers.local.messages import AppRecord, ReplicaRecord, RoleRecord


def app_state(record: AppRecord, owner: Owner) -> tuple[AppState, str]:
    """Tells the state of an app, also if nobody keeps its record any more.

    Args:
        record: The record.
        owner: What became of the process that keeps it.

    Returns:
        The state, and a sentence about it or ``""``.
    """
    state = _state(record["state"])
    if state in (AppState.SUCCEEDED, AppState.FAILED, AppState.CANCELLED):
        return state, record["msg"]
    if owner is Owner.ORPHANED:
        return AppState.RUNNING, why_lost(record, owner)
    if owner.holds_nothing:
        return AppState.FAILED, why_lost(record, owner)
    if owner is Owner.ELSEWHERE:
        where = f"last known state; the app runs on {record['owner']['host']}"
        return state, "; ".join(filter(None, [record["msg"], where]))
    return state, record["msg"]


def describe(
    record: AppRecord,
    owner: Owner,
    *,
    structured_error_msg: str = NONE,
    replica_errors: Mapping[int, str] | None = None,
    usages: Mapping[int, ReplicaUsage] | None = None,
) -> DescribeAppResponse:
    """Answers what is known about an app.

    Args:
        record: The record.
        owner: What became of the process that keeps it.
        structured_error_msg: Content of the error file that was written first.
        replica_errors: Position of a replica in the record -> content of its error file.
        usages: Position of a replica in the record -> what it uses now.

    Returns:
        The answer.
    """
    state, msg = app_state(record, owner)
    is_lost = not (owner.writes or is_terminal(record))
    by_role: dict[str, list[MeasuredReplicaStatus]] = {role["name"]: [] for role in record["roles"]}
    for position, replica in enumerate(record["replicas"]):
        by_role.setdefault(replica["role"], []).append(
            _replica_status(
                replica,
                record["owner"]["host"],
                is_lost=is_lost,
                error=(replica_errors or {}).get(position, NONE),
                usage=(usages or {}).get(position),
            )
        )
    return DescribeAppResponse(
        app_id=record["app_id"],
        state=state,
        num_restarts=record["num_restarts"],
        msg=msg or NONE,
        structured_error_msg=structured_error_msg,
        ui_url=f"file://{record['log_dir']}",
        roles_statuses=[RoleStatus(name, list(replicas)) for name, replicas in by_role.items()],
        roles=[_role(role) for role in record["roles"]],
    )


def list_entry(record: AppRecord, owner: Owner) -> ListAppResponse:
    """Answers with one line about an app.

    Args:
        record: The record.
        owner: What became of the process that keeps it.

    Returns:
        The line.
    """
    state, _ = app_state(record, owner)
    return ListAppResponse(app_id=record["app_id"], state=state, name=record["name"])


def _replica_status(
    replica: ReplicaRecord, host: str, *, is_lost: bool, error: str, usage: ReplicaUsage | None
) -> MeasuredReplicaStatus:
    state = _state(replica["state"])
    if is_lost and state in (AppState.RUNNING, AppState.PENDING):
        state = AppState.UNKNOWN
    return MeasuredReplicaStatus(
        id=replica["id"],
        state=state,
        role=replica["role"],
        hostname=host,
        structured_error_msg=error,
        usage=usage,
    )


def _role(role: RoleRecord) -> Role:
    return Role(
        name=role["name"],
        image=role["image"],
        entrypoint=role["entrypoint"],
        args=list(role["args"]),
        num_replicas=role["num_replicas"],
        max_retries=role["max_retries"],
        retry_policy=_policy(role["retry_policy"]),
        resource=Resource(cpu=role["cpu"], gpu=role["gpu"], memMB=role["memory_mib"]),
    )


def _state(word: str) -> AppState:
    return AppState.__members__.get(word, AppState.UNKNOWN)


def _policy(word: str) -> RetryPolicy:
    return RetryPolicy.__members__.get(word, RetryPolicy.APPLICATION)
