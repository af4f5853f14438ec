"""Descriptions that were written by hand go to the SageMaker SDK, where that is installed.

Without it, classes that only remember their arguments stand in for its own: it weighs 940 MB.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest

from torchx.schedulers import aws_sagemaker_scheduler as published
from torchx.schedulers.aws_sagemaker import sdk
from torchx.schedulers.aws_sagemaker.request import OWN_KEY
from torchx.schedulers.aws_sagemaker.submission import Boto3Trainer

BARE = {"training_image": "image:1", "role": "arn:aws:iam::123456789012:role/training"}
CLASSES = {
    "sagemaker.core.shapes.shapes": (
        "CheckpointConfig",
        "InfraCheckConfig",
        "MetricDefinition",
        "OutputDataConfig",
        "RetryStrategy",
        "StoppingCondition",
        "Tag",
        "TrainingImageConfig",
        "TrainingRepositoryAuthConfig",
    ),
    "sagemaker.core.training.configs": ("Compute", "Networking", "SourceCode"),
    "sagemaker.train": ("ModelTrainer",),
    "sagemaker.train.distributed": ("Torchrun",),
}


@pytest.fixture(autouse=True)
def the_sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    if not sdk.is_installed():
        for path, names in CLASSES.items():
            for name in (*_parents(path), path):
                if name not in sys.modules:
                    monkeypatch.setitem(sys.modules, name, ModuleType(name))
                    _hang_on_parent(name)
            for name in names:
                setattr(sys.modules[path], name, type(name, (SimpleNamespace,), {}))
    monkeypatch.setattr(sdk, "is_installed", lambda: True)


@pytest.fixture
def trainer() -> Iterator[Any]:
    importlib.import_module("sagemaker.train")
    with patch("sagemaker.train.ModelTrainer") as trainer:
        yield trainer


def _parents(path: str) -> list[str]:
    parts = path.split(".")
    return [".".join(parts[:size]) for size in range(1, len(parts))]


def _hang_on_parent(path: str) -> None:
    parent, _, name = path.rpartition(".")
    if parent:
        setattr(sys.modules[parent], name, sys.modules[path])


def test_a_bare_description(trainer: Any) -> None:
    assert published._build_model_trainer(dict(BARE)) is trainer.return_value
    trainer.assert_called_once_with(**BARE)


def test_launching_on_all_gpus(trainer: Any) -> None:
    published._build_model_trainer({**BARE, "distributed": True})
    assert type(trainer.call_args.kwargs["distributed"]).__name__ == "Torchrun"


def test_groups_become_objects(trainer: Any) -> None:
    published._build_model_trainer(
        {
            **BARE,
            "source_code": {"entry_script": "train.py", "source_dir": "."},
            "compute": {"instance_type": "ml.m5.large", "instance_count": 2},
            "networking": {"subnets": ["s-1"], "security_group_ids": ["sg-1"]},
            "stopping_condition": {"max_runtime_in_seconds": 60},
            "output_data_config": {"s3_output_path": "s3://bucket/out"},
            "checkpoint_config": {"s3_uri": "s3://bucket/checkpoints"},
            "training_image_config": {
                "training_repository_access_mode": "Vpc",
                "training_repository_auth_config_arn": "arn:aws:lambda:x",
            },
            "training_input_mode": "File",
            "environment": {"A": "1"},
            "hyperparameters": {"lr": "1"},
            "base_job_name": "base",
            "tags": [{"key": "env", "value": "prod"}],
        }
    )
    given = trainer.call_args.kwargs
    assert given["source_code"].entry_script == "train.py"
    assert given["compute"].instance_count == 2
    assert given["networking"].subnets == ["s-1"]
    assert given["stopping_condition"].max_runtime_in_seconds == 60
    assert given["output_data_config"].s3_output_path == "s3://bucket/out"
    assert given["checkpoint_config"].s3_uri == "s3://bucket/checkpoints"
    auth = given["training_image_config"].training_repository_auth_config
    assert auth.training_repository_credentials_provider_arn == "arn:aws:lambda:x"
    assert [(tag.key, tag.value) for tag in given["tags"]] == [("env", "prod")]
    assert (given["environment"], given["base_job_name"]) == ({"A": "1"}, "base")


@pytest.mark.parametrize(
    ("key", "value", "method"),
    [
        ("metric_definitions", [("loss", "loss: (.*)")], "with_metric_definitions"),
        ("max_retry_attempts", 3, "with_retry_strategy"),
        ("enable_infra_check", True, "with_infra_check_config"),
    ],
)
def test_what_is_added_afterwards(trainer: Any, key: str, value: object, method: str) -> None:
    add = getattr(trainer.return_value, method)
    assert published._build_model_trainer({**BARE, key: value}) is add.return_value
    add.assert_called_once()


def test_what_torchx_describes_is_submitted_without_it() -> None:
    built = published._build_model_trainer({**BARE, OWN_KEY: {"job_name": "x"}})
    assert isinstance(built, Boto3Trainer)


def test_without_it_boto3_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sdk, "is_installed", lambda: False)
    assert isinstance(published._build_model_trainer(dict(BARE)), Boto3Trainer)
