"""The scheduler ``slurm``: runs apps as batch jobs of a Slurm cluster.

An app is one job, each replica a component of it (a heterogeneous job if there are several).
``torchx.schedulers.slurm`` holds the parts; this module joins them and has the published names.
"""

from __future__ import annotations

import builtins
import getpass
import json
import logging
import subprocess
import warnings
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from torchx.schedulers.api import (
    AppDef,
    AppDryRunInfo,
    AppState,
    CfgVal,
    DescribeAppResponse,
    ListAppResponse,
    Role,
    Scheduler,
    Stream,
    runopts,
)
from torchx.schedulers.slurm import (
    batch,
    client,
    json_answers,
    logs,
    parse,
    partitions,
    queries,
    states,
    store,
    submit,
)
from torchx.schedulers.slurm.job_dirs import SLURM_JOB_DIRS, get_job_dirs, save_job_dir
from torchx.schedulers.slurm.jobs import SINCE, Jobs
from torchx.schedulers.slurm.options import GROUP_OPTIONS, JOB_OPTIONS, SlurmOpts, options_of
from torchx.schedulers.slurm.records import group_by_app
from torchx.schedulers.slurm.request import ReplicaRequest, app_id_word, replica_from_role
from torchx.schedulers.slurm.watch import Watcher
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


class _VersionMemo:
    """Remembers the version for the process, as long as nobody replaces :func:`version`."""

    def __init__(self) -> None:
        self._asked = version
        self._version: tuple[int, int] | None = None

    def get(self) -> tuple[int, int]:
        if version is not self._asked:
            return version()
        if self._version is None:
            self._version = version()
        return self._version

    def clear(self) -> None:
        self._version = None


_version_memo = _VersionMemo()
version.cache_clear = _version_memo.clear  # type: ignore[attr-defined]  # published with a cache


def _should_use_gpus_per_node_from_version() -> bool:
    return _version_memo.get() >= _GPUS_PER_NODE_SINCE


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


