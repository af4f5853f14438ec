"""The scheduler ``slurm``: runs apps as batch jobs of a Slurm cluster.

An app is one job, each replica a component of it (a heterogeneous job if there are several).
``torchx.schedulers.slurm`` holds the parts; this module joins them and has the published names.
"""

from __future__ import annotations

import logging
import subprocess
import warnings
from collections.abc import Mapping

from torchx.schedulers.api import (
    AppDef,
    AppDryRunInfo,
    AppState,
    CfgVal,
    Role,
    runopts,
)
from torchx.schedulers.slurm import (
    batch,
    client,
    json_answers,
    parse,
    partitions,
    states,
    store,
    submit,
)
from torchx.schedulers.slurm.asking import AskingScheduler
from torchx.schedulers.slurm.cluster import Cluster
from torchx.schedulers.slurm.job_dirs import (
    SLURM_JOB_DIRS,
    get_job_dirs,
    note_job_dir,
    save_job_dir,
)
from torchx.schedulers.slurm.jobs import ended
from torchx.schedulers.slurm.options import GROUP_OPTIONS, JOB_OPTIONS, SlurmOpts, options_of
from torchx.schedulers.slurm.request import ReplicaRequest, app_id_word, replica_from_role
from torchx.workspace.dir_workspace import DirWorkspaceMixin

__all__ = [
    "SBATCH_GROUP_OPTIONS",
    "SBATCH_JOB_OPTIONS",
    "SLURM_JOB_DIRS",
    "SLURM_STATES",
    "SlurmBatchRequest",
    "SlurmOpts",
    "SlurmReplicaRequest",
    "SlurmScheduler",
    "appstate_from_slurm_state",
    "create_scheduler",
    "get_appstate_from_job",
    "version",
]

log: logging.Logger = logging.getLogger(__name__)

SLURM_STATES: Mapping[str, AppState] = states.SLURM_STATES
SBATCH_JOB_OPTIONS: set[str] = set(JOB_OPTIONS)
SBATCH_GROUP_OPTIONS: set[str] = set(GROUP_OPTIONS)

# Published names of what lives in the parts.
_apply_app_id_env = app_id_word
_save_job_dir = save_job_dir
_get_job_dirs = get_job_dirs
appstate_from_slurm_state = states.appstate_from_slurm_state
get_appstate_from_job = json_answers.appstate_from_job

_ASSUMED_VERSION = (24, 5)
_GPUS_PER_NODE_SINCE = (24, 11)


def version() -> tuple[int, int]:
    """Asks for the version of Slurm.

    Returns:
        Its two numbers, such as ``(24, 5)``; that of 24.05 where there is no Slurm.
    """
    try:
        out = subprocess.check_output(
            ["sinfo", "--version"], stderr=subprocess.PIPE, encoding="utf-8"
        )
    except (subprocess.CalledProcessError, FileNotFoundError):
        warnings.warn(
            "`sinfo --version` failed, probably because this is no login node of a Slurm cluster,"
            " as in a dry run elsewhere; assuming Slurm 24.05.8",
            RuntimeWarning,
            stacklevel=2,
        )
        return _ASSUMED_VERSION
    words = out.split()
    numbers = [parse.number(part, 0) for part in (words[1] if len(words) > 1 else "").split(".")]
    return (numbers[0], numbers[1]) if len(numbers) > 1 else _ASSUMED_VERSION


# The version, once it is known to this process.
_known_version: list[tuple[int, int]] = []
_asks_slurm = version
version.cache_clear = _known_version.clear  # type: ignore[attr-defined]  # published with a cache


def _should_use_gpus_per_node_from_version() -> bool:
    if version is not _asks_slurm:
        # Somebody has put another function in its place.
        return version() >= _GPUS_PER_NODE_SINCE
    if not _known_version:
        _known_version.append(version())
    return _known_version[0] >= _GPUS_PER_NODE_SINCE


class SlurmReplicaRequest(ReplicaRequest):
    """One replica: a component of the job. See :class:`ReplicaRequest` for its attributes."""

    @classmethod
    def from_role(
        cls, name: str, role: Role, cfg: Mapping[str, CfgVal], nomem: bool
    ) -> SlurmReplicaRequest:
        """Makes the component of one replica.

        Args:
            name: Name of the component.
            role: The role, with macros replaced.
            cfg: Run options.
            nomem: Whether the partition has no memory to ask for.

        Returns:
            The component.
        """
        return replica_from_role(
            cls,
            name,
            role,
            options_of(cfg),
            nomem=nomem,
            uses_gpus_per_node=lambda: _should_use_gpus_per_node_from_version(),
        )


class SlurmBatchRequest(batch.BatchRequest):
    """One job. See :class:`BatchRequest` for its attributes."""


