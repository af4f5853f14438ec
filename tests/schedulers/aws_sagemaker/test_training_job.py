"""What is sent to SageMaker: goldens, and any app."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast
from unittest.mock import patch

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from torchx.schedulers import aws_sagemaker_scheduler
from torchx.schedulers.aws.service_model import AwsRequestError, find_faults
from torchx.schedulers.aws_sagemaker.training_job import Places, TrainingJob
from torchx.schedulers.aws_sagemaker_scheduler import AWSSageMakerJob, Opts, create_scheduler
from torchx.specs import AppDef, AppDryRunInfo, CfgVal, Role

ROLE = "arn:aws:iam::123456789012:role/training"
PLACES = Places(
    ROLE, "s3://default/app", "s3://default/torchx/v1/code/1/", "s3://default/torchx/v1/launch/2/"
)
GOLDENS = Path(__file__).parents[2] / "fixtures" / "aws_sagemaker"

EVERYTHING: dict[str, CfgVal] = {
    "keep_alive_period_in_seconds": 0,
    "volume_size": 100,
    "volume_kms_key": "alias/volume",
    "max_run": 3600,
    "input_mode": "FastFile",
    "output_path": "s3://bucket/out",
    "output_kms_key": "alias/out",
    "base_job_name": "my_base.name",
    "tags": {"team": "vision"},
    "subnets": ["subnet-1", "subnet-2"],
    "security_group_ids": ["sg-1"],
    "metric_definitions": {"loss": "loss: ([0-9.]+)"},
    "encrypt_inter_container_traffic": True,
    "use_spot_instances": True,
    "max_wait": 7200,
    "checkpoint_s3_uri": "s3://bucket/checkpoints",
    "checkpoint_local_path": "/opt/ml/checkpoints",
    "enable_network_isolation": False,
    "environment": {"FROM_OPTIONS": "1", "BOTH": "options"},
    "max_retry_attempts": 3,
    "source_dir": "s3://bucket/code",
    "hyperparameters": {"batch": "32"},
    "training_repository_access_mode": "Vpc",
    "training_repository_credentials_provider_arn": (
        "arn:aws:lambda:us-west-2:123456789012:function:credentials"
    ),
    "disable_output_compression": True,
    "enable_infra_check": True,
    "channels": {"train": "s3://bucket/data", "shared": "efs://fs-12345678901/models"},
}


def plan(role: Role, **options: CfgVal) -> AppDryRunInfo[AWSSageMakerJob]:
    cfg: dict[str, CfgVal] = {"role": ROLE, "instance_type": "ml.m5.large", **options}
    app = AppDef("app", [role], metadata={"owner": "me"})
    return create_scheduler("session").submit_dryrun(app, cast(Opts, cfg))


def request_of(info: AppDryRunInfo[AWSSageMakerJob]) -> dict[str, Any]:
    return TrainingJob.of(info.request.job_def, info.request.job_name).request(PLACES)


@pytest.mark.parametrize("name", ["command", "script", "everything"])
def test_requests_are_what_they_were(name: str) -> None:
    roles = {
        "command": Role("echo", "image:1", entrypoint="echo", args=["hello world"]),
        "script": Role(
            "trainer", "image:1", entrypoint="python", args=["t.py", "--lr", "1"], num_replicas=2
        ),
        "everything": Role("trainer", "image:1", args=["-m", "pkg.train"], env={"BOTH": "role"}),
    }
    options = EVERYTHING if name == "everything" else {}
    with (
        patch.object(aws_sagemaker_scheduler, "make_unique", lambda stem: f"{stem}-x1"),
        patch("torchx.__version__", "1.2.3"),
    ):
        request = request_of(plan(roles[name], **options))
    assert find_faults("sagemaker", "CreateTrainingJob", request) == []
    assert request == json.loads((GOLDENS / f"{name}.json").read_text())


def test_a_day_is_the_default_time_limit() -> None:
    request = request_of(plan(Role("r", "image:1", entrypoint="true")))
    assert request["StoppingCondition"] == {"MaxRuntimeInSeconds": 86400}


def test_spare_capacity_is_waited_for_as_long_as_the_job_may_run() -> None:
    role = Role("r", "image:1", entrypoint="true")
    request = request_of(plan(role, use_spot_instances=True, max_run=60))
    assert request["StoppingCondition"] == {"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 60}


def test_retries_of_the_role_are_those_of_the_job() -> None:
    role = Role("r", "image:1", entrypoint="true", max_retries=100)
    assert request_of(plan(role))["RetryStrategy"] == {"MaximumRetryAttempts": 30}


@pytest.mark.parametrize(
    "role",
    [
        Role("r", "image:1", entrypoint="echo", args=["x" * 257]),
        Role("r", "image:1", entrypoint="echo", args=["x"] * 100),
        Role("r", "image:1", entrypoint="echo", args=["two\nlines"]),
        Role("r", "image:1", entrypoint="echo", args=["two\u2028lines"]),
        Role("r", "image:1", entrypoint="echo", args=["no UTF-8: \udcff"]),
        Role("r", "image:1", entrypoint="echo", args=["\N{PARTY POPPER}" * 129]),
        Role("r", "image:1", entrypoint="echo", env={"BYTES": "\udcff"}),
        Role("r", "image:1", entrypoint="echo", args=["${replica_id}"]),
        Role("r", "image:1", entrypoint="echo", env={"LONG": "x" * 513}),
        Role("r", "image:1", entrypoint="echo", env={f"V{n}": "x" for n in range(100)}),
        Role("r", "image:1", entrypoint="echo", env={"ME": "${replica_id}"}),
    ],
)
def test_what_sagemaker_does_not_take_goes_into_a_script(role: Role) -> None:
    request = request_of(plan(role))
    assert request["AlgorithmSpecification"]["ContainerArguments"] == [
        "/opt/ml/input/data/torchx/launch.sh"
    ]
    assert [channel["ChannelName"] for channel in request["InputDataConfig"]] == ["torchx"]


def test_what_aws_would_refuse_is_refused_here() -> None:
    role = Role("r", "i" * 256, entrypoint="echo")
    with pytest.raises(AwsRequestError) as raised:
        plan(role, volume_kms_key="not a key", environment={"a-b": "1"})
    assert len(raised.value.faults) == 3


def test_an_instance_type_that_is_newer_than_the_sdk_is_only_warned_about(
    caplog: pytest.LogCaptureFixture,
) -> None:
    plan(Role("r", "image:1", entrypoint="true"), instance_type="ml.p99.48xlarge")
    assert "does not know ml.p99.48xlarge" in caplog.text


def test_secrets_are_not_shown() -> None:
    env = {"MY_TOKEN": "open-sesame-" * 50, "PASSWORD": "pass-the-word"}
    role = Role("r", "image:1", entrypoint="run", args=["--api-key", "key-for-all"], env=env)
    info = plan(role, environment={"API_KEY": "key-for-nobody"})
    for shown in (str(info), str(info.request), repr(info.request)):
        for secret in ("open-sesame", "pass-the-word", "key-for-all", "key-for-nobody"):
            assert secret not in shown
        assert "!!" not in shown


def test_secret_hyperparameters_reach_the_program_only() -> None:
    role = Role("r", "image:1", entrypoint="python", args=["t.py", "--api-key", "x1", "--lr", "1"])
    info = plan(role)
    assert request_of(info)["HyperParameters"] == {"lr": "1"}
    assert info.request.job_def["torchx"]["words"] == role.args


def test_a_description_that_is_changed_before_it_is_submitted_counts() -> None:
    info = plan(Role("r", "image:1", entrypoint="true"))
    info.request.job_def["environment"]["ADDED"] = "yes"
    info.request.job_def["compute"]["volume_size_in_gb"] = 7
    request = request_of(info)
    assert request["Environment"]["ADDED"] == "yes"
    assert request["ResourceConfig"]["VolumeSizeInGB"] == 7


_TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=300)
_NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,20}", fullmatch=True)


@settings(max_examples=60, deadline=None)
@given(
    name=_TEXT,
    role_name=_TEXT,
    entrypoint=st.sampled_from(["", "python", "bash", "./run me.sh", "x" * 300]),
    args=st.lists(_TEXT, min_size=1, max_size=120),
    env=st.dictionaries(_NAMES, _TEXT, max_size=120),
    replicas=st.integers(1, 30),
    metadata=st.dictionaries(_TEXT, st.one_of(_TEXT, st.integers(), st.none()), max_size=60),
)
def test_any_app_is_a_request_that_aws_takes(
    name: str,
    role_name: str,
    entrypoint: str,
    args: list[str],
    env: dict[str, str],
    replicas: int,
    metadata: dict[str, Any],
) -> None:
    role = Role(role_name, "image:1", entrypoint=entrypoint, args=args, env=env)
    role.num_replicas = replicas
    app = AppDef(name, [role], metadata=metadata)
    cfg: dict[str, CfgVal] = {"role": ROLE, "instance_type": "ml.m5.large"}
    assume(args != ["-m"])
    info = create_scheduler("session").submit_dryrun(app, cast(Opts, cfg))
    request = request_of(info)
    assert find_faults("sagemaker", "CreateTrainingJob", request) == []
    assert request["ResourceConfig"]["InstanceCount"] == replicas
