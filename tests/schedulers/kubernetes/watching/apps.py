"""Apps that tests put into the cluster as objects, without pods."""

from __future__ import annotations

from tests.servers.kubernetes.store import JOB, VOLCANO_JOB, Object, Store


def plain_job(name: str, *, app: str = "", role: str = "job", position: int = 0) -> Object:
    """Makes a plain Job, as submitting makes it."""
    return {
        "metadata": {
            "name": name,
            "labels": {
                "app.kubernetes.io/managed-by": "torchx.pytorch.org",
                "app.kubernetes.io/instance": app or name,
                "torchx.pytorch.org/role-name": role,
                "torchx.pytorch.org/role-index": str(position),
            },
        },
        "spec": {
            "completions": 1,
            "parallelism": 1,
            "backoffLimit": 0,
            "completionMode": "Indexed",
            "template": {"spec": {"containers": [{"name": role, "image": "image"}]}},
        },
    }


def add_plain(store: Store, name: str, status: Object | None = None) -> None:
    """Adds an app of one plain Job."""
    store.create(JOB, "default", plain_job(name))
    set_status(store, name, status or {})


def set_status(store: Store, name: str, status: Object) -> None:
    """Does what the controller does."""
    store.change(JOB, "default", name, lambda item: item.update(status=status))


def add_volcano(store: Store, name: str, phase: str) -> None:
    """Adds an app that is a Volcano Job."""
    template = {"spec": {"containers": [{"name": "job-0", "image": "image"}]}}
    tasks = [{"name": "job-0", "replicas": 1, "template": template}]
    job = {
        "metadata": {"name": name},
        "spec": {"queue": "q", "tasks": tasks},
        "status": {"state": {"phase": phase}},
    }
    store.create(VOLCANO_JOB, "default", job)


def ended(kind: str = "Complete", reason: str = "CompletionsReached") -> Object:
    """Returns the status of a Job that has ended."""
    condition = {"type": kind, "status": "True", "reason": reason, "message": "it ended"}
    return {"conditions": [condition]}