class SlurmScheduler(DirWorkspaceMixin, Scheduler[Mapping[str, CfgVal]]):
    """Runs apps as batch jobs of a Slurm cluster.

    Args:
        session_name: Name under which this client submits apps.
    """

    # For subclasses that share the class before their constructor has run.
    _groups: Sequence[partitions.NodeGroup] | None = None

    def __init__(self, session_name: str) -> None:
        super().__init__("slurm", session_name)
        self._jobs = Jobs()
        self._watcher = Watcher(self._jobs.describe_many)
        self._seen: dict[str, DescribeAppResponse | None] = {}

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
        partitions.check(app, options_of(cfg), self._node_groups())

    def _validate(
        self, app: AppDef, scheduler: str, cfg: Mapping[str, CfgVal] | None = None
    ) -> None:
        """Accepts roles without resources: Slurm has defaults for them."""

    def _node_groups(self) -> Sequence[partitions.NodeGroup]:
        if self._groups is None:
            try:
                self._groups = partitions.read_partitions(client.run(partitions.QUERY))
            except client.SlurmError as error:
                log.info("the partitions are not known, so nothing is checked: %s", error)
                return ()
        return self._groups

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
            plan=batch.make_plan(app, opts, self._num_nodes(opts)),
            roles=batch.kept_roles(app.roles),
        )
        return AppDryRunInfo(request, repr)

    def _num_nodes(self, opts: SlurmOpts) -> int | None:
        nodes = partitions.chosen(self._groups or (), opts.partition)
        return sum(group.nodes for group in nodes) if nodes else None

    def _has_no_memory(self, app: AppDef, opts: SlurmOpts) -> bool:
        if all(role.resource.memMB <= 0 for role in app.roles):
            return False
        if self._groups is not None:
            return partitions.has_no_memory(partitions.chosen(self._groups, opts.partition))
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
            _save_job_dir(app_id, job_dir)
        return app_id

    def describe(self, app_id: str) -> DescribeAppResponse | None:
        """Tells what is known about a job, whoever submitted it.

        Args:
            app_id: Number of the job.

        Returns:
            Its description, or ``None`` if there is no such job.

        Raises:
            BackendError: Slurm does not answer.
        """
        if self._watcher.is_shared():
            found = self._watcher.ask(app_id)
        else:
            found = self._jobs.completed(app_id, self._ask(app_id))
        self._seen[app_id] = found
        return found

    def _ask(self, app_id: str) -> DescribeAppResponse | None:
        problem: Exception | None = None
        try:
            found = self._describe_squeue(app_id)
            if found:
                return found
        except subprocess.CalledProcessError as error:
            log.info("the queue does not know the job %s: %s", app_id, error.stderr or error)
            problem = client.failure("squeue", error.returncode, error.stderr)
        except (OSError, subprocess.TimeoutExpired) as error:
            problem = client.not_installed("squeue", error) if isinstance(error, OSError) else error
        found = self._describe_sacct(app_id)
        if found is None and problem is not None and _is_serious(problem):
            raise problem
        return found if found is None else self._with_fields(app_id, found)

    def _describe_squeue(self, app_id: str) -> DescribeAppResponse | None:
        try:
            text = _check_output(queries.squeue([app_id]))
        except subprocess.CalledProcessError as error:
            if "format" not in (error.stderr or "").lower():
                raise
            # A version of squeue that lacks one of the fields.
            text = _check_output(queries.squeue_json(app_id))
        if text.lstrip().startswith("{"):
            return json_answers.describe_squeue(app_id, json.loads(text))
        return self._jobs.read(app_id, parse.read_squeue(text))

    def _describe_sacct(self, app_id: str) -> DescribeAppResponse | None:
        try:
            # Called in exactly this form: packages and tests stand in for it.
            table = subprocess.check_output(
                ["sacct", "--parsable2", "-j", app_id], stderr=subprocess.PIPE, encoding="utf-8"
            )
        except (subprocess.CalledProcessError, OSError) as error:
            log.info("accounting does not know the job %s: %s", app_id, error)
            return None
        return json_answers.describe_sacct(app_id, table)

    def _with_fields(self, app_id: str, found: DescribeAppResponse) -> DescribeAppResponse:
        """Adds what the default columns of sacct do not tell."""
        try:
            records = group_by_app(parse.read_sacct(client.run(queries.sacct([app_id]))))
        except client.SlurmError as error:
            log.debug("accounting does not tell more: %s", error)
            return found
        return self._jobs.read(app_id, records.get(app_id, ())) or found

    def describe_many(self, app_ids: Sequence[str]) -> Mapping[str, DescribeAppResponse]:
        """Describes any number of jobs by one question to the queue and one to accounting.

        Args:
            app_ids: Numbers of the jobs.

        Returns:
            Description by number; a job that Slurm does not know is left out.

        Raises:
            BackendError: Slurm does not answer.
        """
        return self._jobs.describe_many(app_ids)

    def find_submission(self, submission_id: str) -> str | None:
        """Looks for the job that a submission made.

        Args:
            submission_id: What the submission was called.

        Returns:
            Number of the job, or ``None`` if the submission never arrived.

        Raises:
            BackendError: Slurm does not answer.
        """
        return self._jobs.find_submission(submission_id)

    def wait_for_change(self, app_id: str, timeout_s: float) -> None:
        """Returns when a job may have changed since this object last described it.

        One thread asks for all jobs that are waited for, less often the longer nothing changes.

        Args:
            app_id: Number of the job.
            timeout_s: Longest time to wait, in seconds.
        """
        self._watcher.wait_for_change(app_id, self._seen.get(app_id), timeout_s)

    def list(self, cfg: Mapping[str, CfgVal] | None = None) -> builtins.list[ListAppResponse]:
        """Lists the jobs of this user in the queue, and in accounting of the last two weeks.

        Args:
            cfg: Not used.

        Returns:
            One entry for each job.

        Raises:
            BackendError: Slurm does not answer.
        """
        try:
            listed = self._list_sacct()
        except (subprocess.CalledProcessError, OSError) as error:
            log.info("accounting does not answer, only the queue is listed: %s", error)
            try:
                return self._list_squeue()
            except subprocess.CalledProcessError as failed:
                raise client.failure("squeue", failed.returncode, failed.stderr) from failed
            except OSError as failed:
                raise client.not_installed("squeue", failed) from failed
        live = {app.app_id: app for app in self._jobs.list_live()}
        return [*live.values(), *(app for app in listed if app.app_id not in live)]

    def _list_sacct(self) -> builtins.list[ListAppResponse]:
        text = _run([*queries.sacct(since=SINCE), f"--user={getpass.getuser()}"])
        if text.lstrip().startswith("{"):
            return json_answers.list_sacct(json.loads(text))
        return self._jobs.listed(parse.read_sacct(text))

    def _list_squeue(self) -> builtins.list[ListAppResponse]:
        text = _run(queries.squeue(user=getpass.getuser()))
        if text.lstrip().startswith("{"):
            return json_answers.list_squeue(json.loads(text))
        return self._jobs.listed(parse.read_squeue(text))

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
        self._cancel_existing(app_id)
        self._jobs.delete(app_id)

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
            app_id: Number of the job.
            role_name: Name of the role.
            k: Number of the replica within the role.
            regex: Keep only lines in which this is found.
            since: Not used: the files hold no times.
            until: Not used: the files hold no times.
            should_tail: Go on until the job has ended.
            streams: Which output; ``None`` means both, but only standard error of a job that
                torchx cannot tell about (any more).

        Returns:
            The lines with their ``\n``.

        Raises:
            RuntimeError: There is no such replica or log.
            ValueError: Both outputs of a job that torchx cannot tell about.
        """
        if since is not None or until is not None:
            log.warning("logs of Slurm jobs hold no times: since and until are ignored")
        mark = self._jobs.mark_of(app_id)
        if mark is None:
            return self._foreign_log(app_id, role_name, k, regex, should_tail, streams)
        logs.check_replica(app_id, mark, role_name, k)
        is_both = streams in (None, Stream.COMBINED)
        wanted = [Stream.STDOUT, Stream.STDERR] if is_both else [Stream(streams)]
        paths = [logs.log_path(mark.working_dir, app_id, role_name, k, which) for which in wanted]
        finished = (lambda: self._watcher.is_over(app_id)) if should_tail else None
        return logs.open_paths(paths, regex, finished)

    def close(self) -> None:
        """Ends the thread that asks about jobs. Repeatable."""
        self._watcher.close()

    def _foreign_log(
        self,
        app_id: str,
        role_name: str,
        k: int,
        regex: str | None,
        should_tail: bool,
        streams: Stream | None,
    ) -> Iterable[str]:
        if streams == Stream.COMBINED:
            raise ValueError(
                f"the job {app_id} has no combined log that torchx knows of; ask for its standard"
                " output or for its standard error"
            )
        if streams is None:
            log.info("no stream was asked for: reading the standard error of the job %s", app_id)
        path = logs.log_path(
            _get_job_dirs().get(app_id, ""), app_id, role_name, k, streams or Stream.STDERR
        )
        finished = (lambda: self._watcher.is_over(app_id)) if should_tail else None
        return logs.open_expected(app_id, path, regex, finished)


def create_scheduler(session_name: str, **kwargs: object) -> SlurmScheduler:
    """Creates a scheduler that runs apps on a Slurm cluster.

    Args:
        session_name: Name under which this client submits apps.
        **kwargs: Not used.

    Returns:
        The scheduler.
    """
    return SlurmScheduler(session_name=session_name)


def _check_output(words: Sequence[str]) -> str:
    return subprocess.check_output(
        words,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
        timeout=client.TIMEOUT_S,
    )


def _run(words: Sequence[str]) -> str:
    out = subprocess.run(words, stdout=subprocess.PIPE, check=True, timeout=client.TIMEOUT_S).stdout
    return out.decode("utf-8", "replace") if isinstance(out, bytes) else str(out)


def _is_serious(problem: Exception) -> bool:
    """Tells whether a failure of squeue is more than that the job is unknown."""
    if isinstance(problem, subprocess.TimeoutExpired):
        return True
    return isinstance(problem, client.SlurmError) and (
        problem.transient or isinstance(problem, client.SlurmNotInstalledError)
    )
