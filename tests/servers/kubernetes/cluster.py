"""A small cluster: an API server, the controllers, and one node that runs pods as processes."""

from __future__ import annotations

import logging
import re
import threading
from types import TracebackType

from tests.servers.kubernetes.http_api import ApiServer
from tests.servers.kubernetes.jobs import JobController, is_active
from tests.servers.kubernetes.kubelet import Kubelet
from tests.servers.kubernetes.mcad import AppWrapperController
from tests.servers.kubernetes.mcad import admit as admit_appwrapper
from tests.servers.kubernetes.store import (
    APP_WRAPPER,
    JOB,
    KINDS,
    POD,
    SERVICE,
    VOLCANO_JOB,
    WORKLOAD,
    Kind,
    Object,
    Refusal,
    Store,
)
from tests.servers.kubernetes.volcano import VolcanoController
from tests.servers.kubernetes.volcano import admit as admit_volcano_job
from torchx.schedulers.kubernetes.schema import faults_of

log = logging.getLogger(__name__)

NODE = "node0"
NODE_MILLICPU = 64_000
QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
_TICK_S = 0.05
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


class Cluster:
    """The cluster. A context manager: all ends with it.

    Args:
        has_volcano: Whether Volcano is installed.
        queues: Open Volcano queues and local queues of Kueue.

    Attributes:
        store: The objects.
        server: The API server.
    """

    def __init__(self, *, has_volcano: bool = True, queues: tuple[str, ...] = ("q",)) -> None:
        self.store = Store()
        self.kubelet = Kubelet(self.store)
        self.server = ApiServer(self.store, self.kubelet, self._admit)
        self.queues = set(queues)
        if not has_volcano:
            self.server.faults.missing_groups |= {"batch.volcano.sh", "scheduling.volcano.sh"}
        self._jobs = JobController(self.store)
        self._volcano = VolcanoController(self.store, NODE_MILLICPU)
        self._mcad = AppWrapperController(self.store, NODE_MILLICPU)
        self._is_stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.errors: list[Exception] = []
        self.store.on_delete = lambda kind, item: kind == POD

    def __enter__(self) -> Cluster:
        self.server.thread.start()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._is_stopping.set()
        self.server.is_stopping.set()
        self._thread.join()
        self.kubelet.stop()
        self.server.shutdown()
        self.server.server_close()
        if self.errors and error is None:
            raise self.errors[0]

    def _admit(self, kind: Kind, namespace: str, item: Object) -> None:
        if kind in (JOB, SERVICE, VOLCANO_JOB):
            _check(kind, item)
        if kind == VOLCANO_JOB:
            if item["spec"].get("queue") not in self.queues:
                raise Refusal(
                    400,
                    None,
                    'admission webhook "validatejob.volcano.sh" denied the request: unable to find'
                    f' job queue: queues.scheduling.volcano.sh "{item["spec"].get("queue")}" not'
                    " found;",
                )
            admit_volcano_job(item)
        if kind == APP_WRAPPER:
            admit_appwrapper(item)
        if kind == JOB and QUEUE_LABEL in (item["metadata"].get("labels") or {}):
            item["spec"]["suspend"] = True

    def _run(self) -> None:
        while not self._is_stopping.is_set():
            with self.store.changed:
                version = self.store.version
            try:
                self._pass()
            except Exception as error:
                log.exception("a controller failed")
                self.errors.append(error)
            with self.store.changed:
                if self.store.version == version:
                    self.store.changed.wait(_TICK_S)

    def _pass(self) -> None:
        self._collect_garbage()
        for job in self.store.all(JOB):
            self._queue(job)
            current = self.store.find(JOB, job["metadata"]["namespace"], job["metadata"]["name"])
            if current is not None:
                self._jobs.sync(current)
        for job in self.store.all(VOLCANO_JOB):
            self._volcano.sync(job)
        for app in self.store.all(APP_WRAPPER):
            self._mcad.sync(app)
        for pod in self.store.all(POD):
            if pod["metadata"].get("deletionTimestamp"):
                self.kubelet.kill(pod)
            elif pod["spec"].get("nodeName"):
                self.kubelet.run(pod)
            elif is_active(pod):
                self._schedule(pod)

    def _schedule(self, pod: Object) -> None:
        metadata = pod["metadata"]
        missing = _missing(pod)
        if not missing:

            def bind(item: Object) -> None:
                item["spec"]["nodeName"] = NODE
                item["status"]["conditions"] = [{"type": "PodScheduled", "status": "True"}]

            self.store.change(POD, metadata["namespace"], metadata["name"], bind)
            return
        message = f"0/1 nodes are available: 1 Insufficient {missing}."
        condition = {
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "message": message,
        }
        self.store.change(
            POD,
            metadata["namespace"],
            metadata["name"],
            lambda item: item["status"].update(conditions=[condition]),
        )

    def _queue(self, job: Object) -> None:
        """Does what Kueue does."""
        metadata = job["metadata"]
        queue = (metadata.get("labels") or {}).get(QUEUE_LABEL)
        if queue is None or not job["spec"].get("suspend"):
            return
        name = f"job-{metadata['name']}"
        workload = self.store.find(WORKLOAD, metadata["namespace"], name)
        if workload is None:
            message = f"LocalQueue {queue} doesn't exist"
            held = {
                "type": "QuotaReserved",
                "status": "False",
                "reason": "Misconfigured",
                "message": message,
            }
            workload = {
                "metadata": {
                    "name": name,
                    "labels": {"kueue.x-k8s.io/job-uid": metadata["uid"]},
                    "ownerReferences": [{"uid": metadata["uid"]}],
                },
                "spec": {"active": True, "queueName": queue},
                "status": {"conditions": [held]},
            }
            workload = self.store.create(WORKLOAD, metadata["namespace"], workload)
        if queue in self.queues and workload["spec"]["active"]:
            self.store.change(
                JOB,
                metadata["namespace"],
                metadata["name"],
                lambda item: item["spec"].update(suspend=False),
            )

    def _collect_garbage(self) -> None:
        uids = {item["metadata"]["uid"] for kind in KINDS for item in self.store.all(kind)}
        for kind in KINDS:
            for item in self.store.all(kind):
                owners = item["metadata"].get("ownerReferences") or ()
                metadata = item["metadata"]
                is_orphan = owners and all(owner["uid"] not in uids for owner in owners)
                if is_orphan and not metadata.get("deletionTimestamp"):
                    self.store.delete(kind, metadata["namespace"], metadata["name"])


def _check(kind: Kind, item: Object) -> None:
    """Does what strict validation does: by the schema of the recorded cluster."""
    faults = faults_of([item])
    if faults:
        message = f'{kind.kind} in version "{kind.api_version}" cannot be handled as a {kind.kind}:'
        raise Refusal(400, "BadRequest", f"{message} strict decoding error: {'; '.join(faults)}")
    name = item["metadata"]["name"]
    longest = f"{name}-{item['spec'].get('completions', 1) - 1}" if kind == JOB else name
    if not _NAME.fullmatch(longest):
        raise Refusal(422, "Invalid", f'{kind.kind} "{name}" is invalid: metadata.name')


def _missing(pod: Object) -> str:
    millicpu = 0
    for container in pod["spec"]["containers"]:
        requests = (container.get("resources") or {}).get("requests") or {}
        text = str(requests.get("cpu", "0"))
        millicpu += int(text[:-1]) if text.endswith("m") else int(float(text) * 1000)
        if requests.get("nvidia.com/gpu"):
            return "nvidia.com/gpu"
    return "cpu" if millicpu > NODE_MILLICPU else ""
