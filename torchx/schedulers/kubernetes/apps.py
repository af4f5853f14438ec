"""Answers about apps of both shapes: Volcano Jobs and plain Jobs."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any

from torchx.schedulers.api import DescribeAppResponse, ListAppResponse
from torchx.schedulers.kubernetes import parse_volcano, plain_apps, volcano_apps
from torchx.schedulers.kubernetes.errors import KubernetesError
from torchx.schedulers.kubernetes.names import split_app_id
from torchx.schedulers.kubernetes.parse_volcano import Gang
from torchx.schedulers.kubernetes.plain_apps import PlainApps
from torchx.schedulers.kubernetes.volcano_apps import VolcanoApps
from torchx.schedulers.kubernetes.watch import Watches, version_of
from torchx.schedulers.kubernetes.wire import Wire

if TYPE_CHECKING:
    from kubernetes.client import ApiClient, CustomObjectsApi

log: logging.Logger = logging.getLogger(__name__)

_FORBIDDEN = 403
_PAUSE_WITHOUT_WATCH_S = 2.0


class Shape(Enum):
    """What an app is made of."""

    VOLCANO = "a Volcano Job"
    PLAIN = "plain Jobs"


class Apps:
    """All apps that a client can see. The number of requests does not grow with replicas.

    Args:
        api_client: Gives the client.
        custom_objects: Gives the API for custom objects.

    Attributes:
        plain: Apps that are plain Jobs.
        volcano: Apps that are Volcano Jobs.
        watches: What is watched for changes.
    """

    def __init__(
        self,
        api_client: Callable[[], ApiClient],
        custom_objects: Callable[[], CustomObjectsApi],
    ) -> None:
        self._api_client = api_client
        self.plain = PlainApps(self.wire)
        self.volcano = VolcanoApps(api_client, custom_objects, self.wire)
        self.watches = Watches()
        self._shapes: dict[str, Shape] = {}
        self._seen: dict[str, int] = {}
        self._lacks_volcano = False

    def is_real(self) -> bool:
        """Tells whether there is a cluster, and nobody has replaced the client library's calls.

        Returns:
            True if requests of our own make sense.
        """
        return self.volcano.is_real()

    def wire(self) -> Wire:
        """Returns what sends requests.

        Returns:
            It.
        """
        return Wire(self._api_client())

    def remember(self, app_id: str, shape: Shape) -> None:
        """Notes what an app is made of, which saves a request each time.

        Args:
            app_id: Its id.
            shape: What it is made of.
        """
        self._shapes[app_id] = shape

    def find(self, app_id: str) -> tuple[Shape, Any] | None:
        """Finds an app, with two requests at most.

        Args:
            app_id: Its id.

        Returns:
            What it is made of, and its Volcano Job or its plain Jobs; ``None`` if there is none.

        Raises:
            ValueError: That is no id of an app.
            KubernetesError: The server refuses (an ``ApiException``, too) or does not answer.
        """
        namespace, name = split_app_id(app_id)
        shape = self._shapes.get(app_id)
        refusal: KubernetesError | None = None
        if shape != Shape.PLAIN:
            try:
                job = self.volcano.find(namespace, name)
            except KubernetesError as error:
                if error.status != _FORBIDDEN or not self.is_real():
                    raise
                refusal, job = error, None
            if job is not None:
                self.remember(app_id, Shape.VOLCANO)
                self._seen[app_id] = version_of(job)
                return Shape.VOLCANO, job
            if shape == Shape.VOLCANO or not self.is_real():
                return None
        jobs, self._seen[app_id] = self.plain.find(namespace, name)
        if jobs:
            self.remember(app_id, Shape.PLAIN)
            return Shape.PLAIN, jobs
        if refusal is not None and self.volcano.is_installed():
            raise refusal
        return None

    def describe(self, app_id: str) -> DescribeAppResponse | None:
        """Describes an app.

        Args:
            app_id: Its id.

        Returns:
            The description; ``None`` if there is none.

        Raises:
            ValueError: That is no id of an app.
            KubernetesError: The server refuses (an ``ApiException``, too) or does not answer.
        """
        found = self.find(app_id)
        if found is None:
            return None
        namespace, name = split_app_id(app_id)
        shape, objects = found
        if shape == Shape.VOLCANO:
            return self.volcano.describe(app_id, namespace, name, objects)
        return self.plain.describe(app_id, namespace, objects)

    def describe_many(self, app_ids: Sequence[str]) -> Mapping[str, DescribeAppResponse]:
        """Describes apps with two requests per namespace, from their Jobs alone.

        Args:
            app_ids: Their ids.

        Returns:
            Description by id; unknown apps are left out.

        Raises:
            KubernetesError: The server refuses (an ``ApiException``, too) or does not answer.
        """
        found: dict[str, DescribeAppResponse] = {}
        for namespace in sorted({split_app_id(app_id)[0] for app_id in app_ids}):
            for job in self._volcano_jobs(namespace):
                name = str((job.get("metadata") or {}).get("name") or "")
                app_id = f"{namespace}:{name}"
                found[app_id] = parse_volcano.describe(app_id, name, job, Gang())
            if self.is_real():
                described = self.plain.describe_all(namespace)
                found.update({f"{namespace}:{name}": app for name, app in described.items()})
        return {app_id: found[app_id] for app_id in app_ids if app_id in found}

    def list_apps(self, namespace: str) -> list[ListAppResponse]:
        """Lists the apps of a namespace with two requests.

        Args:
            namespace: The namespace.

        Returns:
            One entry per app.

        Raises:
            KubernetesError: The server refuses (an ``ApiException``, too) or does not answer.
        """
        entries = [
            parse_volcano.list_entry(namespace, job) for job in self._volcano_jobs(namespace)
        ]
        return entries + (self.plain.list_apps(namespace) if self.is_real() else [])

    def cancel(self, app_id: str) -> None:
        """Ends an app that exists, if it has not ended.

        Args:
            app_id: Its id.

        Raises:
            KubernetesError: The server refuses (an ``ApiException``, too) or does not answer.
        """
        namespace, name = split_app_id(app_id)
        if self._shapes.get(app_id) != Shape.PLAIN and self.volcano.cancel(namespace, name):
            return
        if self.is_real():
            self.plain.cancel(namespace, self.plain.find(namespace, name)[0])

    def delete(self, app_id: str) -> None:
        """Removes an app that exists.

        Args:
            app_id: Its id.

        Raises:
            KubernetesError: The server refuses (an ``ApiException``, too) or does not answer.
        """
        namespace, name = split_app_id(app_id)
        if self._shapes.get(app_id) != Shape.PLAIN and self.volcano.delete(namespace, name):
            return
        if self.is_real():
            self.plain.delete(namespace, self.plain.find(namespace, name)[0])

    def wait_for_change(self, app_id: str, timeout_s: float) -> None:
        """Returns when an app may have changed since it was last described from here.

        All apps of a namespace are waited for with one watch.

        Args:
            app_id: Its id.
            timeout_s: Longest time to wait, in seconds.
        """
        namespace, name = split_app_id(app_id)
        try:
            if self._shapes.get(app_id) == Shape.VOLCANO:
                listing = volcano_apps.jobs_listing(namespace)
                watch = self.watches.of(self.wire(), listing)
                watch.wait_for_app(name, self._seen.get(app_id, 0), timeout_s)
            else:
                jobs = self.watches.of(self.wire(), plain_apps.jobs_listing(namespace))
                jobs.wait_for_app(name, self._seen.get(app_id, 0), timeout_s)
        except KubernetesError as error:
            log.debug("asking instead of watching: %s", error)
            time.sleep(min(timeout_s, _PAUSE_WITHOUT_WATCH_S))

    def close(self) -> None:
        """Ends all watches. Repeatable."""
        self.watches.close()

    def _volcano_jobs(self, namespace: str) -> list[dict[str, Any]]:
        if self._lacks_volcano and self.is_real():
            return []
        try:
            jobs = self.volcano.list_jobs(namespace)
        except KubernetesError as error:
            if error.status != _FORBIDDEN or not self.is_real():
                raise
            if self.volcano.is_installed():
                log.warning("Volcano jobs are left out: %s", error)
            return []
        self._lacks_volcano = jobs is None
        return jobs or []
