"""Finds, describes, ends and removes apps that are Volcano Jobs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from torchx.schedulers.api import DescribeAppResponse
from torchx.schedulers.kubernetes import access, parse_volcano, paths
from torchx.schedulers.kubernetes.errors import (
    KubernetesError,
    is_no_such_api,
    translated,
    unreachable,
)
from torchx.schedulers.kubernetes.parse_volcano import Gang, Task, tasks_of
from torchx.schedulers.kubernetes.pods import LABEL_VOLCANO_JOB, Pod, read_pods
from torchx.schedulers.kubernetes.watch import Listing
from torchx.schedulers.kubernetes.wire import Json, Wire
from torchx.specs.api import AppState, is_terminal

if TYPE_CHECKING:
    from kubernetes.client import ApiClient, CustomObjectsApi

log: logging.Logger = logging.getLogger(__name__)

_MISSING, _FORBIDDEN, _CONFLICT = 404, 403, 409
_LIST_TIMEOUT_S = 30
_CANCEL_TRIES = 5
_LIVE = ("Pending", "Running")


class VolcanoApps:
    """Apps that are Volcano Jobs, by the calls of the client library that are published.

    Args:
        api_client: Gives the client.
        custom_objects: Gives the API for custom objects.
        wire: Gives what sends all other requests.
    """

    def __init__(
        self,
        api_client: Callable[[], ApiClient],
        custom_objects: Callable[[], CustomObjectsApi],
        wire: Callable[[], Wire],
    ) -> None:
        self._api_client = api_client
        self._custom_objects = custom_objects
        self._wire = wire

    def is_real(self) -> bool:
        """Tells whether requests beside the published ones reach the same cluster.

        Returns:
            False without a cluster, and if somebody has put something in the place of the client.
        """
        is_original = access.is_original(self._custom_objects())
        return is_original and access.is_configured(self._api_client())

    def find(self, namespace: str, name: str) -> dict[str, Any] | None:
        """Reads a Job with one request.

        Args:
            namespace: Its namespace.
            name: Its name.

        Returns:
            The Job; ``None`` if there is none, or no Volcano.

        Raises:
            KubernetesError: The server refuses (an ``ApiException``, too) or does not answer.
        """
        api = self._custom_objects()
        try:
            with self._translated(f"read the Volcano job {name}", namespace):
                job: dict[str, Any] = api.get_namespaced_custom_object_status(
                    **paths.VOLCANO, namespace=namespace, name=name
                )
        except KubernetesError as error:
            if error.status != _MISSING:
                raise
            return None
        return job

    def is_installed(self) -> bool:
        """Tells whether the cluster has Volcano, which anybody may ask.

        Returns:
            True if it has.
        """
        try:
            self._wire().get(paths.VOLCANO_GROUP, "look for Volcano")
        except KubernetesError as error:
            return error.status != _MISSING
        return True

    def list_jobs(self, namespace: str) -> list[dict[str, Any]] | None:
        """Reads all Jobs of a namespace with one request.

        Args:
            namespace: The namespace.

        Returns:
            The Jobs; ``None`` if there is no Volcano.

        Raises:
            KubernetesError: The server refuses (an ``ApiException``, too) or does not answer.
        """
        api = self._custom_objects()
        try:
            with self._translated("list Volcano jobs", namespace):
                answer = api.list_namespaced_custom_object(
                    **paths.VOLCANO, namespace=namespace, timeout_seconds=_LIST_TIMEOUT_S
                )
        except KubernetesError as error:
            if is_no_such_api(error):
                return None
            raise
        return list(answer["items"])

    def describe(
        self, app_id: str, namespace: str, name: str, job: Mapping[str, Any]
    ) -> DescribeAppResponse:
        """Describes an app with one more request, and two more if it waits.

        Args:
            app_id: Its id.
            namespace: Its namespace.
            name: Name of its Job.
            job: Its Job.

        Returns:
            The description.

        Raises:
            KubernetesError: The server does not answer.
        """
        if not job.get("status") and not (job.get("metadata") or {}).get("uid"):
            return parse_volcano.describe(app_id, name, job, Gang())
        tasks = tasks_of(name, job)
        pods, hosts = self._pods(namespace, name, tasks)
        group: Json | None = None
        events: list[Json] = []
        state = parse_volcano.state_of(job)
        if state in (None, AppState.PENDING) and self.is_real():
            group, events = self._why_pending(namespace, name, job)
        gang = Gang(pods=pods, hosts=hosts, group=group, events=events)
        response = parse_volcano.describe(app_id, name, job, gang)
        if state == AppState.CANCELLED and any(pod.phase in _LIVE for pod in pods.values()):
            response.state = AppState.RUNNING
            response.msg = "it was cancelled, and its replicas are about to end"
        return response

    def cancel(self, namespace: str, name: str) -> bool:
        """Aborts a Job that has not ended: Volcano ends its pods, and keeps it.

        Args:
            namespace: Its namespace.
            name: Its name.

        Returns:
            False if there is no such Job.

        Raises:
            KubernetesError: The server refuses (an ``ApiException``, too) or does not answer.
        """
        api = self._custom_objects()
        for tries_left in reversed(range(_CANCEL_TRIES)):
            try:
                with self._translated(f"cancel the Volcano job {name}", namespace):
                    job = api.get_namespaced_custom_object(
                        **paths.VOLCANO, namespace=namespace, name=name
                    )
                    if is_terminal(parse_volcano.state_of(job) or AppState.PENDING):
                        return True
                    _abort(job)
                    api.replace_namespaced_custom_object_status(
                        **paths.VOLCANO, namespace=namespace, name=name, body=job
                    )
            except KubernetesError as error:
                if error.status == _MISSING:
                    return False
                if error.status != _CONFLICT or not tries_left:
                    raise
                continue
            return True
        raise AssertionError("the last try returns or raises")

    def delete(self, namespace: str, name: str) -> bool:
        """Removes a Job with its pods.

        Args:
            namespace: Its namespace.
            name: Its name.

        Returns:
            False if there is no such Job.

        Raises:
            KubernetesError: The server refuses (an ``ApiException``, too) or does not answer.
        """
        api = self._custom_objects()
        try:
            with self._translated(f"delete the Volcano job {name}", namespace):
                api.delete_namespaced_custom_object(**paths.VOLCANO, namespace=namespace, name=name)
        except KubernetesError as error:
            if error.status == _MISSING:
                return False
            raise
        return True

    def _pods(
        self, namespace: str, name: str, tasks: list[Task]
    ) -> tuple[dict[str, Pod], dict[str, str]]:
        """Reads the pods with one request; their hosts alone by the published calls."""
        if not tasks:
            return {}, {}
        if self.is_real():
            what = f"list pods in namespace {namespace}"
            selector = f"{LABEL_VOLCANO_JOB}={name}"
            answer = self._wire().get(paths.pods(namespace), what, labelSelector=selector)
            pods = {pod.name: pod for pod in read_pods(answer.get("items") or ())}
            return pods, {pod.name: host_name(pod.ip, namespace) for pod in pods.values()}
        return {}, {task.pod_name: self._host(namespace, task.pod_name) for task in tasks}

    def _host(self, namespace: str, pod_name: str) -> str:
        from kubernetes import client

        api = client.CoreV1Api(self._api_client())
        try:
            pod = api.read_namespaced_pod(name=pod_name, namespace=namespace)
        except client.ApiException:
            return ""
        return host_name(pod.status.pod_ip, namespace)

    def _why_pending(
        self, namespace: str, name: str, job: Mapping[str, Any]
    ) -> tuple[Json | None, list[Json]]:
        group_name = f"{name}-{(job.get('metadata') or {}).get('uid') or ''}"
        try:
            group = self._wire().get(
                paths.pod_groups(namespace, group_name), f"read the PodGroup {group_name}"
            )
            answer = self._wire().get(
                paths.events(namespace),
                f"list events in namespace {namespace}",
                fieldSelector=f"involvedObject.name={group_name}",
            )
        except KubernetesError as error:
            log.debug("no explanation: %s", error)
            return None, []
        return group, list(answer.get("items") or ())

    def _translated(self, what: str, namespace: str) -> Any:
        client, what = self._api_client(), f"{what} in namespace {namespace}"
        error = access.load_error(client)
        if error is not None and access.is_original(self._custom_objects()):
            raise unreachable(error, what, "", error)
        return translated(what, paths.volcano_jobs(namespace), client)


def host_name(ip: str | None, namespace: str) -> str:
    """Names a pod as the DNS of the cluster does.

    Args:
        ip: Its address.
        namespace: Its namespace.

    Returns:
        The name; ``""`` without an address.
    """
    if not ip:
        return ""
    return f"{ip.replace('.', '-').replace(':', '-')}.{namespace}.pod.cluster.local"


def jobs_listing(namespace: str) -> Listing[Json]:
    """Describes the list that is watched for Volcano Jobs of any number of apps.

    Args:
        namespace: The namespace.

    Returns:
        The list.
    """
    return Listing(
        path=paths.volcano_jobs(namespace),
        what=f"Volcano jobs in namespace {namespace}",
        selector="",
        read=lambda job: {"status": job.get("status") or {}},
        app_of=lambda job: (job.get("metadata") or {}).get("name") or "",
    )


def _abort(job: dict[str, Any]) -> None:
    status = job.get("status")
    if not isinstance(status, dict):
        status = job["status"] = {}
    state = status.get("state")
    if not isinstance(state, dict):
        state = status["state"] = {}
    state["phase"] = "Aborted"
