"""Runs replicas as children of this process, for subclasses that start processes their own way."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

from torchx.errors import JobStartError
from torchx.schedulers.api import DescribeAppResponse
from torchx.schedulers.local.apps import NA, LocalAppDef, LocalReplica, PopenProtocol
from torchx.schedulers.local.request import join_path
from torchx.schedulers.streams import Tee
from torchx.specs.api import AppState, is_terminal

if TYPE_CHECKING:
    from torchx.schedulers.local.images import ReplicaParam
    from torchx.schedulers.local.request import PopenRequest


class RunLocalJob(Protocol):
    """Starts one process; the method that subclasses override."""

    def __call__(
        self,
        args: list[str],
        env: dict[str, str],
        stdout: io.FileIO | None,
        stderr: io.FileIO | None,
        cwd: str | None = None,
    ) -> PopenProtocol:
        """Starts one process."""


class StartReplica(Protocol):
    """Starts one replica; the method that subclasses override."""

    def __call__(
        self, role_name: str, replica_id: int, replica_params: ReplicaParam
    ) -> LocalReplica:
        """Starts one replica."""


def replica_env(own: Mapping[str, str]) -> dict[str, str]:
    """Returns the environment of a replica: that of this process, changed.

    Args:
        own: Variables of the replica.

    Returns:
        All variables. The ``PATH`` of this process comes behind that of the replica.
    """
    env = {"PYTHONUNBUFFERED": "x", **os.environ, **own}
    env["PATH"] = join_path(own.get("PATH"), os.environ.get("PATH"))
    return env


def open_log(path: str | None) -> io.FileIO | None:
    """Creates a log file.

    Args:
        path: The file, or ``None`` for no file.

    Returns:
        The open file.

    Raises:
        FileExistsError: There is one already.
    """
    if path is None:
        return None
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if os.path.exists(path):
        raise FileExistsError(
            f"the log file {path} exists already; remove it, or choose another log_dir or app name"
        )
    return io.FileIO(path, "w")


def spawn(
    args: list[str],
    env: dict[str, str],
    stdout: io.FileIO | None,
    stderr: io.FileIO | None,
    cwd: str | None,
) -> PopenProtocol:
    """Starts a process that leads its own session.

    Args:
        args: The command and its arguments.
        env: Its complete environment.
        stdout: File for standard output.
        stderr: File for standard error.
        cwd: Its working directory.

    Returns:
        The process.
    """
    import subprocess

    return subprocess.Popen(
        args=args, env=env, stdout=stdout, stderr=stderr, start_new_session=True, cwd=cwd
    )


def start_replica(
    role_name: str,
    replica_id: int,
    params: ReplicaParam,
    env: dict[str, str],
    open_file: Callable[[str | None], io.FileIO | None],
    run_local_job: RunLocalJob,
) -> LocalReplica:
    """Starts one replica with its logs.

    Args:
        role_name: Name of its role.
        replica_id: Number within the role.
        params: How to start it.
        env: Its complete environment.
        open_file: What creates a log file.
        run_local_job: What starts the process.

    Returns:
        The running replica.

    Raises:
        OSError: It cannot be started; its logs are closed then.
    """
    opened: list[io.FileIO | None] = []
    try:
        for path in (params.stdout, params.stderr, params.combined):
            opened.append(open_file(path))
        stdout, stderr, combined = opened
        proc = run_local_job(
            args=params.args, env=env, stdout=stdout, stderr=stderr, cwd=params.cwd
        )
    except BaseException:
        for file in opened:
            if file is not None:
                file.close()
        raise
    sources = [path for path in (params.stdout, params.stderr) if path]
    return LocalReplica(
        role_name,
        replica_id,
        proc,
        stdout,
        stderr,
        Tee(combined, *sources) if combined and sources else combined,
        env.get("TORCHELASTIC_ERROR_FILE", NA),
    )


def uses_console(request: PopenRequest) -> bool:
    """Tells whether some output is to go to the console of this process.

    Args:
        request: The app.

    Returns:
        True if a replica has no file for its standard output or standard error.
    """
    params = (param for params in request.role_params.values() for param in params)
    return any(param.stdout is None or param.stderr is None for param in params)


def start_app(request: PopenRequest, popen: StartReplica, *, detach: bool) -> LocalAppDef:
    """Starts all replicas of an app, or none.

    Args:
        request: The app.
        popen: What starts a replica.
        detach: The app was asked to go on when this process ends, which a child cannot do.

    Returns:
        The running app.

    Raises:
        JobStartError: The app was to be detached.
        OSError: A replica cannot be started; those started before were ended.
    """
    if detach:
        raise JobStartError(
            f"the app `{request.app_id}` cannot be detached: it runs in children of this process",
            hint="leave out detach, or start it by `local_cwd` itself with all output in files",
        )
    os.makedirs(request.log_dir, exist_ok=True)
    app = LocalAppDef(request.app_id, request.log_dir)
    try:
        for role_name, params in request.role_params.items():
            for replica_id, param in enumerate(params):
                os.makedirs(request.role_log_dirs[role_name][replica_id], exist_ok=True)
                replica = popen(role_name=role_name, replica_id=replica_id, replica_params=param)
                app.add_replica(role_name, replica)
    except BaseException:
        app.kill()
        raise
    return app


def describe(app: LocalAppDef) -> DescribeAppResponse:
    """Tells the state of an app whose replicas are children of this process.

    Args:
        app: The app; its state is brought up to date.

    Returns:
        The answer.
    """
    if not is_terminal(app.state):
        app.set_state(_state(app.replicas()))
        if is_terminal(app.state):
            app.close()
    return DescribeAppResponse(
        app_id=app.id,
        state=app.state,
        num_restarts=0,
        structured_error_msg=app.get_structured_error_msg(),
        ui_url=f"file://{app.log_dir}",
    )


def _state(replicas: list[LocalReplica]) -> AppState:
    if any(replica.is_alive() for replica in replicas):
        return AppState.RUNNING
    if any(replica.failed() for replica in replicas):
        return AppState.FAILED
    return AppState.SUCCEEDED
