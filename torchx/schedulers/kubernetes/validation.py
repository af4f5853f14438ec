"""Checks a request before it is submitted: by the cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from torchx.schedulers.kubernetes.job import KubernetesJob
from torchx.schedulers.kubernetes.names import check_pod_name, host_name, volcano_pod_name
from torchx.schedulers.kubernetes.volcano import GROUP, PLURAL, VERSION

if TYPE_CHECKING:
    from kubernetes.client import ApiClient, CustomObjectsApi


class Cluster(Protocol):
    """What there is of a cluster."""

    def _api_client(self) -> ApiClient: ...

    def _custom_objects_api(self) -> CustomObjectsApi: ...


def validate(job: KubernetesJob, namespace: str, cluster: Cluster) -> None:
    """Checks a request.

    Args:
        job: The request.
        namespace: Namespace to submit it to.
        cluster: The cluster.

    Raises:
        ValueError: The cluster would refuse it.
    """
    for name in _pod_names(job):
        check_pod_name(name)
    if not job.is_plain():
        _dry_run_volcano(job, namespace, cluster)


def _pod_names(job: KubernetesJob) -> list[str]:
    name: str = job.resource["metadata"]["name"]
    if not job.is_plain():
        tasks: list[dict[str, Any]] = job.resource["spec"]["tasks"]
        return [volcano_pod_name(name, task["name"], task["replicas"] - 1) for task in tasks]
    jobs = [each for each in (job.resource, *job.dependents) if each["kind"] == "Job"]
    return [host_name(each["metadata"]["name"], each["spec"]["completions"] - 1) for each in jobs]


def _dry_run_volcano(job: KubernetesJob, namespace: str, cluster: Cluster) -> None:
    from kubernetes.client.rest import ApiException

    try:
        cluster._custom_objects_api().create_namespaced_custom_object(
            group=GROUP,
            version=VERSION,
            namespace=namespace,
            plural=PLURAL,
            body=job.resource,
            dry_run="All",
        )
    except ApiException as error:
        raise ValueError(f"Invalid job spec: {error.reason}") from error
