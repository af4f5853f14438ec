"""The scheduler ``kubernetes_mcad``: runs apps as AppWrappers, which MCAD queues and dispatches.

An app is one AppWrapper that holds a pod for each replica, a service, and with a coscheduler a
PodGroup for each role. Cancelling removes it from the cluster, with its pods and their logs.
``torchx.schedulers.kubernetes_mcad`` holds the parts; this module joins them and has the published
names.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torchx.schedulers.api import AppDef, AppDryRunInfo, AppState, runopts
from torchx.schedulers.ids import make_unique
from torchx.schedulers.kubernetes.errors import named_object
from torchx.schedulers.kubernetes.handles import own_roles
from torchx.schedulers.kubernetes.labels import (
    LABEL_APP_NAME,
    LABEL_KUBE_APP_NAME,
    LABEL_ORGANIZATION,
    LABEL_REPLICA_ID,
    LABEL_ROLE_INDEX,
    LABEL_ROLE_NAME,
    LABEL_UNIQUE_NAME,
    LABEL_VERSION,
)
from torchx.schedulers.kubernetes.logs import prefix_container_name
from torchx.schedulers.kubernetes.models import sanitize_for_serialization
from torchx.schedulers.kubernetes.names import app_id_of
from torchx.schedulers.kubernetes.pod import (
    ANNOTATION_ISTIO_SIDECAR,
    LABEL_INSTANCE_TYPE,
    RESERVED_MEMMB,
    RESERVED_MILLICPU,
)
from torchx.schedulers.kubernetes.retries import RETRY_POLICIES
from torchx.schedulers.kubernetes_mcad import appwrapper, names, parse, pods, states
from torchx.schedulers.kubernetes_mcad.names import cleanup_str
from torchx.schedulers.kubernetes_mcad.options import Opts, options_of
from torchx.schedulers.kubernetes_mcad.request import KubernetesMCADJob
from torchx.schedulers.kubernetes_mcad.roles import get_role_information
from torchx.schedulers.kubernetes_mcad.validation import validate
from torchx.schedulers.kubernetes_mcad.watching import AppWrapperScheduler
from torchx.specs.api import ReplicaState
from torchx.workspace.docker_workspace import DockerWorkspaceMixin

if TYPE_CHECKING:
    from docker import DockerClient
    from kubernetes.client import ApiClient, ApiException

__all__ = [
    "ANNOTATION_ISTIO_SIDECAR",
    "JOB_STATE",
    "LABEL_APP_NAME",
    "LABEL_INSTANCE_TYPE",
    "LABEL_KUBE_APP_NAME",
    "LABEL_ORGANIZATION",
    "LABEL_REPLICA_ID",
    "LABEL_ROLE_INDEX",
    "LABEL_ROLE_NAME",
    "LABEL_UNIQUE_NAME",
    "LABEL_VERSION",
    "RESERVED_MEMMB",
    "RESERVED_MILLICPU",
    "RETRY_POLICIES",
    "TASK_STATE",
    "KubernetesMCADJob",
    "KubernetesMCADOpts",
    "KubernetesMCADScheduler",
    "Opts",
    "app_to_resource",
    "cleanup_str",
    "create_pod_group",
    "create_scheduler",
    "enable_retry",
    "get_appwrapper_status",
    "get_port_for_service",
    "get_role_information",
    "get_tasks_status_description",
    "get_unique_truncated_appid",
    "logger",
    "make_unique",
    "mcad_svc",
    "object_labels",
    "pod_labels",
    "prefix_container_name",
    "role_to_pod",
    "sanitize_for_serialization",
]

logger: logging.Logger = logging.getLogger(__name__)

JOB_STATE: dict[str, AppState] = states.JOB_STATE
TASK_STATE: dict[str, ReplicaState] = states.TASK_STATE

# Published names of what lives in the parts.
KubernetesMCADOpts = Opts
create_pod_group = appwrapper.pod_group
enable_retry = appwrapper.enable_retry
get_appwrapper_status = parse.get_appwrapper_status
get_port_for_service = appwrapper.port_of_service
get_tasks_status_description = states.get_tasks_status_description
mcad_svc = appwrapper.service
object_labels = pods.object_labels
pod_labels = pods.pod_labels
role_to_pod = pods.role_to_pod


def get_unique_truncated_appid(app: AppDef) -> str:
    """Names an app so that the names of all of its objects are short enough.

    Args:
        app: The app, which is not changed.

    Returns:
        The name, which ends with a random id.
    """
    return names.unique_app_name(app, make_unique)


def app_to_resource(
    app: AppDef,
    namespace: str,
    service_account: str | None,
    image_secret: str | None,
    coscheduler_name: str | None,
    priority_class_name: str | None,
    network: str | None,
    priority: int | None = None,
) -> dict[str, Any]:
    """Makes the AppWrapper of an app.

    Args:
        app: The app.
        namespace: Namespace.
        service_account: Service account of the pods; ``None`` for that of the namespace.
        image_secret: Name of the secret to pull images with.
        coscheduler_name: Scheduler that starts all pods of a role together.
        priority_class_name: Priority class of the pods.
        network: Additional network of the pods.
        priority: Priority in the queue of MCAD.

    Returns:
        The AppWrapper, with model objects inside.

    Raises:
        ValueError: Kubernetes cannot run such an app.
        TypeError: A mount is of an unknown type, or an overlay does not fit to the pod.
    """
    settings = pods.Settings(
        namespace,
        service_account,
        image_secret,
        coscheduler_name,
        priority_class_name,
        network,
        priority,
    )
    return _appwrapper(app, settings)


def _appwrapper(app: AppDef, settings: pods.Settings) -> dict[str, Any]:
    appwrapper.check_app(app)
    return appwrapper.make_appwrapper(app, get_unique_truncated_appid(app), settings)


class KubernetesMCADScheduler(DockerWorkspaceMixin, AppWrapperScheduler[Opts]):
    """Runs apps on a Kubernetes cluster with MCAD.

    Args:
        session_name: Name under which this client submits apps.
        client: Client of the cluster; by default one is made when it is needed.
        docker_client: Client of the Docker engine that images are pushed from, likewise.
    """

    _pushes_images = True

    def __init__(
        self,
        session_name: str,
        client: ApiClient | None = None,
        docker_client: DockerClient | None = None,
    ) -> None:
        super().__init__("kubernetes_mcad", session_name, docker_client=docker_client)
        self._client = self._given_client = client

    def _run_opts(self) -> runopts:
        return Opts.as_runopts()

    def _validate(self, app: AppDef, scheduler: str, cfg: Opts | None = None) -> None:
        """Accepts roles without resources: their pods have no limits."""

    def _submit_dryrun(self, app: AppDef, cfg: Opts) -> AppDryRunInfo[KubernetesMCADJob]:
        opts = options_of(cfg)
        pushed = own_roles(app, opts.namespace)
        images_to_push = self.dryrun_push_images(pushed, opts)
        job = KubernetesMCADJob(images_to_push, _appwrapper(pushed, pods.settings_of(opts)))
        for name, instead in appwrapper.unmet_retries(app).items():
            logger.warning("MCAD cannot do the retries of role `%s`: %s", name, instead)
        if opts.validate_spec:
            validate(job)
        info = AppDryRunInfo(job, repr)
        info._app = app
        info._cfg = cfg
        return info

    def planned_app_id(self, dryrun_info: AppDryRunInfo[KubernetesMCADJob]) -> str:
        """Names the id that :meth:`schedule` will return.

        Args:
            dryrun_info: The request.

        Returns:
            The id.
        """
        resource = dryrun_info.request.resource
        return app_id_of(_namespace(dryrun_info), resource["metadata"]["name"])

    def schedule(self, dryrun_info: AppDryRunInfo[KubernetesMCADJob]) -> str:
        """Pushes the images of an app and creates its AppWrapper.

        Args:
            dryrun_info: The request.

        Returns:
            The id of the app, ``namespace:name``.

        Raises:
            ValueError: The cluster has an AppWrapper of that name already.
            KubernetesError: The cluster refuses it (an ``ApiException``, too) or does not answer.
        """
        job, namespace = dryrun_info.request, _namespace(dryrun_info)
        self._use_context((dryrun_info._cfg or {}).get("context"))
        self.push_images(job.images_to_push)
        return app_id_of(namespace, self._apps().create(namespace, job.resource))

    def _get_job_name_from_exception(self, e: ApiException) -> str | None:
        return named_object(e, logger)


def create_scheduler(
    session_name: str,
    client: ApiClient | None = None,
    docker_client: DockerClient | None = None,
    kube_context: str | None = None,
    **kwargs: Any,
) -> KubernetesMCADScheduler:
    """Creates the scheduler, without contacting a cluster.

    Args:
        session_name: Name under which the client submits apps.
        client: Client of the cluster; by default one is made when it is needed.
        docker_client: Client of the Docker engine, likewise.
        kube_context: Context of the kubeconfig; by default the current one. The variable
            ``TORCHX_KUBE_CONTEXT`` sets it for every command.
        **kwargs: Ignored.

    Returns:
        The scheduler.
    """
    scheduler = KubernetesMCADScheduler(session_name, client=client, docker_client=docker_client)
    scheduler.context = kube_context
    return scheduler


def _namespace(dryrun_info: AppDryRunInfo[KubernetesMCADJob]) -> str:
    cfg: Mapping[str, Any] = dryrun_info._cfg or {}
    return str(cfg.get("namespace") or "default")
