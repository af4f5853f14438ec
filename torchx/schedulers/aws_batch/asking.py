"""The part of the scheduler that asks AWS Batch about apps, whoever submitted them."""

from __future__ import annotations

import builtins
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from torchx.schedulers.api import CfgVal, DescribeAppResponse, ListAppResponse, Scheduler, Stream
from torchx.schedulers.aws.cloudwatch import LogWindow, Pacer
from torchx.schedulers.aws.session import Clients
from torchx.schedulers.aws_batch import logs
from torchx.schedulers.aws_batch.client import BatchClient
from torchx.schedulers.aws_batch.jobs import Jobs
from torchx.schedulers.aws_batch.options import Opts
from torchx.schedulers.batch.watch import Watcher

ALL_QUEUES = "*"


class AskingScheduler(Scheduler[Opts]):
    """Describes, lists and waits for apps, and reads their logs.

    Args:
        session_name: Name under which this client submits apps.
        clients: Gives the clients of the SDK.
        **kwargs: For the next class in line.
    """

    def __init__(self, session_name: str, clients: Clients, **kwargs: Any) -> None:
        super().__init__("aws_batch", session_name, **kwargs)
        self._clients = clients
        self._batch = BatchClient(clients)
        self._jobs = Jobs(self._batch)
        self._watcher = Watcher(self._jobs.describe_many)
        self._seen: dict[str, DescribeAppResponse | None] = {}
        self._pacer = Pacer()

    def describe(self, app_id: str) -> DescribeAppResponse | None:
        """Tells what is known about an app.

        While several apps are waited for, the states of single replicas are left out.

        Args:
            app_id: Its id.

        Returns:
            Its description, or ``None`` if there is no such app (any more).

        Raises:
            AwsError: AWS refuses, or does not answer.
        """
        # Whoever waits for many apps is told of all of them by the same question.
        is_shared = self._watcher.is_shared()
        found = self._watcher.ask(app_id) if is_shared else self._jobs.describe(app_id)
        self._seen[app_id] = found
        return found

    def describe_many(self, app_ids: Sequence[str]) -> Mapping[str, DescribeAppResponse]:
        """Describes any number of apps, a hundred with each call.

        Args:
            app_ids: Their ids.

        Returns:
            Description by id; an app that is not known is left out.

        Raises:
            AwsError: AWS refuses, or does not answer.
        """
        return self._jobs.describe_many(app_ids)

    def exists(self, app_id: str) -> bool:
        """Tells whether AWS Batch knows an app.

        Args:
            app_id: Its id.

        Returns:
            True if it does.

        Raises:
            AwsError: AWS refuses, or does not answer.
        """
        return self._jobs.find(app_id) is not None

    def list(self, cfg: Mapping[str, CfgVal] | None = None) -> builtins.list[ListAppResponse]:
        """Lists the apps of a queue, of all users, the newest first.

        Args:
            cfg: Its ``queue`` is looked at; without one, or with ``*``, all queues are.

        Returns:
            One entry for each.

        Raises:
            AwsError: AWS refuses, or does not answer.
        """
        queue = (cfg or {}).get("queue")
        return self._jobs.listed(str(queue) if queue and queue != ALL_QUEUES else None)

    def wait_for_change(self, app_id: str, timeout_s: float) -> None:
        """Returns when an app may have changed since this object last described it.

        One thread asks for all apps that are waited for, less often the longer nothing changes.

        Args:
            app_id: Its id.
            timeout_s: Longest time to wait, in seconds.
        """
        self._watcher.wait_for_change(app_id, self._seen.get(app_id), timeout_s)

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
        r"""Reads the log of one replica from CloudWatch, all attempts one after the other.

        Args:
            app_id: Id of the app.
            role_name: Name of the role.
            k: Number of the replica within the role.
            regex: Keep only lines in which this is found.
            since: Keep only what was written from then on; without a time zone, local time.
            until: Keep only what was written before.
            should_tail: Go on until the app has ended.
            streams: Only both outputs together can be read.

        Returns:
            The lines with their ``\n``.

        Raises:
            ValueError: One output is asked for, or there is no such role or replica.
            AwsError: AWS refuses, or does not answer.
        """
        if streams not in (None, Stream.COMBINED):
            raise ValueError(
                f"{type(self).__name__} only supports COMBINED log stream: CloudWatch does not"
                " tell the outputs of a container apart"
            )
        job = self._jobs.find(app_id)
        if job is None:
            return []
        return logs.open_log(
            self._jobs,
            lambda: self._log_client,
            job,
            logs.Replica(app_id, role_name, k),
            LogWindow(since, until),
            regex,
            (lambda: self._watcher.is_over(app_id)) if should_tail else None,
            self._pacer,
        )

    def close(self) -> None:
        """Ends the thread that asks about apps, and closes connections. Repeatable."""
        self._watcher.close()
        self._clients.close()

    @property
    def _client(self) -> Any:
        return self._batch.sdk

    @property
    def _log_client(self) -> Any:
        return self._clients.get("logs")

    def _get_job_id(self, app_id: str) -> str | None:
        return self._jobs.job_id(app_id)

    def _get_job(self, app_id: str, rank: int | None = None) -> dict[str, Any] | None:
        return self._jobs.find(app_id, rank)
