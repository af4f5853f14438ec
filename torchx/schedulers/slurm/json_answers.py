"""Reads squeue's JSON, of any version, and the default table of sacct. Pure, and total.

torchx asks for text with named fields. This is for versions of squeue that do not know one of the
fields, and for the published helpers of ``torchx.schedulers.slurm_scheduler``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from torchx.schedulers.api import DescribeAppResponse, ListAppResponse
from torchx.schedulers.slurm.parse import leader_of, number, table_rows
from torchx.schedulers.slurm.records import split_replica_name
from torchx.schedulers.slurm.states import (
    appstate_from_slurm_state,
    combined_state,
    state_word,
)
from torchx.specs.api import AppState, ReplicaStatus, Resource, Role, RoleStatus

Json = Any


def appstate_from_job(job: Mapping[str, object]) -> AppState:
    """Tells the state of a job in squeue's JSON.

    Args:
        job: The job. Its state is a word, or a list of a word and flags (since 23.11).

    Returns:
        The state; ``UNKNOWN`` if there is none.
    """
    return _state(job.get("job_state"))


def describe_squeue(app_id: str, answer: Mapping[str, Json]) -> DescribeAppResponse | None:
    """Answers from what ``squeue --json`` printed.

    Args:
        app_id: Id of the app. Some versions tell about all jobs whatever they were asked.
        answer: The decoded JSON.

    Returns:
        The answer; ``None`` if the job is not in the queue.
    """
    jobs = [job for job in answer.get("jobs") or () if _belongs(job, app_id)]
    if not jobs:
        return None
    response = DescribeAppResponse(app_id=app_id, state=AppState.UNKNOWN)
    states = []
    for job in jobs:
        replica = split_replica_name(str(job.get("name", "")))
        if replica is None:
            continue
        state = appstate_from_job(job)
        states.append(state)
        role = _role_of(response, replica[0])
        role.image = str(job.get("current_working_directory", ""))
        role.entrypoint = str(job.get("command", ""))
        for hostname, resource in _places(job, state):
            role.num_replicas += 1
            role.resource = resource or role.resource
            _add_replica(response, *replica, state, hostname)
    response.state = combined_state(states)
    return response


def describe_sacct(app_id: str, table: str) -> DescribeAppResponse | None:
    """Answers from the default table of ``sacct --parsable2``.

    Args:
        app_id: Id of the app.
        table: What sacct printed. Columns may be missing.

    Returns:
        The answer; ``None`` if accounting does not know the job.
    """
    response = DescribeAppResponse(app_id=app_id)
    states = []
    for row in table_rows(table, "|"):
        job_id, name, words = (row.get(key, "") for key in ("JobID", "JobName", "State"))
        if not job_id or leader_of(job_id)[0].strip() != app_id or "." in job_id:
            continue
        state = appstate_from_slurm_state(state_word(words))
        states.append(state)
        response.msg = words
        replica = split_replica_name(name)
        if replica is not None:
            _role_of(response, replica[0]).num_replicas += 1
            _add_replica(response, *replica, state, "")
    if not states:
        return None
    response.state = combined_state(states)
    return response


def list_sacct(answer: Mapping[str, Json]) -> list[ListAppResponse]:
    """Lists from what ``sacct --json`` printed.

    Args:
        answer: The decoded JSON.

    Returns:
        One entry for each job.
    """
    return [
        ListAppResponse(
            app_id=str(job.get("job_id", "")),
            state=_state((job.get("state") or {}).get("current")),
        )
        for job in answer.get("jobs") or ()
    ]


def list_squeue(answer: Mapping[str, Json]) -> list[ListAppResponse]:
    """Lists from what ``squeue --json`` printed.

    Args:
        answer: The decoded JSON.

    Returns:
        One entry for each job, for a heterogeneous one by its leader.
    """
    return [
        ListAppResponse(
            app_id=str(job.get("job_id", "")),
            state=appstate_from_job(job),
            name=str(job.get("name", "")),
        )
        for job in answer.get("jobs") or ()
        if _leader(job) in (None, str(job.get("job_id", "")))
    ]


def _state(word: object) -> AppState:
    words = word if isinstance(word, Sequence) and not isinstance(word, str) else [word]
    return appstate_from_slurm_state(str(next(iter(words), "")))


def _belongs(job: Mapping[str, Json], app_id: str) -> bool:
    if "job_id" not in job:
        return True
    return app_id in (str(job["job_id"]), _leader(job))


def _leader(job: Mapping[str, Json]) -> str | None:
    leader: Json = job.get("het_job_id")
    if isinstance(leader, Mapping):
        leader = leader.get("number") if leader.get("set") else 0
    return str(leader) if leader else None


def _places(job: Mapping[str, Json], state: AppState) -> Iterator[tuple[str, Resource | None]]:
    """Yields host and resource of each part of an allocation."""
    resources = job.get("job_resources")
    if not isinstance(resources, Mapping):
        nodes = _text(job.get("nodes"))
        yield nodes or _text(job.get("scheduled_nodes")), None
        return
    held: Json = resources.get("nodes")
    if state == AppState.PENDING:
        listed = held.get("list") if isinstance(held, Mapping) else None
        yield _text(job.get("scheduled_nodes")) or _text(listed), None
    elif isinstance(held, Mapping) and isinstance(held.get("allocation"), list):
        for item in held["allocation"]:
            cpu = (item.get("cpus") or {}).get("used")
            memory = (item.get("memory") or {}).get("allocated")
            yield _text(item.get("name")), _resource(cpu, memory)
    elif isinstance(resources.get("allocated_nodes"), list):
        for item in resources["allocated_nodes"]:
            resource = _resource(item.get("cpus_used"), item.get("memory_allocated"))
            yield _text(item.get("nodename")), resource
    else:
        yield _text(held.get("list") if isinstance(held, Mapping) else held), None


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _resource(cpu: object, memory: object) -> Resource:
    return Resource(cpu=number(str(cpu)), memMB=number(str(memory)), gpu=-1)


def _role_of(response: DescribeAppResponse, name: str) -> Role:
    role = next((role for role in response.roles if role.name == name), None)
    if role is None:
        role = Role(name=name, image="", num_replicas=0)
        response.roles.append(role)
        response.roles_statuses.append(RoleStatus(role=name, replicas=[]))
    return role


def _add_replica(
    response: DescribeAppResponse, role: str, replica_id: int, state: AppState, hostname: str
) -> None:
    statuses = next(status for status in response.roles_statuses if status.role == role)
    statuses.replicas.append(
        ReplicaStatus(id=replica_id, role=role, state=state, hostname=hostname)
    )
