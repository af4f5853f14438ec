"""The controller of plain Jobs, as far as the recordings tell what it does."""

from __future__ import annotations

import copy
import time
import uuid
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from tests.servers.kubernetes.store import EVENT, JOB, POD, Object, Refusal, Store, now

INDEX = "batch.kubernetes.io/job-completion-index"
BACK_OFF_S = 1.1
"""Real ones wait for 10 s at first. Pods tell their age in whole seconds."""


@dataclass
class _Known:
    """What the controller remembers of a Job."""

    failed: dict[str, int | None] = field(default_factory=dict)
    failed_at_s: float = 0.0


class JobController:
    """Makes and ends the pods of plain Jobs.

    Args:
        store: The objects.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self._known: dict[str, _Known] = {}

    def sync(self, job: Object) -> None:
        """Brings one Job a step further."""
        if terminal(job):
            self._expire(job)
            return
        known = self._known.setdefault(job["metadata"]["uid"], _Known())
        pods = pods_of(self.store, job)
        self._count_failures(job, known, pods)
        status = self._status(job, known, pods)
        spec = job["spec"]
        active = [pod for pod in pods if is_active(pod)]
        done = {index_of(pod) for pod in pods if pod["status"].get("phase") == "Succeeded"}
        decided = _condition(job, "FailureTarget") or self._failure(job, known, status)
        if decided:
            self._end(job, status, pods, decided, "FailureTarget", "Failed")
        elif spec.get("suspend"):
            self._delete(active)
            status.pop("startTime", None)
            add_condition(status, "Suspended", "JobSuspended", "Job suspended")
        elif len(done) >= spec.get("completions", 1):
            reason = {"reason": "CompletionsReached", "message": "Reached expected number"}
            self._end(job, status, pods, reason, "SuccessCriteriaMet", "Complete")
        else:
            status.setdefault("startTime", now())
            self._create_missing(job, known, pods, done)
        self._save(job, status)

    def _failure(self, job: Object, known: _Known, status: Object) -> Object | None:
        spec = job["spec"]
        deadline_s, started = spec.get("activeDeadlineSeconds"), status.get("startTime")
        if deadline_s is not None and started is not None and not spec.get("suspend"):
            age_s = (
                time.time()
                - datetime.strptime(started, "%Y-%m-%dT%H:%M:%SZ")
                .replace(tzinfo=timezone.utc)
                .timestamp()
            )
            if age_s >= deadline_s:
                return _reason("DeadlineExceeded", "Job was active longer than specified deadline")
        counted = [index for index in known.failed.values() if index is not None]
        per_index = spec.get("backoffLimitPerIndex")
        if per_index is not None:
            over = {index for index in counted if counted.count(index) > per_index}
            if over:
                status["failedIndexes"] = ",".join(map(str, sorted(over)))
            most = spec.get("maxFailedIndexes")
            if most is not None and len(over) > most:
                return _reason("MaxFailedIndexesExceeded", "Job has exceeded maxFailedIndexes")
        if len(counted) > spec.get("backoffLimit", 6):
            return _reason("BackoffLimitExceeded", "Job has reached the specified backoff limit")
        return None

    def _count_failures(self, job: Object, known: _Known, pods: list[Object]) -> None:
        for pod in pods:
            uid = pod["metadata"]["uid"]
            is_failed = pod["status"].get("phase") == "Failed" or (
                pod["metadata"].get("deletionTimestamp") and is_running_or_pending(pod)
            )
            if is_failed and uid not in known.failed and not job["spec"].get("suspend"):
                known.failed[uid] = None if _is_ignored(job, pod) else index_of(pod)
                known.failed_at_s = time.monotonic()

    def _status(self, job: Object, known: _Known, pods: list[Object]) -> Object:
        status = copy.deepcopy(job.get("status") or {})
        active = [pod for pod in pods if is_active(pod)]
        succeeded = {index_of(pod) for pod in pods if pod["status"].get("phase") == "Succeeded"}
        counts = {
            "active": len(active),
            "ready": sum(pod["status"].get("phase") == "Running" for pod in active),
            "terminating": sum(is_running_or_pending(pod) and not is_active(pod) for pod in pods),
            "succeeded": len(succeeded),
            "failed": len(known.failed),
            "completedIndexes": ",".join(map(str, sorted(succeeded))),
        }
        for name, value in counts.items():
            status.pop(name, None)
            if value:
                status[name] = value
        return status

    def _create_missing(
        self, job: Object, known: _Known, pods: list[Object], done: set[int]
    ) -> None:
        if known.failed and time.monotonic() - known.failed_at_s < BACK_OFF_S:
            return
        busy = {index_of(pod) for pod in pods if is_running_or_pending(pod)}
        for index in range(job["spec"].get("completions", 1)):
            if index in busy | done:
                continue
            try:
                self.store.create(POD, job["metadata"]["namespace"], _pod(job, index))
            except Refusal as refusal:
                warn(self.store, job, "FailedCreate", f"Error creating: {refusal}")
                return

    def _end(
        self,
        job: Object,
        status: Object,
        pods: list[Object],
        reason: Object,
        first: str,
        last: str,
    ) -> None:
        add_condition(status, first, reason["reason"], reason["message"])
        live = [pod for pod in pods if is_running_or_pending(pod)]
        self._delete(live)
        if not live:
            add_condition(status, last, reason["reason"], reason["message"])
            status["completionTime"] = now()

    def _expire(self, job: Object) -> None:
        ttl_s = job["spec"].get("ttlSecondsAfterFinished")
        ended = (job.get("status") or {}).get("completionTime")
        if ttl_s is None or ended is None:
            return
        age_s = (
            time.time()
            - datetime.strptime(ended, "%Y-%m-%dT%H:%M:%SZ")
            .replace(tzinfo=timezone.utc)
            .timestamp()
        )
        if age_s >= ttl_s:
            self.store.remove(JOB, job)

    def _delete(self, pods: list[Object]) -> None:
        for pod in pods:
            if not pod["metadata"].get("deletionTimestamp"):
                self.store.delete(POD, pod["metadata"]["namespace"], pod["metadata"]["name"])

    def _save(self, job: Object, status: Object) -> None:
        metadata = job["metadata"]

        def change(item: Object) -> None:
            if item["metadata"]["uid"] == metadata["uid"]:
                item["status"] = status

        self.store.change(JOB, metadata["namespace"], metadata["name"], change)


def terminal(job: Object) -> bool:
    return bool(_condition(job, "Complete") or _condition(job, "Failed"))


def pods_of(store: Store, owner: Object) -> list[Object]:
    return [
        pod
        for pod in store.all(POD, owner["metadata"]["namespace"])
        if any(
            reference["uid"] == owner["metadata"]["uid"]
            for reference in pod["metadata"].get("ownerReferences") or ()
        )
    ]


def owner_reference(owner: Object) -> Object:
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def index_of(pod: Object) -> int:
    return int(pod["metadata"]["labels"].get(INDEX, 0))


def is_running_or_pending(pod: Object) -> bool:
    return pod["status"].get("phase") in ("Pending", "Running")


def is_active(pod: Object) -> bool:
    return is_running_or_pending(pod) and not pod["metadata"].get("deletionTimestamp")


def add_condition(status: Object, kind: str, reason: str, message: str) -> None:
    conditions = status.setdefault("conditions", [])
    if all(item["type"] != kind for item in conditions):
        conditions.append({"type": kind, "status": "True", **_reason(reason, message)})


def warn(store: Store, item: Object, reason: str, message: str) -> None:
    metadata = item["metadata"]
    store.create(
        EVENT,
        metadata["namespace"],
        {
            "metadata": {"generateName": f"{metadata['name']}."},
            "involvedObject": {"kind": item["kind"], "name": metadata["name"]},
            "type": "Warning",
            "reason": reason,
            "message": message,
        },
    )


def _reason(reason: str, message: str) -> Object:
    return {"reason": reason, "message": message}


def _condition(job: Object, kind: str) -> Object | None:
    for item in (job.get("status") or {}).get("conditions") or ():
        if item["type"] == kind and item["status"] == "True":
            found: Object = item
            return found
    return None


def _is_ignored(job: Object, pod: Object) -> bool:
    kinds = {
        item["type"] for item in pod["status"].get("conditions") or () if item["status"] == "True"
    }
    for rule in (job["spec"].get("podFailurePolicy") or {}).get("rules") or ():
        wanted = {item["type"] for item in rule.get("onPodConditions") or ()}
        if rule["action"] == "Ignore" and wanted & kinds:
            return True
    return False


def _pod(job: Object, index: int) -> Object:
    name, template = job["metadata"]["name"], copy.deepcopy(job["spec"]["template"])
    metadata: dict[str, Any] = template.setdefault("metadata", {})
    metadata["name"] = f"{name[:55]}-{index}-{uuid.uuid4().hex[:5]}"
    metadata["ownerReferences"] = [owner_reference(job)]
    metadata.setdefault("labels", {}).update(
        {
            "batch.kubernetes.io/job-name": name,
            "job-name": name,
            "batch.kubernetes.io/controller-uid": job["metadata"]["uid"],
            INDEX: str(index),
        }
    )
    metadata.setdefault("annotations", {})[INDEX] = str(index)
    spec = template["spec"]
    spec["hostname"] = f"{name}-{index}"
    for container in [*spec["containers"], *(spec.get("initContainers") or ())]:
        env = container.setdefault("env", [])
        if all(item["name"] != "JOB_COMPLETION_INDEX" for item in env):
            source = {"fieldRef": {"fieldPath": f"metadata.labels['{INDEX}']"}}
            env.append({"name": "JOB_COMPLETION_INDEX", "valueFrom": source})
    return {"metadata": metadata, "spec": spec, "status": {"phase": "Pending"}}
