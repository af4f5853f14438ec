"""Shows what would be sent to AWS, secrets hidden."""

from __future__ import annotations

from typing import Any

from torchx.schedulers.aws_sagemaker.launcher import LAUNCH_SCRIPT
from torchx.schedulers.aws_sagemaker.request import AWSSageMakerJob
from torchx.schedulers.aws_sagemaker.training_job import Places, TrainingJob
from torchx.util.redact import redact_data, redact_source, secrets_in


def format_job(job: AWSSageMakerJob) -> str:
    """Shows a training job as it would be submitted.

    Args:
        job: The job.

    Returns:
        YAML: the images to push, the code and the script to send along, and the request. What only
        AWS knows stands in angle brackets.
    """
    import yaml

    planned = TrainingJob.of(job.job_def, job.job_name)
    shown: dict[str, Any] = {}
    if job.images_to_push:
        shown["images_to_push"] = {
            image: f"{repo}:{tag}" for image, (repo, tag) in job.images_to_push.items()
        }
    if planned.code is not None:
        shown["code"] = str(planned.code)
    shown["CreateTrainingJob"] = planned.request(_places(job.job_def, job.job_name))
    if planned.script is not None:
        secrets = secrets_in(job.job_def)
        shown[LAUNCH_SCRIPT] = _Script(_hidden(planned.script, secrets))
    dumper = _dumper()
    return str(yaml.dump(_redacted(shown), Dumper=dumper, allow_unicode=True, sort_keys=False))


class _Script(str):
    """Text of several lines that is shown as such."""


def _redacted(shown: dict[str, Any]) -> dict[str, Any]:
    script = shown.pop(LAUNCH_SCRIPT, None)
    redacted: dict[str, Any] = redact_data(shown)
    if script is not None:
        redacted[LAUNCH_SCRIPT] = script
    return redacted


def _hidden(script: str, secrets: list[str]) -> str:
    from torchx.util.redact import redact_text

    return redact_text(redact_source(script), secrets)


def _dumper() -> Any:
    import yaml

    class Dumper(yaml.SafeDumper):
        pass

    Dumper.add_representer(
        _Script,
        lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|"),
    )
    return Dumper


def _places(job_def: dict[str, Any], job_name: str) -> Places:
    role = str(job_def["role"])
    bucket = "s3://<default bucket>"
    given = (job_def.get("output_data_config") or {}).get("s3_output_path")
    storage = (given or bucket).rstrip("/")
    return Places(
        role_arn=role if role.startswith("arn:") else f"<ARN of the role {role}>",
        output=given or f"{bucket}/{job_def.get('base_job_name') or job_name}",
        code=f"{storage}/torchx/v1/code/<digest>/",
        launcher=f"{storage}/torchx/v1/launch/<digest>/",
    )
