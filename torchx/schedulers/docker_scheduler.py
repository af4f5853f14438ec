"""The scheduler ``local_docker``: runs apps as containers of a Docker engine.

The engine keeps the containers, and their labels tell all that is needed: any process can ask
about an app, whoever submitted it.
"""

from __future__ import annotations

import builtins
import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

from torchx.schedulers.api import (
    AppDef,
    AppDryRunInfo,
    AppState,
    CfgVal,
    DescribeAppResponse,
    ListAppResponse,
    Scheduler,
    Stream,
    runopts,
)
from torchx.schedulers.docker import parse
from torchx.schedulers.docker.client import Engine
from torchx.schedulers.docker.control import cancel_app, remove_app, stop_all
from torchx.schedulers.docker.description import describe_roles
from torchx.schedulers.docker.errors import no_replica
from torchx.schedulers.docker.inspection import Inspector
from torchx.schedulers.docker.launch import ensure_network, launch
from torchx.schedulers.docker.logs import LogQuery, open_log
from torchx.schedulers.docker.names import app_id_stem
from torchx.schedulers.docker.options import Opts
from torchx.schedulers.docker.parse import CONTAINER_STATE, Replica
from torchx.schedulers.docker.request import (
    LABEL_APP_ID,
    LABEL_REPLICA_ID,
    LABEL_ROLE_NAME,
    LABEL_VERSION,
    NETWORK,
    DockerContainer,
    DockerJob,
    make_job,
    unmet_retries,
)
from torchx.schedulers.docker.watch import wait_for_event
from torchx.schedulers.ids import make_unique
from torchx.settings import ENV_TORCHX_IMAGE
from torchx.specs.api import make_app_handle
from torchx.specs.handle import UnknownAppException
from torchx.workspace.docker_workspace import DockerWorkspaceMixin

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

__all__ = [
    "CONTAINER_STATE",
    "ENV_TORCHX_IMAGE",
    "LABEL_APP_ID",
    "LABEL_REPLICA_ID",
    "LABEL_ROLE_NAME",
    "LABEL_VERSION",
    "NETWORK",
    "DockerContainer",
    "DockerJob",
    "DockerScheduler",
    "Opts",
    "create_scheduler",
    "ensure_network",
    "has_docker",
    "make_unique",
]

log: logging.Logger = logging.getLogger(__name__)

_NAME = "local_docker"
_Seen = dict[str, builtins.list[Replica]]


