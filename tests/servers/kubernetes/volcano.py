"""The controller of Volcano Jobs, as far as the recordings tell what it does."""

from __future__ import annotations

import copy
from typing import Any

from tests.servers.kubernetes.jobs import is_running_or_pending, owner_reference, pods_of
from tests.servers.kubernetes.store import POD, POD_GROUP, VOLCANO_JOB, Object, Store, now

_DEFAULT_RETRIES = 3
_ENDED = ("Completed", "Failed", "Aborted", "Terminated")
_ENDINGS = {
    "AbortJob": ("Aborting", "Aborted"),
    "TerminateJob": ("Terminating", "Terminated"),
    "CompleteJob": ("Completing", "Completed"),
    "RestartJob": ("Restarting", "Pending"),
}
_BETWEEN = dict(_ENDINGS.values())


def admit(job: Object) -> None:
    """Does what the mutating webhook does."""
    spec = job["spec"]
    spec["maxRetry"] = spec.get("maxRetry") or _DEFAULT_RETRIES
    for task in spec["tasks"]:
        task["maxRetry"] = task.get("maxRetry") or _DEFAULT_RETRIES
    needed = [task.get("minAvailable", task["replicas"]) for task in spec["tasks"]]
    spec.setdefault("minAvailable", sum(needed))


class VolcanoController:
    """Makes and ends the pods of Volcano Jobs.

    Args:
        store: The objects.
        room_millicpu: How much CPU there is for one gang.
    """

    def __init__(self, store: Store, room_millicpu: int) -> None:
        self.store = store
        self.room_millicpu = room_millicpu

    def sync(self, job: Object) -> None:
        """Brings one Job a step further."""
        status = copy.deepcopy(job.get("status") or {})
        phase = (status.get("state") or {}).get("phase")
        pods = pods_of(self.store, job)
        live = [pod for pod in pods if is_running_or_pending(pod)]
        if phase is None:
            self._make_group(job)
            phase = "Pending"
        elif phase in _ENDED:
            self._delete(live)
        elif phase in _BETWEEN:
            self._delete(live if phase != "Restarting" else pods)
            if not live and (phase != "Restarting" or not pods):
                phase = _BETWEEN[phase]
        elif phase == "Pending" and not pods:
            self._start(job)
        else:
            phase = self._run(job, status, pods, phase)
        self._save(job, status, phase, pods)

    def _start(self, job: Object) -> None:
        tasks = job["spec"]["tasks"]
        if sum(_millicpu(task) * task["replicas"] for task in tasks) > self.room_millicpu:
            self._explain(job)
            return
        for task in tasks:
            for index in range(task["replicas"]):
                pod = _pod(job, task, index)
                self.store.create(POD, job["metadata"]["namespace"], pod)

    def _run(self, job: Object, status: Object, pods: list[Object], phase: str) -> str:
        for pod in pods:
            if pod["status"].get("phase") == "Failed":
                action = _action(job, pod, "PodFailed")
                if action == "RestartJob":
                    status["retryCount"] = status.get("retryCount", 0) + 1
                    if status["retryCount"] >= job["spec"]["maxRetry"]:
                        return "Failed"
                if action is not None:
                    return _ENDINGS[action][0]
        ended = [pod for pod in pods if not is_running_or_pending(pod)]
        succeeded = [pod for pod in pods if pod["status"].get("phase") == "Succeeded"]
        needed = job["spec"]["minAvailable"]
        if len(ended) == len(pods):
            return "Completed" if len(succeeded) >= needed else "Failed"
        started = [pod for pod in pods if pod["status"].get("phase") != "Pending"]
        return "Running" if len(started) >= needed else phase

    def _save(self, job: Object, status: Object, phase: str, pods: list[Object]) -> None:
        before = status.get("state") or {}
        if before.get("phase") != phase:
            status["state"] = {"phase": phase, "lastTransitionTime": now()}
        status["minAvailable"] = job["spec"]["minAvailable"]
        for name in ("pending", "running", "succeeded", "failed", "terminating", "taskStatusCount"):
            status.pop(name, None)
        if phase not in _ENDED:
            status.update(_counts(pods))
        metadata = job["metadata"]

        def change(item: Object) -> None:
            current = ((item.get("status") or {}).get("state") or {}).get("phase")
            # Somebody else may have written the status since it was read.
            if item["metadata"]["uid"] == metadata["uid"] and current == before.get("phase"):
                item["status"] = status

        self.store.change(VOLCANO_JOB, metadata["namespace"], metadata["name"], change)

    def _make_group(self, job: Object) -> None:
        group = {
            "metadata": {
                "name": f"{job['metadata']['name']}-{job['metadata']['uid']}",
                "ownerReferences": [owner_reference(job)],
            },
            "spec": {"minMember": job["spec"]["minAvailable"], "queue": job["spec"]["queue"]},
            "status": {"phase": "Pending"},
        }
        self.store.create(POD_GROUP, job["metadata"]["namespace"], group)

    def _explain(self, job: Object) -> None:
        message = "2/2 tasks in gang unschedulable: pod group is not ready"
        condition = {
            "type": "Unschedulable",
            "status": "True",
            "reason": "NotEnoughResources",
            "message": message,
        }
        self.store.change(
            POD_GROUP,
            job["metadata"]["namespace"],
            f"{job['metadata']['name']}-{job['metadata']['uid']}",
            lambda item: item["status"].update(conditions=[condition]),
        )

    def _delete(self, pods: list[Object]) -> None:
        for pod in pods:
            if not pod["metadata"].get("deletionTimestamp"):
                self.store.delete(POD, pod["metadata"]["namespace"], pod["metadata"]["name"])


