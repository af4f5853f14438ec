"""The only code that calls AWS Batch. Errors are translated here, once."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from torchx.schedulers.aws.errors import AwsError, aws_error, aws_errors, is_aws_error, is_throttled
from torchx.schedulers.aws.session import Clients

log: logging.Logger = logging.getLogger(__name__)

DESCRIBED_AT_ONCE = 100
"""How many jobs one call of DescribeJobs takes."""

CANCEL_REASON = "killed via torchx CLI"
"""Reason of jobs that were cancelled by torchx; tells them from jobs that failed."""

_SUBMIT_TRIES = 5
_FIRST_PAUSE_S = 0.5


class BatchClient:
    """Calls AWS Batch.

    Args:
        clients: Gives the clients of the SDK.
        sleep: Waits for a number of seconds.
    """

    def __init__(self, clients: Clients, sleep: Callable[[float], object] = time.sleep) -> None:
        self._clients = clients
        self._sleep = sleep

    @property
    def sdk(self) -> Any:
        """The client of the SDK."""
        return self._clients.get("batch")

    def find_definition(self, name: str) -> str | None:
        """Looks for an active job definition.

        Args:
            name: Its name.

        Returns:
            Its ARN.

        Raises:
            AwsError: AWS refuses, or does not answer.
        """
        with aws_errors(f"look for the job definition `{name}`"):
            answer = self.sdk.describe_job_definitions(jobDefinitionName=name, status="ACTIVE")
        found = [item["jobDefinitionArn"] for item in answer["jobDefinitions"]]
        return str(found[0]) if found else None

    def register(self, definition: Mapping[str, Any]) -> str | None:
        """Registers a job definition.

        Args:
            definition: Arguments of the call.

        Returns:
            Its ARN.

        Raises:
            AwsError: AWS refuses, or does not answer.
        """
        with aws_errors(f"register the job definition `{definition['jobDefinitionName']}`"):
            return _text(self.sdk.register_job_definition(**definition), "jobDefinitionArn")

    def deregister(self, definition: str) -> None:
        """Deregisters a job definition.

        Args:
            definition: Its ARN, or its name and revision.

        Raises:
            AwsError: AWS refuses, or does not answer.
        """
        with aws_errors(f"deregister the job definition {definition}", f"`{definition}`"):
            self.sdk.deregister_job_definition(jobDefinition=definition)

    def submit(self, request: Mapping[str, Any]) -> str | None:
        """Submits a job, once.

        A call that may have arrived although no answer came is not repeated blindly: the job is
        looked for first.

        Args:
            request: Arguments of the call.

        Returns:
            Id of the job.

        Raises:
            AwsError: AWS refuses, or does not answer.
        """
        name, queue = request["jobName"], request["jobQueue"]
        doing, resource = f"submit the job `{name}` to the queue `{queue}`", f"job queue `{queue}`"
        with aws_errors(doing, resource):
            once = self._clients.get("batch", repeats=False)
        for tries in range(1, _SUBMIT_TRIES + 1):
            try:
                return _text(once.submit_job(**request), "jobId")
            except Exception as caught:
                if not is_aws_error(caught):
                    raise
                error = aws_error(caught, doing, resource)
                if not error.transient or tries == _SUBMIT_TRIES:
                    raise error from caught
                log.info("%s; trying again", error)
                self._sleep(_FIRST_PAUSE_S * 2 ** (tries - 1) * random.uniform(0.5, 1.0))
                if not is_throttled(caught) and (found := self._submitted(queue, name)):
                    return found
        raise AssertionError("unreachable")

    def terminate(self, job_id: str) -> None:
        """Cancels or terminates a job.

        Args:
            job_id: Its id.

        Raises:
            AwsError: AWS refuses, or does not answer.
        """
        with aws_errors(f"cancel the job {job_id}", f"job {job_id}"):
            self.sdk.terminate_job(jobId=job_id, reason=CANCEL_REASON)

    def tag(self, job_arn: str, tags: Mapping[str, str]) -> None:
        """Adds tags to a job.

        Args:
            job_arn: Its ARN.
            tags: The tags.

        Raises:
            AwsError: AWS refuses, or does not answer.
        """
        with aws_errors(f"tag the job {job_arn}", f"`{job_arn}`"):
            self.sdk.tag_resource(resourceArn=job_arn, tags=dict(tags))

    def describe(self, job_ids: Sequence[str]) -> list[dict[str, Any]]:
        """Describes jobs, a hundred with each call.

        Args:
            job_ids: Their ids; of a node ``id#number``.

        Returns:
            What AWS knows, in no certain order, without jobs that it does not know.

        Raises:
            AwsError: AWS refuses, or does not answer.
        """
        found: list[dict[str, Any]] = []
        for start in range(0, len(job_ids), DESCRIBED_AT_ONCE):
            with aws_errors("describe jobs"):
                part = list(job_ids[start : start + DESCRIBED_AT_ONCE])
                found += self.sdk.describe_jobs(jobs=part)["jobs"]
        return found

    def summaries(self, queue: str, filter_name: str, value: str) -> Iterator[list[dict[str, Any]]]:
        """Lists jobs of a queue, in all states.

        Args:
            queue: Name or ARN of the queue.
            filter_name: What to choose them by, for example ``JOB_NAME``.
            value: Value of the filter.

        Yields:
            Summaries page by page, the newest first.

        Raises:
            AwsError: AWS refuses, or does not answer.
        """
        filters = [{"name": filter_name, "values": [value]}]
        with aws_errors(f"list the jobs of the queue `{queue}`", f"job queue `{queue}`"):
            for page in self.sdk.get_paginator("list_jobs").paginate(
                jobQueue=queue, filters=filters
            ):
                yield page["jobSummaryList"]

    def nodes(self, job_id: str) -> list[dict[str, Any]]:
        """Lists the nodes of a multi-node job.

        Args:
            job_id: Id of the job.

        Returns:
            Their summaries.

        Raises:
            AwsError: AWS refuses, or does not answer.
        """
        with aws_errors(f"list the nodes of the job {job_id}", f"job {job_id}"):
            pages = self.sdk.get_paginator("list_jobs").paginate(multiNodeJobId=job_id)
            return [summary for page in pages for summary in page["jobSummaryList"]]

    def queues(self) -> list[str]:
        """Lists the job queues of this account in this region.

        Returns:
            Their names.

        Raises:
            AwsError: AWS refuses, or does not answer.
        """
        with aws_errors("list the job queues"):
            pages = self.sdk.get_paginator("describe_job_queues").paginate()
            return [queue["jobQueueName"] for page in pages for queue in page["jobQueues"]]

    def _submitted(self, queue: str, name: str) -> str | None:
        try:
            for page in self.summaries(queue, "JOB_NAME", name):
                for summary in page:
                    if summary.get("jobName") == name:
                        return job_id_of_summary(summary)
        except AwsError as error:
            log.info("it is not known whether the job arrived: %s", error)
        return None


def job_id_of_summary(summary: Mapping[str, Any]) -> str:
    """Reads the id of a job.

    Args:
        summary: Its summary in a list.

    Returns:
        The id.
    """
    return str(summary.get("jobId") or summary["jobArn"].rpartition("/")[2])


def _text(answer: Mapping[str, Any], key: str) -> str | None:
    text = answer.get(key)
    return text if isinstance(text, str) else None
