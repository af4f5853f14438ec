"""Turns Volcano Jobs and their pods into what a scheduler answers. Pure, and total."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from torchx.schedulers.api import DescribeAppResponse, ListAppResponse
from torchx.schedulers.kubernetes import reasons
from torchx.schedulers.kubernetes.pods import Json, Pod
from torchx.schedulers.kubernetes.states import JOB_STATE, TASK_STATE
from torchx.specs.api import (
    NONE,
    AppState,
    ReplicaState,
    ReplicaStatus,
    Role,
    RoleStatus,
    is_terminal,
)

_LOST = {
    AppState.SUCCEEDED: ReplicaState.SUCCEEDED,
    AppState.FAILED: ReplicaState.CANCELLED,
    AppState.CANCELLED: ReplicaState.CANCELLED,
}


@dataclass(frozen=True)
class Task:
    """One replica of a Volcano Job.

    Attributes:
        role: Name of its role, as the name of the task has it.
        index: Number within the role.
        pod_name: Name of its pod, which stays the same.
        image: Its image, if that is known.
        state: Its state, if the Job tells.
        min_available: How many pods of its task are needed, if the Job tells.
    """

    role: str
    index: int
    pod_name: str
    image: str = ""
    state: ReplicaState | None = None
    min_available: int | None = None


@dataclass(frozen=True)
class Gang:
    """What is known about the pods of a Job and about what holds them back.

    Attributes:
        pods: Name of a pod -> the pod.
        hosts: Name of a pod -> its host name.
        group: The PodGroup.
        events: Events about the PodGroup.
    """

    pods: Mapping[str, Pod] = field(default_factory=dict)
    hosts: Mapping[str, str] = field(default_factory=dict)
    group: Json | None = None
    events: Sequence[Json] = ()


def state_of(job: Json) -> AppState | None:
    """Reads the state of a Job.

    Args:
        job: The Job.

    Returns:
        Its state, ``UNKNOWN`` for a phase that is not known, ``None`` if it has no phase.
    """
    phase = _phase(job)
    return JOB_STATE.get(phase, AppState.UNKNOWN) if phase else None


def list_entry(namespace: str, job: Json) -> ListAppResponse:
    """Makes the entry of a Job in a list of apps.

    Args:
        namespace: Its namespace.
        job: The Job.

    Returns:
        The entry.
    """
    name = (job.get("metadata") or {}).get("name")
    return ListAppResponse(app_id=f"{namespace}:{name}", state=state_of(job) or AppState.UNKNOWN)


def tasks_of(name: str, job: Json) -> list[Task]:
    """Reads the replicas of a Job.

    Args:
        name: Name of the Job.
        job: The Job.

    Returns:
        The replicas, in the order of the roles, each role by number.
    """
    tasks: dict[str, list[Task]] = {}
    for task in (job.get("spec") or {}).get("tasks") or ():
        tasks[str(task.get("name") or "default")] = _specified(name, task)
    for task_name, count in ((job.get("status") or {}).get("taskStatusCount") or {}).items():
        role, index = _split(task_name)
        known = tasks.get(task_name) or [Task(role, index, f"{name}-{task_name}-0")]
        phases = (count or {}).get("phase") or {}
        # Of a task whose pods differ, only the pods tell which is which.
        state = (
            TASK_STATE.get(next(iter(phases)), ReplicaState.UNKNOWN) if len(phases) == 1 else None
        )
        tasks[task_name] = [replace(item, state=state) for item in known]
    found = [item for items in tasks.values() for item in items]
    order = {role: position for position, role in enumerate(dict.fromkeys(i.role for i in found))}
    return sorted(found, key=lambda item: (order[item.role], item.index))


def describe(app_id: str, name: str, job: Json, gang: Gang) -> DescribeAppResponse:
    """Describes an app.

    Args:
        app_id: Its id.
        name: Name of its Job.
        job: Its Job.
        gang: What else is known.

    Returns:
        The description.
    """
    status = job.get("status") or {}
    if not status and not (job.get("metadata") or {}).get("uid"):
        return DescribeAppResponse(app_id=app_id, state=AppState.UNKNOWN)
    # Just after its creation a Job has a state without phase.
    state = state_of(job) or AppState.PENDING
    roles: dict[str, Role] = {}
    statuses: dict[str, RoleStatus] = {}
    for task in tasks_of(name, job):
        role = roles.setdefault(task.role, Role(task.role, task.image, num_replicas=0))
        role.num_replicas += 1
        if task.min_available is not None:
            role.min_replicas = (role.min_replicas or 0) + task.min_available
        statuses.setdefault(task.role, RoleStatus(task.role, [])).replicas.append(
            ReplicaStatus(
                id=task.index,
                role=task.role,
                state=_replica_state(task, gang.pods.get(task.pod_name), state),
                hostname=gang.hosts.get(task.pod_name, ""),
            )
        )
    return DescribeAppResponse(
        app_id=app_id,
        state=state,
        num_restarts=status.get("retryCount") or (0 if "minAvailable" in status else -1),
        msg=_message(name, job, state, gang) or NONE,
        structured_error_msg=(
            reasons.structured_error(gang.pods.values()) if state == AppState.FAILED else NONE
        ),
        roles=list(roles.values()),
        roles_statuses=list(statuses.values()),
    )


def _message(name: str, job: Json, state: AppState, gang: Gang) -> str:
    role_of = {task.pod_name: (task.role, task.index) for task in tasks_of(name, job)}
    pods = [
        replace(pod, role=role_of[pod.name][0], index=role_of[pod.name][1])
        for pod in gang.pods.values()
        if pod.name in role_of
    ]
    phase = _phase(job)
    if state == AppState.UNKNOWN:
        return f"Volcano says `{phase}`"
    told = []
    if state == AppState.FAILED:
        told = reasons.failures(pods, {})
    elif state != AppState.SUCCEEDED and state != AppState.CANCELLED:
        told = [
            f"{reasons.label(pod.role, pod.index)} {why}"
            for pod in pods
            if pod.phase == "Pending" and (why := reasons.waiting(pod))
        ][:1]
        if state == AppState.PENDING and (why := reasons.gang(gang.group, gang.events)):
            told = told if _says_more(told) else [why]
    own = ((job.get("status") or {}).get("state") or {}).get("message") or ""
    return "; ".join([*told, *([reasons.one_line(own)] if own else [])])


def _says_more(told: Sequence[str]) -> bool:
    """A pod tells more than its gang, unless it only repeats it."""
    return bool(told) and "pod group is not ready" not in told[0]


def _replica_state(task: Task, pod: Pod | None, state: AppState) -> ReplicaState:
    if task.state is not None:
        return task.state
    if pod is not None and not (pod.is_deleting and is_terminal(state)):
        return pod.state
    return _LOST.get(state, ReplicaState.PENDING)


def _specified(name: str, task: Json) -> list[Task]:
    task_name = str(task.get("name") or "default")
    replicas = task.get("replicas")
    count = replicas if isinstance(replicas, int) else 1
    spec = ((task.get("template") or {}).get("spec")) or {}
    image = next((item.get("image") or "" for item in spec.get("containers") or ()), "")
    stem, number = _split(task_name)
    is_ours = count == 1 and stem != task_name
    return [
        Task(
            role=stem if is_ours else task_name,
            index=number if is_ours else index,
            pod_name=f"{name}-{task_name}-{index}",
            image=image,
            min_available=task.get("minAvailable") if is_ours else None,
        )
        for index in range(count)
    ]


def _split(task_name: str) -> tuple[str, int]:
    stem, dash, number = task_name.rpartition("-")
    return (stem, int(number)) if dash and stem and number.isdecimal() else (task_name, 0)


def _phase(job: Json) -> str:
    phase = ((job.get("status") or {}).get("state") or {}).get("phase")
    return phase if isinstance(phase, str) else ""
