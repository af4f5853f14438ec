"""Finds the jobs of apps, and remembers their ids: AWS Batch knows jobs by ids, we by names."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from torchx.errors import BackendError
from torchx.schedulers.api import DescribeAppResponse, ListAppResponse
from torchx.schedulers.aws.errors import AwsError
from torchx.schedulers.aws_batch.client import (
    BatchClient,
    job_id_of_summary,
)
from torchx.schedulers.aws_batch.names import make_app_id, queue_name, split_app_id
from torchx.schedulers.aws_batch.parse import app_state, describe_job, is_deleted, is_ours
from torchx.specs.api import AppState

log: logging.Logger = logging.getLogger(__name__)

_MOST_LISTED = 10_000
_STATES_WITH_NODES = (AppState.RUNNING, AppState.FAILED, AppState.CANCELLED)


class Jobs:
    """The jobs of apps.

    Args:
        client: Calls AWS Batch.
    """

    def __init__(self, client: BatchClient) -> None:
        self._client = client
        self._lock = threading.Lock()
        self._ids: dict[str, str] = {}

    def remember(self, app_id: str, job_id: str) -> None:
        """Keeps the id of a job, so that it need not be looked for.

        Args:
            app_id: Id of the app.
            job_id: Id of its job.
        """
        with self._lock:
            self._ids[app_id] = job_id

    def job_id(self, app_id: str) -> str | None:
        """Finds the id of a job.

        Args:
            app_id: Id of the app.

        Returns:
            Id of its job; ``None`` if there is none.

        Raises:
            AwsError: AWS refuses, or does not answer.
        """
        with self._lock:
            known = self._ids.get(app_id)
        if known is None and (known := self._look_up(app_id)) is not None:
            self.remember(app_id, known)
        return known

    def find(self, app_id: str, node: int | None = None) -> dict[str, Any] | None:
        """Describes the job of an app.

        Args:
            app_id: Id of the app.
            node: Number of a node to describe instead.

        Returns:
            What AWS says; ``None`` if there is no such job, or it was deleted.

        Raises:
            AwsError: AWS refuses, or does not answer.
        """
        job_id = self.job_id(app_id)
        if job_id is None:
            return None
        found = self._client.describe([job_id if node is None else f"{job_id}#{node}"])
        return found[0] if found and not is_deleted(found[0]) else None

    def describe(self, app_id: str) -> DescribeAppResponse | None:
        """Describes an app, its replicas included.

        Args:
            app_id: Id of the app.

        Returns:
            The description; ``None`` if there is no such app.

        Raises:
            AwsError: AWS refuses, or does not answer.
        """
        job = self.find(app_id)
        if job is None:
            return None
        nodes: list[dict[str, Any]] = []
        if "nodeProperties" in job and app_state(job) in _STATES_WITH_NODES:
            nodes = self._client.nodes(str(self.job_id(app_id)))
        return describe_job(app_id, job, nodes)

    def describe_many(self, app_ids: Sequence[str]) -> Mapping[str, DescribeAppResponse]:
        """Describes apps, a hundred with each call; the ids of their jobs are looked up before.

        Args:
            app_ids: Ids of the apps.

        Returns:
            Description by id, without apps that AWS does not know.

        Raises:
            AwsError: AWS refuses, or does not answer.
        """
        wanted = list(dict.fromkeys(app_ids))
        self._look_up_many(wanted)
        with self._lock:
            by_job = {self._ids[app_id]: app_id for app_id in wanted if app_id in self._ids}
        found = {str(job["jobId"]): job for job in self._client.describe(list(by_job))}
        return {
            app_id: describe_job(app_id, found[job_id])
            for job_id, app_id in by_job.items()
            if job_id in found and not is_deleted(found[job_id])
        }

    def listed(self, queue: str | None) -> list[ListAppResponse]:
        """Lists the jobs that torchx has submitted, the newest first.

        Args:
            queue: Name or ARN of their queue; ``None`` for those of all queues that can be seen.

        Returns:
            One entry for each.

        Raises:
            AwsError: AWS refuses, or does not answer. Of several queues, those that cannot be seen
                are reported by log.
        """
        if queue is not None:
            return list(self._listed(queue))
        entries: list[ListAppResponse] = []
        for name in self._client.queues():
            try:
                entries += self._listed(name)
            except BackendError as error:
                log.warning("the queue `%s` is left out: %s", name, error)
        return entries

    def _listed(self, queue: str) -> Iterator[ListAppResponse]:
        seen = 0
        # Without a filter, AWS lists running jobs only.
        for page in self._client.summaries(queue, "AFTER_CREATED_AT", "1"):
            if not page:
                continue
            order = {job_id_of_summary(summary): place for place, summary in enumerate(page)}
            described = self._client.describe(list(order))
            for job in sorted(
                described, key=lambda job: order.get(str(job.get("jobId")), len(order))
            ):
                if is_ours(job) and not is_deleted(job):
                    yield _entry(queue, job)
            seen += len(page)
            if seen >= _MOST_LISTED:
                log.warning(
                    "the queue `%s` has more than %d jobs; older ones are left out", queue, seen
                )
                return

    def _look_up(self, app_id: str) -> str | None:
        parts = split_app_id(app_id)
        if parts is None:
            return None
        queue, name = parts
        first: str | None = None
        try:
            for page in self._client.summaries(queue, "JOB_NAME", name):
                for summary in page:
                    first = first or job_id_of_summary(summary)
                    # The filter does not tell capitals from small letters.
                    if summary.get("jobName") == name:
                        return job_id_of_summary(summary)
        except AwsError as error:
            if error.is_missing_queue():
                log.debug("there is no queue %s", queue)
                return None
            raise
        return first

    def _look_up_many(self, app_ids: Sequence[str]) -> None:
        """Learns the ids of jobs that are not known yet: one by its name, more by listing."""
        with self._lock:
            unknown = [app_id for app_id in app_ids if app_id not in self._ids]
        by_queue: dict[str, set[str]] = {}
        for app_id in unknown:
            if parts := split_app_id(app_id):
                by_queue.setdefault(parts[0], set()).add(app_id)
        for queue, wanted in by_queue.items():
            if len(wanted) == 1:
                self.job_id(wanted.pop())
            else:
                self._look_up_in(queue, wanted)

    def _look_up_in(self, queue: str, wanted: set[str]) -> None:
        try:
            for page in self._client.summaries(queue, "AFTER_CREATED_AT", "1"):
                for summary in page:
                    app_id = make_app_id(queue, str(summary.get("jobName")))
                    if app_id in wanted:
                        wanted.discard(app_id)
                        self.remember(app_id, job_id_of_summary(summary))
                if not wanted:
                    return
        except AwsError as error:
            if not error.is_missing_queue():
                raise
            log.debug("there is no queue %s", queue)


def _entry(queue: str, job: Mapping[str, Any]) -> ListAppResponse:
    name = str(job["jobName"])
    return ListAppResponse(make_app_id(queue_name(queue), name), app_state(job))
