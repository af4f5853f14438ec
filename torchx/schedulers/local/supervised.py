"""Starts an app under a supervisor, and holds on to it."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Mapping

from torchx.schedulers.local import control, store
from torchx.schedulers.local.apps import NA, LocalAppDef, LocalReplica
from torchx.schedulers.local.gpus import assigned
from torchx.schedulers.local.images import ReplicaParam
from torchx.schedulers.local.launch import Launch
from torchx.schedulers.local.layout import make_state_dir
from torchx.schedulers.local.messages import (
    AppRecord,
    LaunchMessage,
    OwnerRecord,
    ReplicaRecord,
    RoleRecord,
    StartSpec,
)
from torchx.schedulers.local.options import Opts
from torchx.schedulers.local.record import FORMAT, RECORD_FILE, write_json
from torchx.schedulers.local.request import PopenRequest
from torchx.specs.api import AppDef, Resource, Role
from torchx.util.records import record
from torchx.util.redact import redact_args, redact_text


@record
class Submission:
    """All that is needed to start an app.

    Attributes:
        request: The request, as printed by a dry run.
        app: What it was made from, if that is known.
        opts: The run options.
        session: Name of the session.
        environments: Complete environment of each replica, in the order of the request.
        holds_gpus: True if the GPUs in the request are for this app alone.
    """

    request: PopenRequest
    app: AppDef | None
    opts: Opts
    session: str
    environments: list[dict[str, str]]
    holds_gpus: bool


class SupervisedApp:
    """An app that this process has started under a supervisor.

    Args:
        directory: State directory of the app.
        child: The supervisor, unless it is detached and so nobody's child.
        record: The record as it was when all replicas had been started.
    """

    def __init__(
        self, directory: str, child: subprocess.Popen[bytes] | None, record: AppRecord
    ) -> None:
        self.directory = directory
        self._child = child
        self._first_record = record
        self._launcher_pid = os.getpid()
        self._collected = False

    def current(self, record: AppRecord) -> AppRecord:
        """Returns what is known of the app, which is more than its supervisor has written at first.

        Args:
            record: What was read from disk.

        Returns:
            The newer one of the two.
        """
        return record if record["generation"] else self._first_record

    @property
    def outlives_launcher(self) -> bool:
        """True if the app goes on when this process ends."""
        return self._child is None

    def request_cancel(self) -> None:
        """Asks the supervisor to end the app, without waiting."""
        if self._is_ours():
            control.request_cancel(self._first_record)

    def cancel(self) -> None:
        """Ends the app; returns when nothing of it runs."""
        if not self._is_ours():
            return
        found = store.read(self.directory)
        if found is not None:
            control.cancel(self.directory, self.current(found[0]))
        self.collect()

    def collect(self, *, wait: bool = True) -> None:
        """Collects the supervisor of an app that has ended, if it is a child of this process.

        Args:
            wait: Wait until it has left; it may still be writing to the disk.
        """
        child = self._child
        if child is None or not self._is_ours() or not (wait or child.poll() is not None):
            return
        child.wait()
        if child.stdin is not None:
            child.stdin.close()
        self._collected = True

    def _is_ours(self) -> bool:
        # A forked copy of this process must not touch the apps of its parent.
        return not self._collected and os.getpid() == self._launcher_pid


def start(submission: Submission) -> LocalAppDef:
    """Starts an app.

    Args:
        submission: The app.

    Returns:
        The running app.

    Raises:
        OSError: A replica cannot be started, or a directory cannot be written. Nothing is left.
        ValueError: An argument or variable cannot be passed to a process.
        JobStartError: The supervisor died.
    """
    request = submission.request
    state_dir = make_state_dir(request.app_id)
    is_new_log_dir = not os.path.exists(request.log_dir)
    supervisor: Launch | None = None
    try:
        supervisor = Launch(state_dir, detached=submission.opts.detach)
        record = _new_record(submission, state_dir, supervisor.owner, is_new_log_dir)
        write_json(os.path.join(state_dir, RECORD_FILE), record)
        os.makedirs(request.log_dir, exist_ok=True)
        answer = supervisor.hand_over(_message(submission, state_dir, record))
    except BaseException:
        if supervisor is not None:
            supervisor.abandon()
        control.remove(state_dir)
        if is_new_log_dir:
            shutil.rmtree(request.log_dir, ignore_errors=True)
        raise
    record["owner"] = answer["owner"]
    record["replicas"] = answer["replicas"]
    record["state"] = "RUNNING"
    record["generation"] = 1
    app = LocalAppDef(request.app_id, request.log_dir)
    app.supervised = SupervisedApp(state_dir, supervisor.child, record)
    for position, replica in enumerate(record["replicas"]):
        proc = control.SupervisedProcess(state_dir, position, replica["pid"] or 0)
        app.add_replica(
            replica["role"],
            LocalReplica(
                replica["role"], replica["id"], proc, None, None, None, replica["error_file"]
            ),
        )
    return app


def _message(submission: Submission, state_dir: str, record: AppRecord) -> LaunchMessage:
    base_env = dict(os.environ)
    return LaunchMessage(
        state_dir=state_dir,
        record=record,
        specs=[
            _start_spec(param, env, base_env)
            for param, env in zip(_params(submission.request), submission.environments, strict=True)
        ],
        base_env=base_env,
        launcher_pid=os.getpid(),
        attached=not submission.opts.detach,
        timeout_s=submission.opts.timeout_s,
    )


def _params(request: PopenRequest) -> list[ReplicaParam]:
    return [param for params in request.role_params.values() for param in params]


def _start_spec(
    param: ReplicaParam, env: Mapping[str, str], base_env: Mapping[str, str]
) -> StartSpec:
    return StartSpec(
        args=param.args,
        env={name: value for name, value in env.items() if base_env.get(name) != value},
        unset=[name for name in base_env if name not in env],
        cwd=os.path.abspath(param.cwd or os.getcwd()),
    )


def _new_record(
    submission: Submission, state_dir: str, owner: OwnerRecord, is_new_log_dir: bool
) -> AppRecord:
    request, app = submission.request, submission.app
    roles = {role.name: role for role in app.roles} if app else {}
    return AppRecord(
        format=FORMAT,
        generation=0,
        app_id=request.app_id,
        name=app.name if app else request.app_id,
        session=submission.session,
        state="PENDING",
        msg="",
        num_restarts=0,
        created=time.time(),
        ended=None,
        grace_period_s=submission.opts.grace_period_s,
        owner=owner,
        log_dir=request.log_dir,
        owns_logs=os.path.dirname(request.log_dir) == state_dir,
        made_log_dir=is_new_log_dir,
        roles=[
            _role_record(name, params, roles.get(name))
            for name, params in request.role_params.items()
        ],
        replicas=[
            _replica_record(name, replica_id, param, submission.holds_gpus and _gpus(roles, name))
            for name, params in request.role_params.items()
            for replica_id, param in enumerate(params)
        ],
    )


def _gpus(roles: Mapping[str, Role], name: str) -> bool:
    return name in roles and roles[name].resource.gpu > 0


def _role_record(name: str, params: list[ReplicaParam], role: Role | None) -> RoleRecord:
    resource = role.resource if role else Resource(cpu=-1, gpu=-1, memMB=-1)
    return RoleRecord(
        name=name,
        image=redact_text(role.image) if role else "",
        entrypoint=redact_text(role.entrypoint) if role else "",
        args=redact_args(role.args) if role else [],
        env_names=sorted(role.env) if role else [],
        num_replicas=len(params),
        max_retries=role.max_retries if role else 0,
        retry_policy=role.retry_policy.name if role else "APPLICATION",
        cpu=resource.cpu,
        gpu=resource.gpu,
        memory_mib=resource.memMB,
    )


def _replica_record(
    role_name: str, replica_id: int, param: ReplicaParam, holds_gpus: bool
) -> ReplicaRecord:
    return ReplicaRecord(
        role=role_name,
        id=replica_id,
        state="PENDING",
        pid=None,
        start_ticks=None,
        exit_code=None,
        attempt=0,
        gpus=assigned([param]) if holds_gpus else [],
        stdout=param.stdout,
        stderr=param.stderr,
        combined=param.combined,
        error_file=param.env.get("TORCHELASTIC_ERROR_FILE", NA),
    )
