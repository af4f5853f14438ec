"""Turns what Slurm tells about a job into what a scheduler answers. Pure, and total."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from torchx.schedulers.api import DescribeAppResponse, ListAppResponse
from torchx.schedulers.slurm.records import JobRecord, expand_nodes, split_replica_name
from torchx.schedulers.slurm.states import (
    ENDINGS,
    combined_state,
    explain_reason,
    state_word,
)
from torchx.specs.api import (
    NONE,
    AppState,
    ReplicaStatus,
    Resource,
    Role,
    RoleStatus,
    is_terminal,
)

_SAYS_NOTHING = frozenset(("", "None", "N/A"))


def describe(records: Sequence[JobRecord]) -> DescribeAppResponse:
    """Answers what is known about an app.

    Args:
        records: All components of its job, at least one.

    Returns:
        The answer. A job that torchx did not make has a state, and roles if its name allows.
    """
    state = combined_state(record.app_state for record in records)
    roles: dict[str, Role] = {}
    statuses: dict[str, RoleStatus] = {}
    for record in records:
        for name, replica_id, hostname in _replicas(record):
            role = roles.setdefault(name, _role(name, record))
            role.num_replicas += 1
            statuses.setdefault(name, RoleStatus(name, [])).replicas.append(
                ReplicaStatus(id=replica_id, state=record.app_state, role=name, hostname=hostname)
            )
    return DescribeAppResponse(
        app_id=records[0].app_id,
        state=state,
        num_restarts=max(record.restarts for record in records),
        msg=message(records, state) or NONE,
        roles=list(roles.values()),
        roles_statuses=list(statuses.values()),
    )


def list_entry(records: Sequence[JobRecord]) -> ListAppResponse:
    """Answers with one line about an app.

    Args:
        records: All components of its job, at least one.

    Returns:
        The line.
    """
    return ListAppResponse(
        app_id=records[0].app_id,
        state=combined_state(record.app_state for record in records),
        name=records[0].name,
    )


def message(records: Sequence[JobRecord], state: AppState) -> str:
    """Says for a person why an app waits or how it has ended.

    Args:
        records: All components of its job.
        state: State of the app.

    Returns:
        A sentence without its end, or ``""``.
    """
    record = next((record for record in records if record.app_state == state), records[0])
    if is_terminal(state):
        return _ending(record)
    if state == AppState.PENDING:
        return _waiting(record)
    return "" if record.state == "RUNNING" else record.state.lower()


def with_cause(msg: str, said: str) -> str:
    """Adds to how an app has ended what srun said about it.

    Args:
        msg: How it has ended.
        said: The first error of srun, such as ``node1: task 0: Out Of Memory``.

    Returns:
        The message. Slurm itself tells of memory only in the steps of a job.
    """
    if re.search(r"out.of.memory|oom", said, re.IGNORECASE):
        return f"OUT_OF_MEMORY: {ENDINGS['OUT_OF_MEMORY']} ({said})"
    return f"{msg} ({said})" if msg.startswith("FAILED") and said else msg


def _waiting(record: JobRecord) -> str:
    if record.state != "PENDING":
        return record.state.lower()
    parts = [f"waiting: {explain_reason(record.reason)}"]
    if record.expected_start:
        parts.append(f"expected start {_moment(record.expected_start)}")
    return ", ".join(parts)


def _ending(record: JobRecord) -> str:
    word = state_word(record.state)
    if word == "COMPLETED":
        return ""
    if word in ENDINGS:
        return f"{word}: {record.state.lower() if word == 'CANCELLED' else ENDINGS[word]}"
    code, _, signal = record.exit_code.partition(":")
    if signal not in ("", "0"):
        return f"{word}: ended by signal {signal}"
    if code not in ("", "0"):
        return f"{word}: exit code {code}"
    if record.reason in _SAYS_NOTHING:
        return word
    return f"{word}: {explain_reason(record.reason)}"


def _moment(text: str) -> str:
    return text.replace("T", " ")


def _replicas(record: JobRecord) -> list[tuple[str, int, str]]:
    """Lists role, number and host of the replicas that a component holds."""
    mark = record.mark
    replicas = mark.replicas() if mark is not None else []
    part = [replicas[n] for n in (mark.part(record.offset) if mark else ()) if n < len(replicas)]
    if not part:
        named = split_replica_name(record.name)
        part = [named] if named is not None else []
    nodes = expand_nodes(record.nodes)
    hosts = nodes if len(nodes) == len(part) else [record.nodes] * len(part)
    return [(*replica, host) for replica, host in zip(part, hosts, strict=True)]


def _role(name: str, record: JobRecord) -> Role:
    return Role(
        name=name,
        image=record.working_dir,
        entrypoint=record.command,
        num_replicas=0,
        resource=Resource(cpu=record.cpu, memMB=record.memory_mib, gpu=-1),
    )


def with_known_comment(records: Sequence[JobRecord], comment: str) -> list[JobRecord]:
    """Adds the comment of a job where a source lacks it.

    Args:
        records: Components of a job.
        comment: Its comment.

    Returns:
        The components; a comment that Slurm told is kept.
    """
    return [record if record.comment else replace(record, comment=comment) for record in records]
