"""The life of a training job against moto, which speaks the protocols of all services involved.

It never runs a job (`test_calls.py` and the conformance suite have a server that does), cannot stop
or delete one, and forgets the environment of jobs.
"""

from __future__ import annotations

import io
import logging
import tarfile
import time
import urllib.request
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from torchx.runner import Runner, get_runner
from torchx.specs import AppDef, AppState, CfgVal, Role
from torchx.specs.handle import UnknownAppException

moto_server = pytest.importorskip("moto.server", reason="moto is not installed")

ACCOUNT = "123456789012"
CFG: dict[str, CfgVal] = {"role": "training", "instance_type": "ml.m5.large"}


@pytest.fixture
def region(request: pytest.FixtureRequest) -> str:
    return str(getattr(request, "param", "eu-west-1"))


@pytest.fixture
def moto(region: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = moto_server.ThreadedMotoServer(port=0)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": region,
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        "TORCHX_HOME": str(tmp_path / "home"),
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    # All servers of a process share one memory.
    reset = urllib.request.Request(f"http://{host}:{port}/moto-api/reset", method="POST")
    urllib.request.urlopen(reset, timeout=60).close()
    yield client
    server.stop()


def client(service: str) -> Any:
    import boto3.session

    return boto3.session.Session().client(service)


@pytest.fixture
def runner(moto: Any) -> Iterator[Runner]:
    from torchx.schedulers import aws_sagemaker_scheduler
    from torchx.schedulers.aws.session import new_session

    moto("iam").create_role(RoleName="training", AssumeRolePolicyDocument="{}")
    with pytest.MonkeyPatch.context() as patch, get_runner() as runner:
        # Sessions remember the region that they were made in.
        patch.setattr(aws_sagemaker_scheduler, "_local_session", new_session)
        yield runner


@pytest.fixture
def code(tmp_path: Path) -> Path:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "train.py").write_text("print('trained')\n")
    return tmp_path / "code"


def an_app() -> AppDef:
    role = Role("trainer", "image:1", entrypoint="python", args=["train.py"], num_replicas=2)
    return AppDef("app", [role])


@pytest.mark.parametrize("region", ["eu-west-1", "us-east-1"], indirect=True)
def test_a_job_is_submitted_described_and_listed(
    runner: Runner, moto: Any, region: str, code: Path
) -> None:
    handle = runner.run(an_app(), "aws_sagemaker", CFG, workspace=str(code))
    app_id = handle.rpartition("/")[2]
    job = moto("sagemaker").describe_training_job(TrainingJobName=app_id)
    assert job["RoleArn"] == f"arn:aws:iam::{ACCOUNT}:role/training"
    bucket = f"sagemaker-{region}-{ACCOUNT}"
    assert job["OutputDataConfig"]["S3OutputPath"] == f"s3://{bucket}/{app_id}"
    status = runner.wait(handle, 0.1)
    assert status is not None
    assert status.state == AppState.SUCCEEDED
    assert [len(role.replicas) for role in status.roles] == [2]
    listed = runner.list("aws_sagemaker")
    assert [(app.app_handle, app.name, app.state) for app in listed] == [
        (handle, "app", AppState.SUCCEEDED)
    ]


def test_the_code_arrives_in_the_bucket_once(runner: Runner, moto: Any, code: Path) -> None:
    for _ in range(2):
        runner.run(an_app(), "aws_sagemaker", CFG, workspace=str(code))
    bucket = f"sagemaker-eu-west-1-{ACCOUNT}"
    listed = moto("s3").list_objects_v2(Bucket=bucket)["Contents"]
    (key,) = [item["Key"] for item in listed if item["Key"].endswith("code.tar.gz")]
    content = moto("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        assert archive.getnames() == ["train.py"]


def test_states_and_reasons(runner: Runner, code: Path, moto: Any) -> None:
    from moto.sagemaker.models import sagemaker_backends

    handle = runner.run(an_app(), "aws_sagemaker", CFG, workspace=str(code))
    backend = sagemaker_backends[ACCOUNT]["eu-west-1"]
    job = backend.training_jobs[handle.rpartition("/")[2]]
    for status, detail, state in (
        ("InProgress", "Pending", AppState.PENDING),
        ("InProgress", "Training", AppState.RUNNING),
        ("Stopped", "MaxRuntimeExceeded", AppState.FAILED),
    ):
        job.training_job_status, job.secondary_status = status, detail
        found = runner.status(handle)
        assert found is not None
        assert found.state == state


def test_an_unknown_job(runner: Runner) -> None:
    handle = "aws_sagemaker://session/unknown"
    assert runner.status(handle) is None
    with pytest.raises(UnknownAppException):
        list(runner.log_lines(handle, "trainer"))


def test_the_logs_of_each_instance_and_of_each_start(runner: Runner, moto: Any, code: Path) -> None:
    handle = runner.run(an_app(), "aws_sagemaker", CFG, workspace=str(code))
    app_id = handle.rpartition("/")[2]
    assert list(runner.log_lines(handle, "training", 0)) == []
    logs, group = moto("logs"), "/aws/sagemaker/TrainingJobs"
    logs.create_log_group(logGroupName=group)
    now_ms = int(time.time() * 1000)
    for stream, words in {
        "algo-1-100": ["first start"],
        "algo-1-200": ["second start", "step 1", "step 2"],
        "algo-2-100": ["other instance"],
        "algo-10-100": ["not asked for"],
    }.items():
        name = f"{app_id}/{stream}"
        logs.create_log_stream(logGroupName=group, logStreamName=name)
        events = [
            {"timestamp": now_ms + 1000 * number, "message": word}
            for number, word in enumerate(words)
        ]
        logs.put_log_events(logGroupName=group, logStreamName=name, logEvents=events)
    lines = list(runner.log_lines(handle, "training", 0))
    assert lines == ["first start\n", "second start\n", "step 1\n", "step 2\n"]
    assert list(runner.log_lines(handle, "training", 1)) == ["other instance\n"]
    followed = runner.log_lines(handle, "training", 0, should_tail=True, regex="step")
    assert list(followed) == ["step 1\n", "step 2\n"]
    since = datetime.fromtimestamp(now_ms / 1000, timezone.utc) + timedelta(seconds=1.5)
    assert list(runner.log_lines(handle, "training", 0, since=since)) == ["step 2\n"]
