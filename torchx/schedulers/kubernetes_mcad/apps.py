"""Answers about apps that are AppWrappers, with a number of requests that does not grow."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from torchx.schedulers.api import DescribeAppResponse, ListAppResponse
from torchx.schedulers.kubernetes import access, paths
from torchx.schedulers.kubernetes.errors import KubernetesError, translated
from torchx.schedulers.kubernetes.labels import LABEL_APP_NAME, LABEL_UNIQUE_NAME
from torchx.schedulers.kubernetes.names import app_id_of, split_app_id
from torchx.schedulers.kubernetes.pods import Pod, read_pod
from torchx.schedulers.kubernetes.watch import Listing, Watches, version_of
from torchx.schedulers.kubernetes.wire import Json, Wire
from torchx.schedulers.kubernetes_mcad import notes, parse
from torchx.schedulers.kubernetes_mcad.appwrapper import GROUP, PLURAL, VERSION
from torchx.schedulers.kubernetes_mcad.errors import (
    access_error,
    conflict_error,
    is_conflict,
    is_missing,
)
from torchx.specs.api import AppState, is_terminal

if TYPE_CHECKING:
    from kubernetes.client import ApiClient, CustomObjectsApi

log: logging.Logger = logging.getLogger(__name__)

_LIST_TIMEOUT_S = 30
_PAUSE_WITHOUT_WATCH_S = 2.0
_EXPLAINED_PODS = 3


class AppWrappers:
    """All apps that a client can see.

    Args:
        api_client: Gives the client.
        custom_objects: Gives the API for custom objects.

    Attributes:
        watches: What is watched for changes.
    """

    def __init__(
        self,
        api_client: Callable[[], ApiClient],
        custom_objects: Callable[[], CustomObjectsApi],
    ) -> None:
        self._api_client = api_client
        self._custom_objects = custom_objects
        self.watches = Watches()
        self._seen: dict[str, DescribeAppResponse] = {}
        self._versions: dict[str, tuple[Listing[Any], int]] = {}
        self._has_warned = False

    def is_real(self) -> bool:
        """Tells whether requests beside the published ones reach the same cluster.

        Returns:
            False without a cluster, and if somebody has put something in the place of the client.
        """
        is_original = access.is_original(self._custom_objects())
        return is_original and access.is_configured(self._api_client())

    def wire(self) -> Wire:
        """Returns what sends requests.

        Returns:
            It.
        """
        return Wire(self._api_client())

    def create(self, namespace: str, resource: dict[str, Any]) -> str:
        """Creates an AppWrapper.

        Args:
            namespace: Its namespace.
            resource: The AppWrapper.

        Returns:
            Its name.

        Raises:
            ValueError: There is one of that name already.
            KubernetesError: The server refuses (an ``ApiException``, too) or does not answer.
        """
        name = _name(resource)
        try:
            with self._translated(f"create the AppWrapper {name}", namespace):
                created = self._custom_objects().create_namespaced_custom_object(
                    group=GROUP, version=VERSION, namespace=namespace, plural=PLURAL, body=resource
                )
        except KubernetesError as error:
            if is_conflict(error):
                raise conflict_error(name) from error
            raise
        return str(created["metadata"]["name"])

    def find(self, app_id: str) -> dict[str, Any] | None:
        """Reads the AppWrapper of an app.

        Args:
            app_id: Id of the app.

        Returns:
            The AppWrapper; ``None`` if there is none, or if it is being deleted.

        Raises:
            ValueError: That is no id of an app, or AppWrappers cannot be read at all.
            KubernetesError: The server refuses (an ``ApiException``, too) or does not answer.
        """
        namespace, name = split_app_id(app_id)
        try:
            with self._translated(f"read the AppWrapper {name}", namespace):
                app: dict[str, Any] = self._custom_objects().get_namespaced_custom_object(
                    GROUP, VERSION, namespace, PLURAL, name
                )
        except KubernetesError as error:
            if is_missing(error):
                return None
            raise access_error(error) from error
        return None if parse.is_deleted(app) else app

    def describe(self, app_id: str) -> DescribeAppResponse | None:
        """Describes an app.

        Args:
            app_id: Its id.

        Returns:
            The description; ``None`` if there is no such app.

        Raises:
            ValueError: That is no id of an app, or AppWrappers cannot be read at all.
            KubernetesError: The server refuses (an ``ApiException``, too) or does not answer.
        """
        namespace, name = split_app_id(app_id)
        app = self.find(app_id)
        pods, version = self._pods(namespace, paths.of_app(name))
        if app is None:
            self._versions[app_id] = pods_listing(namespace), version
            return _vanished(app_id, pods)
        described = parse.describe(app_id, app, pods, self._warnings(namespace, pods))
        self._seen[app_id] = described
        if any(not is_terminal(pod.state) for pod in pods.values()):
            self._versions[app_id] = pods_listing(namespace), version
        else:
            self._versions[app_id] = apps_listing(namespace), version_of(app)
        return described

    def describe_many(self, app_ids: Sequence[str]) -> Mapping[str, DescribeAppResponse]:
        """Describes apps with two requests per namespace.

        Args:
            app_ids: Their ids.

        Returns:
            Description by id; unknown apps are left out.

        Raises:
            KubernetesError: The server refuses (an ``ApiException``, too) or does not answer.
        """
        wanted = set(app_ids)
        found: dict[str, DescribeAppResponse] = {}
        for namespace in sorted({split_app_id(app_id)[0] for app_id in wanted}):
            pods_of = self._pods_by_app(namespace)
            for app in self._list(namespace):
                app_id = app_id_of(namespace, _name(app))
                if app_id in wanted and not parse.is_deleted(app):
                    pods = pods_of.get(_name(app), {})
                    found[app_id] = parse.describe(app_id, app, pods)
            for app_id in wanted - found.keys():
                pods = pods_of.get(split_app_id(app_id)[1], {})
                gone = _vanished(app_id, pods) if app_id.startswith(f"{namespace}:") else None
                if gone is not None:
                    found[app_id] = gone
        return found

    def list_apps(self, namespace: str) -> list[ListAppResponse]:
        """Lists the AppWrappers of a namespace, whoever made them, with two requests.

        Args:
            namespace: The namespace.

        Returns:
            One entry per AppWrapper.

        Raises:
            KubernetesError: The server refuses (an ``ApiException``, too) or does not answer.
        """
        apps = [app for app in self._list(namespace) if not parse.is_deleted(app)]
        pods_of = self._pods_by_app(namespace) if apps else {}
        return [
            ListAppResponse(
                app_id=app_id_of(namespace, _name(app)),
                state=parse.app_state(app, pods_of.get(_name(app), {})),
                name=_app_name(app),
            )
            for app in apps
        ]

    def cancel(self, app_id: str) -> None:
        """Ends an app: removes its AppWrapper, and with it its pods. A note of it is kept here.

        Args:
            app_id: Its id.

        Raises:
            KubernetesError: The server refuses (an ``ApiException``, too) or does not answer.
        """
        self._delete(app_id)
        if self.is_real():
            notes.note_cancelled(app_id, self._seen.get(app_id))

    def delete(self, app_id: str) -> None:
        """Removes an app, and the note of it.

        Args:
            app_id: Its id.

        Raises:
            KubernetesError: The server refuses (an ``ApiException``, too) or does not answer.
        """
        self._delete(app_id)
        notes.forget(app_id)
        self._seen.pop(app_id, None)

    def wait_for_change(self, app_id: str, timeout_s: float) -> None:
        """Returns when an app may have changed since it was last described from here.

        All apps of a namespace are waited for with two watches: one of their pods, which are all
        that changes once MCAD has dispatched them, and one of AppWrappers.

        Args:
            app_id: Its id.
            timeout_s: Longest time to wait, in seconds.
        """
        namespace, name = split_app_id(app_id)
        listing, version = self._versions.get(app_id, (apps_listing(namespace), 0))
        try:
            self.watches.of(self.wire(), listing).wait_for_app(name, version, timeout_s)
        except KubernetesError as error:
            log.debug("asking instead of watching: %s", error)
            time.sleep(min(timeout_s, _PAUSE_WITHOUT_WATCH_S))

    def close(self) -> None:
        """Ends all watches. Repeatable."""
        self.watches.close()

    def _delete(self, app_id: str) -> None:
        namespace, name = split_app_id(app_id)
        try:
            with self._translated(f"delete the AppWrapper {name}", namespace):
                self._custom_objects().delete_namespaced_custom_object(
                    group=GROUP, version=VERSION, namespace=namespace, plural=PLURAL, name=name
                )
        except KubernetesError as error:
            if not is_missing(error):
                raise

    def _list(self, namespace: str) -> list[dict[str, Any]]:
        with self._translated("list AppWrappers", namespace):
            answer = self._custom_objects().list_namespaced_custom_object(
                group=GROUP,
                version=VERSION,
                namespace=namespace,
                plural=PLURAL,
                timeout_seconds=_LIST_TIMEOUT_S,
            )
        return list(answer["items"])

    def _pods(self, namespace: str, selector: str) -> tuple[dict[str, Pod], int]:
        """Reads pods by their names, and the version of their list."""
        objects, version = self._pod_objects(namespace, selector)
        pods = (read_pod(item) for item in objects)
        return {pod.name: pod for pod in pods}, version

    def _pods_by_app(self, namespace: str) -> dict[str, dict[str, Pod]]:
        objects, _ = self._pod_objects(namespace, paths.OURS)
        found: dict[str, dict[str, Pod]] = {}
        for item in objects:
            pod = read_pod(item)
            found.setdefault(_app_of_pod(item), {})[pod.name] = pod
        return found

    def _pod_objects(self, namespace: str, selector: str) -> tuple[list[Json], int]:
        if not self.is_real():
            return [], 0
        what = f"list pods in namespace {namespace}"
        try:
            answer = self.wire().get(paths.pods(namespace), what, labelSelector=selector)
        except KubernetesError as error:
            if error.transient or not error.status:
                raise
            level = logging.DEBUG if self._has_warned else logging.WARNING
            log.log(level, "the states of replicas are those that MCAD counts: %s", error)
            self._has_warned = True
            return [], 0
        return list(answer.get("items") or ()), version_of(answer)

    def _warnings(self, namespace: str, pods: Mapping[str, Pod]) -> dict[str, Sequence[Json]]:
        """Reads the events that explain why pods do not start, where they do not say it."""
        found: dict[str, Sequence[Json]] = {}
        for name in parse.unexplained(pods)[:_EXPLAINED_PODS]:
            fields = f"involvedObject.name={name},type=Warning"
            what = f"list events in namespace {namespace}"
            try:
                answer = self.wire().get(paths.events(namespace), what, fieldSelector=fields)
            except KubernetesError as error:
                log.debug("no explanation: %s", error)
                return found
            found[name] = list(answer.get("items") or ())
        return found

    def _translated(self, what: str, namespace: str) -> Any:
        path = appwrappers_path(namespace)
        return translated(f"{what} in namespace {namespace}", path, self._api_client())


def appwrappers_path(namespace: str) -> str:
    """Returns the path of the AppWrappers of a namespace.

    Args:
        namespace: The namespace.

    Returns:
        The path.
    """
    return f"/apis/{GROUP}/{VERSION}/namespaces/{namespace}/{PLURAL}"


def apps_listing(namespace: str) -> Listing[dict[str, Any]]:
    """Describes the list that is watched for changes of AppWrappers.

    Args:
        namespace: The namespace.

    Returns:
        The list, of which only what tells the state of an app is kept.
    """
    return Listing(
        path=appwrappers_path(namespace),
        what=f"AppWrappers in namespace {namespace}",
        selector="",
        read=parse.without_pods,
        app_of=_name,
    )


def pods_listing(namespace: str) -> Listing[Pod]:
    """Describes the list that is watched for changes of the pods of any number of apps.

    Args:
        namespace: The namespace.

    Returns:
        The list.
    """
    return Listing(
        path=paths.pods(namespace),
        what=f"pods in namespace {namespace}",
        selector=paths.OURS,
        read=read_pod,
        app_of=_app_of_pod,
    )


def _vanished(app_id: str, pods: Mapping[str, Pod]) -> DescribeAppResponse | None:
    """Describes an app without AppWrapper: one that was cancelled from here, whose pods may end."""
    described = notes.recall(app_id)
    ending = [pod for pod in pods.values() if not is_terminal(pod.state)]
    if described is not None and ending:
        described.state = AppState.RUNNING
        described.msg = f"it was cancelled, and {len(ending)} of its pods have not ended yet"
    return described


def _name(app: Json) -> str:
    return str((app.get("metadata") or {}).get("name") or "")


def _app_of_pod(pod: Json) -> str:
    labels = (pod.get("metadata") or {}).get("labels") or {}
    return str(labels.get(LABEL_UNIQUE_NAME) or "")


def _app_name(app: Json) -> str:
    """Names the app as it was called before it got a unique name, if torchx made it."""
    for item in parse.items_of(app):
        metadata = (item.get("generictemplate") or {}).get("metadata") or {}
        if name := (metadata.get("labels") or {}).get(LABEL_APP_NAME):
            return str(name)
    return ""
