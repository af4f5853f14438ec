"""How the schedulers on Kubernetes reach their cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from torchx.schedulers.api import Scheduler
from torchx.schedulers.kubernetes import access
from torchx.specs.api import CfgVal

if TYPE_CHECKING:
    from kubernetes.client import ApiClient, CustomObjectsApi

T = TypeVar("T")


class ConnectedScheduler(Scheduler[T]):
    """Has a client of a cluster, which is made when it is needed.

    Attributes:
        context: Context of the kubeconfig; ``None`` is the current one.
    """

    context: str | None = None
    _client: ApiClient | None = None
    _given_client: ApiClient | None = None

    def _api_client(self) -> ApiClient:
        if self._client is None:
            self._client = access.load_client(self.context)
        return self._client

    def _use_context(self, context: CfgVal) -> None:
        """Turns to another cluster, if a run option names one."""
        if not context or context == self.context:
            return
        self.close()
        vars(self).pop("_apps_made", None)
        # A client that the caller made leads where it leads.
        self.context, self._client = str(context), self._given_client

    def _custom_objects_api(self) -> CustomObjectsApi:
        from kubernetes import client

        return client.CustomObjectsApi(self._api_client())

    def _get_active_context(self) -> dict[str, Any]:
        return access.active_context(self.context)

    def _own_namespace(self) -> str:
        from kubernetes.config import ConfigException

        try:
            context = self._get_active_context()
        except ConfigException:
            return access.pod_namespace() or "default"
        namespace = (context.get("context") or {}).get("namespace")
        return str(namespace) if namespace else "default"
