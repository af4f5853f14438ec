"""The objects of a cluster, their versions, and who watches them."""

from __future__ import annotations

import copy
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

Object = dict[str, Any]

HISTORY = 10_000


def now() -> str:
    """Writes the time as the API does."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


class Refusal(Exception):
    """What the server answers instead of doing something."""

    def __init__(
        self,
        code: int,
        reason: str | None,
        message: str,
        *,
        details: Object | None = None,
        headers: dict[str, str] | None = None,
        text: str | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.headers = headers or {}
        self.text = text
        self.status: Object = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": message,
            **({"reason": reason} if reason else {}),
            **({"details": details} if details else {}),
            "code": code,
        }


@dataclass(frozen=True)
class Kind:
    """A kind of object.

    Attributes:
        api_version: For example ``batch/v1``.
        plural: For example ``jobs``.
        kind: For example ``Job``.
    """

    api_version: str
    plural: str
    kind: str

    @property
    def group(self) -> str:
        return self.api_version.partition("/")[0] if "/" in self.api_version else ""


JOB = Kind("batch/v1", "jobs", "Job")
POD = Kind("v1", "pods", "Pod")
SERVICE = Kind("v1", "services", "Service")
EVENT = Kind("v1", "events", "Event")
CONFIG_MAP = Kind("v1", "configmaps", "ConfigMap")
SECRET = Kind("v1", "secrets", "Secret")
VOLCANO_JOB = Kind("batch.volcano.sh/v1alpha1", "jobs", "Job")
POD_GROUP = Kind("scheduling.volcano.sh/v1beta1", "podgroups", "PodGroup")
WORKLOAD = Kind("kueue.x-k8s.io/v1beta1", "workloads", "Workload")
COSCHEDULING_POD_GROUP = Kind("scheduling.sigs.k8s.io/v1alpha1", "podgroups", "PodGroup")
APP_WRAPPER = Kind("workload.codeflare.dev/v1beta1", "appwrappers", "AppWrapper")

KINDS = (
    JOB,
    POD,
    SERVICE,
    EVENT,
    CONFIG_MAP,
    SECRET,
    VOLCANO_JOB,
    POD_GROUP,
    WORKLOAD,
    COSCHEDULING_POD_GROUP,
    APP_WRAPPER,
)


@dataclass
class Change:
    """A change of one object."""

    version: int
    kind: Kind
    type: str
    object: Object


@dataclass
class Store:
    """All objects. Whoever waits is told of each change.

    Attributes:
        changed: Held while anything is read or written.
        version: Version of the latest change.
        forgotten: Versions up to this one can no longer be watched from.
        namespaces: Those that exist.
        on_delete: Told of objects that somebody wants to be gone; returns True to keep them until
            it removes them.
    """

    namespaces: set[str] = field(default_factory=lambda: {"default"})
    changed: threading.Condition = field(default_factory=threading.Condition)
    version: int = 100
    forgotten: int = 0
    history: list[Change] = field(default_factory=list)
    objects: dict[Kind, dict[tuple[str, str], Object]] = field(default_factory=dict)
    on_delete: Callable[[Kind, Object], bool] = lambda kind, item: False

    def all(self, kind: Kind, namespace: str | None = None) -> list[Object]:
        with self.changed:
            found = self.objects.get(kind, {})
            return [item for (where, _), item in found.items() if namespace in (None, where)]

    def get(self, kind: Kind, namespace: str, name: str) -> Object:
        with self.changed:
            found = self.objects.get(kind, {}).get((namespace, name))
            if found is None:
                raise _missing(kind, name)
            return found

    def find(self, kind: Kind, namespace: str, name: str) -> Object | None:
        with self.changed:
            return self.objects.get(kind, {}).get((namespace, name))

    def create(self, kind: Kind, namespace: str, item: Object, *, dry_run: bool = False) -> Object:
        with self.changed:
            if namespace not in self.namespaces:
                raise Refusal(
                    404,
                    "NotFound",
                    f'namespaces "{namespace}" not found',
                    details={"name": namespace, "kind": "namespaces"},
                )
            item = copy.deepcopy(item)
            metadata = item.setdefault("metadata", {})
            name = metadata.get("name")
            if name is None:
                name = metadata["name"] = f"{metadata['generateName']}{uuid.uuid4().hex[:5]}"
            if (namespace, name) in self.objects.get(kind, {}):
                plural = f"{kind.plural}.{kind.group}" if kind.group else kind.plural
                raise Refusal(
                    409,
                    "AlreadyExists",
                    f'{plural} "{name}" already exists',
                    details={"name": name, "group": kind.group, "kind": kind.plural},
                )
            metadata.update(namespace=namespace, uid=str(uuid.uuid4()), creationTimestamp=now())
            item.setdefault("apiVersion", kind.api_version)
            item.setdefault("kind", kind.kind)
            if not dry_run:
                self._put(kind, "ADDED", item)
            return item

    def change(
        self, kind: Kind, namespace: str, name: str, change: Callable[[Object], object]
    ) -> Object | None:
        """Changes an object; nothing happens if it is gone or stays as it was."""
        with self.changed:
            found = self.objects.get(kind, {}).get((namespace, name))
            if found is None:
                return None
            item = copy.deepcopy(found)
            change(item)
            if item != found:
                self._put(kind, "MODIFIED", item)
            return item

    def delete(self, kind: Kind, namespace: str, name: str) -> Object:
        """Deletes an object, or begins to."""
        with self.changed:
            item = self.get(kind, namespace, name)
            if self.on_delete(kind, item):
                self.change(
                    kind,
                    namespace,
                    name,
                    lambda item: item["metadata"].setdefault("deletionTimestamp", now()),
                )
                return self.get(kind, namespace, name)
            self.remove(kind, item)
            return item

    def remove(self, kind: Kind, item: Object) -> None:
        with self.changed:
            key = (item["metadata"]["namespace"], item["metadata"]["name"])
            current = self.objects.get(kind, {}).get(key)
            if current is None or current["metadata"]["uid"] != item["metadata"]["uid"]:
                return
            del self.objects[kind][key]
            self._note(kind, "DELETED", copy.deepcopy(current))

    def forget(self) -> None:
        """Forgets all changes so far, as a compaction does."""
        with self.changed:
            self.forgotten = self.version
            self.history.clear()
            self.changed.notify_all()

    def changes(self, kind: Kind, namespace: str, since: int) -> Iterator[Change]:
        with self.changed:
            return iter(
                [
                    change
                    for change in self.history
                    if change.version > since
                    and change.kind == kind
                    and change.object["metadata"]["namespace"] == namespace
                ]
            )

    def _put(self, kind: Kind, event: str, item: Object) -> None:
        key = (item["metadata"]["namespace"], item["metadata"]["name"])
        self.objects.setdefault(kind, {})[key] = item
        self._note(kind, event, item)

    def _note(self, kind: Kind, event: str, item: Object) -> None:
        self.version += 1
        item["metadata"]["resourceVersion"] = str(self.version)
        self.history.append(Change(self.version, kind, event, item))
        del self.history[:-HISTORY]
        self.changed.notify_all()


def _missing(kind: Kind, name: str) -> Refusal:
    plural = f"{kind.plural}.{kind.group}" if kind.group else kind.plural
    return Refusal(
        404,
        "NotFound",
        f'{plural} "{name}" not found',
        details={
            "name": name,
            **({"group": kind.group} if kind.group else {}),
            "kind": kind.plural,
        },
    )
