"""Hands descriptions that were written by hand to the SageMaker SDK, where that is installed.

Descriptions that torchx itself makes are submitted with boto3 alone, whatever is installed.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from typing import Any


def is_installed() -> bool:
    """Tells whether the SDK (version 3) is there.

    Returns:
        True if it can be imported.
    """
    try:
        return importlib.util.find_spec("sagemaker.train") is not None
    except (ModuleNotFoundError, ValueError):
        return False


def build_trainer(description: Mapping[str, Any]) -> Any:
    """Makes a trainer of the SDK.

    Args:
        description: The description of a training job.

    Returns:
        A ``sagemaker.train.ModelTrainer``.
    """
    from sagemaker.core.shapes import shapes
    from sagemaker.train import ModelTrainer

    trainer = ModelTrainer(**_arguments(description))
    metrics = description.get("metric_definitions")
    if metrics is not None:
        trainer = trainer.with_metric_definitions(
            [shapes.MetricDefinition(name=name, regex=regex) for name, regex in metrics]
        )
    retries = description.get("max_retry_attempts")
    if retries is not None:
        strategy = shapes.RetryStrategy(maximum_retry_attempts=retries)
        trainer = trainer.with_retry_strategy(strategy)
    infra_check = description.get("enable_infra_check")
    if infra_check is not None:
        config = shapes.InfraCheckConfig(enable_infra_check=infra_check)
        trainer = trainer.with_infra_check_config(config)
    return trainer


def _arguments(description: Mapping[str, Any]) -> dict[str, Any]:
    from sagemaker.core.shapes import shapes
    from sagemaker.core.training import configs
    from sagemaker.train.distributed import Torchrun

    makers = {
        "source_code": configs.SourceCode,
        "compute": configs.Compute,
        "networking": configs.Networking,
        "stopping_condition": shapes.StoppingCondition,
        "output_data_config": shapes.OutputDataConfig,
        "checkpoint_config": shapes.CheckpointConfig,
    }
    arguments: dict[str, Any] = {
        "training_image": description["training_image"],
        "role": description.get("role"),
    }
    for name, make in makers.items():
        if name in description:
            arguments[name] = make(**description[name])
    for name in ("training_input_mode", "environment", "hyperparameters", "base_job_name"):
        if name in description:
            arguments[name] = description[name]
    if description.get("distributed"):
        arguments["distributed"] = Torchrun()
    if "training_image_config" in description:
        arguments["training_image_config"] = _image_access(description["training_image_config"])
    if "tags" in description:
        arguments["tags"] = [
            shapes.Tag(key=tag["key"], value=tag["value"]) for tag in description["tags"]
        ]
    return arguments


def _image_access(given: Mapping[str, Any]) -> Any:
    from sagemaker.core.shapes import shapes

    access = {"training_repository_access_mode": given["training_repository_access_mode"]}
    arn = given.get("training_repository_auth_config_arn")
    if arn is None:
        return shapes.TrainingImageConfig(**access)
    auth = shapes.TrainingRepositoryAuthConfig(training_repository_credentials_provider_arn=arn)
    return shapes.TrainingImageConfig(**access, training_repository_auth_config=auth)
