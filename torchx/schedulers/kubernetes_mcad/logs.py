"""Opens the log of a replica of an AppWrapper."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from torchx.schedulers.kubernetes import logs, paths
from torchx.schedulers.kubernetes.container_log import Range
from torchx.schedulers.kubernetes.errors import KubernetesError, NoSuchReplicaError
from torchx.schedulers.kubernetes.labels import LABEL_ROLE_NAME, clean_label_value
from torchx.schedulers.kubernetes.logs import LogQuery
from torchx.schedulers.kubernetes.names import app_id_of, split_app_id
from torchx.schedulers.kubernetes.pods import Container, Pod
from torchx.schedulers.kubernetes.replica_log import ReplicaLog
from torchx.schedulers.kubernetes.stamps import StampFilter, nanos
from torchx.schedulers.kubernetes_mcad import parse
from torchx.schedulers.kubernetes_mcad.apps import AppWrappers, pods_listing
from torchx.schedulers.kubernetes_mcad.names import cleanup_str
from torchx.schedulers.streams import LogStream
from torchx.specs.api import is_terminal

if TYPE_CHECKING:
    from kubernetes.client import CoreV1Api

log: logging.Logger = logging.getLogger(__name__)

_POLL_S = 2.0
_FRESH_S = 1.0


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
        _View(apps, app_id, pod_name, watches=query.follow),
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
    pod = api.read_namespaced_pod(name=cleanup_str(f"{name}-{query.k}"), namespace=namespace)
    role = ((pod.metadata and pod.metadata.labels) or {}).get(LABEL_ROLE_NAME)
    pod_name = cleanup_str(f"{name}-{query.k}")
    yield from logs.published_pod_lines(api, pod, pod_name, namespace, query)


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


class _View:
    """The pods of one replica, and whether its app has ended.

    Args:
        apps: All apps.
        app_id: Id of the app.
        pod_name: Name of the pods of the replica, of which there is one at a time.
        watches: Learn of changes by a watch; otherwise ask.
    """

    def __init__(self, apps: AppWrappers, app_id: str, pod_name: str, *, watches: bool) -> None:
        self._apps = apps
        self._app_id = app_id
        self._namespace, self._name = split_app_id(app_id)
        self._pod_name = pod_name
        self._watches = watches
        self._count = 0
        self._asked: list[Pod] = []
        self._asked_at_s = float("-inf")

    def pods(self) -> Sequence[Pod]:
        """Tells which pods the replica has."""
        ...
