"""Turns plain Jobs and their pods into what a scheduler answers. Pure, and total."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from torchx.schedulers.api import DescribeAppResponse
from torchx.schedulers.kubernetes import reasons
from torchx.schedulers.kubernetes.labels import (
    ANNOTATION_ROLE_NAME,
    LABEL_ROLE_INDEX,
    LABEL_ROLE_NAME,
    LABEL_UNIQUE_NAME,
)
from torchx.schedulers.kubernetes.plain import LABEL_KUEUE_QUEUE
from torchx.schedulers.kubernetes.pods import Container, Json, Pod
from torchx.specs.api import (
    NONE,
    AppState,
    ReplicaState,
    ReplicaStatus,
    Role,
    RoleStatus,
    is_terminal,
)

ANNOTATION_CANCELLED = "torchx.pytorch.org/cancelled"
"""Annotation of a Job: when its app was cancelled."""

_ENDED = {"Complete": AppState.SUCCEEDED, "Failed": AppState.FAILED}
_ENDING = {"FailureTarget": AppState.FAILED, "SuccessCriteriaMet": AppState.SUCCEEDED}
_LOST = {
    AppState.SUCCEEDED: ReplicaState.SUCCEEDED,
    AppState.FAILED: ReplicaState.CANCELLED,
    AppState.CANCELLED: ReplicaState.CANCELLED,
}


@dataclass(frozen=True)
class Job:
    """One plain Job: all replicas of a role.

    Attributes:
        name: Its name.
        app: Unique name of its app.
        uid: Its identity.
        version: Its resource version.
        role: Name of its role.
        position: Position of the role in the app.
        replicas: Number of replicas.
        state: Its state, as if the app had not been cancelled.
        reason: Reason and message of the condition that says how it ends.
        ending: The state that it will have, once that is decided.
        is_draining: True if pods of it are about to end.
        is_suspended: True if it may not have pods now.
        cancelled_at: When its app was cancelled; ``""`` if it was not.
        may_retry: True if replicas that fail are tried again, as long as the limit allows.
        queue: Its queue of Kueue.
        failed: How many pods failed, or were ended by the cluster.
        succeeded_indexes: Numbers of the replicas that have succeeded.
        failed_indexes: Numbers of the replicas that have failed for good.
        image: Image of its first container.
    """

    name: str
    app: str
    uid: str
    version: str
    role: str
    position: int
    replicas: int
    state: AppState
    reason: tuple[str, str]
    ending: AppState | None
    is_draining: bool
    is_suspended: bool
    cancelled_at: str
    may_retry: bool
    queue: str
    failed: int
    succeeded_indexes: frozenset[int]
    failed_indexes: frozenset[int]
    image: str


@dataclass(frozen=True)
class Background:
    """What is known besides Jobs and pods, to explain why an app waits.

    Attributes:
        events: Name of an object -> warnings about it.
        workloads: Workloads of Kueue.
    """

    events: Mapping[str, Sequence[Json]] = field(default_factory=dict)
    workloads: Sequence[Json] = ()


def read_jobs(objects: Iterable[Json]) -> dict[str, list[Job]]:
    """Sorts plain Jobs by app.

    Args:
        objects: The Jobs as the API server sends them.

    Returns:
        Unique name of an app -> its Jobs, in the order of its roles.
    """
    apps: dict[str, list[Job]] = {}
    for item in objects:
        job = read_job(item)
        apps.setdefault(job.app, []).append(job)
    for jobs in apps.values():
        jobs.sort(key=lambda job: (job.position, job.name))
    return apps


def read_job(job: Json) -> Job:
    """Reads one plain Job.

    Args:
        job: The Job as the API server sends it.

    Returns:
        What matters of it.
    """
    metadata, spec = job.get("metadata") or {}, job.get("spec") or {}
    status = job.get("status") or {}
    labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    conditions = {
        item.get("type"): item
        for item in status.get("conditions") or ()
        if item.get("status") == "True"
    }
    told: Json = next((conditions[kind] for kind in (*_ENDED, *_ENDING) if kind in conditions), {})
    pod_spec = (spec.get("template") or {}).get("spec") or {}
    position = labels.get(LABEL_ROLE_INDEX) or ""
    return Job(
        name=metadata.get("name") or "",
        app=labels.get(LABEL_UNIQUE_NAME) or metadata.get("name") or "",
        uid=metadata.get("uid") or "",
        version=metadata.get("resourceVersion") or "",
        role=annotations.get(ANNOTATION_ROLE_NAME) or labels.get(LABEL_ROLE_NAME) or "",
        position=int(position) if position.isdecimal() else 0,
        replicas=spec.get("completions") or spec.get("parallelism") or 1,
        state=_job_state(conditions, spec, status),
        reason=(told.get("reason") or "", told.get("message") or ""),
        ending=next(
            (state for kind, state in (_ENDED | _ENDING).items() if kind in conditions), None
        ),
        is_draining=bool(status.get("terminating")),
        is_suspended=bool(spec.get("suspend")),
        cancelled_at=annotations.get(ANNOTATION_CANCELLED) or "",
        may_retry=spec.get("backoffLimit") != 0,
        queue=labels.get(LABEL_KUEUE_QUEUE) or "",
        failed=status.get("failed") or 0,
        succeeded_indexes=_numbers(status.get("completedIndexes")),
        failed_indexes=_numbers(status.get("failedIndexes")),
        image=next((item.get("image") or "" for item in pod_spec.get("containers") or ()), ""),
    )


def app_state(jobs: Sequence[Job], pods: Sequence[Pod] = ()) -> AppState:
    """Tells the state of an app.

    Args:
        jobs: Its Jobs.
        pods: Its pods, as far as they are known.

    Returns:
        Its state.
    """
    if all(job.state == AppState.SUCCEEDED for job in jobs):
        return AppState.SUCCEEDED
    if any(job.state == AppState.FAILED and not job.cancelled_at for job in jobs):
        return AppState.FAILED
    states = {job.state for job in jobs}
    if any(job.cancelled_at for job in jobs):
        over = all(
            (is_terminal(job.state) or job.is_suspended) and not job.is_draining for job in jobs
        )
        return AppState.CANCELLED if over else AppState.RUNNING
    # The Job hears of its pods a second or so later.
    runs = any(pod.state in (ReplicaState.RUNNING, ReplicaState.SUCCEEDED) for pod in pods)
    if runs or AppState.RUNNING in states or AppState.SUCCEEDED in states:
        return AppState.RUNNING
    return AppState.PENDING


def describe(
    app_id: str, jobs: Sequence[Job], pods: Sequence[Pod], background: Background
) -> DescribeAppResponse:
    """Describes an app.

    Args:
        app_id: Its id.
        jobs: Its Jobs.
        pods: Its pods, the oldest first.
        background: What else is known.

    Returns:
        The description.
    """
    state = app_state(jobs, pods)
    by_job: dict[str, list[Pod]] = {}
    for pod in pods:
        by_job.setdefault(pod.job, []).append(pod)
    return DescribeAppResponse(
        app_id=app_id,
        state=state,
        num_restarts=sum(_restarts(job, by_job.get(job.name, [])) for job in jobs),
        msg=message(state, jobs, pods, background) or NONE,
        structured_error_msg=(reasons.structured_error(pods) if state == AppState.FAILED else NONE),
        roles_statuses=[_role_status(job, by_job.get(job.name, []), state) for job in jobs],
        roles=[Role(name=job.role, image=job.image, num_replicas=job.replicas) for job in jobs],
    )


def message(
    state: AppState, jobs: Sequence[Job], pods: Sequence[Pod], background: Background
) -> str:
    """Tells why an app is in its state.

    Args:
        state: Its state.
        jobs: Its Jobs.
        pods: Its pods.
        background: What else is known.

    Returns:
        Sentences; ``""`` if there is nothing to tell.
    """
    cancelled_at = next((job.cancelled_at for job in jobs if job.cancelled_at), "")
    if cancelled_at and state != AppState.FAILED:
        return f"it was cancelled at {cancelled_at}"
    if state == AppState.FAILED:
        return "; ".join([*_failures(jobs, pods, background), *_still_running(jobs)])
    if state == AppState.SUCCEEDED:
        return ""
    return "; ".join(_waiting(jobs, pods, background))


def _job_state(conditions: Mapping[str, Json], spec: Json, status: Json) -> AppState:
    for kind, state in _ENDED.items():
        if kind in conditions:
            return state
    if spec.get("suspend") or "Suspended" in conditions:
        return AppState.PENDING
    runs = status.get("ready") or status.get("terminating") or status.get("succeeded")
    if runs or any(kind in conditions for kind in _ENDING):
        return AppState.RUNNING
    return AppState.PENDING


def _role_status(job: Job, pods: Sequence[Pod], state: AppState) -> RoleStatus:
    latest = {pod.index: pod for pod in pods}
    return RoleStatus(
        role=job.role,
        replicas=[
            _replica_status(job, index, latest.get(index), state) for index in range(job.replicas)
        ],
    )


def _replica_status(job: Job, index: int, pod: Pod | None, state: AppState) -> ReplicaStatus:
    if index in job.succeeded_indexes:
        replica_state = ReplicaState.SUCCEEDED
    elif index in job.failed_indexes:
        replica_state = ReplicaState.FAILED
    elif pod is None or (pod.is_deleting and is_terminal(pod.state)):
        over = job.ending or state
        replica_state = _LOST.get(over, ReplicaState.PENDING)
    elif pod.state == ReplicaState.FAILED and job.ending is None:
        replica_state = ReplicaState.PENDING  # it is about to be tried again
    else:
        replica_state = pod.state
    waits = "" if pod is None or is_terminal(replica_state) else reasons.waiting(pod)
    return ReplicaStatus(
        id=index,
        role=job.role,
        state=replica_state,
        hostname="" if pod is None else pod.ip,
        structured_error_msg=NONE if pod is None else _replica_message(pod, waits),
    )


def _replica_message(pod: Pod, waits: str) -> str:
    return reasons.structured_error([pod]) if not waits else NONE


def _restarts(job: Job, pods: Sequence[Pod]) -> int:
    if job.state == AppState.SUCCEEDED and not any(item.restarts for item in _containers(pods)):
        return job.failed
    attempts: dict[int, int] = {}
    for pod in pods:
        attempts[pod.index] = attempts.get(pod.index, 0) + 1
    within = sum(item.restarts for item in _containers(pods))
    return sum(count - 1 for count in attempts.values()) + within


def _containers(pods: Sequence[Pod]) -> list[Container]:
    return [container for pod in pods for container in pod.containers]


def _failures(jobs: Sequence[Job], pods: Sequence[Pod], background: Background) -> list[str]:
    roles = {job.name: job.role for job in jobs}
    failed = {job.name for job in jobs if job.state == AppState.FAILED}
    told = reasons.failures(
        [pod for pod in pods if pod.job in failed],
        {pod.name: roles.get(pod.job, pod.role) for pod in pods},
    )
    for job in jobs:
        reason, text = job.reason
        pods_tell = told and reason not in ("DeadlineExceeded",)
        if job.state == AppState.FAILED and not pods_tell:
            ends = [
                event
                for name, events in background.events.items()
                for event in events
                if name.startswith(f"{job.name}-")
            ]
            told.append(reasons.job_failure(job.role, reason, text, ends))
    return told


def _still_running(jobs: Sequence[Job]) -> list[str]:
    left = [job.role for job in jobs if not is_terminal(job.state)]
    if not left:
        return []
    names = ", ".join(left)
    return [f"of the other roles {names} goes on until it ends or the app is cancelled"]


def _waiting(jobs: Sequence[Job], pods: Sequence[Pod], background: Background) -> list[str]:
    roles = {job.name: job.role for job in jobs}
    told: dict[str, str] = {}
    for job in jobs:
        if job.is_suspended:
            why = reasons.queued(background.workloads, job.queue) if job.queue else "is suspended"
            told.setdefault(why, f"role {job.role} {why}")
    tried_again = {job.name for job in jobs if job.ending is None and job.may_retry}
    latest = {(pod.job, pod.index): pod for pod in pods}
    for pod in latest.values():
        why = reasons.waiting(pod, background.events.get(pod.name, ()))
        if why:
            told.setdefault(why, f"{reasons.label(roles.get(pod.job, pod.role), pod.index)} {why}")
        elif pod.state == ReplicaState.FAILED and not pod.is_deleting:
            name = reasons.label(roles.get(pod.job, pod.role), pod.index)
            again = " and is about to be tried again" if pod.job in tried_again else ""
            told[pod.name] = f"{name} {reasons.failure(pod)}{again}"
    for job in jobs:
        events = background.events.get(job.name, ())
        for event in [event for event in events if event.get("reason") == "FailedCreate"][-1:]:
            text = reasons.one_line(str(event.get("message") or ""))
            told.setdefault(text, f"the pods of role {job.role} cannot be created: {text}")
    sentences = list(told.values())
    more = len(sentences) - reasons.NAMED_FAILURES
    return sentences[: reasons.NAMED_FAILURES] + ([f"{more} more wait"] if more > 0 else [])


def _numbers(ranges: str | None) -> frozenset[int]:
    numbers: set[int] = set()
    for item in (ranges or "").split(","):
        first, _, last = item.partition("-")
        if first.isdecimal() and (last or first).isdecimal():
            numbers.update(range(int(first), int(last or first) + 1))
    return frozenset(numbers)