class SlurmScheduler(DirWorkspaceMixin, AskingScheduler):
    """Runs apps as batch jobs of a Slurm cluster.

    Args:
        session_name: Name under which this client submits apps.
    """

    def __init__(self, session_name: str) -> None:
        super().__init__("slurm", session_name)
        self._cluster = Cluster()

    def _run_opts(self) -> runopts:
        return SlurmOpts.as_runopts()

    def _pre_build_validate(self, app: AppDef, scheduler: str, cfg: Mapping[str, CfgVal]) -> None:
        """Checks that the cluster can ever run an app.

        Args:
            app: The app.
            scheduler: Name under which this scheduler is registered.
            cfg: Resolved run config.

        Raises:
            ValueError: It cannot; the message names the limit.
        """
        self._cluster.check(app, options_of(cfg))

    def _validate(
        self, app: AppDef, scheduler: str, cfg: Mapping[str, CfgVal] | None = None
    ) -> None:
        """Accepts roles without resources: Slurm has defaults for them."""

    def _submit_dryrun(
        self, app: AppDef, cfg: Mapping[str, CfgVal]
    ) -> AppDryRunInfo[SlurmBatchRequest]:
        opts = options_of(cfg)
        nomem = self._has_no_memory(app, opts)
        replicas = batch.make_replicas(
            app,
            lambda name, role: SlurmReplicaRequest.from_role(name, role, cfg=opts, nomem=nomem),
        )
        request = SlurmBatchRequest(
            cmd=batch.make_cmd(opts),
            replicas=replicas,
            job_dir=opts.job_dir,
            max_retries=min(role.max_retries for role in app.roles),
            plan=batch.make_plan(app, opts, self._cluster.num_nodes(opts)),
            roles=batch.kept_roles(app.roles),
        )
        for what in batch.ignored(app):
            log.warning("Slurm ignores %s", what)
        self._cluster.check_components(app, opts, len(request.parts()))
        return AppDryRunInfo(request, repr)

    def _has_no_memory(self, app: AppDef, opts: SlurmOpts) -> bool:
        if all(role.resource.memMB <= 0 for role in app.roles):
            return False
        nodes = self._cluster.nodes(opts)
        if nodes:
            return partitions.has_no_memory(nodes)
        memory_mib = self._partition_memmb(opts.partition)
        return memory_mib is not None and memory_mib <= partitions.NO_MEMORY_MIB

    def _partition_memmb(self, partition: str | None) -> int | None:
        try:
            process = subprocess.run(
                ["sinfo", "--format", "%P,%m", "--noconvert"], stdout=subprocess.PIPE
            )
        except FileNotFoundError:
            return None
        if process.returncode != 0:
            return None
        return partitions.read_memory(process.stdout.decode("utf-8"), partition)

    def schedule(self, dryrun_info: AppDryRunInfo[SlurmBatchRequest]) -> str:
        """Submits a job.

        Args:
            dryrun_info: The request, which is not changed.

        Returns:
            The number of the job.

        Raises:
            BackendError: sbatch refused it, or is not there.
        """
        job_dir = dryrun_info.request.job_dir
        app_id, mark = submit.submit(
            dryrun_info.request, getattr(dryrun_info, "_submission_id", None)
        )
        self._jobs.remember(app_id, mark)
        self._watcher.forget(app_id)
        if job_dir is not None:
            note_job_dir(app_id, job_dir)
        return app_id

    def _cancel_existing(self, app_id: str) -> None:
        mark = self._jobs.mark_of(app_id)
        if mark is not None:
            store.note(mark, "cancel")
        self._watcher.forget(app_id)
        try:
            subprocess.run(["scancel", app_id], check=True)
        except OSError as error:
            raise client.not_installed("scancel", error) from error
        except subprocess.CalledProcessError as error:
            raise client.failure("scancel", error.returncode, None) from error

    def _delete_existing(self, app_id: str) -> None:
        try:
            self._cancel_existing(app_id)
        except client.SlurmError:
            # Slurm has nothing to cancel of a job that it has forgotten.
            if not ended(self.describe(app_id)):
                raise
        self._jobs.delete(app_id)

    def log_location(
        self, app_id: str, dryrun_info: AppDryRunInfo[SlurmBatchRequest]
    ) -> str | None:
        """Names the directory that holds the logs of an app.

        Args:
            app_id: Number of the job.
            dryrun_info: The request that was submitted.

        Returns:
            The directory.
        """
        mark = self._jobs.mark_of(app_id)
        return None if mark is None else mark.working_dir

    def close(self) -> None:
        """Ends the thread that asks about jobs. Repeatable."""
        self._watcher.close()


def create_scheduler(session_name: str, **kwargs: object) -> SlurmScheduler:
    """Creates a scheduler that runs apps on a Slurm cluster.

    Args:
        session_name: Name under which this client submits apps.
        **kwargs: Not used.

    Returns:
        The scheduler.
    """
    return SlurmScheduler(session_name=session_name)
