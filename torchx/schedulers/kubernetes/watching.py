"""The half that looks at apps, of all schedulers on Kubernetes: states, logs, ends."""

from __future__ import annotations

import abc
import builtins
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from torchx.schedulers.api import DescribeAppResponse, ListAppResponse, Stream
from torchx.schedulers.kubernetes.connection import ConnectedScheduler
from torchx.schedulers.kubernetes.logs import LogQuery, uses_published_calls
from torchx.specs.api import CfgVal, UnknownAppException, make_app_handle

if TYPE_CHECKING:
    from kubernetes.client import CoreV1Api

T = TypeVar("T")


class ClusterApps(Protocol):
    """The apps of one cluster; the methods are those of the scheduler."""

    def is_real(self) -> bool:
        """Tells whether there is a cluster, and nobody has replaced the client library's calls."""
        ...

    def describe(self, app_id: str) -> DescribeAppResponse | None:
        """Tells what is known about an app."""
        ...

    def describe_many(self, app_ids: Sequence[str]) -> Mapping[str, DescribeAppResponse]:
        """Tells what is known about each of some apps."""
        ...

    def list_apps(self, namespace: str) -> list[ListAppResponse]:
        """Lists the apps of a namespace."""
        ...

    def wait_for_change(self, app_id: str, timeout_s: float) -> None:
        """Returns when an app may have changed."""
        ...

    def cancel(self, app_id: str) -> None:
        """Ends an app."""
        ...

    def delete(self, app_id: str) -> None:
        """Removes an app."""
        ...

    def close(self) -> None:
        """Ends what watches the cluster."""
        ...


A = TypeVar("A", bound=ClusterApps)


class WatchingScheduler(ConnectedScheduler[T], Generic[T, A]):
    """Answers for apps on a cluster, whoever submitted them."""

    def describe(self, app_id: str) -> DescribeAppResponse | None:
        """Tells what is known about an app, with a number of requests that does not grow.

        Args:
            app_id: Its id, ``namespace:name``.

        Returns:
            Its description; ``None`` if there is no such app.

        Raises:
            ValueError: That is no id of an app.
            KubernetesError: The cluster refuses (an ``ApiException``, too) or does not answer.
        """
        return self._apps().describe(app_id)

    def describe_many(self, app_ids: Sequence[str]) -> Mapping[str, DescribeAppResponse]:
        """Describes apps with two requests per namespace.

        Args:
            app_ids: Their ids.

        Returns:
            Description by id, without what only pods tell; unknown apps are left out.

        Raises:
            KubernetesError: The cluster refuses (an ``ApiException``, too) or does not answer.
        """
        return self._apps().describe_many(app_ids)

    def list(self, cfg: Mapping[str, CfgVal] | None = None) -> builtins.list[ListAppResponse]:
        """Lists the apps of a namespace, whoever made them.

        Args:
            cfg: May name the ``namespace``; by default that of the current context.

        Returns:
            One entry per app.

        Raises:
            KubernetesError: The cluster refuses (an ``ApiException``, too) or does not answer.
        """
        self._use_context((cfg or {}).get("context"))
        given = (cfg or {}).get("namespace")
        return self._apps().list_apps(str(given) if given else self._own_namespace())

    def wait_for_change(self, app_id: str, timeout_s: float) -> None:
        """Returns when an app may have changed; all apps are waited for with the same watches.

        Args:
            app_id: Its id.
            timeout_s: Longest time to wait, in seconds.
        """
        if self._apps().is_real():
            self._apps().wait_for_change(app_id, timeout_s)
        else:
            super().wait_for_change(app_id, timeout_s)

    def log_iter(
        self,
        app_id: str,
        role_name: str,
        k: int = 0,
        regex: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        should_tail: bool = False,
        streams: Stream | None = None,
    ) -> Iterable[str]:
        r"""Reads the log of one replica: of all its attempts, and of all their containers.

        Lines begin with the time at which the node got them, but for plain Jobs.

        Args:
            app_id: Id of the app.
            role_name: Name of the role.
            k: Number of the replica within the role.
            regex: Keep only lines in which this is found.
            since: Keep only what was written from then on; without a time zone, of the local clock.
            until: Keep only what was written before then, likewise.
            should_tail: Go on until the app has ended.
            streams: Which output; nodes keep both as one.

        Returns:
            The lines with their ``\n``, which the last one may lack.

        Raises:
            ValueError: One output alone is asked for.
            UnknownAppException: There is no such app.
            NoSuchReplicaError: The app has no such replica.
            KubernetesError: The cluster refuses (an ``ApiException``, too) or does not answer.
        """
        query = LogQuery(role_name, k, regex, since, until, should_tail, streams)
        if uses_published_calls(self._api_client()):
            from kubernetes import client

            return self._published_lines(client.CoreV1Api(self._api_client()), app_id, query)
        stream = self._open_log(app_id, query)
        if stream is None:
            raise UnknownAppException(make_app_handle(self.backend, self.session_name, app_id))
        return stream

    def close(self) -> None:
        """Ends what watches the cluster. Repeatable."""
        if "_apps_made" in vars(self):
            self._apps().close()
        super().close()

    def _cancel_existing(self, app_id: str) -> None:
        self._apps().cancel(app_id)

    def _delete_existing(self, app_id: str) -> None:
        self._apps().delete(app_id)

    @abc.abstractmethod
    def _make_apps(self) -> A:
        """Makes what reads, watches and ends the apps of the cluster."""

    @abc.abstractmethod
    def _open_log(self, app_id: str, query: LogQuery) -> Iterable[str] | None:
        """Opens a log; ``None`` if there is no such app."""

    @abc.abstractmethod
    def _published_lines(self, api: CoreV1Api, app_id: str, query: LogQuery) -> Iterable[str]:
        """Reads a log by the calls of the client library that were published."""

    def _apps(self) -> A:
        # Not set by the constructor, which not every subclass out there calls.
        if "_apps_made" not in vars(self):
            vars(self)["_apps_made"] = self._make_apps()
        apps: A = vars(self)["_apps_made"]
        return apps
