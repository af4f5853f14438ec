"""Opens the log of a replica of an app of any shape."""

from __future__ import annotations

import inspect
import math
import re
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from torchx.schedulers.api import Stream
from torchx.schedulers.kubernetes import access, parse_volcano
from torchx.schedulers.kubernetes.container_log import Range
from torchx.schedulers.kubernetes.errors import NoSuchReplicaError, translated
from torchx.schedulers.kubernetes.labels import clean_label_value
from torchx.schedulers.kubernetes.names import split_app_id
from torchx.schedulers.kubernetes.parse import Job
from torchx.schedulers.kubernetes.pods import Container, Pod
from torchx.schedulers.kubernetes.replica_log import ReplicaLog
from torchx.schedulers.kubernetes.stamps import StampFilter, nanos, nanos_of
from torchx.schedulers.kubernetes.views import plain_view, volcano_view
from torchx.schedulers.lines import LineFilter, split_lines
from torchx.schedulers.streams import LogStream
from torchx.util import colors
from torchx.util.strings import normalize_str

if TYPE_CHECKING:
    from kubernetes.client import ApiClient, CoreV1Api

    from torchx.schedulers.kubernetes.apps import Apps


@dataclass(frozen=True)
class LogQuery:
    """Which log is wanted, and what of it.

    Attributes:
        role: Name of the role.
        k: Number of the replica.
        regex: Only lines in which this is found.
        since: Only what was written from then on; without a time zone, of the local clock.
        until: Only what was written before then, likewise.
        follow: Go on until the app has ended.
        stream: Which output.
    """

    role: str
    k: int
    regex: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    follow: bool = False
    stream: Stream | None = None


def prefix_container_name(container_name: str, role_name: str, replica_id: int) -> str:
    """Makes what stands before each line of a container.

    Args:
        container_name: Its name.
        role_name: Name of the role.
        replica_id: Number of the replica.

    Returns:
        The name in blue; ``""`` for the container that runs the role.
    """
    main = f"{role_name}-{replica_id}"
    if container_name in (main, normalize_str(main), normalize_str(role_name)):
        return ""
    return f"{colors.BLUE}{container_name}{colors.ENDC} "


def open_log(apps: Apps, app_id: str, query: LogQuery) -> LogStream | None:
    """Opens the log of a replica.

    Args:
        apps: All apps.
        app_id: Id of the app.
        query: Which log.

    Returns:
        The log; ``None`` if there is no such app.

    Raises:
        ValueError: Only one of the two outputs is asked for; the node mixes them.
        NoSuchReplicaError: The app has no such replica.
        KubernetesError: The server refuses (an ``ApiException``, too) or does not answer.
        re.error: If ``regex`` is malformed.
    """
    from torchx.schedulers.kubernetes.apps import Shape

    check_stream(query.stream)
    found = apps.find(app_id)
    if found is None:
        return None
    namespace, name = split_app_id(app_id)
    shape, objects = found
    is_volcano = shape == Shape.VOLCANO
    belongs = (_in_volcano_job if is_volcano else _in_jobs)(app_id, name, objects, query)
    view = (volcano_view if is_volcano else plain_view)(
        apps, namespace, name, belongs, watches=query.follow
    )
    source = ReplicaLog(
        apps.wire,
        namespace,
        view,
        Range(nanos(query.since), nanos(query.until), keeps_stamps=is_volcano),
        follow=query.follow,
        select=_selector(query.regex, is_volcano),
        prefix=_prefix(query),
    )
    return LogStream(source)


def check_stream(stream: Stream | None) -> None:
    """Refuses one output alone.

    Args:
        stream: Which output.

    Raises:
        ValueError: It is one of two that the node has mixed.
    """
    if stream not in (None, Stream.COMBINED):
        raise ValueError(
            f"Kubernetes keeps both outputs in one log, in which `{Stream(stream).value}` cannot be"
            " told from the other: only the combined stream is supported"
        )


def uses_published_calls(api_client: ApiClient) -> bool:
    """Tells whether logs have to come by the calls of the client library that are published.

    Args:
        api_client: The client.

    Returns:
        True without a cluster, and if somebody has put something in the place of those calls.
    """
    from kubernetes import client, watch

    are_original = all(
        inspect.isfunction(getattr(owner, name, None))
        for owner, name in (
            (client.CoreV1Api, "read_namespaced_pod_log"),
            (client.CoreV1Api, "read_namespaced_pod"),
            (watch.Watch, "stream"),
        )
    )
    return not are_original or not access.is_configured(api_client)


