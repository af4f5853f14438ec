"""Checks a request before it is submitted: by the cluster, or else by the schema of torchx."""

from __future__ import annotations

import contextlib
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Protocol

from torchx.schedulers.kubernetes import paths
from torchx.schedulers.kubernetes.errors import from_exception, status_of_body
from torchx.schedulers.kubernetes.job import KubernetesJob
from torchx.schedulers.kubernetes.names import check_pod_name, host_name, volcano_pod_name
from torchx.schedulers.kubernetes.refusals import KubernetesAppError
from torchx.schedulers.kubernetes.schema import faults_of
from torchx.schedulers.kubernetes.volcano import GROUP, PLURAL, VERSION

if TYPE_CHECKING:
    from kubernetes.client import ApiClient, ApiException, CustomObjectsApi

logger = logging.getLogger(__name__)

_LARGE_BYTES = 1_400_000
_SPEC_IS_WRONG = (400, 409, 413, 422)
_NO_CONFIGURATION = "there is no kubeconfig"
_UNCONFIGURED_HOSTS = ("", "http://localhost", "http://localhost:80")


class Cluster(Protocol):
    """How a cluster is reached."""

    def _api_client(self) -> ApiClient: ...

    def _custom_objects_api(self) -> CustomObjectsApi: ...


def check_names(job: KubernetesJob) -> None:
    """Checks the names that pods, or their hosts, will have.

    Args:
        job: The request.

    Raises:
        ValueError: One is too long.
    """
    for name in _pod_names(job):
        check_pod_name(name)


def validate(job: KubernetesJob, namespace: str, cluster: Cluster) -> None:
    """Checks whether a cluster would take a request; where none answers, the schema decides.

    Args:
        job: The request.
        namespace: Namespace to submit it to.
        cluster: The cluster.

    Raises:
        ValueError: The request is wrong.
        KubernetesError: The cluster does not accept the credentials, does not let this user create
            jobs, or lacks the namespace or Volcano.
    """
    check_names(job)
    _warn_of_size(job)
    path = paths.jobs(namespace) if job.is_plain() else paths.volcano_jobs(namespace)
    reason = _unanswered(lambda: _dry_run(job, namespace, cluster), cluster, path)
    if reason is None:
        return
    logger.warning(
        "no cluster could check the job (%s), it was checked by the schema that comes with torchx",
        reason,
    )
    faults = faults_of(job.data())
    if faults:
        raise KubernetesAppError(f"Invalid job spec: {'; '.join(faults)}")


def _warn_of_size(job: KubernetesJob) -> None:
    if job.is_plain():
        return
    size = len(json.dumps(job.data()))
    if size > _LARGE_BYTES:
        logger.warning(
            "the Volcano Job has %.1f MB, and clusters keep no object above 1.5 MB; if it is"
            " refused, use fewer replicas, or leave `queue` out: plain Jobs do not grow",
            size / 1e6,
        )


def _pod_names(job: KubernetesJob) -> list[str]:
    name: str = job.resource["metadata"]["name"]
    if not job.is_plain():
        tasks: list[dict[str, Any]] = job.resource["spec"]["tasks"]
        return [volcano_pod_name(name, task["name"], task["replicas"] - 1) for task in tasks]
    jobs = [item for item in (job.resource, *job.dependents) if item["kind"] == "Job"]
    return [host_name(item["metadata"]["name"], item["spec"]["completions"] - 1) for item in jobs]


def _dry_run(job: KubernetesJob, namespace: str, cluster: Cluster) -> None:
    if not job.is_plain():
        cluster._custom_objects_api().create_namespaced_custom_object(
            group=GROUP,
            version=VERSION,
            namespace=namespace,
            plural=PLURAL,
            body=job.resource,
            dry_run="All",
        )
        return
    from kubernetes.client import BatchV1Api, CoreV1Api

    client = cluster._api_client()
    for item in (job.resource, *job.dependents):
        if item["kind"] == "Service":
            api = CoreV1Api(client)
            api.create_namespaced_service(namespace=namespace, body=item, dry_run="All")
        else:
            jobs = BatchV1Api(client)
            jobs.create_namespaced_job(namespace=namespace, body=item, dry_run="All")


def _unanswered(dry_run: Callable[[], None], cluster: Cluster, path: str) -> str | None:
    """Returns why no cluster said whether a request is right, or None if one did."""
    from kubernetes.client import ApiException
    from kubernetes.config import ConfigException
    from urllib3.exceptions import HTTPError

    try:
        with _in_silence():
            dry_run()
    except ApiException as error:
        return _refused(error, _is_configured(cluster), path)
    except (ConfigException, HTTPError, OSError) as error:
        return _one_line(error) if _is_configured(cluster) else _NO_CONFIGURATION
    return None


@contextlib.contextmanager
def _in_silence() -> Iterator[None]:
    """Keeps warnings back: that no cluster can be reached is said later, in one line."""
    attempts = logging.getLogger("urllib3.connectionpool")
    level = attempts.level
    attempts.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        attempts.setLevel(level)


def _is_configured(cluster: Cluster) -> bool:
    return cluster._api_client().configuration.host not in _UNCONFIGURED_HOSTS


def _refused(error: ApiException, is_configured: bool, path: str) -> str:
    """Raises if a cluster has refused a request; returns why it could not tell."""
    message = _message(error)
    if error.status in _SPEC_IS_WRONG:
        raise KubernetesAppError(f"Invalid job spec: {message}") from error
    if not is_configured:
        return _NO_CONFIGURATION
    if error.status == 403 and "cannot create resource" not in message:
        # A quota, or an admission webhook.
        raise KubernetesAppError(f"Invalid job spec: {message}") from error
    if error.status in (401, 403, 404):
        raise from_exception(error, "submit the job", path) from error
    return message


def _message(error: ApiException) -> str:
    """Returns the words of the cluster, which may be those of an admission webhook."""
    message = status_of_body(error.body).get("message")
    return str(message or error.reason or f"HTTP {error.status}")


def _one_line(error: BaseException) -> str:
    # Errors of urllib3 hold those that they come from, at length.
    reason = getattr(error, "reason", None) or error
    return " ".join(str(reason).split())
