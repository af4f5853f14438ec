"""Apps as jobs of AWS Batch: shapes, options, limits; accepted by the SDK whatever the app."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import yaml
from botocore.loaders import create_loader
from botocore.model import ServiceModel
from botocore.validate import ParamValidator
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.schedulers.aws_batch.conftest import make_app
from torchx.schedulers.aws_batch import submission
from torchx.schedulers.aws_batch.names import (
    is_shared_definition,
    job_name_stem,
    make_app_id,
    split_app_id,
)
from torchx.schedulers.aws_batch.options import Opts
from torchx.schedulers.aws_batch.request import BatchJob, make_job
from torchx.schedulers.aws_batch.resources import AppRefusedError
from torchx.settings import ENV_TORCHX_INTERNAL_SESSION_ID, ENV_TORCHX_JOB_ID
from torchx.specs import (
    AppDef,
    BindMount,
    CfgVal,
    DeviceMount,
    Resource,
    Role,
    VolumeMount,
    macros,
)
from torchx.specs.named_resources_aws import (
    EFA_DEVICE,
    aws_p3_2xlarge,
    aws_p4d_24xlarge,
    aws_trn1_32xlarge,
)

pytestmark = pytest.mark.filterwarnings("ignore:Cannot determine the instance type")

NAME = "app-x1"


def job_of(app: AppDef, name: Any = NAME, **cfg: CfgVal) -> BatchJob:
    opts = Opts.from_cfg({"queue": "q", "user": "ann", **cfg})
    return make_job(app, name, opts, {})


def container_of(job: BatchJob) -> dict[str, Any]:
    container: dict[str, Any] = submission.final_definition(job)["containerProperties"]
    return container


# --- Which shape


@pytest.mark.parametrize(
    ("num_replicas", "resource", "job_type", "expected"),
    [
        (1, Resource(1, 0, 100), "auto", "container"),
        (2, Resource(1, 0, 100), "auto", "multinode"),
        (1, aws_p3_2xlarge(), "auto", "multinode"),
        (1, aws_p3_2xlarge(), "container", "container"),
        (1, Resource(1, 0, 100), "multinode", "multinode"),
    ],
)
def test_one_replica_is_one_container_unless_it_asks_for_an_instance_type(
    num_replicas: int, resource: Resource, job_type: str, expected: str
) -> None:
    app = make_app(num_replicas)
    app.roles[0].resource = resource
    definition = submission.final_definition(job_of(app, job_type=job_type))
    assert definition["type"] == expected
    assert ("containerProperties" in definition) == (expected == "container")
    assert ("nodeProperties" in definition) == (expected == "multinode")


@pytest.mark.parametrize(
    "cfg", [{"job_type": "container"}, {"platform": "FARGATE", "execution_role_arn": "r"}]
)
def test_several_replicas_are_no_container(cfg: dict[str, CfgVal]) -> None:
    with pytest.raises(AppRefusedError, match="has 2 replicas"):
        submission.plan(job_of(make_app(2), **cfg))


def test_a_container_has_no_variables_of_nodes() -> None:
    app = make_app()
    app.roles[0].args = [f"--host=$${{{macros.rank0_env}:=x}}", f"--k={macros.replica_id}"]
    container = container_of(job_of(app))
    assert container["command"] == ["echo", "--host=${TORCHX_RANK0_HOST:=x}", "--k=0"]
    assert {"name": "TORCHX_RANK0_HOST", "value": "localhost"} in container["environment"]


def test_fargate_gets_what_it_takes() -> None:
    job = job_of(make_app(), platform="FARGATE", execution_role_arn="arn:x", assign_public_ip=True)
    definition = submission.final_definition(job)
    container = definition["containerProperties"]
    assert definition["platformCapabilities"] == ["FARGATE"]
    assert container["networkConfiguration"] == {"assignPublicIp": "ENABLED"}
    assert not {"privileged", "linuxParameters", "instanceType"} & set(container)


def test_any_number_of_nodes_and_five_roles_are_one_job() -> None:
    roles = [make_app(200, role=f"r{number}").roles[0] for number in range(5)]
    job = job_of(AppDef("app", roles))
    nodes = job.job_def["nodeProperties"]
    assert nodes["numNodes"] == 1000
    assert [group["targetNodes"] for group in nodes["nodeRangeProperties"]] == [
        "0:199",
        "200:399",
        "400:599",
        "600:799",
        "800:999",
    ]


# --- What differs between runs


def app_of_run(session: str) -> AppDef:
    app = make_app()
    app.roles[0].args = ["--out", f"s3://b/{macros.app_id}", "--lr", "1"]
    app.roles[0].env = {
        "A": "1",
        ENV_TORCHX_JOB_ID: f"aws_batch://s/{macros.app_id}",
        ENV_TORCHX_INTERNAL_SESSION_ID: session,
    }
    return app


def test_runs_of_the_same_share_a_definition() -> None:
    first = submission.plan(job_of(app_of_run("1"), "app-x1"))
    second = submission.plan(job_of(app_of_run("2"), "app-y2"))
    assert first.is_shared
    assert first.definition == second.definition
    assert is_shared_definition(first.definition["jobDefinitionName"])
    assert first.request["containerOverrides"] == {
        "command": ["echo", "--out", "s3://b/app-x1", "--lr", "1"],
        "environment": [
            {"name": ENV_TORCHX_JOB_ID, "value": "aws_batch://s/q:app-x1"},
            {"name": ENV_TORCHX_INTERNAL_SESSION_ID, "value": "1"},
        ],
    }


@pytest.mark.parametrize(
    "change", [{"env": {"A": "2"}}, {"image": "other"}, {"args": ["x"]}, {"max_retries": 2}]
)
def test_what_differs_has_another_definition(change: dict[str, Any]) -> None:
    other = make_app()
    for name, value in change.items():
        setattr(other.roles[0], name, value)
    names = {
        submission.plan(job_of(app)).definition["jobDefinitionName"] for app in (make_app(), other)
    }
    assert len(names) == 2


def test_queues_share_no_definitions() -> None:
    names = {
        submission.plan(job_of(make_app(), queue=queue)).definition["jobDefinitionName"]
        for queue in ("q", "arn:aws:batch:r:1:job-queue/q", "other")
    }
    assert len(names) == 2


def test_overrides_that_are_too_long_become_a_definition_of_their_own() -> None:
    app = app_of_run("1")
    app.roles[0].args.append("x" * 9000)
    planned = submission.plan(job_of(app))
    assert not planned.is_shared
    assert planned.definition["jobDefinitionName"] == NAME
    assert "containerOverrides" not in planned.request


def test_what_is_too_large_is_refused() -> None:
    app = make_app(2)
    app.roles[0].args = ["x" * 30_000]
    with pytest.raises(AppRefusedError, match="at most 24576"):
        submission.plan(job_of(app))


# --- Names and handles


@pytest.mark.parametrize(
    ("app_name", "share_id", "expected"),
    [
        ("train", None, "train"),
        ("train", "team1", "train-team1"),
        ("my.app", None, "my-app"),
        ("exp/run 1", None, "exp-run-1"),
        ("-_-", None, "app"),
        ("straße", None, "stra-e"),
        ("x" * 200, None, "x" * 100),
    ],
)
def test_names_become_legal(app_name: str, share_id: str | None, expected: str) -> None:
    assert job_name_stem(app_name, share_id) == expected


def test_ids_of_apps_hold_the_name_of_the_queue() -> None:
    assert make_app_id("arn:aws:batch:us-east-1:1:job-queue/gpu", "x") == "gpu:x"
    assert split_app_id("gpu:x") == ("gpu", "x")
    assert split_app_id("arn:aws:batch:r:1:job-queue/gpu:x")  # as earlier releases made them
    for text in ("x", ":x", "q:", "", "q:a*"):
        assert split_app_id(text) is None


def test_the_handle_inside_of_the_job_is_the_real_one() -> None:
    app = make_app(2)
    app.roles[0].env = {ENV_TORCHX_JOB_ID: f"aws_batch://my/session/{macros.app_id}"}
    (group,) = job_of(app).job_def["nodeProperties"]["nodeRangeProperties"]
    assert {
        "name": ENV_TORCHX_JOB_ID,
        "value": f"aws_batch://my/session/q:{NAME}",
    } in group["container"]["environment"]


# --- Options


@pytest.mark.parametrize(
    ("retry_on", "expected"),
    [
        ("any", [{"onExitCode": "0", "action": "EXIT"}]),
        (
            "host",
            [
                {"onStatusReason": "Host EC2*", "action": "RETRY"},
                {"onReason": "*", "action": "EXIT"},
            ],
        ),
        (
            "app",
            [
                {"onExitCode": "0", "action": "EXIT"},
                {"onStatusReason": "Host EC2*", "action": "EXIT"},
            ],
        ),
    ],
)
def test_retries_by_cause(retry_on: str, expected: list[dict[str, str]]) -> None:
    app = make_app()
    app.roles[0].max_retries = 4
    strategy = job_of(app, retry_on=retry_on).job_def["retryStrategy"]
    assert strategy == {"attempts": 4, "evaluateOnExit": expected}


def test_further_options() -> None:
    app = make_app()
    app.roles[0].mounts = [VolumeMount("fs-1@fsap-2:/data", "/efs"), VolumeMount("fs-3", "/e")]
    job = job_of(app, timeout_s=3600, log_group="/my/group", propagate_tags=True, efs_iam=True)
    assert job.job_def["timeout"] == {"attemptDurationSeconds": 3600}
    assert job.job_def["propagateTags"] is True
    container = container_of(job)
    assert container["logConfiguration"]["options"] == {"awslogs-group": "/my/group"}
    assert [volume["efsVolumeConfiguration"] for volume in container["volumes"]] == [
        {
            "fileSystemId": "fs-1",
            "rootDirectory": "/data",
            "transitEncryption": "ENABLED",
            "authorizationConfig": {"accessPointId": "fsap-2", "iam": "ENABLED"},
        },
        {
            "fileSystemId": "fs-3",
            "transitEncryption": "ENABLED",
            "authorizationConfig": {"iam": "ENABLED"},
        },
    ]
    submission.check(job)


@pytest.mark.parametrize(
    ("cfg", "message"),
    [
        ({"queue": ""}, "queue must name"),
        ({"priority": 10_000}, "priority must be from 0 to 9999"),
        ({"job_type": "pod"}, "job_type must be one of auto, container, multinode"),
        ({"retry_on": "luck"}, "retry_on must be one of any, host, app"),
        ({"platform": "EKS"}, "platform must be one of EC2, FARGATE"),
        ({"timeout_s": 5}, "timeout_s must be at least 60"),
        ({"assign_public_ip": True}, "set platform=FARGATE"),
        ({"platform": "FARGATE"}, "needs execution_role_arn"),
        ({"platform": "FARGATE", "privileged": True}, "no privileged"),
        ({"platform": "FARGATE", "job_type": "multinode"}, "no multi-node"),
    ],
)
def test_options_that_make_no_sense(cfg: dict[str, CfgVal], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        job_of(make_app(), **cfg)


# --- Limits


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_replicas": 0}, "num_replicas must be at least 1"),
        ({"resource": Resource(1, 0, 0)}, "memMB must be positive, not 0"),
        ({"max_retries": 11}, "max_retries must be at most 10"),
        ({"env": {"AWS_BATCH_X": "1"}}, "keeps the variables"),
    ],
)
def test_what_aws_would_refuse_is_refused_at_once(change: dict[str, Any], message: str) -> None:
    app = make_app()
    for name, value in change.items():
        setattr(app.roles[0], name, value)
    with pytest.raises(AppRefusedError, match=message) as caught:
        job_of(app)
    assert "role `job`" in str(caught.value)


def test_more_than_five_roles_are_refused() -> None:
    app = AppDef("app", [make_app(role=f"r{number}").roles[0] for number in range(6)])
    with pytest.raises(AssertionError, match="has 6 roles"):
        job_of(app)


def test_roles_of_the_same_name_are_refused() -> None:
    with pytest.raises(AppRefusedError, match="two roles named `job`"):
        job_of(AppDef("app", [make_app().roles[0], make_app().roles[0]]))


def test_several_instance_types_are_refused() -> None:
    roles = [make_app(role=name).roles[0] for name in ("a", "b")]
    roles[0].resource, roles[1].resource = aws_p3_2xlarge(), aws_p4d_24xlarge()
    with pytest.raises(AppRefusedError, match=r"p3\.2xlarge, p4d\.24xlarge"):
        job_of(AppDef("app", roles))


def test_fast_networks_are_hinted_at(caplog: pytest.LogCaptureFixture) -> None:
    app = make_app(2)
    app.roles[0].resource = aws_trn1_32xlarge()
    assert app.roles[0].resource.devices[EFA_DEVICE]
    with caplog.at_level(logging.WARNING):
        job_of(app, ulimits=["memlock:-1:-1"])
        assert "memlock" not in caplog.text
        job_of(app)
    assert "memlock" in caplog.text


# --- Secrets


def test_secrets_are_neither_printed_nor_tags() -> None:
    app = make_app()
    app.metadata = {"api_key": "hunter2hunter2"}
    app.roles[0].env = {"HF_TOKEN": "hunter2hunter2"}
    app.roles[0].args = ["--password", "hunter2hunter2", "--api-key=hunter2hunter2"]
    job = job_of(app)
    assert "hunter2" not in str(job)
    assert "hunter2" not in str(job.job_def["tags"])
    assert "hunter2" in str(job.job_def["nodeProperties"])
    assert yaml.safe_load(str(job))["job_def"]["containerProperties"]["command"][0] == "echo"


def test_definitions_that_are_shared_hold_no_secrets() -> None:
    app = make_app()
    app.roles[0].env = {"HF_TOKEN": "hunter2hunter2", "A": "1"}
    app.roles[0].args = ["--password", "hunter2hunter2"]
    planned = submission.plan(job_of(app))
    assert "hunter2" not in str(planned.definition)
    assert planned.request["containerOverrides"] == {
        "command": ["echo", "--password", "hunter2hunter2"],
        "environment": [{"name": "HF_TOKEN", "value": "hunter2hunter2"}],
    }


def test_a_job_that_cannot_be_submitted_can_still_be_printed() -> None:
    job = job_of(make_app(2), job_type="container")
    assert yaml.safe_load(str(job))["job_def"] == job.job_def


def test_the_name_that_is_printed_is_the_one_that_is_registered() -> None:
    for job in (job_of(make_app()), job_of(make_app(2))):
        name = submission.plan(job).definition["jobDefinitionName"]
        assert yaml.safe_load(str(job))["job_def"]["jobDefinitionName"] == name


# --- Any app

WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
VARIABLES = st.from_regex(r"[A-Z][A-Z_0-9]{0,6}", fullmatch=True)
MOUNTS = st.one_of(
    st.builds(BindMount, WORDS, WORDS, st.booleans()),
    st.builds(VolumeMount, st.sampled_from(["fs-1", "fs-1:/x", "fs-2@fsap-1"]), WORDS),
    st.builds(DeviceMount, WORDS, WORDS, st.sampled_from(["r", "rw", "rwm"])),
)
ROLES = st.builds(
    Role,
    name=WORDS,
    image=WORDS,
    entrypoint=st.sampled_from(["python", "bash", "/bin/echo"]),
    args=st.lists(st.one_of(WORDS, st.sampled_from([macros.replica_id, "-c"])), max_size=4),
    env=st.dictionaries(VARIABLES, st.one_of(WORDS, st.just(macros.replica_id)), max_size=3),
    num_replicas=st.integers(1, 40),
    max_retries=st.integers(0, 10),
    resource=st.builds(Resource, st.integers(-1, 96), st.integers(-1, 8), st.integers(1, 10**6)),
    mounts=st.lists(MOUNTS, max_size=3),
)
APPS = st.builds(
    AppDef,
    name=WORDS,
    roles=st.lists(ROLES, min_size=1, max_size=5, unique_by=lambda role: role.name),
    metadata=st.dictionaries(WORDS, WORDS, max_size=3),
)
MODEL = ServiceModel(create_loader().load_service_model("batch", "service-2"), "batch")


def accepted_by_the_sdk(operation: str, request: dict[str, Any]) -> bool:
    shape = MODEL.operation_model(operation).input_shape
    return not ParamValidator().validate(request, shape).has_errors()


@settings(deadline=None)
@given(APPS, st.sampled_from([None, "team"]), st.sampled_from(["any", "host", "app"]))
def test_every_request_is_accepted_by_the_sdk(
    app: AppDef, share_id: str | None, retry_on: str
) -> None:
    name = f"{job_name_stem(app.name, share_id)}-x1"
    job = job_of(app, name, share_id=share_id, retry_on=retry_on)
    submission.check(job)
    planned = submission.plan(job)
    assert accepted_by_the_sdk("RegisterJobDefinition", planned.definition)
    assert accepted_by_the_sdk("SubmitJob", {**planned.request, "jobDefinition": "d"})
    yaml.safe_load(str(job))
