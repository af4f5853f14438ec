"""Turns replicas into the pods that are wrapped in an AppWrapper. No I/O but for overlay files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from torchx.schedulers.kubernetes import labels, pod
from torchx.schedulers.kubernetes.expansion import SLOT
from torchx.schedulers.kubernetes.labels import ANNOTATION_ROLE_NAME, clean_label_value
from torchx.schedulers.kubernetes.models import Models, filled
from torchx.schedulers.kubernetes.overlay import _apply_pod_overlay, addressed_to, overlay_of
from torchx.schedulers.kubernetes.replicas import ENV_RANK0_HOST
from torchx.schedulers.kubernetes_mcad.names import hosts_variable, pod_group_name, pod_name
from torchx.schedulers.kubernetes_mcad.options import REQUEUE_AFTER_S, Opts
from torchx.specs.api import AppDef, Role, macros

if TYPE_CHECKING:
    from kubernetes.client.models import V1Pod

LABEL_POD_GROUP = "pod-group.scheduling.sigs.k8s.io"
"""Label of pods: the PodGroup that the coscheduler starts together."""

ANNOTATION_NETWORK = "k8s.v1.cni.cncf.io/networks"
"""Annotation of pods: the additional network that Multus gives to them."""


@dataclass
class Settings:
    """What the run options say about an app.

    Attributes:
        namespace: Namespace of its objects.
        service_account: Service account of pods; ``None`` for that of the namespace.
        image_secret: Name of the secret to pull images with.
        coscheduler_name: Scheduler that starts all pods of a role together.
        priority_class_name: Priority class of pods.
        network: Additional network of pods.
        priority: Priority in the queue of MCAD.
        quota_labels: Labels by which MCAD finds the quota to charge.
        requeue_after_s: Seconds after which MCAD looks whether it has to be started again.
        reserved_millicpu: Thousandths of a CPU to request less than a role asks for.
        reserved_memmb: Memory in MB to request less than a role asks for.
    """

    namespace: str
    service_account: str | None = None
    image_secret: str | None = None
    coscheduler_name: str | None = None
    priority_class_name: str | None = None
    network: str | None = None
    priority: int | None = None
    quota_labels: Mapping[str, str] | None = None
    requeue_after_s: int = REQUEUE_AFTER_S
    reserved_millicpu: int = pod.RESERVED_MILLICPU
    reserved_memmb: int = pod.RESERVED_MEMMB


def settings_of(opts: Opts) -> Settings:
    """Reads from run options what concerns the objects of an app.

    Args:
        opts: The run options.

    Returns:
        The settings.
    """
    return Settings(**{field.name: getattr(opts, field.name) for field in fields(Settings)})


def role_to_pod(
    name: str,
    unique_app_id: str,
    namespace: str,
    role: Role,
    service_account: str | None,
    image_secret: str | None,
    coscheduler_name: str | None,
    priority_class_name: str | None,
    network: str | None,
) -> V1Pod:
    """Makes the pod of a replica; macros in the role are left as they are.

    Args:
        name: Name of the pod.
        unique_app_id: Unique name of the app.
        namespace: Namespace.
        role: The role.
        service_account: Service account of the pod; ``None`` for that of the namespace.
        image_secret: Name of the secret to pull the image with.
        coscheduler_name: Scheduler that starts all pods of a role together.
        priority_class_name: Priority class of the pod.
        network: Additional network of the pod.

    Returns:
        The pod, without labels. It has one variable more than the role: the host of the first
        replica of the app.

    Raises:
        TypeError: A mount is of an unknown type.
    """
    settings = Settings(
        namespace, service_account, image_secret, coscheduler_name, priority_class_name, network
    )
    hosts = {hosts_variable(role.name): host_of(unique_app_id, 0, 0)}
    return make_pod(name, unique_app_id, role, settings, hosts)


def object_labels(app: AppDef, app_id: str) -> dict[str, str]:
    """Returns the labels of an object that belongs to a whole app.

    Args:
        app: The app.
        app_id: Unique name of the app, without a namespace.

    Returns:
        A new dict.
    """
    everything = labels.app_labels(app, app_id)
    kept = (labels.LABEL_KUBE_APP_NAME, labels.LABEL_ORGANIZATION, labels.LABEL_UNIQUE_NAME)
    return {key: everything[key] for key in kept}


def pod_labels(
    app: AppDef,
    role_idx: int,
    role: Role,
    replica_id: int,
    coscheduler_name: str | None,
    app_id: str,
) -> dict[str, str]:
    """Returns the labels of the pod of one replica.

    Args:
        app: The app.
        role_idx: Position of the role in the app.
        role: The role.
        replica_id: Number of the replica within the role.
        coscheduler_name: Scheduler that starts all pods of a role together, if there is one.
        app_id: Unique name of the app, without a namespace.

    Returns:
        A new dict.
    """
    own = labels.pod_labels(app, role_idx, role, replica_id, app_id)
    if coscheduler_name is not None:
        own[LABEL_POD_GROUP] = pod_group_name(app_id, role_idx)
    return own


def make_pod(
    name: str,
    app_id: str,
    role: Role,
    settings: Settings,
    hosts: dict[str, str],
    models: Models | None = None,
) -> V1Pod:
    """Makes the pod of a replica; macros in the role are left as they are.

    Args:
        name: Name of the pod.
        app_id: Unique name of the app.
        role: The role.
        settings: What the run options say.
        hosts: Variables behind those of the role.
        models: Makes the objects; hand the same one on to save time.

    Returns:
        The pod, without labels.

    Raises:
        TypeError: A mount is of an unknown type.
    """
    models = models or Models()
    made = pod.role_to_pod(
        name,
        role,
        settings.service_account,
        settings.reserved_millicpu,
        settings.reserved_memmb,
        models=models,
    )
    made.api_version, made.kind = "v1", "Pod"
    made.metadata.name, made.metadata.namespace = name, settings.namespace
    if settings.network is not None:
        made.metadata.annotations[ANNOTATION_NETWORK] = settings.network
    spec = made.spec
    spec.containers[0].env += [
        models.V1EnvVar(name=variable, value=host) for variable, host in hosts.items()
    ]
    spec.hostname, spec.subdomain = name, app_id
    spec.image_pull_secrets = [models.V1LocalObjectReference(name=settings.image_secret)]
    spec.scheduler_name = settings.coscheduler_name
    spec.priority_class_name = settings.priority_class_name
    return made


def host_of(app_id: str, role_idx: int, replica_id: int) -> str:
    """Names the host of a replica as its service does.

    Args:
        app_id: Unique name of the app.
        role_idx: Position of the role in the app.
        replica_id: Number of the replica within the role.

    Returns:
        For example ``demo-x1-0.demo-x1``.
    """
    return f"{pod_name(app_id, role_idx, replica_id)}.{app_id}"


def replica_pods(app: AppDef, app_id: str, settings: Settings, models: Models) -> Iterator[V1Pod]:
    """Makes the pods of all replicas.

    Args:
        app: The app.
        app_id: Its unique name.
        settings: What the run options say.
        models: Makes the objects.

    Yields:
        The pods, role by role.

    Raises:
        TypeError: A mount is of an unknown type, or an overlay does not fit to the pod.
        ValueError: A key of an overlay is malformed.
    """
    for role_idx, role in enumerate(app.roles):
        templates = _Templates(app, app_id, role_idx, settings, models)
        for replica_id in range(role.num_replicas):
            made: V1Pod = filled(templates.of(replica_id), SLOT, str(replica_id))
            own = pod_labels(app, role_idx, role, replica_id, settings.coscheduler_name, app_id)
            made.metadata.labels = {**(made.metadata.labels or {}), **own}
            yield made


class _Templates:
    """Pods of a role with a mark for the number of the replica, each of which takes long to make.

    Args:
        app: The app.
        app_id: Its unique name.
        role_idx: Position of the role.
        settings: What the run options say.
        models: Makes the objects.
    """

    def __init__(
        self, app: AppDef, app_id: str, role_idx: int, settings: Settings, models: Models
    ) -> None:
        self._app_id, self._role_idx, self._role = app_id, role_idx, app.roles[role_idx]
        self._settings, self._models = settings, models
        self._rank0_variable = hosts_variable(app.roles[0].name)
        self._hosts = {hosts_variable(self._role.name): host_of(app_id, role_idx, 0)}
        self._hosts[self._rank0_variable] = host_of(app_id, 0, 0)
        self._overlay = overlay_of(self._role)
        self._made: dict[bool, V1Pod] = {}

    def of(self, replica_id: int) -> V1Pod:
        """Returns the pod that one of a replica is made from."""
        is_rank0 = self._role_idx == replica_id == 0
        if is_rank0 not in self._made:
            self._made[is_rank0] = self._make(is_rank0)
        return self._made[is_rank0]

    def _make(self, is_rank0: bool) -> V1Pod:
        values = macros.Values(
            img_root="",
            app_id=self._app_id,
            replica_id=SLOT,
            rank0_env=ENV_RANK0_HOST if is_rank0 else self._rank0_variable,
        )
        role = values.apply(self._role)
        if is_rank0:
            role.env.pop(ENV_RANK0_HOST, None)
            role.env[ENV_RANK0_HOST] = "localhost"
        name = pod_name(self._app_id, self._role_idx, SLOT)
        made = make_pod(name, self._app_id, role, self._settings, self._hosts, self._models)
        if clean_label_value(role.name) != role.name:
            made.metadata.annotations[ANNOTATION_ROLE_NAME] = role.name
        if self._overlay:
            overlay = values.substitute_all(self._overlay)
            _apply_pod_overlay(made, addressed_to(overlay, self._role, name))
        return made
