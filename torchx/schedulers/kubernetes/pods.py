"""Reads what the API server tells about pods. Pure, and total: what is missing is empty."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from torchx.schedulers.kubernetes.labels import (
    LABEL_COMPLETION_INDEX,
    LABEL_REPLICA_ID,
    LABEL_ROLE_NAME,
)
from torchx.schedulers.kubernetes.states import POD_STATE
from torchx.specs.api import ReplicaState

LABEL_JOB = "batch.kubernetes.io/job-name"
"""Label of pods: name of the plain Job that made them."""

LABEL_VOLCANO_JOB = "volcano.sh/job-name"
"""Label of pods: name of the Volcano Job that made them."""

LABEL_VOLCANO_TASK = "volcano.sh/task-spec"
"""Label of pods: name of the Volcano task."""

LABEL_VOLCANO_INDEX = "volcano.sh/task-index"
"""Label of pods: number within the Volcano task."""

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Container:
    """One container of a pod.

    Attributes:
        name: Its name.
        image: Its image.
        waiting: Why it has not been started, as one word; ``""`` if it has.
        waiting_message: The same as a sentence.
        is_running: True if it runs.
        exit_code: Its exit code, if it has ended.
        ended: How it ended, as one word, such as ``OOMKilled``.
        message: What it left in its termination log, or what the node says.
        finished_at: When it ended, as text that sorts by time.
        restarts: How often it was started again within its pod.
        memory_limit: Its memory limit, as Kubernetes writes it.
    """

    name: str
    image: str = ""
    waiting: str = ""
    waiting_message: str = ""
    is_running: bool = False
    exit_code: int | None = None
    ended: str = ""
    message: str = ""
    finished_at: str = ""
    restarts: int = 0
    memory_limit: str = ""

    @property
    def has_started(self) -> bool:
        """True if there may be a log of it."""
        return self.is_running or self.exit_code is not None or self.restarts > 0


@dataclass(frozen=True)
class Pod:
    """One pod: one attempt of one replica.

    Attributes:
        name: Its name.
        uid: Its identity; the name may be used again.
        job: Name of the Job that made it.
        task: Name of its Volcano task.
        role: Name of its role, as its label has it.
        index: Number of the replica.
        created: When it was created, as text that sorts by time.
        phase: Its phase.
        ip: Its address.
        node: Its node.
        reason: Why the node ended it, as one word.
        message: The same as a sentence.
        is_deleting: True if it was told to end.
        unscheduled: Why no node was found: a word and a sentence.
        disruption: Why the cluster ended it: a word and a sentence.
        containers: Its containers.
        init_containers: Its init containers, sidecars included.
        sidecars: Names of the init containers that run all the time.
    """

    name: str
    uid: str
    job: str
    task: str
    role: str
    index: int
    created: str
    phase: str
    ip: str
    node: str
    reason: str
    message: str
    is_deleting: bool
    unscheduled: tuple[str, str]
    disruption: tuple[str, str]
    containers: tuple[Container, ...]
    init_containers: tuple[Container, ...]
    sidecars: frozenset[str]

    @property
    def state(self) -> ReplicaState:
        """Its state."""
        return POD_STATE.get(self.phase, ReplicaState.UNKNOWN)

    @property
    def finished_at(self) -> str:
        """When its first container with an error ended; ``~`` if that is not known."""
        ended = [
            item.finished_at for item in self.containers if item.exit_code and item.finished_at
        ]
        return min(ended, default="~")


def read_pods(objects: Iterable[Json]) -> list[Pod]:
    """Reads pods.

    Args:
        objects: The pods as the API server sends them.

    Returns:
        The pods, the oldest first.
    """
    return sorted((read_pod(item) for item in objects), key=lambda pod: (pod.created, pod.name))


def read_pod(pod: Json) -> Pod:
    """Reads one pod.

    Args:
        pod: The pod as the API server sends it.

    Returns:
        What matters of it.
    """
    metadata, spec, status = (_dict(pod, key) for key in ("metadata", "spec", "status"))
    labels = _dict(metadata, "labels")
    conditions = {item.get("type"): item for item in _list(status, "conditions")}
    scheduled = conditions.get("PodScheduled") or {}
    disrupted = conditions.get("DisruptionTarget") or {}
    return Pod(
        name=str(metadata.get("name") or ""),
        uid=str(metadata.get("uid") or ""),
        job=labels.get(LABEL_JOB) or labels.get("job-name") or labels.get(LABEL_VOLCANO_JOB) or "",
        task=labels.get(LABEL_VOLCANO_TASK) or "",
        role=labels.get(LABEL_ROLE_NAME) or "",
        index=_index(labels, _dict(metadata, "annotations")),
        created=str(metadata.get("creationTimestamp") or ""),
        phase=str(status.get("phase") or ""),
        ip=str(status.get("podIP") or ""),
        node=str(spec.get("nodeName") or ""),
        reason=str(status.get("reason") or ""),
        message=str(status.get("message") or ""),
        is_deleting=bool(metadata.get("deletionTimestamp")),
        unscheduled=_words(scheduled) if scheduled.get("status") == "False" else ("", ""),
        disruption=_words(disrupted) if disrupted.get("status") == "True" else ("", ""),
        containers=_containers(spec, status, "containers", "containerStatuses"),
        init_containers=_containers(spec, status, "initContainers", "initContainerStatuses"),
        sidecars=frozenset(
            item.get("name", "")
            for item in _list(spec, "initContainers")
            if item.get("restartPolicy") == "Always"
        ),
    )


def _index(labels: Json, annotations: Json) -> int:
    for value in (
        labels.get(LABEL_REPLICA_ID),
        labels.get(LABEL_COMPLETION_INDEX),
        annotations.get(LABEL_COMPLETION_INDEX),
        labels.get(LABEL_VOLCANO_INDEX),
    ):
        if value is not None and str(value).isdecimal():
            return int(value)
    return 0


def _containers(spec: Json, status: Json, key: str, status_key: str) -> tuple[Container, ...]:
    by_name = {item.get("name"): item for item in _list(status, status_key)}
    return tuple(_container(item, by_name.get(item.get("name")) or {}) for item in _list(spec, key))


def _container(spec: Json, status: Json) -> Container:
    state = _dict(status, "state")
    waiting, ended = _dict(state, "waiting"), _dict(state, "terminated")
    if waiting and not ended:
        # Of one that waits for its next start, the last end is what there is to tell.
        ended = _dict(_dict(status, "lastState"), "terminated")
    exit_code = ended.get("exitCode")
    return Container(
        name=str(spec.get("name") or ""),
        image=str(spec.get("image") or ""),
        waiting=str(waiting.get("reason") or ""),
        waiting_message=str(waiting.get("message") or ""),
        is_running="running" in state,
        exit_code=exit_code if isinstance(exit_code, int) else None,
        ended=str(ended.get("reason") or ""),
        message=str(ended.get("message") or ""),
        finished_at=str(ended.get("finishedAt") or ""),
        restarts=int(status.get("restartCount") or 0),
        memory_limit=str(_dict(_dict(spec, "resources"), "limits").get("memory") or ""),
    )


def _words(condition: Json) -> tuple[str, str]:
    return str(condition.get("reason") or ""), str(condition.get("message") or "")


def _dict(data: Json, key: str) -> dict[str, Any]:
    value = data.get(key)
    return value if isinstance(value, dict) else {}


def _list(data: Json, key: str) -> list[dict[str, Any]]:
    value = data.get(key)
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
