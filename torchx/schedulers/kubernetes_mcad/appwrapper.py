"""Turns an app into an AppWrapper: pods, a service, and a PodGroup for each role. No I/O."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from torchx.schedulers.kubernetes.models import Models
from torchx.schedulers.kubernetes.names import check_contents, port_faults
from torchx.schedulers.kubernetes_mcad.names import pod_group_name
from torchx.schedulers.kubernetes_mcad.options import REQUEUE_AFTER_S
from torchx.schedulers.kubernetes_mcad.pods import Settings, object_labels, replica_pods
from torchx.specs.api import AppDef, RetryPolicy, Role

if TYPE_CHECKING:
    from kubernetes.client.models import V1Service

GROUP = "workload.codeflare.dev"
VERSION = "v1beta1"
PLURAL = "appwrappers"

LABEL_APPWRAPPER = "appwrapper.workload.codeflare.dev"
"""Label of PodGroups: the AppWrapper they belong to."""

DEFAULT_PORT = 29500
"""Port of the service of an app that names none."""


def make_appwrapper(app: AppDef, app_id: str, settings: Settings) -> dict[str, Any]:
    """Makes the AppWrapper of an app.

    Args:
        app: The app, which was checked.
        app_id: Its unique name.
        settings: What the run options say.

    Returns:
        The AppWrapper, with model objects inside.

    Raises:
        TypeError: A mount is of an unknown type, or an overlay does not fit to the pod.
        ValueError: A key of an overlay is malformed.
    """
    models = Models()
    items: list[dict[str, Any]] = []
    if settings.coscheduler_name is not None:
        items += [
            pod_group(app, role, role_idx, settings.namespace, app_id)
            for role_idx, role in enumerate(app.roles)
        ]
    items += [_item(pod) for pod in replica_pods(app, app_id, settings, models)]
    items.append(_item(service(app, app_id, settings.namespace, port_of_service(app), models)))
    spec: dict[str, Any] = {"resources": {"GenericItems": items}}
    if settings.priority is not None:
        spec["priority"] = settings.priority
    retries = min(role.max_retries for role in app.roles)
    if retries > 0:
        total = sum(role.num_replicas for role in app.roles)
        enable_retry(spec, retries, total, settings.requeue_after_s)
    metadata: dict[str, Any] = {"name": app_id, "namespace": settings.namespace}
    if settings.quota_labels:
        metadata["labels"] = dict(settings.quota_labels)
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": "AppWrapper",
        "metadata": metadata,
        "spec": spec,
    }


def enable_retry(
    job_spec: dict[str, Any],
    appwrapper_retries: int,
    total_pods: int,
    after_s: int = REQUEUE_AFTER_S,
) -> None:
    """Has an app started again when not all of its pods run or have succeeded.

    Args:
        job_spec: The spec of its AppWrapper, which is changed.
        appwrapper_retries: How often it may be started again.
        total_pods: Number of its pods.
        after_s: Seconds after which MCAD looks for the first time; then twice as many, and so on.
    """
    job_spec["schedulingSpec"] = {
        "minAvailable": total_pods,
        "requeuing": {
            "timeInSeconds": after_s,
            "maxTimeInSeconds": 0,
            "growthType": "exponential",
            "maxNumRequeuings": appwrapper_retries,
        },
    }


def check_app(app: AppDef) -> None:
    """Checks what has to be right for an app to become an AppWrapper.

    Args:
        app: The app.

    Raises:
        ValueError: Kubernetes cannot run it. All faults are told.
        TypeError: A variable is no text.
    """
    if not app.roles:
        raise ValueError(f"the app {app.name!r} has no roles; give it at least one")
    faults = [
        f"role {role.name!r} has {role.num_replicas} replicas; give it at least one"
        for role in app.roles
        if role.num_replicas < 1
    ]
    faults += port_faults(role for role in app.roles if role.port_map)
    if faults:
        raise ValueError("; ".join(faults))
    check_contents(app.roles)


def unmet_retries(app: AppDef) -> dict[str, str]:
    """Finds the roles whose retries mean something else than MCAD does.

    Args:
        app: The app.

    Returns:
        Name of a role -> what is done instead.
    """
    least = min(role.max_retries for role in app.roles)
    replicas = sum(role.num_replicas for role in app.roles)
    unmet = {}
    for role in app.roles:
        if role.max_retries > least:
            unmet[role.name] = f"the whole app is started again at most {least} times"
        elif role.max_retries and role.retry_policy != RetryPolicy.APPLICATION and replicas > 1:
            unmet[role.name] = "the whole app is started again"
    return unmet


def pod_group(
    app: AppDef, role: Role, role_idx: int, namespace: str, app_id: str
) -> dict[str, Any]:
    """Makes the PodGroup by which a coscheduler starts all pods of a role together.

    Args:
        app: The app.
        role: The role.
        role_idx: Position of the role in the app.
        namespace: Namespace.
        app_id: Unique name of the app.

    Returns:
        The item of an AppWrapper.
    """
    return _item(
        {
            "apiVersion": "scheduling.sigs.k8s.io/v1alpha1",
            "kind": "PodGroup",
            "metadata": {
                "name": pod_group_name(app_id, role_idx),
                "namespace": namespace,
                "labels": {**object_labels(app, app_id), LABEL_APPWRAPPER: app_id},
            },
            "spec": {"minMember": role.num_replicas},
        }
    )


def service(
    app: AppDef, svc_name: str, namespace: str, service_port: str, models: Models | None = None
) -> V1Service:
    """Makes the service that gives each pod a host name.

    Args:
        app: The app.
        svc_name: Name of the service, which is that of the app.
        namespace: Namespace.
        service_port: Port number as text.
        models: Makes the objects; hand the same one on to save time.

    Returns:
        The service, which is headless: all other ports can be reached as well.
    """
    models = models or Models()
    labels, port = object_labels(app, svc_name), int(service_port)
    made: V1Service = models.V1Service(
        api_version="v1",
        kind="Service",
        metadata=models.V1ObjectMeta(name=svc_name, namespace=namespace, labels=labels),
        spec=models.V1ServiceSpec(
            cluster_ip="None",
            # Replicas look for each other before they are ready.
            publish_not_ready_addresses=True,
            ports=[models.V1ServicePort(protocol="TCP", port=port, target_port=port)],
            # Some versions of MCAD label pods with an older key of their own.
            selector={"app.kubernetes.io/instance": labels["app.kubernetes.io/instance"]},
            session_affinity="None",
            type="ClusterIP",
        ),
        status=models.V1ServiceStatus(load_balancer={}),
    )
    return made


def port_of_service(app: AppDef) -> str:
    """Chooses the port of the service of an app.

    Args:
        app: The app.

    Returns:
        The last port of the last role that has one, or ``29500``.
    """
    ports = [port for role in app.roles for port in (role.port_map or {}).values()]
    port = int(ports[-1]) if ports else DEFAULT_PORT
    if not 0 < port < 65536:
        warnings.warn(
            f"port {port} of the app `{app.name}` is not from 1 to 65535: its service has port"
            f" {DEFAULT_PORT} instead",
            stacklevel=3,
        )
        port = DEFAULT_PORT
    return str(port)


def _item(template: Any) -> dict[str, Any]:
    return {"replicas": 1, "generictemplate": template}