class DockerScheduler(DockerWorkspaceMixin, Scheduler[Opts]):
    """Runs apps as containers of a Docker engine.

    Containers stay until their app is deleted, so that their state and their logs do.

    Args:
        session_name: Name under which this client submits apps.
    """

    def __init__(self, session_name: str) -> None:
        super().__init__("docker", session_name)

    def _run_opts(self) -> runopts:
        return Opts.as_runopts()

    def _validate(self, app: AppDef, scheduler: str, cfg: Opts | None = None) -> None:
        """Accepts roles without resources: their containers have no limits."""

    def _submit_dryrun(self, app: AppDef, cfg: Opts) -> AppDryRunInfo[DockerJob]:
        app_id = make_unique(app_id_stem(app.name))
        for role in unmet_retries(app):
            log.warning(
                "role `%s`: Docker restarts only the replica that failed, not what its retry"
                " policy says",
                role,
            )
        job = make_job(app, app_id, _opts(cfg), os.environ)
        return AppDryRunInfo(job, str)

    def planned_app_id(self, dryrun_info: AppDryRunInfo[DockerJob]) -> str:
        """Names the id that :meth:`schedule` will return.

        Args:
            dryrun_info: The request.

        Returns:
            The id.
        """
        return dryrun_info.request.app_id

    def schedule(self, dryrun_info: AppDryRunInfo[DockerJob]) -> str:
        """Starts an app: all of its containers, or none.

        Args:
            dryrun_info: The request.

        Returns:
            The id of the app.

        Raises:
            JobStartError: The engine refuses. Nothing of the app is left.
            DockerEngineError: The engine does not answer (any more).
        """
        job, app = dryrun_info.request, dryrun_info._app
        opts = _opts(cast(Opts, dryrun_info._cfg))
        roles = describe_roles(app, self.session_name, opts) if app is not None else {}
        launch(self._engine, job, roles)
        return job.app_id

    def describe(self, app_id: str) -> DescribeAppResponse | None:
        """Tells what is known about an app, whoever submitted it.

        Args:
            app_id: Its id.

        Returns:
            Its description, or ``None`` if there is no such app.
        """
        replicas = self._replicas(app_id)
        if not replicas:
            return None
        self._seen()[app_id] = replicas
        details, errors = self._inspector.examine(replicas)
        return parse.describe(replicas, details, errors)

    def describe_many(self, app_ids: Sequence[str]) -> Mapping[str, DescribeAppResponse]:
        """Describes apps with one question to the engine.

        Args:
            app_ids: Their ids.

        Returns:
            Description by id, without those that the engine does not know.
        """
        apps = parse.read_apps(self._engine.containers())
        return {app_id: parse.describe(apps[app_id]) for app_id in app_ids if app_id in apps}

    def list(self, cfg: Mapping[str, CfgVal] | None = None) -> builtins.list[ListAppResponse]:
        """Lists the apps that the engine has, of all sessions, the newest first.

        Args:
            cfg: Not used.

        Returns:
            One entry per app.
        """
        apps = parse.read_apps(self._engine.containers())
        return [self._list_entry(replicas) for replicas in apps.values()]

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
        r"""Reads the log of one replica.

        Args:
            app_id: Id of the app.
            role_name: Name of the role.
            k: Number of the replica within the role.
            regex: Keep only lines in which this is found.
            since: Keep only what was written from then on; without a time zone, UTC.
            until: Keep only what was written before; without a time zone, UTC.
            should_tail: Go on until the replica has ended, instead of to the end of what is there.
            streams: Which output; ``None`` means both, line by line.

        Returns:
            The lines with their ``\n``; a ``torchx.schedulers.streams.LogStream``.

        Raises:
            UnknownAppException: There is no such app.
            RuntimeError: It has no such role or replica (a ``TorchXError``).
        """
        query = LogQuery(streams or Stream.COMBINED, since, until, bool(should_tail))
        container_id = self._container_id(app_id, role_name, k)
        return open_log(self._engine, app_id, container_id, query, regex)

    def wait_for_change(self, app_id: str, timeout_s: float) -> None:
        """Returns when the engine tells that something happened to an app.

        Args:
            app_id: Its id.
            timeout_s: Longest time to wait, in seconds.
        """
        seen = self._seen().get(app_id)
        wait_for_event(self._engine, app_id, lambda: self._replicas(app_id) != seen, timeout_s)

    def close(self) -> None:
        """Closes the connection to the engine, which is opened again when it is needed."""
        client: DockerClient | None = vars(self).get("_used_client")
        if client is not None:
            client.close()

    @property
    def _docker_client(self) -> DockerClient:
        client: DockerClient = super()._docker_client
        vars(self)["_used_client"] = client
        return client

    @property
    def _engine(self) -> Engine:
        # Not set by the constructor, which not every subclass calls.
        engine: Engine = vars(self).setdefault("_own_engine", Engine(lambda: self._docker_client))
        return engine

    @property
    def _inspector(self) -> Inspector:
        inspector: Inspector = vars(self).setdefault("_own_inspector", Inspector(self._engine))
        return inspector

    def _cancel_existing(self, app_id: str) -> None:
        replicas = self._replicas(app_id)
        if replicas:
            cancel_app(self._engine, replicas)

    def _delete_existing(self, app_id: str) -> None:
        stop_all(self._engine, self._replicas(app_id))
        remove_app(self._engine, app_id)
        self._seen().pop(app_id, None)

    def _get_app_state(self, container: Container) -> AppState:
        if container.status != "exited":
            return CONTAINER_STATE.get(container.status, AppState.UNKNOWN)
        exit_code = container.wait(timeout=10)["StatusCode"]
        return AppState.SUCCEEDED if exit_code == 0 else AppState.FAILED

    def _list_entry(self, replicas: Sequence[Replica]) -> ListAppResponse:
        entry = parse.list_entry(replicas)
        description = parse.description_of(replicas)
        if description is not None and description.session:
            entry.app_handle = make_app_handle(_NAME, description.session, entry.app_id)
        return entry

    def _replicas(self, app_id: str) -> builtins.list[Replica]:
        return parse.read_apps(self._engine.containers(app_id)).get(app_id, [])

    def _container_id(self, app_id: str, role_name: str, replica_id: int) -> str:
        replicas = self._replicas(app_id)
        if not replicas:
            raise UnknownAppException(make_app_handle(_NAME, self.session_name, app_id))
        sizes: dict[str, int] = {}
        for replica in replicas:
            if (replica.role, replica.replica_id) == (role_name, replica_id):
                return replica.container_id
            sizes[replica.role] = sizes.get(replica.role, 0) + 1
        raise no_replica(app_id, role_name, replica_id, sizes)

    def _seen(self) -> _Seen:
        seen: _Seen = vars(self).setdefault("_seen_replicas", {})
        return seen


def has_docker() -> bool:
    """Tells whether containers can be run from here.

    Returns:
        True if the package ``docker`` is installed and an engine answers.
    """
    from torchx.errors import TorchXError
    from torchx.util.docker_client import docker_client

    try:
        docker_client().close()
    except (TorchXError, OSError):
        return False
    return True


def create_scheduler(session_name: str, **kwargs: Any) -> DockerScheduler:
    """Creates the scheduler, without contacting the engine.

    Args:
        session_name: Name under which the client submits apps.
        **kwargs: Ignored.

    Returns:
        The scheduler.
    """
    return DockerScheduler(session_name)


def _opts(cfg: Mapping[str, CfgVal]) -> Opts:
    return cfg if isinstance(cfg, Opts) else Opts.from_cfg(cfg)


def _to_str(a: str | bytes) -> str:
    return a.decode("utf-8", "replace") if isinstance(a, bytes) else a
