"""Why an app waits or has failed, as sentences for a person. Pure."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterable, Mapping, Sequence

from torchx.schedulers.kubernetes.pods import Container, Json, Pod
from torchx.specs.api import NONE, ReplicaState

NAMED_FAILURES = 3
"""How many failed replicas are told one by one."""

_WAITING: Mapping[str, str] = {
    "ErrImagePull": "its image `{image}` cannot be pulled",
    "ImagePullBackOff": "its image `{image}` cannot be pulled",
    "ErrImageNeverPull": "its image `{image}` is not on the node and is not to be pulled",
    "InvalidImageName": "`{image}` is not the name of an image",
    "ImageInspectError": "its image `{image}` cannot be read",
    "RegistryUnavailable": "the registry of its image `{image}` cannot be reached",
    "CreateContainerConfigError": "its container cannot be configured",
    "CreateContainerError": "its container cannot be created",
    "RunContainerError": "its container cannot be started",
    "PreStartHookError": "a hook of its container failed",
    "PostStartHookError": "a hook of its container failed",
    "CrashLoopBackOff": "its container ends again and again, the last time with exit code {code}",
}
_DISRUPTIONS: Mapping[str, str] = {
    "PreemptionByScheduler": "was preempted for a pod of higher priority",
    "EvictionByEvictionAPI": "was evicted, as when a node is drained",
    "DeletionByTaintManager": "was removed from its node because of a taint",
    "DeletionByPodGC": "was lost with its node",
    "TerminationByKubelet": "was ended by its node",
}
_ENDED_BY_NODE: Mapping[str, str] = {
    "Evicted": "was evicted by its node",
    "DeadlineExceeded": "ran longer than its pod may",
    "NodeLost": "was lost with its node",
    "Preempting": "was preempted on its node",
    "NodeShutdown": "was ended because its node shut down",
    "Terminated": "was ended because its node shut down",
    "UnexpectedAdmissionError": "was refused by its node",
    "OutOfcpu": "was refused by its node, which has no CPU left",
    "OutOfmemory": "was refused by its node, which has no memory left",
    "OutOfpods": "was refused by its node, which has enough pods",
    "NodeAffinity": "was refused by its node, which lacks what it asks for",
}
_JOB_FAILURES: Mapping[str, str] = {
    "DeadlineExceeded": "ran longer than it may",
    "BackoffLimitExceeded": "failed more often than it is tried again",
    "FailedIndexes": "has replicas that failed more often than they are tried again",
    "MaxFailedIndexesExceeded": "has too many failed replicas",
    "PodFailurePolicy": "failed in a way that is not tried again",
}
_HOLDING = (("QuotaReserved", "False"), ("Evicted", "True"), ("Admitted", "False"))
_NOT_STARTED = frozenset(["StartError", "ContainerCannotRun"])
_PLACED = "pod group is ready"
_NOTHING_TRIED = "0/0 tasks"
_OUT_OF_MEMORY = "OOMKilled"
_SHELL_SIGNAL_BASE = 128
_LONGEST_TEXT = 400
_TAIL_LINES = 3


def label(role: str, index: int) -> str:
    """Names a replica.

    Args:
        role: Its role.
        index: Its number.

    Returns:
        For example ``replica trainer/0``.
    """
    return f"replica {role}/{index}"


def one_line(text: str) -> str:
    """Makes one line of what a server says.

    Args:
        text: Any text.

    Returns:
        The text without newlines, cut if it is very long.
    """
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}..."


def waiting(pod: Pod, events: Sequence[Json] = ()) -> str:
    """Tells why a pod does not run.

    Args:
        pod: The pod.
        events: Warnings about it.

    Returns:
        A sentence without subject; ``""`` if it is about to start, or runs.
    """
    word, message = pod.unscheduled
    if word == "SchedulingGated":
        return "is held back until its queue admits it"
    if word:
        return f"waits because no node can take it: {one_line(message) or word}"
    for container in (*pod.init_containers, *pod.containers):
        said = _WAITING.get(container.waiting)
        if said is not None:
            why = said.format(image=container.image, code=container.exit_code)
            return (
                f"waits because {why}: {one_line(container.waiting_message) or container.waiting}"
            )
    if pod.phase == "Pending":
        warnings = [one_line(str(event.get("message") or "")) for event in events]
        return f"waits: {warnings[-1]}" if warnings else ""
    return ""


def failure(pod: Pod) -> str:
    """Tells why a pod failed.

    Args:
        pod: The pod.

    Returns:
        A sentence without subject.
    """
    if pod.reason and (said := _ENDED_BY_NODE.get(pod.reason)):
        return _joined(said, pod.message)
    word, message = pod.disruption
    if word:
        return _joined(_DISRUPTIONS.get(word, f"was ended by the cluster ({word})"), message)
    for container in pod.init_containers:
        if container.exit_code and container.name not in pod.sidecars:
            return f"was not started: its init container `{container.name}` {_ending(container)}"
    failed = [item for item in pod.containers if item.exit_code]
    if failed:
        first = min(failed, key=lambda item: item.finished_at or "~")
        name = f"in its container `{first.name}` " if len(pod.containers) > 1 else ""
        return f"{name}{_ending(first)}"
    return _joined(f"failed ({pod.reason})" if pod.reason else "failed", pod.message)


def job_failure(role: str, reason: str, message: str, ends: Sequence[Json] = ()) -> str:
    """Tells why a plain Job failed, where no pod tells.

    Args:
        role: Its role.
        reason: Reason of its condition.
        message: Message of its condition.
        ends: Events that tell how its pods, which are gone, were ended.

    Returns:
        A sentence.
    """
    if ends:
        return f"a replica of role {role} was ended: {one_line(str(ends[-1].get('message')))}"
    said = _JOB_FAILURES.get(reason, f"failed ({reason})" if reason else "failed")
    return _joined(f"role {role} {said}", message)


def failures(pods: Iterable[Pod], role_of: Mapping[str, str]) -> list[str]:
    """Tells why replicas failed, the one that failed first at the beginning.

    Args:
        pods: Pods of the app.
        role_of: Name of a pod -> name of its role for people.

    Returns:
        Sentences.
    """
    failed = [pod for pod in pods if pod.state == ReplicaState.FAILED]
    by_themselves = [pod for pod in failed if not pod.is_deleting] or failed
    ordered = sorted(by_themselves, key=lambda pod: (pod.finished_at, pod.index))
    named: dict[tuple[str, int], str] = {}
    for pod in ordered:
        name = role_of.get(pod.name, pod.role)
        named.setdefault((name, pod.index), f"{label(name, pod.index)} {failure(pod)}")
    told = list(named.values())
    more = len(told) - NAMED_FAILURES
    return told[:NAMED_FAILURES] + ([f"{more} more replicas failed"] if more > 0 else [])


def structured_error(pods: Iterable[Pod]) -> str:
    """Takes the error file that a replica wrote as its termination log.

    Args:
        pods: Pods of the app.

    Returns:
        Its JSON, of the replica that failed first; ``NONE`` if there is none.
    """
    failed = [pod for pod in pods if pod.state == ReplicaState.FAILED]
    for pod in sorted(failed, key=lambda pod: pod.finished_at):
        for container in pod.containers:
            try:
                told = json.loads(container.message)
            except ValueError:
                continue
            if isinstance(told, dict) and "message" in told:
                return json.dumps(told)
    return NONE


def queued(workloads: Iterable[Json], queue: str) -> str:
    """Tells why Kueue does not admit a job.

    Args:
        workloads: Its Workloads.
        queue: Name of its queue.

    Returns:
        A sentence without subject.
    """
    for workload in workloads:
        conditions = {
            item.get("type"): item for item in (workload.get("status") or {}).get("conditions", ())
        }
        for kind, status in (
            ("QuotaReserved", "False"),
            ("Evicted", "True"),
            ("Admitted", "False"),
        ):
            condition = conditions.get(kind) or {}
            if condition.get("status") == status and condition.get("message"):
                return f"waits in the queue `{queue}` of Kueue: {one_line(condition['message'])}"
    return f"waits in the queue `{queue}` of Kueue"


def gang(group: Json | None, events: Sequence[Json]) -> str:
    """Tells why Volcano does not start a job.

    Args:
        group: Its PodGroup.
        events: Events about it.

    Returns:
        A sentence without subject; ``""`` if nothing is known.
    """
    status = (group or {}).get("status") or {}
    for condition in status.get("conditions") or ():
        if condition.get("type") == "Unschedulable" and condition.get("status") == "True":
            return f"waits until all its replicas fit: {one_line(condition.get('message') or '')}"
    told = [one_line(str(event.get("message") or "")) for event in events]
    # Between the two events that say nothing there may be one that does.
    told = [text for text in told if _PLACED not in text]
    told = [text for text in told if not text.startswith(_NOTHING_TRIED)] or told
    if told:
        return f"waits until all its replicas fit: {told[-1]}"
    if status.get("phase") == "Pending":
        return "waits in its queue: there is no room for all its replicas"
    return ""


def _ending(container: Container) -> str:
    code = container.exit_code or 0
    if container.ended == _OUT_OF_MEMORY:
        limit = f" of {container.memory_limit}" if container.memory_limit else ""
        return (
            f"ran out of memory: it was killed for using more than its limit{limit}"
            f" (memMB of the role), exit code {code}{_signal_name(code)}"
        )
    if container.ended in _NOT_STARTED:
        return f"could not be started: {one_line(container.message)}, exit code {code}"
    return _joined(f"failed with exit code {code}{_signal_name(code)}", _last_words(container))


def _last_words(container: Container) -> str:
    text = container.message.strip()
    if not text or text.startswith("{"):
        return ""
    return one_line(" | ".join(line.strip() for line in text.splitlines()[-_TAIL_LINES:]))


def _signal_name(exit_code: int) -> str:
    try:
        return f" ({signal.Signals(exit_code - _SHELL_SIGNAL_BASE).name})"
    except ValueError:
        return ""


def _joined(sentence: str, message: str) -> str:
    message = one_line(message)
    return f"{sentence}: {message}" if message else sentence
