"""Calls SageMaker."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

from torchx.schedulers.aws.errors import aws_errors, error_code, is_aws_error
from torchx.schedulers.aws_sagemaker.training_job import TAG_MARK

PAGE_JOBS = 100
"""How many jobs one answer may hold; the most that SageMaker allows."""

_MISSING = ("not found", "could not find")
_REFUSED = "ValidationException"
_TAKEN = "ResourceInUse"
_GONE = "ResourceNotFound"


class SageMaker:
    """The calls that torchx makes.

    Args:
        client: Gives the client of the service.
    """

    def __init__(self, client: Callable[[], Any]) -> None:
        self._client = client

    def create(self, request: Mapping[str, Any]) -> None:
        """Submits a training job.

        Args:
            request: Arguments of CreateTrainingJob. The name is one that nobody else uses.

        Raises:
            AwsError: SageMaker refuses, or does not answer.
        """
        name = request["TrainingJobName"]
        with aws_errors(f"submit the training job {name}"):
            try:
                self._client().create_training_job(**request)
            except Exception as error:
                # The answer to an earlier attempt was lost, and boto3 has tried again.
                is_repeated = is_aws_error(error) and error_code(error) == _TAKEN
                if not is_repeated or self.describe(name) is None:
                    raise

    def describe(self, name: str) -> dict[str, Any] | None:
        """Asks for a training job.

        Args:
            name: Its name.

        Returns:
            The answer; ``None`` if there is no such job.

        Raises:
            AwsError: SageMaker refuses, or does not answer.
        """
        with aws_errors(f"describe the training job {name}"):
            try:
                answer: dict[str, Any] = self._client().describe_training_job(TrainingJobName=name)
            except Exception as error:
                if _is_missing(error):
                    return None
                raise
        return answer

    def stop(self, name: str) -> None:
        """Stops a training job; does nothing if it has ended.

        Args:
            name: Its name.

        Raises:
            AwsError: SageMaker refuses, or does not answer.
        """
        with aws_errors(f"stop the training job {name}"):
            try:
                self._client().stop_training_job(TrainingJobName=name)
            except Exception as error:
                if not _is_refused(error) or self._is_running(name):
                    raise

    def delete(self, name: str) -> None:
        """Has SageMaker forget a training job that has ended.

        Args:
            name: Its name.

        Raises:
            AwsError: SageMaker refuses, or does not answer.
        """
        with aws_errors(f"delete the training job {name}"):
            try:
                self._client().delete_training_job(TrainingJobName=name)
            except Exception as error:
                if not _is_missing(error):
                    raise

    def launched(self) -> Iterator[dict[str, Any]]:
        """Finds the training jobs that torchx has launched, the newest first.

        Yields:
            Each as DescribeTrainingJob answers it, and its tags.

        Raises:
            AwsError: SageMaker refuses, or does not answer.
        """
        marked = {"Name": f"Tags.{TAG_MARK}", "Operator": "Equals", "Value": "yes"}
        arguments: dict[str, Any] = {
            "Resource": "TrainingJob",
            "SearchExpression": {"Filters": [marked]},
            "SortBy": "CreationTime",
            "SortOrder": "Descending",
        }
        for answer in self._pages("search", arguments):
            for result in answer.get("Results", []):
                yield result["TrainingJob"]

    def summaries(self, since: datetime | None = None) -> Iterator[list[dict[str, Any]]]:
        """Lists training jobs, whoever launched them, the newest first.

        Args:
            since: Leave out those that were created before.

        Yields:
            Pages of summaries.

        Raises:
            AwsError: SageMaker refuses, or does not answer.
        """
        arguments: dict[str, Any] = {"SortBy": "CreationTime", "SortOrder": "Descending"}
        if since is not None:
            arguments["CreationTimeAfter"] = since
        for answer in self._pages("list_training_jobs", arguments):
            yield answer.get("TrainingJobSummaries", [])

    def _pages(self, operation: str, arguments: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        token: dict[str, str] = {}
        while True:
            with aws_errors("list the training jobs"):
                call = getattr(self._client(), operation)
                answer = call(**arguments, MaxResults=PAGE_JOBS, **token)
            yield answer
            if not answer.get("NextToken"):
                return
            token = {"NextToken": answer["NextToken"]}

    def _is_running(self, name: str) -> bool:
        answer = self.describe(name)
        return answer is not None and answer.get("TrainingJobStatus") == "InProgress"


def _is_refused(error: Exception) -> bool:
    return is_aws_error(error) and error_code(error) in (_REFUSED, _GONE)


def _is_missing(error: Exception) -> bool:
    if not is_aws_error(error):
        return False
    if error_code(error) == _GONE:
        return True
    text = str(error).lower()
    return error_code(error) == _REFUSED and any(word in text for word in _MISSING)
