"""Submits, cancels and deletes jobs."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from torchx.schedulers.aws.errors import AwsError
from torchx.schedulers.aws_batch.client import BatchClient
from torchx.schedulers.aws_batch.jobs import Jobs
from torchx.schedulers.aws_batch.names import is_shared_definition, name_of_arn
from torchx.schedulers.aws_batch.parse import TAG_DELETED, app_state, is_ours
from torchx.schedulers.aws_batch.request import BatchJob
from torchx.schedulers.aws_batch.submission import Submission, plan
from torchx.specs.api import is_terminal

log: logging.Logger = logging.getLogger(__name__)


def submit_job(client: BatchClient, job: BatchJob) -> str | None:
    """Registers the definition of a job, unless there is one, and submits the job.

    Args:
        client: Calls AWS Batch.
        job: The job.

    Returns:
        Id of the job.

    Raises:
        AwsError: AWS refuses, or does not answer. A definition that nothing else uses is gone.
    """
    planned = plan(job)
    name = planned.definition["jobDefinitionName"]
    if planned.is_shared:
        return _submit_shared(client, planned, name)
    registered = client.register(planned.definition)
    try:
        return client.submit({**planned.request, "jobDefinition": name})
    except AwsError:
        if registered is not None:
            _deregister(client, registered)
        raise


def cancel_job(client: BatchClient, jobs: Jobs, app_id: str) -> None:
    """Cancels a job that has not ended.

    Args:
        client: Calls AWS Batch.
        jobs: Finds jobs.
        app_id: Id of the app.

    Raises:
        AwsError: AWS refuses, or does not answer.
    """
    job_id = jobs.job_id(app_id)
    if job_id is not None:
        client.terminate(job_id)


def delete_job(client: BatchClient, jobs: Jobs, app_id: str) -> None:
    """Cancels a job, deregisters its definition, and marks it as deleted.

    Jobs that others have submitted are cancelled only.

    Args:
        client: Calls AWS Batch.
        jobs: Finds jobs.
        app_id: Id of the app.

    Raises:
        AwsError: AWS refuses, or does not answer.
    """
    job = jobs.find(app_id)
    if job is None:
        return
    if not is_terminal(app_state(job)):
        client.terminate(str(job["jobId"]))
    if is_ours(job):
        client.tag(job["jobArn"], {TAG_DELETED: "true"})
        definition = str(job["jobDefinition"])
        if not _is_needed(client, job, definition):
            _deregister(client, definition)


def _submit_shared(client: BatchClient, planned: Submission, name: str) -> str | None:
    """The definition may be deregistered by somebody else just before it is used."""
    known = client.find_definition(name)
    if known is not None:
        try:
            return client.submit({**planned.request, "jobDefinition": known})
        except AwsError as error:
            if error.code != "ClientException" or "definition" not in str(error).lower():
                raise
            log.info("the job definition %s is gone, registering it again", known)
    client.register(planned.definition)
    return client.submit({**planned.request, "jobDefinition": name})


def _is_needed(client: BatchClient, job: Mapping[str, Any], definition: str) -> bool:
    """Tells whether another job of the same queue may still start from a definition."""
    if not is_shared_definition(name_of_arn(definition)):
        return name_of_arn(definition) != str(job["jobName"])
    for page in client.summaries(str(job["jobQueue"]), "JOB_DEFINITION", definition):
        for other in page:
            is_same = other.get("jobDefinition") == definition and other["jobId"] != job["jobId"]
            if is_same and not is_terminal(app_state(other)):
                return True
    return False


def _deregister(client: BatchClient, definition: str) -> None:
    try:
        client.deregister(definition)
    except AwsError as error:
        log.warning("a job definition is left behind: %s", error)
