"""The part of the scheduler that asks Slurm about jobs, whoever submitted them."""

from __future__ import annotations

import builtins
import getpass
import json
import logging
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from torchx.schedulers.api import CfgVal, DescribeAppResponse, ListAppResponse, Scheduler, Stream
from torchx.schedulers.batch.outputs import open_outputs
from torchx.schedulers.batch.watch import Watcher
from torchx.schedulers.slurm import client, json_answers, logs, parse, queries
from torchx.schedulers.slurm.job_dirs import get_job_dirs
from torchx.schedulers.slurm.jobs import SINCE, Jobs
from torchx.schedulers.slurm.records import group_by_app

log: logging.Logger = logging.getLogger(__name__)


class AskingScheduler(Scheduler[Mapping[str, CfgVal]]):
    """Describes, lists and waits for jobs, and reads their logs.

    Args:
        backend: Name of the back end.
        session_name: Name under which this client submits apps.
    """

    def __init__(self, backend: str, session_name: str) -> None:
        super().__init__(backend, session_name)
        self._jobs = Jobs()
        self._watcher = Watcher(self._jobs.describe_many, self._jobs.stamp)
        self._seen: dict[str, DescribeAppResponse | None] = {}

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
        return open_outputs(paths, regex, finished)

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
            get_job_dirs().get(app_id, ""), app_id, role_name, k, streams or Stream.STDERR
        )
        finished = (lambda: self._watcher.is_over(app_id)) if should_tail else None
        return logs.open_expected(app_id, path, regex, finished)


def _check_output(words: Sequence[str]) -> str:
    return subprocess.check_output(
        words,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
        timeout=client.TIMEOUT_S,
    )


def _run(words: Sequence[str]) -> str:
    out = subprocess.run(
        words,
        capture_output=True,
        check=True,
        timeout=client.TIMEOUT_S,
    ).stdout
    return out.decode("utf-8", "replace") if isinstance(out, bytes) else str(out)


def _is_serious(problem: Exception) -> bool:
    """Tells whether a failure of squeue is more than that the job is unknown."""
    if isinstance(problem, client.UnknownJobError):
        return False
    return not isinstance(problem, client.SlurmError) or problem.is_explained
