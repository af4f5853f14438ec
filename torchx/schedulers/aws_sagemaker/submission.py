"""Submits training jobs, with the code and the script that they need."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torchx.schedulers.aws.errors import aws_errors
from torchx.schedulers.aws.session import Clients
from torchx.schedulers.aws_sagemaker.checks import check_training_job
from torchx.schedulers.aws_sagemaker.client import SageMaker
from torchx.schedulers.aws_sagemaker.names import job_name
from torchx.schedulers.aws_sagemaker.request import OWN_KEY
from torchx.schedulers.aws_sagemaker.storage import Storage, check_source_dir, default_bucket
from torchx.schedulers.aws_sagemaker.training_job import Places, TrainingJob
from torchx.schedulers.ids import make_unique


class SubmittedJob:
    """A training job that was submitted.

    Args:
        name: Its name.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def get_name(self) -> str:
        """Returns its name."""
        return self._name


class Boto3Trainer:
    """Submits one training job, with nothing but boto3.

    Args:
        description: The description of the job.
        clients: Where the clients come from.

    Attributes:
        clients: See above.
        sagemaker: The calls of SageMaker.
    """

    def __init__(self, description: Mapping[str, Any], clients: Clients) -> None:
        self._description = description
        self.clients = clients
        self.sagemaker = SageMaker(lambda: self.clients.get("sagemaker"))
        self._latest_training_job: SubmittedJob | None = None

    def train(self, wait: bool = False) -> None:
        """Submits the job.

        Args:
            wait: Always False: runners wait, for any number of jobs at once.

        Raises:
            ValueError: It shall wait.
            AwsRequestError: The request does not fit the service model; nothing was sent.
            WorkspaceError: The code cannot be read, or is too much.
            AwsError: AWS refuses, or does not answer.
        """
        if wait:
            raise ValueError("a training job is waited for by `Runner.wait`")
        job = TrainingJob.of(self._description, _name_of(self._description))
        role_arn = self._role_arn(self._description["role"])
        check_training_job(job, role_arn)
        if not self._description.get(OWN_KEY, {}).get("workspace"):
            check_source_dir((self._description.get("source_code") or {}).get("source_dir"))
        self.sagemaker.create(job.request(self._send(job, role_arn)))
        self._latest_training_job = SubmittedJob(job.name)

    def _send(self, job: TrainingJob, role_arn: str) -> Places:
        description = self._description
        output = (description.get("output_data_config") or {}).get("s3_output_path")
        if output is not None:
            storage = Storage(self.clients, output)
        else:
            bucket = default_bucket(self.clients)
            storage = Storage(self.clients, f"s3://{bucket}")
            output = f"s3://{bucket}/{description.get('base_job_name') or job.name}"
        code = "" if job.code is None else storage.send_code(job.code)
        launcher = "" if job.script is None else storage.send_script(job.script)
        return Places(role_arn, output, code, launcher)

    def _role_arn(self, role: str) -> str:
        if role.startswith("arn:"):
            return role
        with aws_errors(f"look up the ARN of the role {role}", f"role `{role}`"):
            answer = self.clients.get("iam").get_role(RoleName=role.rpartition("/")[2])
        return str(answer["Role"]["Arn"])


def _name_of(description: Mapping[str, Any]) -> str:
    own = description.get(OWN_KEY, {}).get("job_name")
    return str(own or job_name(make_unique(str(description.get("base_job_name") or "torchx"))))
