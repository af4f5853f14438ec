"""The half of the scheduler ``kubernetes_mcad`` that looks at apps: states, logs, ends."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, TypeVar

from torchx.schedulers.api import DescribeAppResponse
from torchx.schedulers.kubernetes.logs import LogQuery
from torchx.schedulers.kubernetes.watching import WatchingScheduler
from torchx.schedulers.kubernetes_mcad import logs
from torchx.schedulers.kubernetes_mcad.apps import AppWrappers
from torchx.schedulers.kubernetes_mcad.errors import AppWrapperAccessError
from torchx.specs.api import is_terminal

if TYPE_CHECKING:
    from kubernetes.client import CoreV1Api

T = TypeVar("T")

_MISSING = 404


class AppWrapperScheduler(WatchingScheduler[T, AppWrappers]):
    """Answers for apps that are AppWrappers."""

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

    def _describe_if_any(self, app_id: str) -> DescribeAppResponse | None:
        try:
            return self.describe(app_id)
        except AppWrapperAccessError as error:
            if error.status != _MISSING:
                raise
            return None

    def _make_apps(self) -> AppWrappers:
        return AppWrappers(lambda: self._api_client(), lambda: self._custom_objects_api())

    def _open_log(self, app_id: str, query: LogQuery) -> Iterable[str] | None:
        return logs.open_log(self._apps(), app_id, query)

    def _published_lines(self, api: CoreV1Api, app_id: str, query: LogQuery) -> Iterable[str]:
        return logs.published_lines(api, app_id, query)