def _counts(pods: list[Object]) -> Object:
    counts: dict[str, Any] = {}
    tasks: dict[str, dict[str, Any]] = {}
    for pod in pods:
        phase = pod["status"]["phase"]
        name = phase.lower()
        if pod["metadata"].get("deletionTimestamp"):
            name = "terminating"
        counts[name] = counts.get(name, 0) + 1
        task = tasks.setdefault(pod["metadata"]["labels"]["volcano.sh/task-spec"], {"phase": {}})
        task["phase"][phase] = task["phase"].get(phase, 0) + 1
    return {**counts, **({"taskStatusCount": tasks} if tasks else {})}


def _action(job: Object, pod: Object, event: str) -> str | None:
    name = pod["metadata"]["labels"]["volcano.sh/task-spec"]
    task = next(task for task in job["spec"]["tasks"] if task["name"] == name)
    for policy in [*(task.get("policies") or ()), *(job["spec"].get("policies") or ())]:
        if policy.get("event") == event:
            return str(policy["action"])
    return None


def _millicpu(task: Object) -> int:
    total = 0
    for container in task["template"]["spec"]["containers"]:
        text = ((container.get("resources") or {}).get("requests") or {}).get("cpu", "0")
        total += int(text[:-1]) if text.endswith("m") else int(float(text) * 1000)
    return total


def _pod(job: Object, task: Object, index: int) -> Object:
    name, template = job["metadata"]["name"], copy.deepcopy(task["template"])
    metadata: dict[str, Any] = template.setdefault("metadata", {})
    metadata["name"] = f"{name}-{task['name']}-{index}"
    metadata["ownerReferences"] = [owner_reference(job)]
    metadata["labels"] = {
        **(metadata.get("labels") or {}),
        "volcano.sh/job-name": name,
        "volcano.sh/task-spec": task["name"],
        "volcano.sh/task-index": str(index),
    }
    spec = template["spec"]
    hosts = {
        f"VC_{other['name'].upper().replace('-', '_')}_HOSTS": ",".join(
            f"{name}-{other['name']}-{number}.{name}" for number in range(other["replicas"])
        )
        for other in job["spec"]["tasks"]
    }
    for container in [*spec["containers"], *(spec.get("initContainers") or ())]:
        added = {**hosts, "VC_TASK_INDEX": str(index), "VK_TASK_INDEX": str(index)}
        container["env"] = [
            *(container.get("env") or ()),
            *({"name": key, "value": value} for key, value in added.items()),
        ]
    spec["hostname"], spec["subdomain"] = metadata["name"], name
    return {"metadata": metadata, "spec": spec, "status": {"phase": "Pending"}}