def published_lines(api: CoreV1Api, app_id: str, query: LogQuery) -> Iterator[str]:
    r"""Reads the log of a replica of a Volcano Job by the published calls.

    Args:
        api: The API of pods.
        app_id: Id of the app.
        query: Which log.

    Yields:
        The lines with their ``\n``, which the last one may lack.

    Raises:
        KubernetesError: The server refuses (an ``ApiException``, too) or does not answer.
    """
    check_stream(query.stream)
    namespace, name = split_app_id(app_id)
    pod_name = normalize_str(f"{name}-{query.role}-{query.k}-0")
    yield from published_pod_lines(api, pod_name, namespace, query)


def published_pod_lines(
    api: CoreV1Api, pod_name: str, namespace: str, query: LogQuery
) -> Iterator[str]:
    r"""Reads the log of a pod by the published calls.

    Args:
        api: The API of pods.
        pod_name: Name of the pod.
        namespace: Its namespace.
        query: Which log.

    Yields:
        The lines with their ``\n``, which the last one may lack.

    Raises:
        KubernetesError: The server refuses (an ``ApiException``, too) or does not answer.
    """
    with translated(f"read the log of pod {pod_name}", api_client=api.api_client):
        yield from _published_lines(api, pod_name, namespace, query)


def _published_lines(
    api: CoreV1Api, pod_name: str, namespace: str, query: LogQuery
) -> Iterator[str]:
    pod = api.read_namespaced_pod(name=pod_name, namespace=namespace)
    until_ns = nanos(query.until)
    pattern = None if query.regex is None else re.compile(query.regex)
    for container in pod.spec.containers:
        kwargs: dict[str, Any] = {
            "name": pod_name,
            "namespace": namespace,
            "timestamps": True,
            "container": container.name,
        }
        if query.since is not None:
            age_s = time.time() - query.since.timestamp()
            kwargs["since_seconds"] = max(1, math.ceil(age_s))
        is_main = container.name == pod_name
        prefix = "" if is_main else prefix_container_name(container.name, query.role, query.k)
        for line in _container_lines(api, kwargs, follow=query.follow):
            if until_ns is not None and (nanos_of(line.encode()) or 0) >= until_ns:
                continue
            if pattern is None or pattern.search(line):
                yield prefix + line


def _container_lines(api: CoreV1Api, kwargs: dict[str, Any], *, follow: bool) -> Iterable[str]:
    from kubernetes import watch

    if not follow:
        return split_lines(api.read_namespaced_pod_log(**kwargs))
    lines = watch.Watch().stream(api.read_namespaced_pod_log, **kwargs)
    return (f"{line}\n" for line in lines)


def _in_jobs(app_id: str, name: str, jobs: list[Job], query: LogQuery) -> Callable[[Pod], bool]:
    for job in jobs:
        names = (job.role, clean_label_value(job.role))
        is_named = query.role in names or clean_label_value(query.role) == names[1]
        if is_named and 0 <= query.k < job.replicas:
            return lambda pod: pod.job == job.name and pod.index == query.k
    sizes = {job.role: job.replicas for job in jobs}
    raise NoSuchReplicaError(app_id, query.role, query.k, sizes)


def _in_volcano_job(
    app_id: str, name: str, job: dict[str, Any], query: LogQuery
) -> Callable[[Pod], bool]:
    tasks = parse_volcano.tasks_of(name, job)
    wanted = normalize_str(query.role)
    for task in tasks:
        if task.index == query.k and wanted and normalize_str(task.role) == wanted:
            return lambda pod: pod.name == task.pod_name
    sizes: dict[str, int] = {}
    for task in tasks:
        sizes[task.role] = sizes.get(task.role, 0) + 1
    raise NoSuchReplicaError(app_id, query.role, query.k, sizes)


def _selector(regex: str | None, has_stamps: bool) -> Callable[[bytes], bytes] | None:
    if regex is None:
        return None
    return StampFilter(regex).select if has_stamps else LineFilter(regex).select


def _prefix(query: LogQuery) -> Callable[[Container, Pod], str]:
    def prefix(container: Container, pod: Pod) -> str:
        if len(pod.containers) == 1 and container.name == pod.containers[0].name:
            return ""
        return prefix_container_name(container.name, query.role, query.k)

    return prefix
