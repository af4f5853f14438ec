"""The controller of AppWrappers, as far as the recordings tell what MCAD does."""

from __future__ import annotations

import copy
import time
from typing import Any

from tests.servers.kubernetes.jobs import owner_reference, pods_of
from tests.servers.kubernetes.store import (
    APP_WRAPPER,
    COSCHEDULING_POD_GROUP,
    POD,
    SERVICE,
    Kind,
    Object,
    Refusal,
    Store,
)

_KINDS: dict[str, Kind] = {kind.kind: kind for kind in (POD, SERVICE, COSCHEDULING_POD_GROUP)}
_DEFAULT_REQUEUING = {
    "growthType": "exponential",
    "maxNumRequeuings": 0,
    "maxTimeInSeconds": 0,
    "numRequeuings": 0,
    "timeInSeconds": 300,
}


def admit(app: Object) -> None:
    """Does what the schema of AppWrappers says: defaults, and types of numbers."""
    scheduling = app["spec"].get("schedulingSpec")
    if scheduling is not None:
        scheduling["requeuing"] = {**_DEFAULT_REQUEUING, **(scheduling.get("requeuing") or {})}
    items = app["spec"]["resources"].get("GenericItems") or ()
    for number, item in enumerate(items):
        if not isinstance(item.get("replicas", 1), int):
            field = f"spec.resources.GenericItems[{number}].replicas"
            raise Refusal(
                422,
                "Invalid",
                f'AppWrapper.workload.codeflare.dev "{app["metadata"]["name"]}" is invalid:'
                f' {field}: Invalid value: "string": {field} in body must be of type integer:'
                ' "string"',
                details={"name": app["metadata"]["name"], "kind": "AppWrapper"},
            )


class AppWrapperController:
    """Queues and dispatches AppWrappers, and starts them again.

    What it is given is never said to have ended, as in MCAD. Unlike MCAD it looks whether pods have
    failed as soon as its time has come and no pod is about to start, so that a slow machine does
    not make it start an app once more.

    Args:
        store: The objects.
        room_millicpu: How much CPU there is for one app.
    """

    def __init__(self, store: Store, room_millicpu: int) -> None:
        self.store = store
        self.room_millicpu = room_millicpu
        self._dispatched_at_s: dict[str, float] = {}

    def sync(self, app: Object) -> None:
        """Brings one AppWrapper a step further."""
        status = copy.deepcopy(app.get("status") or {})
        state, where = status.get("state"), status.get("queuejobstate")
        if state is None:
            _tell(status, "Pending", "Queueing", "AwaitingHeadOfLine")
        elif where in ("Queueing", "Backoff") and self._fits(app):
            _tell(status, "Pending", "HeadOfLine", "FrontOfQueue.")
        elif where == "Queueing":
            message = "Insufficient resources to dispatch AppWrapper."
            _tell(status, "Pending", "Backoff", "AppWrapperNotRunnable.", message)
        elif where == "HeadOfLine" and not pods_of(self.store, app):
            self._create_items(app)
            status["canrun"] = True
            _tell(status, "Running", "Dispatched", "AppWrapperRunnable")
            self._dispatched_at_s[app["metadata"]["uid"]] = time.monotonic()
        elif state == "Running":
            self._look_after(app, status)
        self._save(app, status)

    def _look_after(self, app: Object, status: Object) -> None:
        scheduling = app["spec"].get("schedulingSpec") or {}
        needed = scheduling.get("minAvailable")
        pods = pods_of(self.store, app)
        phases = [pod["status"].get("phase") for pod in pods]
        well = sum(phase in ("Running", "Succeeded") for phase in phases)
        if not needed or well >= needed or "Pending" in phases:
            return
        requeuing, done = scheduling["requeuing"], status.get("numberOfRequeueings", 0)
        after_s = requeuing["timeInSeconds"] * 2**done
        if time.monotonic() < self._dispatched_at_s[app["metadata"]["uid"]] + after_s:
            return
        self._delete_items(app)
        if done >= requeuing["maxNumRequeuings"] > 0:
            _tell(status, "Deleted", "Failed", "MaxRequeuings", "Requeuing limit was reached.")
            return
        status["numberOfRequeueings"] = done + 1
        status.pop("canrun", None)
        _tell(status, "Pending", "Queueing", "PodsFailed")

    def _fits(self, app: Object) -> bool:
        return sum(_millicpu(pod) for pod in _templates(app, "Pod")) <= self.room_millicpu

    def _create_items(self, app: Object) -> None:
        for template in _templates(app):
            item = copy.deepcopy(template)
            metadata = item["metadata"]
            metadata["labels"] = {
                **(metadata.get("labels") or {}),
                "appwrapper.mcad.ibm.com": app["metadata"]["name"],
                "resourceName": metadata["name"],
            }
            metadata["ownerReferences"] = [owner_reference(app)]
            if item["kind"] == "Pod":
                item["status"] = {"phase": "Pending"}
            self.store.create(_KINDS[item["kind"]], app["metadata"]["namespace"], item)

    def _delete_items(self, app: Object) -> None:
        for template in _templates(app):
            kind, name = _KINDS[template["kind"]], template["metadata"]["name"]
            found = self.store.find(kind, app["metadata"]["namespace"], name)
            if found is not None and not found["metadata"].get("deletionTimestamp"):
                self.store.delete(kind, app["metadata"]["namespace"], name)

    def _save(self, app: Object, status: Object) -> None:
        metadata = app["metadata"]

        def change(item: Object) -> None:
            if item["metadata"]["uid"] == metadata["uid"]:
                item["status"] = status

        self.store.change(APP_WRAPPER, metadata["namespace"], metadata["name"], change)


def _tell(status: Object, state: str, where: str, reason: str, message: str = "") -> None:
    status.update(state=state, queuejobstate=where)
    condition = {"type": where, "status": "True", "reason": reason}
    if message:
        condition["message"] = message
    status["conditions"] = [*(status.get("conditions") or ()), condition]


def _templates(app: Object, kind: str | None = None) -> list[Object]:
    items: list[dict[str, Any]] = app["spec"]["resources"].get("GenericItems") or []
    templates = [item["generictemplate"] for item in items]
    return [item for item in templates if kind in (None, item["kind"])]


def _millicpu(pod: Object) -> int:
    total = 0
    for container in pod["spec"]["containers"]:
        text = ((container.get("resources") or {}).get("requests") or {}).get("cpu", "0")
        total += int(text[:-1]) if text.endswith("m") else int(float(text) * 1000)
    return total
