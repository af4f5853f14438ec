"""Plays what was recorded of a real cluster, step by step, behind a real API server's paths."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.servers.kubernetes.http_api import ApiServer
from tests.servers.kubernetes.kubelet import Kubelet
from tests.servers.kubernetes.store import KINDS, Change, Kind, Object, Store

FIXTURES = Path(__file__).parents[2] / "fixtures" / "kubernetes"

LABELS = ("batch.kubernetes.io/job-name", "volcano.sh/job-name", "appwrapper.mcad.ibm.com")


class Playback:
    """A server of a scenario: what it shows is what the cluster had at that time.

    The objects get the labels by which torchx finds its own.

    Args:
        scenario: Name of the recording.
        apps: Name of a Job -> name of its app; a Job is an app by itself unless it is named here.
    """

    def __init__(self, scenario: str, apps: dict[str, str] | None = None) -> None:
        text = (FIXTURES / "scenarios" / f"{scenario}.json").read_text()
        self.events: list[Object] = json.loads(text)
        self._apps = apps or {}
        self.namespace = str(self.events[0]["object"]["metadata"]["namespace"])
        self.store = Store(namespaces={self.namespace}, version=1)
        kubelet = Kubelet(self.store)
        self.server = ApiServer(self.store, kubelet, lambda kind, namespace, item: None)
        self._kubelet = kubelet

    def __enter__(self) -> Playback:
        self.server.thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.server.is_stopping.set()
        self._kubelet.stop()
        self.server.shutdown()
        self.server.server_close()

    def steps(self) -> Iterator[Object]:
        """Plays one change after the other, and gives each."""
        for event in self.events:
            self._show(event)
            yield event

    def play(self) -> None:
        """Plays everything but the deletions at the end."""
        for event in self.events:
            if event["type"] != "DELETED":
                self._show(event)

    def _show(self, event: Object) -> None:
        item = self._labelled(event["object"])
        kind = _kind(item)
        with self.store.changed:
            metadata = item["metadata"]
            key = (metadata["namespace"], metadata["name"])
            objects = self.store.objects.setdefault(kind, {})
            if event["type"] == "DELETED":
                objects.pop(key, None)
            else:
                objects[key] = item
            # Recorded watches ran side by side: their versions are not quite in order.
            version = max(self.store.version + 1, int(metadata["resourceVersion"]))
            metadata["resourceVersion"] = str(version)
            self.store.version = version
            self.store.history.append(Change(version, kind, event["type"], item))
            self.store.changed.notify_all()

    def _labelled(self, item: Object) -> Object:
        metadata = item["metadata"]
        labels: dict[str, Any] = metadata.setdefault("labels", {})
        job = metadata["name"] if item["kind"] == "Job" else None
        job = job or next((labels[name] for name in LABELS if name in labels), None)
        if job is not None:
            app = self._apps.get(job, job)
            labels.update(
                {
                    "app.kubernetes.io/managed-by": "torchx.pytorch.org",
                    "app.kubernetes.io/instance": app,
                    "torchx.pytorch.org/role-name": job,
                    "torchx.pytorch.org/role-index": str(sorted(self._apps).index(job))
                    if job in self._apps
                    else "0",
                }
            )
        if item["kind"] == "AppWrapper":
            _label_items(item)
        return item


def _label_items(app: Object) -> None:
    items = app["spec"]["resources"]["GenericItems"]
    pods = [item["generictemplate"] for item in items if item["generictemplate"]["kind"] == "Pod"]
    for number, pod in enumerate(pods):
        labels = pod["metadata"].setdefault("labels", {})
        labels["torchx.pytorch.org/role-name"] = app["metadata"]["name"]
        labels["torchx.pytorch.org/replica-id"] = str(number)


def _kind(item: Object) -> Kind:
    for kind in KINDS:
        if (kind.api_version, kind.kind) == (item["apiVersion"], item["kind"]):
            return kind
    raise LookupError(f"{item['apiVersion']} {item['kind']}")
