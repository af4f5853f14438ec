"""Opens the log of a replica of an AppWrapper."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from torchx.schedulers.kubernetes import logs, paths, views
from torchx.schedulers.kubernetes.container_log import Range
from torchx.schedulers.kubernetes.errors import NoSuchReplicaError
from torchx.schedulers.kubernetes.labels import clean_label_value
from torchx.schedulers.kubernetes.logs import LogQuery
from torchx.schedulers.kubernetes.names import split_app_id
from torchx.schedulers.kubernetes.pods import Container, Pod
from torchx.schedulers.kubernetes.replica_log import ReplicaLog
from torchx.schedulers.kubernetes.stamps import StampFilter, nanos
from torchx.schedulers.kubernetes_mcad import parse
from torchx.schedulers.kubernetes_mcad.apps import AppWrappers, apps_listing, pods_listing
from torchx.schedulers.kubernetes_mcad.names import cleanup_str
from torchx.schedulers.streams import LogStream
from torchx.specs.api import is_terminal

if TYPE_CHECKING:
    from kubernetes.client import CoreV1Api


def open_log(apps: AppWrappers, app_id: str, query: LogQuery) -> LogStream | None:
    """Opens the log of a replica.

    Args:
        apps: All apps.
        app_id: Id of the app.
        query: Which log.

    Returns:
        The log, whose lines begin with the time at which the node got them; ``None`` if there is
        no such app.

    Raises:
        ValueError: Only one of the two outputs is asked for; the node mixes them.
        NoSuchReplicaError: The app has no such replica.
        KubernetesError: The server refuses (an ``ApiException``, too) or does not answer.
        re.error: If ``regex`` is malformed.
    """
    logs.check_stream(query.stream)
    app = apps.find(app_id)
    if app is None:
        return None
    pod_name = _find_replica(app_id, parse.replicas_of(app), query)
    namespace, _ = split_app_id(app_id)
    source = ReplicaLog(
        apps.wire,
        namespace,
        _view(apps, app_id, pod_name, watches=query.follow),
        Range(nanos(query.since), nanos(query.until), keeps_stamps=True),
        follow=query.follow,
        select=None if query.regex is None else StampFilter(query.regex).select,
        prefix=_prefix(query),
    )
    return LogStream(source)


def published_lines(api: CoreV1Api, app_id: str, query: LogQuery) -> Iterator[str]:
    r"""Reads the log of a replica by the published calls.

    Args:
        api: The API of pods.
        app_id: Id of the app.
        query: Which log.

    Yields:
        The lines with their ``\n``, which the last one may lack.

    Raises:
        ApiException: The server refuses.
    """
    logs.check_stream(query.stream)
    namespace, name = split_app_id(app_id)
    # Who has put something in the place of these calls knows apps of one role.
    pod_name = cleanup_str(f"{name}-{query.k}")
    yield from logs.published_pod_lines(api, pod_name, namespace, query)


def _find_replica(app_id: str, replicas: Sequence[parse.Replica], query: LogQuery) -> str:
    sizes: dict[str, int] = {}
    for replica in replicas:
        sizes[replica.role] = sizes.get(replica.role, 0) + 1
    exact = query.role in sizes
    for replica in replicas:
        is_role = replica.role == query.role or (
            not exact and clean_label_value(replica.role) == clean_label_value(query.role)
        )
        if is_role and replica.index == query.k:
            return replica.pod_name
    raise NoSuchReplicaError(app_id, query.role, query.k, sizes)


def _prefix(query: LogQuery) -> Callable[[Container, Pod], str]:
    def prefix(container: Container, pod: Pod) -> str:
        if container.name == pod.name:
            return ""
        return logs.prefix_container_name(container.name, query.role, query.k)

    return prefix


def _view(apps: AppWrappers, app_id: str, pod_name: str, *, watches: bool) -> views.ReplicaView:
    namespace, name = split_app_id(app_id)
    # One watch does for all replicas of all apps; who asks once asks for as little as possible.
    one_app = views.pods_listing(namespace, paths.of_app(name))
    pods = pods_listing(namespace) if watches else one_app

    def is_over(found: dict[str, dict[str, Any]]) -> bool | None:
        app = found.get(name)
        if app is None:
            return None
        if parse.is_deleted(app):
            return True
        known = apps.watches.of(apps.wire(), pods).objects()[0] if watches else {}
        names = {replica.pod_name for replica in parse.replicas_of(app)}
        own = {pod.name: pod for pod in known.values() if pod.name in names}
        return is_terminal(parse.app_state(app, own))

    return views.ReplicaView(
        apps,
        pods,
        lambda pod: pod.name == pod_name,
        apps_listing(namespace),
        is_over,
        watches=watches,
    )
