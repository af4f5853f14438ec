"""Checks a training job against the service model, before AWS is asked. No network."""

from __future__ import annotations

import importlib.util
import logging

from torchx.schedulers.aws.service_model import AwsRequestError, find_faults
from torchx.schedulers.aws_sagemaker.training_job import Places, TrainingJob

log: logging.Logger = logging.getLogger(__name__)

_OPERATION = "CreateTrainingJob"
_ROLE_ARN = "arn:aws:iam::123456789012:role/stand-in"
_INSTANCE_TYPE = "ResourceConfig.InstanceType"


def check_training_job(job: TrainingJob, role_arn: str = _ROLE_ARN) -> None:
    """Checks that SageMaker would take a training job, as far as that can be known here.

    Args:
        job: The job.
        role_arn: ARN of its role; the default stands in for one that is not known yet.

    Raises:
        AwsRequestError: SageMaker would refuse it; names all faults.
    """
    if importlib.util.find_spec("botocore") is None:
        log.info("boto3 is not installed: the request is not checked")
        return
    # These stand in for what only AWS knows, and have the same form.
    places = Places(role_arn, "s3://bucket/output", "s3://bucket/code/", "s3://bucket/launch/")
    request = job.request(places)
    faults = find_faults("sagemaker", _OPERATION, request)
    unknown_types = [fault for fault in faults if _is_unknown_type(fault)]
    if unknown_types:
        # AWS adds types more often than machines update their SDK.
        log.warning("this release of boto3 does not know %s", _instance_type(job))
    serious = [fault for fault in faults if fault not in unknown_types]
    if serious:
        raise AwsRequestError(_OPERATION, serious)


def _is_unknown_type(fault: str) -> bool:
    return fault.startswith(_INSTANCE_TYPE) and "must be one of" in fault


def _instance_type(job: TrainingJob) -> str:
    return str(job.description["compute"]["instance_type"])
