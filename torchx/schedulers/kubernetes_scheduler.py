"""The scheduler ``kubernetes``: runs apps as plain Jobs, or with a queue as Volcano Jobs.

Kubernetes keeps the objects, and their labels tell all that is needed: any process can ask about an
app, whoever submitted it.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from torchx.schedulers.api import AppDef, AppDryRunInfo, runopts
from torchx.schedulers.ids import make_unique
from torchx.schedulers.kubernetes import submit, validation
from torchx.schedulers.kubernetes.apps import Shape
from torchx.schedulers.kubernetes.errors import named_object, translated
from torchx.schedulers.kubernetes.handles import own_roles
from torchx.schedulers.kubernetes.job import KubernetesJob
from torchx.schedulers.kubernetes.labels import (
    LABEL_APP_NAME,
    LABEL_KUBE_APP_NAME,
    LABEL_ORGANIZATION,
    LABEL_REPLICA_ID,
    LABEL_ROLE_INDEX,
    LABEL_ROLE_NAME,
    LABEL_UNIQUE_NAME,
    LABEL_VERSION,
    pod_labels,
)
from torchx.schedulers.kubernetes.logs import prefix_container_name
from torchx.schedulers.kubernetes.models import sanitize_for_serialization
from torchx.schedulers.kubernetes.names import app_id_of, check_app
from torchx.schedulers.kubernetes.options import Opts, options_of, plain_settings, pod_settings
from torchx.schedulers.kubernetes.overlay import _apply_pod_overlay
from torchx.schedulers.kubernetes.plain import make_plain_objects
from torchx.schedulers.kubernetes.pod import (
    ANNOTATION_ISTIO_SIDECAR,
    LABEL_INSTANCE_TYPE,
    PLACEHOLDER_FIELD_PATH,
    RESERVED_MEMMB,
    RESERVED_MILLICPU,
    role_to_pod,
)
from torchx.schedulers.kubernetes.replicas import PodSettings
from torchx.schedulers.kubernetes.retries import (
    RETRY_POLICIES,
    unmet_by_plain,
    warn_of_volcano_retries,
)
from torchx.schedulers.kubernetes.states import JOB_STATE, TASK_STATE
from torchx.schedulers.kubernetes.volcano import make_volcano_job
from torchx.schedulers.kubernetes.watched_jobs import JobScheduler
from torchx.util.strings import normalize_str
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
    "PLACEHOLDER_FIELD_PATH",
    "RESERVED_MEMMB",
    "RESERVED_MILLICPU",
    "RETRY_POLICIES",
    "TASK_STATE",
    "KubernetesJob",
    "KubernetesOpts",
    "KubernetesScheduler",
    "Opts",
    "_apply_pod_overlay",
    "app_to_resource",
    "create_scheduler",
    "logger",
    "make_unique",
    "normalize_str",
    "pod_labels",
    "prefix_container_name",
    "role_to_pod",
    "sanitize_for_serialization",
]

logger: logging.Logger = logging.getLogger(__name__)

KubernetesOpts = Opts


def app_to_resource(
    app: AppDef,
    queue: str,
    service_account: str | None,
    priority_class: str | None = None,
    reserved_millicpu: int = RESERVED_MILLICPU,
    reserved_memmb: int = RESERVED_MEMMB,
    efa_device_count: int | None = None,
) -> dict[str, Any]:
    """Makes a Volcano Job of an app.

    Args:
        app: The app.
        queue: Queue of Volcano.
        service_account: Service account of the pods; ``None`` for that of the namespace.
        priority_class: Priority class of the Job.
        reserved_millicpu: Thousandths of a CPU to request less than a role asks for.
        reserved_memmb: Memory in MB to request less than a role asks for.
        efa_device_count: Elastic Fabric Adapters; ``None`` leaves what the resource says.

    Returns:
        The Job; the templates of its tasks are ``V1Pod``.

    Raises:
        ValueError: Kubernetes cannot run such an app.
        TypeError: A mount is of an unknown type, or an overlay does not fit to the pod.
    """
    pods = PodSettings(
        service_account=service_account,
        reserved_millicpu=reserved_millicpu,
        reserved_memmb=reserved_memmb,
        efa_device_count=efa_device_count,
    )
    return _volcano_job(app, queue, pods, priority_class)


def _volcano_job(
    app: AppDef, queue: str, pods: PodSettings, priority_class: str | None
) -> dict[str, Any]:
    name = _unique_name(app)
    warn_of_volcano_retries(app.roles)
    return make_volcano_job(app, name, queue, pods, priority_class)


def _unique_name(app: AppDef) -> str:
    name = normalize_str(make_unique(app.name))
    check_app(app, name)
    return name


class KubernetesScheduler(DockerWorkspaceMixin, JobScheduler[Opts]):
    """Runs apps on a Kubernetes cluster.

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
        super().__init__("kubernetes", session_name, docker_client=docker_client)
        self._client = self._given_client = client

    def _run_opts(self) -> runopts:
        return Opts.as_runopts()

    def _validate(self, app: AppDef, scheduler: str, cfg: Opts | None = None) -> None:
        """Accepts roles without resources: their pods have no limits."""

    def _submit_dryrun(self, app: AppDef, cfg: Opts) -> AppDryRunInfo[KubernetesJob]:
        opts = options_of(cfg)
        self._use_context(opts.context)
        pushed = own_roles(app, opts.namespace)
        images_to_push = self.dryrun_push_images(pushed, opts)
        if opts.queue is None:
            resource, *dependents = self._plain_objects(pushed, opts)
        else:
            resource = _volcano_job(pushed, opts.queue, pod_settings(opts), opts.priority_class)
            dependents = []
            if opts.ttl_s is not None:
                resource["spec"]["ttlSecondsAfterFinished"] = opts.ttl_s
        job = KubernetesJob(images_to_push, resource, dependents)
        if opts.validate_spec:
            validation.validate(job, opts.namespace, self)
        info = AppDryRunInfo(job, repr)
        info._app = app
        info._cfg = cfg
        return info

    def _plain_objects(self, app: AppDef, opts: Opts) -> list[dict[str, Any]]:
        name = _unique_name(app)
        for role in unmet_by_plain(app.roles):
            logger.warning(
                "role `%s`: plain Kubernetes starts only the replica that failed again, not all"
                " that its retry policy says; set the run option `queue` to use Volcano, which"
                " restarts the whole job",
                role,
            )
        return make_plain_objects(app, name, pod_settings(opts), plain_settings(opts))

    def planned_app_id(self, dryrun_info: AppDryRunInfo[KubernetesJob]) -> str:
        """Names the id that :meth:`schedule` will return.

        Args:
            dryrun_info: The request.

        Returns:
            The id.
        """
        job = dryrun_info.request
        return app_id_of(self._namespace(dryrun_info), job.app_name())

    def schedule(self, dryrun_info: AppDryRunInfo[KubernetesJob]) -> str:
        """Pushes the images of an app and creates its objects: all of them, or none.

        Args:
            dryrun_info: The request.

        Returns:
            The id of the app, ``namespace:name``.

        Raises:
            ValueError: The cluster has a job of that name already.
            ApiException: The cluster refuses it.
        """
        job, namespace = dryrun_info.request, self._namespace(dryrun_info)
        self._use_context((dryrun_info._cfg or {}).get("context"))
        self.push_images(job.images_to_push)
        with translated("submit the app", api_client=self._api_client()):
            if not job.is_plain():
                name = submit.create_volcano(job, namespace, self._custom_objects_api())
                return app_id_of(namespace, name)
            submit.create_plain(job, namespace, self._api_client())
        app_id = app_id_of(namespace, job.app_name())
        self._apps().remember(app_id, Shape.PLAIN)
        return app_id

    def _namespace(self, dryrun_info: AppDryRunInfo[KubernetesJob]) -> str:
        given = (dryrun_info._cfg or {}).get("namespace")
        return str(given) if given else "default"

    def _get_job_name_from_exception(self, e: ApiException) -> str | None:
        return named_object(e, logger)


def create_scheduler(
    session_name: str,
    client: ApiClient | None = None,
    docker_client: DockerClient | None = None,
    kube_context: str | None = None,
    **kwargs: Any,
) -> KubernetesScheduler:
    """Creates the scheduler, without contacting a cluster.

    Args:
        session_name: Name under which the client submits apps.
        client: Client of the cluster; by default one is made when it is needed.
        docker_client: Client of the Docker engine, likewise.
        kube_context: Context of the kubeconfig; by default the current one. The variable
            ``TORCHX_KUBE_CONTEXT`` sets it for all commands.
        **kwargs: Ignored.

    Returns:
        The scheduler.
    """
    scheduler = KubernetesScheduler(session_name, client=client, docker_client=docker_client)
    scheduler.context = kube_context
    return scheduler
