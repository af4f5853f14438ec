"""The part of the scheduler that asks AWS about training jobs, whoever submitted them."""

from __future__ import annotations

import builtins
import copy
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from torchx.schedulers.api import CfgVal, DescribeAppResponse, ListAppResponse, Scheduler, Stream
from torchx.schedulers.aws.cloudwatch import LogWindow, Pacer
from torchx.schedulers.aws.session import Clients
from torchx.schedulers.aws_sagemaker import logs, parse, queries
from torchx.schedulers.aws_sagemaker.client import SageMaker
from torchx.schedulers.aws_sagemaker.options import Opts
from torchx.schedulers.batch.watch import Watcher
from torchx.schedulers.streams import LogStream
from torchx.specs.api import make_app_handle
from torchx.specs.handle import UnknownAppException

_SUBMITS_ONLY = (
    "lists and logs are not offered by a scheduler that was given a client for SageMaker but none"
    " for logs; use create_scheduler"
)


class AskingScheduler(Scheduler[Opts]):
    """Describes, lists and waits for apps, and reads their logs.

    Args:
        backend: Name of the back end.
        session_name: Name under which this client submits apps.
        clients: Where the clients of AWS come from.
    """

    def __init__(self, backend: str, session_name: str, *, clients: Clients) -> None:
        super().__init__(backend, session_name)
        self._reads_logs = True
        self._clients = clients
        self._sagemaker = SageMaker(lambda: self._client)
        self._watcher = Watcher(self._look_after)
        self._seen: dict[str, DescribeAppResponse | None] = {}
        self._pacer = Pacer()

    @property
    def _client(self) -> Any:
        return self._clients.get("sagemaker")

    def describe(self, app_id: str) -> DescribeAppResponse | None:
        """Tells what is known about a training job, whoever submitted it.

        Args:
            app_id: Its name.

        Returns:
            Its description, or ``None`` if there is no such job.

        Raises:
            AwsError: AWS refuses, or does not answer.
        """
        answer = self._get_job(app_id)
        found = None if answer is None else parse.describe({**answer, "TrainingJobName": app_id})
        self._seen[app_id] = None if found is None else _comparable(found)
        return found

    def describe_many(self, app_ids: Sequence[str]) -> Mapping[str, DescribeAppResponse]:
        """Describes training jobs with few questions, whoever submitted them.

        Args:
            app_ids: Their names.

        Returns:
            Description by name, without those that SageMaker does not know.

        Raises:
            AwsError: AWS refuses, or does not answer.
        """
        return queries.describe_many(self._sagemaker, app_ids)

    def list(self, cfg: Mapping[str, CfgVal] | None = None) -> builtins.list[ListAppResponse]:
        """Lists the training jobs that torchx has launched, the newest first.

        Args:
            cfg: Not used.

        Returns:
            One entry for each; SageMaker may need a minute to find a new one.

        Raises:
            AwsError: AWS refuses, or does not answer.
        """
        if not self._reads_logs:
            raise NotImplementedError(_SUBMITS_ONLY)
        return [parse.list_entry(answer) for answer in self._sagemaker.launched()]

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
    ) -> LogStream:
        r"""Reads the log of one instance from CloudWatch.

        Args:
            app_id: Name of the training job.
            role_name: Name of the role.
            k: Number of the replica: ``algo-1`` is 0.
            regex: Keep only lines in which this is found.
            since: Keep only what was written from then on.
            until: Keep only what was written before.
            should_tail: Go on until the job has ended, instead of to the end of what is there.
            streams: Both outputs are one log in SageMaker: only ``None`` or ``COMBINED``.

        Returns:
            The lines with their ``\n``.

        Raises:
            ValueError: Only one of the outputs is asked for.
            UnknownAppException: There is no such job.
            NoSuchInstanceError: It has no such role or replica.
            AwsError: AWS refuses, or does not answer.
        """
        if not self._reads_logs:
            raise NotImplementedError(_SUBMITS_ONLY)
        if streams not in (None, Stream.COMBINED):
            raise ValueError("aws_sagemaker only supports COMBINED: both outputs are one log there")
        answer = self._get_job(app_id)
        if answer is None:
            raise UnknownAppException(make_app_handle(self.backend, self.session_name, app_id))
        logs.check_replica(answer, role_name, k)
        over_for_s = (lambda: self._over_for_s(app_id)) if should_tail else None
        window = LogWindow(since, until)
        client = self._clients.get("logs")
        return logs.open_log(
            client, app_id, k, window, regex, over_for_s=over_for_s, pacer=self._pacer
        )

    def wait_for_change(self, app_id: str, timeout_s: float) -> None:
        """Returns when a job may have changed since this object last described it.

        One thread asks for all jobs that are waited for, less often the longer nothing changes.

        Args:
            app_id: Its name.
            timeout_s: Longest time to wait, in seconds.
        """
        self._watcher.wait_for_change(app_id, self._seen.get(app_id), timeout_s)

    def close(self) -> None:
        """Ends the thread that asks about jobs, and closes all connections. Repeatable."""
        self._watcher.close()
        self._clients.close()

    def _look_after(self, app_ids: Sequence[str]) -> Mapping[str, DescribeAppResponse]:
        found = queries.describe_many(self._sagemaker, app_ids)
        return {app_id: _comparable(description) for app_id, description in found.items()}

    def _get_job(self, app_id: str) -> dict[str, Any] | None:
        return self._sagemaker.describe(app_id)

    def _over_for_s(self, app_id: str) -> float | None:
        if not self._watcher.is_over(app_id):
            return None
        ended_at = parse.ended_at(self._get_job(app_id) or {})
        return 0.0 if ended_at is None else (datetime.now(timezone.utc) - ended_at).total_seconds()


def _comparable(description: DescribeAppResponse) -> DescribeAppResponse:
    """Drops what lists of jobs do not tell, so that nothing seems to have changed without it."""
    compared = copy.copy(description)
    compared.num_restarts = -1
    return compared
