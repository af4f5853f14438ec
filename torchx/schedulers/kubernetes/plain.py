"""Turns an app into plain Jobs, which any cluster runs. No I/O but for files of overlays.

An app is one Indexed Job for each role, named like the app (``<app>-<role>`` if there are several
roles). An app of more than one replica also has two headless Services: one named like the app, for
the host names of all replicas, and one named like the host of the first replica of the first role.
That name is known inside of that replica, too, before the name server has it: torchrun has to see
there that the meeting point is its own host.

All objects carry the labels of the app. The Job of the first role owns the others, so that deleting
it deletes all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torchx.schedulers.kubernetes.indexed import make_indexed
from torchx.schedulers.kubernetes.labels import (
    ANNOTATION_ROLE_NAME,
    LABEL_COMPLETION_INDEX,
    LABEL_ROLE_INDEX,
    LABEL_ROLE_NAME,
    LABEL_UNIQUE_NAME,
    app_labels,
    clean_label_value,
    role_labels,
)
from torchx.schedulers.kubernetes.models import Models
from torchx.schedulers.kubernetes.names import has_peers, host_name, job_name
from torchx.schedulers.kubernetes.refusals import KubernetesAppError
from torchx.schedulers.kubernetes.replicas import PodSettings
from torchx.schedulers.kubernetes.retries import plain_retries
from torchx.specs.api import AppDef, Role

LABEL_KUEUE_QUEUE = "kueue.x-k8s.io/queue-name"

Object = dict[str, Any]


@dataclass
class PlainSettings:
    """What the run options say about plain Jobs.

    Attributes:
        namespace: Namespace to run in.
        kueue_queue: Local queue of Kueue.
        max_duration_s: Longest time that a Job may run, in seconds.
        ttl_s: Seconds after its end when a Job is deleted.
    """

    namespace: str = "default"
    kueue_queue: str | None = None
    max_duration_s: int | None = None
    ttl_s: int | None = None


def make_plain_objects(
    app: AppDef, app_id: str, pods: PodSettings, settings: PlainSettings
) -> list[Object]:
    """Lays out the objects of an app.

    Args:
        app: The app, which was checked.
        app_id: Its unique name.
        pods: What the run options say about pods.
        settings: What they say about Jobs.

    Returns:
        The Job of the first role, the Services, and the Jobs of the other roles.

    Raises:
        TypeError: A mount is of an unknown type, or an overlay does not fit to the pod.
        ValueError: A key of an overlay is malformed, replicas of one role differ in what they
            must have in common, or the options do not fit to the app.
    """
    if settings.ttl_s is not None and len(app.roles) > 1:
        raise KubernetesAppError(
            f"the app `{app.name}` has several roles, so that `ttl_s` would delete those which"
            " still run when the first one has ended; leave `ttl_s` out"
        )
    models = Models()
    first, *others = [
        _job(app, app_id, role_idx, role, pods, settings, models)
        for role_idx, role in enumerate(app.roles)
    ]
    return [first, *_services(app, app_id, settings.namespace), *others]


def _job(
    app: AppDef,
    app_id: str,
    role_idx: int,
    role: Role,
    pods: PodSettings,
    settings: PlainSettings,
    models: Models,
) -> Object:
    labels = role_labels(app, role_idx, role, app_id)
    template = make_indexed(app, app_id, role, pods, models)
    template["metadata"]["labels"] = {**template["metadata"].get("labels", {}), **labels}
    for container in template["spec"]["containers"]:
        # The status of the pod then tells the last words of a container that failed.
        container.setdefault("terminationMessagePolicy", "FallbackToLogsOnError")
    if has_peers(app):
        template["spec"]["subdomain"] = app_id
    metadata = _metadata(job_name(app_id, app.roles, role), settings.namespace, labels)
    if role.name != labels[LABEL_ROLE_NAME]:
        metadata["annotations"] = {ANNOTATION_ROLE_NAME: role.name}
    spec: Object = {
        "completionMode": "Indexed",
        "completions": role.num_replicas,
        "parallelism": role.num_replicas,
        **plain_retries(role),
        "template": template,
    }
    if settings.kueue_queue is not None:
        metadata["labels"] = {**labels, LABEL_KUEUE_QUEUE: settings.kueue_queue}
        spec["suspend"] = True
    if settings.max_duration_s is not None:
        spec["activeDeadlineSeconds"] = settings.max_duration_s
    if settings.ttl_s is not None:
        spec["ttlSecondsAfterFinished"] = settings.ttl_s
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}


def _services(app: AppDef, app_id: str, namespace: str) -> list[Object]:
    if not has_peers(app):
        return []
    labels = app_labels(app, app_id)
    of_app = {LABEL_UNIQUE_NAME: clean_label_value(app_id)}
    of_rank0 = {**of_app, LABEL_ROLE_INDEX: "0", LABEL_COMPLETION_INDEX: "0"}
    rank0 = host_name(job_name(app_id, app.roles, app.roles[0]), 0)
    return [
        _headless(_metadata(app_id, namespace, labels), of_app),
        _headless(_metadata(rank0, namespace, labels), of_rank0),
    ]


def _headless(metadata: Object, selector: dict[str, str]) -> Object:
    spec: Object = {
        "clusterIP": "None",
        # Replicas look for each other before they are ready.
        "publishNotReadyAddresses": True,
        "selector": selector,
    }
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}


def _metadata(name: str, namespace: str, labels: dict[str, str]) -> Object:
    return {"name": name, "namespace": namespace, "labels": labels}
