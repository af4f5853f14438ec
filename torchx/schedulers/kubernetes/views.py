"""What is known about the pods of a replica: by watches where that is allowed, else by asking."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

from torchx.schedulers.kubernetes import parse_volcano, paths, plain_apps, volcano_apps
from torchx.schedulers.kubernetes.errors import KubernetesError
from torchx.schedulers.kubernetes.labels import clean_label_value
from torchx.schedulers.kubernetes.parse import Job
from torchx.schedulers.kubernetes.pods import LABEL_VOLCANO_JOB, Pod, read_pod, read_pods
from torchx.schedulers.kubernetes.watch import Listing, Watches
from torchx.schedulers.kubernetes.wire import Json, Wire
from torchx.specs.api import AppState, is_terminal

T = TypeVar("T")

log: logging.Logger = logging.getLogger(__name__)

_POLL_S = 2.0
_FRESH_S = 1.0


def pods_listing(namespace: str, selector: str) -> Listing[Pod]:
    """Describes the list of the pods of an app.

    Args:
        namespace: Its namespace.
        selector: Selects its pods.

    Returns:
        The list.
    """
    return Listing(
        path=paths.pods(namespace),
        what=f"pods in namespace {namespace}",
        selector=selector,
        read=read_pod,
        app_of=lambda item: "",
    )


class Watching(Protocol):
    """Reads and watches lists of a cluster."""

    @property
    def watches(self) -> Watches:
        """What is watched."""
        ...

    def wire(self) -> Wire:
        """Returns what sends requests."""
        ...


class ReplicaView:
    """The pods of one replica, and whether its app has ended.

    Args:
        apps: Reads and watches lists.
        pods: Describes the list that the pods are in.
        belongs: Tells whether a pod belongs to the replica.
        owners: Describes the list of what makes the pods of the app.
        is_over: Tells by that list whether the app has ended; ``None`` if the app is not there.
        watches: Learn of changes by watches; otherwise ask once.
    """

    def __init__(
        self,
        apps: Watching,
        pods: Listing[Pod],
        belongs: Callable[[Pod], bool],
        owners: Listing[T],
        is_over: Callable[[dict[str, T]], bool | None],
        *,
        watches: bool,
    ) -> None:
        self._apps = apps
        self._listing = pods
        self._belongs = belongs
        self._owners: Listing[Any] = owners
        self._is_over: Callable[[dict[str, Any]], bool | None] = is_over
        self._watches = watches
        self._count = 0
        self._was_seen = False
        self._asked: list[Pod] = []
        self._asked_at_s = float("-inf")

    def pods(self) -> Sequence[Pod]:
        """Tells which pods the replica has.

        Returns:
            Its pods, the oldest first.

        Raises:
            KubernetesError: The server refuses or does not answer.
        """
        if self._watches:
            try:
                found, self._count = self._apps.watches.of(
                    self._apps.wire(), self._listing
                ).objects()
            except KubernetesError as error:
                self._ask_from_now_on(error)
            else:
                pods = sorted(found.values(), key=lambda pod: (pod.created, pod.name))
                return [pod for pod in pods if self._belongs(pod)]
        if time.monotonic() - self._asked_at_s > _FRESH_S:
            answer = self._apps.wire().get(
                self._listing.path,
                f"list {self._listing.what}",
                labelSelector=self._listing.selector,
            )
            self._asked = read_pods(answer.get("items") or ())
            self._asked_at_s = time.monotonic()
        return [pod for pod in self._asked if self._belongs(pod)]

    def is_over(self) -> bool:
        """Tells whether the app has ended, or is gone.

        Returns:
            True if it has.

        Raises:
            KubernetesError: The server refuses or does not answer.
        """
        listing = self._owners
        if self._watches:
            try:
                found, _ = self._apps.watches.of(self._apps.wire(), listing).objects()
            except KubernetesError as error:
                self._ask_from_now_on(error)
            else:
                is_over = self._is_over(found)
                # A watch that was there before the app may not know of it yet.
                if is_over is not None or self._was_seen:
                    self._was_seen = True
                    return is_over is not False
        answer = self._apps.wire().get(
            listing.path,
            f"list {listing.what}",
            **({"labelSelector": listing.selector} if listing.selector else {}),
        )
        items = answer.get("items") or ()
        found = {item["metadata"]["name"]: listing.read(item) for item in items}
        return self._is_over(found) is not False

    def wait(self, timeout_s: float) -> None:
        """Returns when a pod of the app has changed, or after a while.

        Args:
            timeout_s: Longest time to wait, in seconds.
        """
        if self._watches:
            # That the app has ended is seen by another watch.
            timeout_s = min(timeout_s, _FRESH_S)
            self._apps.watches.of(self._apps.wire(), self._listing).wait(self._count, timeout_s)
        else:
            time.sleep(min(timeout_s, _POLL_S))

    def refresh(self) -> None:
        """Asks from now on, instead of relying on watches, which may be late."""
        self._watches = False
        self._asked_at_s = float("-inf")

    def _ask_from_now_on(self, error: KubernetesError) -> None:
        if error.transient:
            raise error
        log.debug("asking instead of watching: %s", error)
        self._watches = False


def volcano_view(
    apps: Watching, namespace: str, name: str, belongs: Callable[[Pod], bool], *, watches: bool
) -> ReplicaView:
    """Views a replica of a Volcano Job.

    Args:
        apps: Reads and watches lists.
        namespace: Namespace of the Job.
        name: Its name.
        belongs: Tells whether a pod belongs to the replica.
        watches: Learn of changes by watches; otherwise ask once.

    Returns:
        The view.
    """

    def is_over(found: dict[str, Json]) -> bool | None:
        job = found.get(name)
        if job is None:
            return None
        return is_terminal(parse_volcano.state_of(job) or AppState.PENDING)

    pods = pods_listing(namespace, f"{LABEL_VOLCANO_JOB}={name}")
    owners = volcano_apps.jobs_listing(namespace)
    return ReplicaView(apps, pods, belongs, owners, is_over, watches=watches)


def plain_view(
    apps: Watching, namespace: str, name: str, belongs: Callable[[Pod], bool], *, watches: bool
) -> ReplicaView:
    """Views a replica of an app that is plain Jobs.

    Args:
        apps: Reads and watches lists.
        namespace: Namespace of the app.
        name: Its unique name.
        belongs: Tells whether a pod belongs to the replica.
        watches: Learn of changes by watches; otherwise ask once.

    Returns:
        The view.
    """
    label = clean_label_value(name)

    def is_over(found: dict[str, Job]) -> bool | None:
        jobs = [job for job in found.values() if job.app == label]
        return plain_apps.is_over(jobs) if jobs else None

    pods = pods_listing(namespace, paths.of_app(name))
    owners = plain_apps.jobs_listing(namespace)
    return ReplicaView(apps, pods, belongs, owners, is_over, watches=watches)
