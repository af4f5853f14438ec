"""The scheduler ``local_cwd``: runs apps as processes of this machine.

Each app runs under a supervisor of its own, which restarts replicas, ends all that they leave
behind, and keeps a record on disk, so that any process can ask about the app.
"""

from __future__ import annotations

import builtins
import copy
import importlib
import io
import logging
import os
import sys
import weakref
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from torchx.errors import TorchXError
from torchx.schedulers.api import (
    AppDef,
    AppDryRunInfo,
    CfgVal,
    DescribeAppResponse,
    ListAppResponse,
    Scheduler,
    Stream,
    runopts,
)
from torchx.schedulers.ids import make_unique
from torchx.schedulers.local import layout, termination
from torchx.schedulers.local.apps import NA, LocalAppDef, LocalReplica, PopenProtocol
from torchx.schedulers.local.images import (
    CWDImageProvider,
    ImageProvider,
    LocalDirectoryImageProvider,
    ReplicaParam,
)
from torchx.schedulers.local.options import Opts
from torchx.schedulers.local.queries import Queries
from torchx.schedulers.local.termination import SignalException

if TYPE_CHECKING:
    from datetime import datetime

    from torchx.schedulers.local.gpus import ENV_CUDA_VISIBLE_DEVICES
    from torchx.schedulers.local.logs import LogIterator
    from torchx.schedulers.local.request import (
        COMBINED_LOG,
        STDERR_LOG,
        STDOUT_LOG,
        PopenRequest,
        join_path,
    )

    _join_PATH = join_path

__all__ = [
    "COMBINED_LOG",
    "ENV_CUDA_VISIBLE_DEVICES",
    "NA",
    "STDERR_LOG",
    "STDOUT_LOG",
    "AppId",
    "AppName",
    "CWDImageProvider",
    "ImageProvider",
    "LocalDirectoryImageProvider",
    "LocalOpts",
    "LocalScheduler",
    "LogIterator",
    "Opts",
    "PopenProtocol",
    "PopenRequest",
    "ReplicaParam",
    "RoleName",
    "SignalException",
    "create_scheduler",
    "make_unique",
]

log: logging.Logger = logging.getLogger(__name__)

AppId = str
AppName = str
RoleName = str
LocalOpts = Mapping[str, CfgVal]

# Names that packages built on this module import.
_LocalAppDef = LocalAppDef
_LocalReplica = LocalReplica
_terminate_process_handler = termination.terminate_process_handler
_register_termination_signals = termination.register

# What only launches need is loaded by them, or when somebody asks this module for it.
_LOADED_LATER = {
    "COMBINED_LOG": "request.COMBINED_LOG",
    "ENV_CUDA_VISIBLE_DEVICES": "gpus.ENV_CUDA_VISIBLE_DEVICES",
    "LogIterator": "logs.LogIterator",
    "PopenRequest": "request.PopenRequest",
    "STDERR_LOG": "request.STDERR_LOG",
    "STDOUT_LOG": "request.STDOUT_LOG",
    "_join_PATH": "request.join_path",
}

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        """Loads what this module offers on behalf of others."""
        module, _, attribute = _LOADED_LATER.get(name, "").partition(".")
        if not attribute:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"torchx.schedulers.local.{module}"), attribute)


# Tells an argument that was left out from an explicit False: only the former waits for more.
_OMITTED = cast(bool, type("_Omitted", (), {"__bool__": lambda self: False})())


