"""The half of the scheduler ``kubernetes_mcad`` that looks at apps: states, logs, ends."""

from __future__ import annotations

import builtins
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TypeVar

from torchx.schedulers.api import DescribeAppResponse, ListAppResponse, Stream
from torchx.schedulers.kubernetes.connection import ConnectedScheduler
from torchx.schedulers.kubernetes.logs import LogQuery, uses_published_calls
from torchx.schedulers.kubernetes_mcad import logs
from torchx.schedulers.kubernetes_mcad.apps import AppWrappers
from torchx.schedulers.kubernetes_mcad.errors import AppWrapperAccessError
from torchx.specs.api import CfgVal, UnknownAppException, is_terminal, make_app_handle

T = TypeVar("T")

_MISSING = 404


class WatchingScheduler(ConnectedScheduler[T]):
    """Answers for apps that are AppWrappers, whoever submitted them."""

    def describe(self, app_id: str) -> DescribeAppResponse | None:
        """Tells what is known about an app, with two requests, and more for what waits.

        Args:
            app_id: Its id, ``namespace:name``.

        Returns:
            Its description; ``None`` if there is no such app.

        Raises:
            ValueError: That is no id of an app, or AppWrappers cannot be read at all.
            KubernetesError: The cluster refuses (an ``ApiException``, too) or does not answer.
        """
        return self._apps().describe(app_id)

    def describe_many(self, app_ids: Sequence[str]) -> Mapping[str, DescribeAppResponse]:
        """Describes apps with two requests per namespace.

        Args:
            app_ids: Their ids.

        Returns:
            Description by id; unknown apps are left out.

        Raises:
            KubernetesError: The cluster refuses (an ``ApiException``, too) or does not answer.
        """
        return self._apps().describe_many(app_ids)

    def list(self, cfg: Mapping[str, CfgVal] | None = None) -> builtins.list[ListAppResponse]:
        """Lists the AppWrappers of a namespace, whoever made them.

        Args:
            cfg: May name the ``namespace``; by default that of the current context.

        Returns:
            One entry per AppWrapper.

        Raises:
            KubernetesError: The cluster refuses (an ``ApiException``, too) or does not answer.
        """
        self._use_context((cfg or {}).get("context"))
        given = (cfg or {}).get("namespace")
        return self._apps().list_apps(str(given) if given else self._own_namespace())

    def exists(self, app_id: str) -> bool:
        """Tells whether an app is known: to the cluster, or here as cancelled.

        Args:
            app_id: Its id.

        Returns:
            True if it is.

        Raises:
            KubernetesError: The cluster refuses (an ``ApiException``, too) or does not answer.
        """
        return self._describe_if_any(app_id) is not None

    def cancel(self, app_id: str) -> None:
        """Ends an app; does nothing if it has ended, which would remove its logs.

        Args:
            app_id: Its id.

        Raises:
            KubernetesError: The cluster refuses (an ``ApiException``, too) or does not answer.
        """
        described = self._describe_if_any(app_id)
        if described is not None and not is_terminal(described.state):
            self._cancel_existing(app_id)

    def wait_for_change(self, app_id: str, timeout_s: float) -> None:
        """Returns when an app may have changed; all apps are waited for with two watches.

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
        r"""Reads the log of one replica: of all its containers, and when followed of all attempts.

        Lines begin with the time at which the node got them.

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

            return logs.published_lines(client.CoreV1Api(self._api_client()), app_id, query)
        stream = logs.open_log(self._apps(), app_id, query)
        if stream is None:
            raise UnknownAppException(make_app_handle(self.backend, self.session_name, app_id))
        return stream

    def close(self) -> None:
        """Ends what watches the cluster. Repeatable."""
        if "_apps_made" in vars(self):
            self._apps().close()
        super().close()

    def _describe_if_any(self, app_id: str) -> DescribeAppResponse | None:
        try:
            return self.describe(app_id)
        except AppWrapperAccessError as error:
            if error.status != _MISSING:
                raise
            return None

    def _cancel_existing(self, app_id: str) -> None:
        self._apps().cancel(app_id)

    def _delete_existing(self, app_id: str) -> None:
        self._apps().delete(app_id)

    def _apps(self) -> AppWrappers:
        # Not set by the constructor, which not every subclass out there calls.
        if "_apps_made" not in vars(self):
            vars(self)["_apps_made"] = AppWrappers(
                lambda: self._api_client(), lambda: self._custom_objects_api()
            )
        apps: AppWrappers = vars(self)["_apps_made"]
        return apps
