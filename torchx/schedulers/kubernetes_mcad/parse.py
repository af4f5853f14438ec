"""Turns AppWrappers and their pods into what a scheduler answers. Pure, and total.

MCAD leaves an AppWrapper running for ever, whether its pods have succeeded, failed or not: the pods
tell how an app ended. Where they are not known, the counts of the AppWrapper have to do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from torchx.schedulers.api import DescribeAppResponse
from torchx.schedulers.kubernetes import reasons
from torchx.schedulers.kubernetes.labels import LABEL_REPLICA_ID
from torchx.schedulers.kubernetes.pods import Json, Pod
from torchx.schedulers.kubernetes_mcad.roles import get_role_information, role_name_of
from torchx.schedulers.kubernetes_mcad.states import (
    COUNTS,
    JOB_STATE,
    TASK_STATE,
    get_tasks_status_description,
)
from torchx.specs.api import NONE, AppState, ReplicaState, ReplicaStatus, RoleStatus, is_terminal

_LIVE = ("Running", "RunningHoldCompletion")
_WAITS = {
    "Queueing": "waits for its turn in the queue of MCAD",
    "HeadOfLine": "is the next one in the queue of MCAD",
}
_IN_QUEUE = "waits in the queue of MCAD"


@dataclass(frozen=True)
class Replica:
    """One replica of an app, as its AppWrapper has it.

    Attributes:
        role: Name of its role.
        index: Number within the role.
        pod_name: Name of its pod; ``""`` if it is not told.
        is_pod: True if the AppWrapper says that it is a pod.
    """

    role: str
    index: int
    pod_name: str
    is_pod: bool


def items_of(app: Json) -> list[Json]:
    """Lists the items of an AppWrapper.

    Args:
        app: The AppWrapper.

    Returns:
        The items.
    """
    resources = _dict(_dict(app, "spec"), "resources")
    items = resources.get("GenericItems")
    return [item for item in items if isinstance(item, Mapping)] if isinstance(items, list) else []


def replicas_of(app: Json) -> list[Replica]:
    """Lists the replicas of an app.

    Args:
        app: Its AppWrapper.

    Returns:
        Its replicas, in order of roles and numbers.
    """
    sizes: dict[str, int] = {}
    found: list[Replica] = []
    for item in items_of(app):
        template = item.get("generictemplate")
        role = role_name_of(template)
        if role is None or not isinstance(template, Mapping):
            continue
        metadata = template["metadata"]
        number = str(metadata["labels"].get(LABEL_REPLICA_ID, ""))
        index = int(number) if number.isdecimal() else sizes.get(role, 0)
        sizes[role] = sizes.get(role, 0) + 1
        name = str(metadata.get("name") or "")
        found.append(Replica(role, index, name, template.get("kind") == "Pod"))
    order = {role: position for position, role in enumerate(sizes)}
    return sorted(found, key=lambda replica: (order[replica.role], replica.index))


def is_deleted(app: Json) -> bool:
    """Tells whether somebody has deleted an AppWrapper, which may take a while.

    Args:
        app: The AppWrapper.

    Returns:
        True if so.
    """
    return bool(_dict(app, "metadata").get("deletionTimestamp"))


def without_pods(app: Json) -> dict[str, Any]:
    """Takes from an AppWrapper what tells the state of its app, which is much less than all.

    Args:
        app: The AppWrapper.

    Returns:
        An AppWrapper whose items have names and labels only.
    """
    items = []
    for item in items_of(app):
        template = item.get("generictemplate")
        if isinstance(template, Mapping) and role_name_of(template) is not None:
            kept = {"kind": template.get("kind"), "metadata": template["metadata"]}
            items.append({"generictemplate": kept})
    spec = _dict(app, "spec")
    return {
        "metadata": app.get("metadata"),
        "spec": {
            "resources": {"GenericItems": items},
            "schedulingSpec": spec.get("schedulingSpec"),
        },
        "status": app.get("status"),
    }


def get_appwrapper_status(app: Json) -> AppState:
    """Tells the state of an app from its AppWrapper alone.

    Args:
        app: The AppWrapper.

    Returns:
        The state.
    """
    return app_state(app, {})


def app_state(app: Json, pods: Mapping[str, Pod]) -> AppState:
    """Tells the state of an app.

    Args:
        app: Its AppWrapper.
        pods: Its pods by their names; none if they are not known.

    Returns:
        The state.
    """
    status = _dict(app, "status")
    told = status.get("state")
    state = JOB_STATE.get(str(told), AppState.UNKNOWN) if told else AppState.PENDING
    if told == "Deleted":
        return AppState.FAILED if _was_given_up(app) else state
    counts = _counts(app, pods)
    if told == "Completed":
        return AppState.FAILED if counts.get(ReplicaState.FAILED) else state
    if told in _LIVE:
        return _state_of_live(counts, len(pods) > 0, may_be_requeued(app))
    if state == AppState.PENDING and pods and counts.get(ReplicaState.RUNNING):
        return AppState.RUNNING
    return state


def may_be_requeued(app: Json) -> bool:
    """Tells whether MCAD may start an app again.

    Args:
        app: Its AppWrapper.

    Returns:
        True if it may.
    """
    scheduling = _dict(_dict(app, "spec"), "schedulingSpec")
    if not _number(scheduling.get("minAvailable")):
        return False
    most = _number(_dict(scheduling, "requeuing").get("maxNumRequeuings"))
    return most <= 0 or restarts_of(app) < most


def restarts_of(app: Json) -> int:
    """Tells how often MCAD has started an app again.

    Args:
        app: Its AppWrapper.

    Returns:
        The number; -1 if retries are not on.
    """
    status = _dict(app, "status")
    scheduling = _dict(_dict(app, "spec"), "schedulingSpec")
    if "numberOfRequeueings" not in status and not scheduling:
        return -1
    return _number(status.get("numberOfRequeueings"))


def unexplained(pods: Mapping[str, Pod]) -> list[str]:
    """Finds pods that do not start and do not say why.

    Args:
        pods: Pods by their names.

    Returns:
        Their names.
    """
    return [
        name
        for name, pod in pods.items()
        if pod.phase == "Pending" and pod.node and not reasons.waiting(pod)
    ]


def describe(
    app_id: str,
    app: Json,
    pods: Mapping[str, Pod],
    events: Mapping[str, Sequence[Json]] = MappingProxyType({}),
) -> DescribeAppResponse:
    """Describes an app.

    Args:
        app_id: Its id.
        app: Its AppWrapper.
        pods: Its pods by their names; none if they are not known.
        events: Name of a pod -> warnings about it.

    Returns:
        The description.
    """
    if not _dict(app, "status") and not _dict(app, "metadata").get("uid"):
        # The server gives each object an uid before any controller gives it a status.
        return DescribeAppResponse(app_id=app_id, state=AppState.UNKNOWN)
    state = app_state(app, pods)
    replicas = replicas_of(app)
    has_failed = state == AppState.FAILED
    return DescribeAppResponse(
        app_id=app_id,
        state=state,
        num_restarts=restarts_of(app),
        msg=message(app, state, replicas, pods, events) or NONE,
        structured_error_msg=reasons.structured_error(_pods_of(replicas, pods))
        if has_failed
        else NONE,
        roles_statuses=_role_statuses(app, replicas, pods),
        roles=list(get_role_information(items_of(app)).values()),
    )


def message(
    app: Json,
    state: AppState,
    replicas: Sequence[Replica],
    pods: Mapping[str, Pod],
    events: Mapping[str, Sequence[Json]] = MappingProxyType({}),
) -> str:
    """Tells why an app is in its state.

    Args:
        app: Its AppWrapper.
        state: Its state.
        replicas: Its replicas.
        pods: Its pods by their names.
        events: Name of a pod -> warnings about it.

    Returns:
        Sentences; ``""`` if there is nothing to tell.
    """
    failures = reasons.failures(_pods_of(replicas, pods), {})
    told = _dict(app, "status").get("state")
    if state == AppState.SUCCEEDED:
        return ""
    if is_terminal(state):
        return "; ".join([*failures, *_words_of_mcad(app)])
    if failures:
        what = "the app is about to be started again" if may_be_requeued(app) else _GOES_ON
        return "; ".join([*failures, what])
    if told in _LIVE:
        return "; ".join(_waiting(replicas, pods, events))
    if state == AppState.PENDING:
        return _why_queued(app)
    if state == AppState.UNKNOWN:
        return f"MCAD says that it is `{told}`"
    return ""


_GOES_ON = "the other replicas go on until they end or the app is cancelled"


def _state_of_live(
    counts: Mapping[ReplicaState, int], are_pods: bool, may_be_requeued: bool
) -> AppState:
    total = sum(counts.values())
    succeeded = counts.get(ReplicaState.SUCCEEDED, 0)
    failed = counts.get(ReplicaState.FAILED, 0)
    if total and succeeded == total:
        return AppState.SUCCEEDED
    if failed and succeeded + failed == total and not may_be_requeued:
        return AppState.FAILED
    if are_pods and counts.get(ReplicaState.PENDING) == total:
        return AppState.PENDING
    return AppState.RUNNING


def _counts(app: Json, pods: Mapping[str, Pod]) -> dict[ReplicaState, int]:
    """Counts replicas by their states; of those that nothing is known of as pending."""
    counts: dict[ReplicaState, int] = {}
    replicas = [replica for replica in replicas_of(app) if replica.is_pod]
    if pods:
        for replica in replicas:
            state = _pod_state(pods.get(replica.pod_name))
            counts[state] = counts.get(state, 0) + 1
        return counts
    is_completed = _dict(app, "status").get("state") == "Completed"
    if not replicas and not is_completed:
        # What has no pods of its own has nothing to compare its counts with.
        return {}
    for name, count in get_tasks_status_description(_dict(app, "status")).items():
        counts[TASK_STATE[name]] = _number(count)
    missing = len(replicas) - sum(counts.values())
    if missing > 0:
        counts[ReplicaState.PENDING] = counts.get(ReplicaState.PENDING, 0) + missing
    return counts


def _pods_of(replicas: Sequence[Replica], pods: Mapping[str, Pod]) -> list[Pod]:
    """Lists the pods of replicas, which are called what the AppWrapper calls them."""
    return [
        replace(pods[replica.pod_name], role=replica.role, index=replica.index)
        for replica in replicas
        if replica.pod_name in pods
    ]


def _pod_state(pod: Pod | None) -> ReplicaState:
    return ReplicaState.PENDING if pod is None else pod.state


def _role_statuses(
    app: Json, replicas: Sequence[Replica], pods: Mapping[str, Pod]
) -> list[RoleStatus]:
    by_count = _dealt_out(app, len(replicas))
    roles: dict[str, RoleStatus] = {}
    for replica in replicas:
        pod = pods.get(replica.pod_name)
        dealt = next(by_count)
        status = ReplicaStatus(
            id=replica.index,
            role=replica.role,
            state=_pod_state(pod) if pods else dealt,
            hostname="" if pod is None else pod.ip,
        )
        if pod is not None:
            status.structured_error_msg = reasons.structured_error([pod])
        roles.setdefault(replica.role, RoleStatus(replica.role, [])).replicas.append(status)
    return list(roles.values())


def _dealt_out(app: Json, number: int) -> Iterator[ReplicaState]:
    """Yields states of replicas that only counts are known of; the rest is pending."""
    counts = get_tasks_status_description(_dict(app, "status"))
    for name in COUNTS:
        for _ in range(min(_number(counts.get(name)), number)):
            yield TASK_STATE[name]
    while True:
        yield TASK_STATE["Pending dispatch"]


def _was_given_up(app: Json) -> bool:
    """Tells whether MCAD itself removed an app, since it could not be started often enough."""
    status = _dict(app, "status")
    if status.get("queuejobstate") == "Failed" or _number(status.get("failed")):
        return True
    if any(condition.get("type") == "Failed" for condition in _conditions(app)):
        return True
    scheduling = _dict(_dict(app, "spec"), "schedulingSpec")
    most = _number(_dict(scheduling, "requeuing").get("maxNumRequeuings"))
    return 0 < most <= restarts_of(app)


def _waiting(
    replicas: Sequence[Replica],
    pods: Mapping[str, Pod],
    events: Mapping[str, Sequence[Json]],
) -> list[str]:
    told: dict[str, str] = {}
    for replica in replicas:
        pod = pods.get(replica.pod_name)
        is_live = pod is not None and not is_terminal(pod.state)
        why = reasons.waiting(pod, events.get(pod.name, ())) if pod and is_live else ""
        if why:
            told.setdefault(why, f"{reasons.label(replica.role, replica.index)} {why}")
    sentences = list(told.values())
    more = len(sentences) - reasons.NAMED_FAILURES
    return sentences[: reasons.NAMED_FAILURES] + ([f"{more} more wait"] if more > 0 else [])


def _why_queued(app: Json) -> str:
    status = _dict(app, "status")
    where = str(status.get("queuejobstate") or "")
    words = _words_of_mcad(app)
    said = _WAITS.get(where, _IN_QUEUE if where or words else "")
    return f"{said}: {words[-1]}" if words else said


def _words_of_mcad(app: Json) -> list[str]:
    """Lists what the AppWrapper says in sentences: in its status, and in its last condition."""
    texts = [_dict(app, "status").get("message")]
    texts += [condition.get("message") for condition in _conditions(app)][-1:]
    said = [reasons.one_line(str(text)) for text in texts if text]
    return list(dict.fromkeys(said))


def _conditions(app: Json) -> list[Json]:
    conditions = _dict(app, "status").get("conditions")
    if not isinstance(conditions, list):
        return []
    return [item for item in conditions if isinstance(item, Mapping)]


def _dict(data: Json, key: str) -> Mapping[str, Any]:
    value = data.get(key)
    return value if isinstance(value, Mapping) else {}


def _number(value: object) -> int:
    try:
        return int(str(value))
    except ValueError:
        return 0