class LocalScheduler(Queries, Scheduler[Mapping[str, CfgVal]]):
    """Runs apps as processes of this machine.

    Args:
        session_name: Name under which this client submits apps.
        image_provider_class: What an image is.
        cache_size: Number of apps that this object remembers by itself, at least 1.
        extra_paths: Directories in which replicas look for programs first.

    Raises:
        ValueError: If ``cache_size`` is not positive.
    """

    # Defaults for subclasses that do not call the constructor.
    _image_provider_class: type[ImageProvider] = CWDImageProvider
    _cache_size: int = 100
    _extra_paths: Sequence[str] = ()
    _views_pid: int = 0

    def __init__(
        self,
        session_name: str,
        image_provider_class: type[ImageProvider],
        cache_size: int = 100,
        extra_paths: builtins.list[str] | None = None,
    ) -> None:
        super().__init__("local", session_name)
        if cache_size <= 0:
            raise ValueError(f"cache_size must be greater than zero, not {cache_size}")
        self._apps = {}
        self._image_provider_class = image_provider_class
        self._cache_size = cache_size
        self._extra_paths = extra_paths or []
        self._base_log_dir = None
        self._created_tmp_log_dir = False
        self._tmp_log_dirs = []
        termination.register(self)

    def _run_opts(self) -> runopts:
        return Opts.as_runopts()

    def _validate(
        self, app: AppDef, scheduler: str, cfg: Mapping[str, CfgVal] | None = None
    ) -> None:
        """Accepts roles without resources: the whole machine is theirs."""

    def _submit_dryrun(self, app: AppDef, cfg: Mapping[str, CfgVal]) -> AppDryRunInfo[PopenRequest]:
        from torchx.schedulers.local.request import format_request

        return AppDryRunInfo(self._to_popen_request(app, cfg), format_request)

    def _to_popen_request(self, app: AppDef, cfg: Mapping[str, CfgVal]) -> PopenRequest:
        from torchx.schedulers.local.request import app_id_stem, make_request

        opts = cfg if isinstance(cfg, Opts) else Opts.from_cfg(cfg)
        opts.check()
        app_id = make_unique(app_id_stem(app.name))
        if opts.log_dir:
            self._base_log_dir = opts.log_dir
            session, app_dir = map(layout.path_component, (self.session_name, app_id))
            app_log_dir = os.path.join(os.path.abspath(opts.log_dir), session, app_dir)
        else:
            app_log_dir = layout.kept_log_dir(app_id)
        request = make_request(
            app,
            app_id,
            app_log_dir,
            self._image_provider_class(cfg),
            self._extra_paths,
            prepend_cwd=opts.prepend_cwd,
        )
        self.auto_set_CUDA_VISIBLE_DEVICES(request.role_params, app, opts)
        return request

    def auto_set_CUDA_VISIBLE_DEVICES(
        self, role_params: dict[str, builtins.list[ReplicaParam]], app: AppDef, cfg: Opts
    ) -> None:
        """Divides the free GPUs of this machine among the replicas, if that is switched on.

        Args:
            role_params: The replicas by role; their environments are changed.
            app: The app.
            cfg: The run options.
        """
        from torchx.schedulers.local import gpus

        is_on = cfg.auto_set_cuda_visible_devices
        gpus.divide(role_params, app, self._cuda_device_count, is_on=is_on)

    def _cuda_device_count(self) -> int:
        from torchx.schedulers.local import gpus

        return gpus.count_devices()

    def planned_app_id(self, dryrun_info: AppDryRunInfo[PopenRequest]) -> str:
        """Names the id that :meth:`schedule` will return.

        Args:
            dryrun_info: The request.

        Returns:
            The id.
        """
        return dryrun_info.request.app_id

    def log_location(self, app_id: str, dryrun_info: AppDryRunInfo[PopenRequest]) -> str:
        """Names the directory with the logs of an app.

        Args:
            app_id: Its id.
            dryrun_info: The request that was submitted.

        Returns:
            An absolute path.
        """
        return dryrun_info.request.log_dir

    def schedule(self, dryrun_info: AppDryRunInfo[PopenRequest]) -> str:
        """Starts an app.

        Args:
            dryrun_info: The request.

        Returns:
            The id of the app.

        Raises:
            IndexError: If this object remembers ``cache_size`` apps, and all of them run.
            OSError: If a replica cannot be started. Nothing of the app is left running.
        """
        from torchx.schedulers.local import ports

        request = dryrun_info.request
        with self._lock:
            self._make_room(request.app_id)
            if dryrun_info._app is not None:
                ports.warn_of_busy_ports(dryrun_info._app)
        termination.register(self)
        # Whatever can fail comes before the start, so that no running app is lost.
        if layout.is_kept_log_dir(request.log_dir):
            self._make_log_view(request)
        self._apps[request.app_id] = self._start(dryrun_info)
        return request.app_id

    def _start(self, dryrun_info: AppDryRunInfo[PopenRequest]) -> LocalAppDef:
        from contextlib import nullcontext

        from torchx.schedulers.local import gpus, inprocess, supervised

        request, app, cfg = dryrun_info.request, dryrun_info._app, dryrun_info._cfg
        opts = Opts.from_cfg(cfg) if isinstance(cfg, Mapping) else Opts()
        if self._starts_processes_its_own_way() or inprocess.uses_console(request):
            return inprocess.start_app(request, self._popen, detach=opts.detach)
        holds_gpus = opts.auto_set_cuda_visible_devices
        with gpus.exclusive() if holds_gpus else nullcontext():
            if holds_gpus and app is not None and gpus.is_contested(request.role_params, app):
                request = copy.deepcopy(request)
                gpus.take_back(request.role_params, app)
                self.auto_set_CUDA_VISIBLE_DEVICES(request.role_params, app, opts)
            return supervised.start(
                supervised.Submission(
                    request=request,
                    app=app,
                    opts=opts,
                    session=self.session_name,
                    environments=[
                        self._get_replica_env(param)
                        for params in request.role_params.values()
                        for param in params
                    ],
                    holds_gpus=holds_gpus,
                )
            )

    def _starts_processes_its_own_way(self) -> bool:
        return any(
            getattr(getattr(self, name), "__func__", None) is not getattr(LocalScheduler, name)
            for name in ("_popen", "run_local_job")
        )

    def _popen(
        self, role_name: RoleName, replica_id: int, replica_params: ReplicaParam
    ) -> LocalReplica:
        from torchx.schedulers.local import inprocess

        return inprocess.start_replica(
            role_name,
            replica_id,
            replica_params,
            self._get_replica_env(replica_params),
            self._get_file_io,
            self.run_local_job,
        )

    def run_local_job(
        self,
        args: builtins.list[str],
        env: dict[str, str],
        stdout: io.FileIO | None,
        stderr: io.FileIO | None,
        cwd: str | None = None,
    ) -> PopenProtocol:
        """Starts one process as a child of this one. Overriding it replaces the supervisor.

        Args:
            args: The command and its arguments.
            env: Its complete environment.
            stdout: File for standard output.
            stderr: File for standard error.
            cwd: Its working directory.

        Returns:
            The process, which leads its own session.
        """
        from torchx.schedulers.local import inprocess

        return inprocess.spawn(args=args, env=env, stdout=stdout, stderr=stderr, cwd=cwd)

    def _get_file_io(self, file: str | None) -> io.FileIO | None:
        from torchx.schedulers.local import inprocess

        return inprocess.open_log(file)

    def _get_replica_env(self, params: ReplicaParam) -> dict[str, str]:
        from torchx.schedulers.local import inprocess

        return inprocess.replica_env(params.env)

    def _make_room(self, app_id: str) -> None:
        if app_id in self._apps:
            raise TorchXError(
                f"the app `{app_id}` has been started already",
                hint="make a new request for each submission",
            )
        if len(self._apps) >= self._cache_size:
            self._refresh_states()
            if not self._evict_lru():
                raise IndexError(
                    f"app cache size ({self._cache_size}) exceeded:"
                    " all apps are running; cancel some of them, or increase the cache size"
                )

    def _make_log_view(self, request: PopenRequest) -> None:
        from torchx.schedulers.local import views

        base = views.make_log_view(request.log_dir, self.session_name, request.app_id)
        # Also if this process ends without closing the scheduler.
        weakref.finalize(self, views.remove_log_view, base, os.getpid())
        self._views_pid = os.getpid()
        self._base_log_dir = base
        self._created_tmp_log_dir = True
        # A list of its own for subclasses that do not call the constructor.
        self._tmp_log_dirs = [*self._tmp_log_dirs, base]
        log.info("the logs of `%s` are kept in %s", request.app_id, request.log_dir)

    def describe(self, app_id: str) -> DescribeAppResponse | None:
        """Tells what is known about an app, whoever started it.

        Args:
            app_id: Its id.

        Returns:
            Its description, or ``None`` if there is no such app.
        """
        return self._describe(app_id)

    def list(self, cfg: Mapping[str, CfgVal] | None = None) -> builtins.list[ListAppResponse]:
        """Lists the apps of this user on this machine, the newest first.

        Args:
            cfg: Not used.

        Returns:
            One entry per app.
        """
        return self._list()

    def log_iter(
        self,
        app_id: str,
        role_name: str,
        k: int = 0,
        regex: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        should_tail: bool = _OMITTED,
        streams: Stream | None = None,
    ) -> Iterable[str]:
        r"""Reads the log of one replica.

        Args:
            app_id: Id of the app.
            role_name: Name of the role.
            k: Number of the replica within the role.
            regex: Keep only lines in which this is found.
            since: Keep only what was written from then on, give or take a moment.
            until: Keep only what was written before, give or take a moment.
            should_tail: Go on until the app has ended, which is what happens if it is left out;
                ``False`` stops at the end of what is there.
            streams: Which output; ``None`` means both, line by line.

        Returns:
            The lines with their ``\n``; a ``torchx.schedulers.streams.LogStream``.

        Raises:
            KeyError: If there is no such app (an ``UnknownAppException``).
            RuntimeError: If there is no such role, replica or log (a ``TorchXError``).
        """
        follow = bool(should_tail) or should_tail is _OMITTED
        stream = streams or Stream.COMBINED
        return self._open_log(app_id, role_name, k, regex, since, until, stream, follow=follow)

    def wait_for_change(self, app_id: str, timeout_s: float) -> None:
        """Returns when an app may have changed since this object last described it.

        Args:
            app_id: Its id.
            timeout_s: Longest time to wait.
        """
        self._wait_for_change(app_id, timeout_s)

    def _cancel_existing(self, app_id: str) -> None:
        self._cancel(app_id)

    def _delete_existing(self, app_id: str) -> None:
        self._delete(app_id)

    def close(self) -> None:
        """Ends what this object has started, except for detached apps, and tidies up after it."""
        from torchx.schedulers.local import views

        apps = [app for app in self._apps.values() if not app.outlives_launcher]
        for app in apps:
            app.begin_kill()
        for app in apps:
            app.kill()
        tmp_log_dirs, self._tmp_log_dirs = self._tmp_log_dirs, []
        for directory in tmp_log_dirs:
            views.remove_log_view(directory, self._views_pid)
        termination.release(self)

    def __del__(self) -> None:
        if sys.is_finalizing():
            # Supervisors notice by themselves that this process has ended.
            return
        try:
            self.close()
        except Exception as error:
            log.warning("cannot close the local scheduler: %s", error)


def create_scheduler(
    session_name: str,
    cache_size: int = 100,
    extra_paths: list[str] | None = None,
    image_provider_class: type[ImageProvider] = CWDImageProvider,
    **kwargs: object,
) -> LocalScheduler:
    """Creates a scheduler that runs apps in the working directory.

    Args:
        session_name: Name under which this client submits apps.
        cache_size: Number of apps that it remembers by itself.
        extra_paths: Directories in which replicas look for programs first.
        image_provider_class: What an image is.
        **kwargs: Not used.

    Returns:
        The scheduler.
    """
    return LocalScheduler(
        session_name=session_name,
        cache_size=cache_size,
        extra_paths=extra_paths,
        image_provider_class=image_provider_class,
    )
