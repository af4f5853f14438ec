"""The scheduler ``lsf``: runs apps as jobs of an IBM Spectrum LSF cluster, in docker containers.

An app is an LSF project, each replica a job of it. ``torchx.schedulers.lsf`` holds the parts; this
module joins them and has the published names. Without the option ``host_network`` replicas cannot
resolve each other's names. Images are downloaded inside the jobs.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from torchx.schedulers.api import (
    AppDef,
    AppDryRunInfo,
    AppState,
    CfgVal,
    Role,
    runopts,
)
from torchx.schedulers.cluster_mounts import refuse_cluster_mounts
from torchx.schedulers.ids import make_unique
from torchx.schedulers.log_iterator import LogIterator
from torchx.schedulers.lsf import client, hosts, parse, queries, states, store, submit
from torchx.schedulers.lsf.asking import AskingScheduler
from torchx.schedulers.lsf.options import Opts, checked_jobdir, text_option
from torchx.schedulers.lsf.request import (
    cleanup_str,
    make_app_id,
    published_bsub,
    published_docker_command,
)
from torchx.schedulers.lsf.script import published_script
from torchx.schedulers.lsf.submit import LsfBsub
from torchx.schedulers.lsf.workspaces import MountedWorkspaceMixin
from torchx.specs.api import is_terminal

__all__ = [
    "JOB_STATE",
    "LogIterator",
    "LsfBsub",
    "LsfScheduler",
    "Opts",
    "bjobs_msg_to_describe",
    "bjobs_msg_to_list",
    "bjobs_msg_to_log_file",
    "cleanup_str",
    "create_scheduler",
    "find_rank0_host",
    "find_rank0_host_from_bhosts_stdout",
    "get_bsub",
    "get_command",
    "get_docker_command",
    "get_job_state",
    "get_submit_script",
    "make_unique",
]

log: logging.Logger = logging.getLogger(__name__)

JOB_STATE: dict[str, AppState] = states.JOB_STATE

# Published names of what lives in the parts.
get_job_state = states.get_job_state
get_docker_command = published_docker_command
get_command = published_docker_command
get_bsub = published_bsub
bjobs_msg_to_describe = parse.bjobs_msg_to_describe
bjobs_msg_to_list = parse.bjobs_msg_to_list
bjobs_msg_to_log_file = parse.bjobs_msg_to_log_file


def find_rank0_host_from_bhosts_stdout(msg: str, role: Role) -> str:
    """Finds the first host that is large enough for a replica.

    Args:
        msg: What ``bhosts -noheader -o "hname max ng"`` printed.
        role: The role.

    Returns:
        Name of the host.

    Raises:
        ValueError: No host is large enough.
    """
    return hosts.choose_host(hosts.read_hosts(msg), role)


def find_rank0_host(role: Role) -> str:
    """Asks LSF for its hosts, and finds the first one that is large enough for a replica.

    Args:
        role: The role.

    Returns:
        Name of the host.

    Raises:
        ValueError: No host is large enough.
        BackendError: LSF does not answer.
    """
    return find_rank0_host_from_bhosts_stdout(client.published(hosts.CAPACITY_QUERY), role)


def get_submit_script(
    app_id: str, cmd: list[str], app: AppDef, cfg: Mapping[str, CfgVal], rank0_host: str
) -> str:
    """Writes a script that submits an app, in the form that earlier releases submitted.

    The scheduler submits a safer one, see :meth:`LsfBsub.materialize`.

    Args:
        app_id: Id of the app.
        cmd: Command that runs the script.
        app: The app, which is not changed.
        cfg: Run options.
        rank0_host: Host of the first replica of the first role.

    Returns:
        The script.
    """
    return published_script(app_id, cmd, app, cfg, rank0_host)


class LsfScheduler(MountedWorkspaceMixin, AskingScheduler):
    """Runs apps on an LSF cluster.

    Args:
        session_name: Name under which this client submits apps.
    """

    def __init__(self, session_name: str) -> None:
        super().__init__("lsf", session_name)

    def _run_opts(self) -> runopts:
        return Opts.as_runopts()

    def _validate(
        self, app: AppDef, scheduler: str, cfg: Mapping[str, CfgVal] | None = None
    ) -> None:
        """Accepts roles without resources: LSF has defaults for them."""

    def _submit_dryrun(self, app: AppDef, cfg: Mapping[str, CfgVal]) -> AppDryRunInfo[LsfBsub]:
        jobdir = text_option(cfg, "jobdir")
        checked_jobdir(cfg)
        refuse_cluster_mounts("LSF", app.roles)
        app_id = make_app_id(make_unique(app.name))
        request = LsfBsub(jobdir=jobdir, app_id=app_id, app=app, cfg=cfg, cmd=["/bin/bash"])
        return AppDryRunInfo(request, repr)

    def schedule(self, dryrun_info: AppDryRunInfo[LsfBsub]) -> str:
        """Submits an app, all of its jobs or none.

        Args:
            dryrun_info: The request, which is not changed.

        Returns:
            Id of the app.

        Raises:
            ValueError: No host is large enough for the first role.
            BackendError: bsub refused a replica, or LSF does not answer.
        """
        request = dryrun_info.request
        role = request.app.roles[0]
        known = hosts.read_hosts(client.published(hosts.CAPACITY_QUERY))
        rank0_host = hosts.choose_host(known, role, self._load(known))
        avoids_rank0 = sum(host.slots > 0 for host in known) > 1
        app_id = submit.submit(request, rank0_host, avoids_rank0=avoids_rank0)
        self._watcher.forget(app_id)
        return app_id

    def _load(self, known: Sequence[hosts.Host]) -> str:
        if len(known) < 2:
            return ""
        try:
            return client.run(hosts.LOAD_QUERY)
        except client.LsfError as error:
            log.info("the load of the hosts is not known: %s", error)
            return ""

    def _cancel_existing(self, app_id: str) -> None:
        seen = self._seen.get(app_id)
        if seen is not None and is_terminal(seen.state):
            return
        store.note_cancelled(app_id)
        self._watcher.forget(app_id)
        try:
            text = client.published(queries.ids_of(app_id))
        except client.UnknownProjectError:
            log.debug("LSF knows no jobs of %s", app_id)
            return
        if text != "":
            submit.kill([line.strip() for line in text.split("\n") if line.strip()])

    def _delete_existing(self, app_id: str) -> None:
        self._cancel_existing(app_id)
        store.forget(app_id)
        self._watcher.forget(app_id)

    def planned_app_id(self, dryrun_info: AppDryRunInfo[LsfBsub]) -> str:
        """Names the id that :meth:`schedule` will return.

        Args:
            dryrun_info: The request.

        Returns:
            The id.
        """
        return dryrun_info.request.app_id

    def log_location(self, app_id: str, dryrun_info: AppDryRunInfo[LsfBsub]) -> str | None:
        """Names the directory that holds the logs of an app.

        Args:
            app_id: Its id.
            dryrun_info: The request that was submitted.

        Returns:
            An absolute path.
        """
        kept = store.recall(app_id)
        return None if kept is None else kept.logs


def create_scheduler(session_name: str, **kwargs: Any) -> LsfScheduler:
    """Creates a scheduler that runs apps on an LSF cluster.

    Args:
        session_name: Name under which this client submits apps.
        **kwargs: Not used.

    Returns:
        The scheduler.
    """
    return LsfScheduler(session_name=session_name)
