"""Turns an app into a Volcano Job. No I/O but for files that overlays are kept in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from torchx.schedulers.kubernetes.expansion import SLOT
from torchx.schedulers.kubernetes.labels import pod_labels
from torchx.schedulers.kubernetes.models import Models, filled
from torchx.schedulers.kubernetes.names import replica_name, volcano_hosts_variable
from torchx.schedulers.kubernetes.overlay import overlay_of
from torchx.schedulers.kubernetes.replicas import ENV_RANK0_HOST, PodSettings, Replica, make_pod
from torchx.schedulers.kubernetes.retries import volcano_job_retries, volcano_task_retries
from torchx.specs.api import AppDef, Role, macros

if TYPE_CHECKING:
    from kubernetes.client.models import V1Pod

GROUP = "batch.volcano.sh"
VERSION = "v1alpha1"
PLURAL = "jobs"


def make_volcano_job(
    app: AppDef,
    app_id: str,
    queue: str,
    settings: PodSettings,
    priority_class: str | None = None,
) -> dict[str, Any]:
    """Makes a Job of an app, with a task for each replica.

    Args:
        app: The app, which was checked.
        app_id: Its unique name.
        queue: Queue of Volcano.
        settings: What the run options say about pods.
        priority_class: Priority class of the Job.

    Returns:
        The Job; the templates of its tasks are ``V1Pod``.

    Raises:
        TypeError: A mount is of an unknown type, or an overlay does not fit to the pod.
        ValueError: A key of an overlay is malformed.
    """
    models = Models()
    tasks = [
        task
        for role_idx, role in enumerate(app.roles)
        for task in _tasks(app, app_id, role_idx, role, settings, models)
    ]
    spec: dict[str, Any] = {
        "schedulerName": "volcano",
        "queue": queue,
        "tasks": tasks,
        "maxRetry": volcano_job_retries(app.roles),
        "plugins": {
            # Replicas look for each other before they are ready.
            "svc": ["--publish-not-ready-addresses"],
            "env": [],
        },
    }
    if priority_class is not None:
        spec["priorityClassName"] = priority_class
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": "Job",
        "metadata": {"name": app_id},
        "spec": spec,
    }


def _tasks(
    app: AppDef, app_id: str, role_idx: int, role: Role, settings: PodSettings, models: Models
) -> Iterator[dict[str, Any]]:
    overlay = overlay_of(role)
    hosts = volcano_hosts_variable(app.roles[0].name)

    def pod(env: dict[str, str], rank0_env: str) -> V1Pod:
        values = macros.Values(img_root="", app_id=app_id, replica_id=SLOT, rank0_env=rank0_env)
        container = replica_name(role.name, 0).removesuffix("0") + SLOT
        return make_pod(Replica(role, container, values, env, overlay), settings, models)

    for replica_id in range(role.num_replicas):
        if replica_id == 0 and role_idx == 0:
            template = pod({ENV_RANK0_HOST: "localhost"}, ENV_RANK0_HOST)
        elif replica_id == 0 or (replica_id == 1 and role_idx == 0):
            template = pod({}, hosts)
        replica = filled(template, SLOT, str(replica_id))
        labels = pod_labels(app, role_idx, role, replica_id, app_id)
        replica.metadata.labels = {**(replica.metadata.labels or {}), **labels}
        task: dict[str, Any] = {
            "replicas": 1,
            "name": replica_name(role.name, replica_id),
            "template": replica,
            **volcano_task_retries(role),
        }
        if role.min_replicas is not None:
            task["minAvailable"] = int(replica_id < role.min_replicas)
        yield task
