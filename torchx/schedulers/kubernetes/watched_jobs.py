"""The half of the scheduler ``kubernetes`` that looks at apps, see ``watching.py``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, TypeVar

from torchx.schedulers.kubernetes import logs
from torchx.schedulers.kubernetes.apps import Apps
from torchx.schedulers.kubernetes.watching import WatchingScheduler

if TYPE_CHECKING:
    from kubernetes.client import CoreV1Api

T = TypeVar("T")


class JobScheduler(WatchingScheduler[T, Apps]):
    """Answers for apps that are Volcano Jobs or plain Jobs."""

    def exists(self, app_id: str) -> bool:
        """Tells whether the cluster knows an app, with two requests at most.

        Args:
            app_id: Its id.

        Returns:
            True if it does.

        Raises:
            KubernetesError: The cluster refuses (an ``ApiException``, too) or does not answer.
        """
        return self._apps().find(app_id) is not None

    def _make_apps(self) -> Apps:
        return Apps(lambda: self._api_client(), lambda: self._custom_objects_api())

    def _open_log(self, app_id: str, query: logs.LogQuery) -> Iterable[str] | None:
        return logs.open_log(self._apps(), app_id, query)

    def _published_lines(self, api: CoreV1Api, app_id: str, query: logs.LogQuery) -> Iterable[str]:
        return logs.published_lines(api, app_id, query)
