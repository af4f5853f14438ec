"""What of a job is registered as its definition, and what is submitted with it. No I/O here.

A job of one container shares its definition with all jobs that differ only in what belongs to a
single run, such as its handle and its secrets, which are submitted as overrides. The name of such a
definition holds a digest of its content. A multi-node job has a definition of its own.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from torchx.schedulers.aws.service_model import check_request, check_request_if_possible
from torchx.schedulers.aws_batch.commands import without_nodes
from torchx.schedulers.aws_batch.names import queue_name, shared_definition_name
from torchx.schedulers.aws_batch.resources import AppRefusedError
from torchx.settings import (
    ENV_TORCHX_INTERNAL_SESSION_ID,
    ENV_TORCHX_JOB_ID,
    ENV_TORCHX_PARENT_RUN_ID,
)
from torchx.util.redact import is_secret_name, redact_args, redact_data, redact_value

if TYPE_CHECKING:
    from torchx.schedulers.aws_batch.request import BatchJob

_MOST_DEFINITION_BYTES = 24 << 10
_MOST_SUBMISSION_BYTES = 30 << 10
_MOST_OVERRIDE_CHARACTERS = 8192
_VARIABLES_OF_ONE_RUN = (
    ENV_TORCHX_INTERNAL_SESSION_ID,
    ENV_TORCHX_JOB_ID,
    ENV_TORCHX_PARENT_RUN_ID,
)
_FARGATE_LACKS = ("privileged", "linuxParameters", "instanceType")


@dataclass(frozen=True)
class Submission:
    """The two calls that submit a job.

    Attributes:
        definition: Arguments of RegisterJobDefinition.
        request: Arguments of SubmitJob, but for ``jobDefinition``.
        is_shared: Other jobs may use the same definition.
    """

    definition: dict[str, Any]
    request: dict[str, Any]
    is_shared: bool


def plan(job: BatchJob) -> Submission:
    """Plans the calls that submit a job.

    Args:
        job: The job.

    Returns:
        The calls.

    Raises:
        AppRefusedError: The job is larger than AWS Batch accepts.
    """
    definition = final_definition(job)
    request: dict[str, Any] = {
        "jobName": job.name,
        "jobQueue": job.queue,
        "tags": dict(definition.get("tags", {})),
    }
    if job.share_id is not None:
        request["shareIdentifier"] = job.share_id
    submission = Submission(definition, request, is_shared=False)
    if definition["type"] == "container":
        submission = _shared(submission, job) or submission
    _check_size("job definition", submission.definition, _MOST_DEFINITION_BYTES)
    _check_size("submission", submission.request, _MOST_SUBMISSION_BYTES)
    return submission


def check(job: BatchJob, *, is_dry_run: bool = False) -> None:
    """Checks the calls that submit a job against the service model.

    Args:
        job: The job.
        is_dry_run: Go on if the SDK, which has the model, is not installed.

    Raises:
        AwsRequestError: AWS would refuse the job.
        AppRefusedError: It is larger than AWS Batch accepts.
    """
    submission = plan(job)
    checks = check_request_if_possible if is_dry_run else check_request
    checks("batch", "RegisterJobDefinition", submission.definition)
    name = submission.definition["jobDefinitionName"]
    checks("batch", "SubmitJob", {**submission.request, "jobDefinition": name})


def final_definition(job: BatchJob) -> dict[str, Any]:
    """Makes the definition of one container, if the job is to be of that shape.

    Args:
        job: The job.

    Returns:
        Arguments of RegisterJobDefinition that hold all of the job.

    Raises:
        AppRefusedError: The job is to be one container and has several nodes.
    """
    definition = dict(job.job_def)
    nodes = definition.get("nodeProperties")
    if definition.get("type") != "multinode" or not nodes or job.job_type == "multinode":
        return definition
    groups = nodes["nodeRangeProperties"]
    is_fargate = "FARGATE" in definition.get("platformCapabilities", ())
    wants_container = job.job_type == "container" or is_fargate
    if nodes["numNodes"] != 1:
        if wants_container:
            raise AppRefusedError(
                f"the job `{job.name}` has {nodes['numNodes']} replicas, but Fargate and"
                " job_type=container run only one",
                hint="run it on EC2 with job_type=auto, or with one replica",
            )
        return definition
    if "instanceType" in groups[0]["container"] and not wants_container:
        # Only nodes of multi-node jobs can be told their instance type.
        return definition
    container = without_nodes(groups[0]["container"])
    lacks = _FARGATE_LACKS if is_fargate else ("instanceType",)
    definition["type"] = "container"
    definition["containerProperties"] = {
        name: value for name, value in container.items() if name not in lacks
    }
    del definition["nodeProperties"]
    return definition


def format_job(job: BatchJob) -> str:
    """Shows a job, secrets hidden.

    Args:
        job: The job.

    Returns:
        YAML.
    """
    import yaml

    shown: dict[str, Any] = asdict(job)
    del shown["job_type"]
    shown["images_to_push"] = {image: list(target) for image, target in job.images_to_push.items()}
    shown["job_def"] = redact_data(_redacted(_shown_definition(job)))
    return yaml.dump(shown, Dumper=_plain_dumper())


def _shown_definition(job: BatchJob) -> dict[str, Any]:
    """All of the job, under the name that will be registered; as it is if it cannot be."""
    try:
        name = plan(job).definition["jobDefinitionName"]
        return {**final_definition(job), "jobDefinitionName": name}
    except AppRefusedError:
        return job.job_def


def _plain_dumper() -> Any:
    """Writes a value that occurs twice twice."""
    import yaml

    class Dumper(yaml.SafeDumper):
        def ignore_aliases(self, data: object) -> bool:
            return True

    return Dumper


def _redacted(value: Any) -> Any:
    """Hides secrets in the pairs of an environment and in the words of commands."""
    if isinstance(value, Mapping):
        if value.keys() == {"name", "value"} and is_secret_name(str(value["name"])):
            return {"name": value["name"], "value": redact_value(value["name"], value["value"])}
        return {
            key: redact_args(item) if key == "command" else _redacted(item)
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [_redacted(item) for item in value]
    return value


def _shared(own: Submission, job: BatchJob) -> Submission | None:
    """Splits a submission into what many runs share and overrides; ``None`` if those are long."""
    container = dict(own.definition["containerProperties"])
    environment = container.get("environment", [])
    overrides: dict[str, Any] = {}
    if of_this_run := [pair for pair in environment if _is_of_one_run(pair, job.name)]:
        overrides["environment"] = of_this_run
        container["environment"] = [pair for pair in environment if pair not in of_this_run]
    command = container.get("command", [])
    if any(job.name in word for word in command) or redact_args(command) != command:
        overrides["command"] = command
        container["command"] = command[:1]
    if len(json.dumps(overrides)) > _MOST_OVERRIDE_CHARACTERS:
        return None
    content = {**own.definition, "containerProperties": container}
    del content["jobDefinitionName"]
    # Jobs of one queue only, so that it can be told whether any of them still needs it.
    content_text = json.dumps([queue_name(job.queue), content], sort_keys=True)
    digest = hashlib.sha256(content_text.encode()).hexdigest()
    definition = {"jobDefinitionName": shared_definition_name(job.name, digest), **content}
    request = {**own.request, **({"containerOverrides": overrides} if overrides else {})}
    return Submission(definition, request, is_shared=True)


def _is_of_one_run(pair: Mapping[str, str], job_name: str) -> bool:
    # AWS keeps definitions for months, but jobs for days: secrets go with the job.
    is_secret = is_secret_name(pair["name"])
    return is_secret or pair["name"] in _VARIABLES_OF_ONE_RUN or job_name in pair["value"]


def _check_size(what: str, request: Mapping[str, Any], most_bytes: int) -> None:
    size = len(json.dumps(request, ensure_ascii=False).encode("utf-8", "replace"))
    if size > most_bytes:
        raise AppRefusedError(
            f"the {what} has {size} bytes, but AWS Batch accepts at most {most_bytes}",
            hint="put long arguments and variables into a file of the workspace or in S3",
        )
