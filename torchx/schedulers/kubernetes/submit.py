"""Creates the objects of an app in a cluster: all of them, or none."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from torchx.schedulers.kubernetes.errors import from_exception
from torchx.schedulers.kubernetes.job import KubernetesJob
from torchx.schedulers.kubernetes.refusals import KubernetesAppError
from torchx.schedulers.kubernetes.volcano import GROUP, PLURAL, VERSION

if TYPE_CHECKING:
    from kubernetes.client import ApiClient, CustomObjectsApi
    from kubernetes.client.exceptions import ApiException

logger = logging.getLogger(__name__)


def create_volcano(job: KubernetesJob, namespace: str, api: CustomObjectsApi) -> str:
    """Creates a Volcano Job.

    Args:
        job: The request.
        namespace: Namespace to create it in.
        api: The cluster.

    Returns:
        Name of the Job.

    Raises:
        ValueError: There is one of that name already.
        ApiException: The cluster refuses it.
    """
    from kubernetes.client.rest import ApiException

    try:
        created = api.create_namespaced_custom_object(
            group=GROUP, version=VERSION, namespace=namespace, plural=PLURAL, body=job.resource
        )
    except ApiException as error:
        raise _refusal(error, job.resource) from error
    name: str = created["metadata"]["name"]
    return name


def create_plain(job: KubernetesJob, namespace: str, client: ApiClient) -> None:
    """Creates plain Jobs and their Services. If one cannot be created, none of them is left.

    Args:
        job: The request.
        namespace: Namespace to create them in.
        client: The cluster.

    Raises:
        ValueError: There is one of these names already.
        ApiException: The cluster refuses one.
    """
    first = _create(job.resource, namespace, client)
    owner = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "name": first.metadata.name,
        "uid": first.metadata.uid,
        "controller": False,
        "blockOwnerDeletion": True,
    }
    try:
        for dependent in job.dependents:
            metadata = {**dependent["metadata"], "ownerReferences": [owner]}
            _create({**dependent, "metadata": metadata}, namespace, client)
    except BaseException:
        _delete(first.metadata.name, namespace, client)
        raise


def _create(body: dict[str, Any], namespace: str, client: ApiClient) -> Any:
    from kubernetes.client import BatchV1Api, CoreV1Api
    from kubernetes.client.rest import ApiException

    try:
        if body["kind"] == "Service":
            return CoreV1Api(client).create_namespaced_service(namespace=namespace, body=body)
        return BatchV1Api(client).create_namespaced_job(namespace=namespace, body=body)
    except ApiException as error:
        raise _refusal(error, body) from error


def _delete(name: str, namespace: str, client: ApiClient) -> None:
    """Deletes the first Job, and with it what it owns."""
    from kubernetes.client import BatchV1Api
    from kubernetes.client.rest import ApiException

    try:
        BatchV1Api(client).delete_namespaced_job(
            name=name, namespace=namespace, propagation_policy="Background"
        )
    except ApiException as error:
        logger.warning(
            "the Job %s/%s is left of an app that could not be submitted: it could not be deleted"
            " (%s %s)",
            namespace,
            name,
            error.status,
            error.reason,
        )


def _refusal(error: ApiException, body: dict[str, Any]) -> Exception:
    kind, name = body.get("kind", "Job"), (body.get("metadata") or {}).get("name", "")
    if error.status == 409 and error.reason == "Conflict":
        return KubernetesAppError(f"the {kind} `{name}` already exists; resubmit the app")
    return from_exception(error, f"create the {kind} {name}", f"/apis/{body.get('apiVersion')}/")
