"""The server that speaks the protocol of AWS, and queues of AWS Batch of a test's own."""

from __future__ import annotations

import functools
import os
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from docker import DockerClient
from docker.models.containers import Container

from tests.real.docker.engine import IMAGE, need_engine
from torchx.schedulers.api import Stream
from torchx.testing.harness import SchedulerHarness
from torchx.testing.job import Job, LogFollower
from torchx.testing.waiting import eventually
from torchx.util.docker_client import docker_client

__all__ = ["IMAGE", "BatchHarness", "batch", "own_queue", "use_server"]

URL = f"http://127.0.0.1:{os.environ.get('MOTO_PORT', '5566')}"
REGION = "us-east-1"


def use_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Points this process, and those that it starts, to the server; skips the test if it is down.

    Args:
        monkeypatch: Sets the environment.
    """
    need_engine()
    if reason := _why_not():
        pytest.skip(reason)
    monkeypatch.setenv("AWS_ENDPOINT_URL", URL)
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@functools.cache
def _why_not() -> str:
    try:
        with urllib.request.urlopen(f"{URL}/moto-api/data.json", timeout=10):
            return ""
    except OSError as error:
        return f"no moto answers at {URL}: {error} (scripts/services/moto-up.sh starts one)"


def batch() -> Any:
    """Makes a client of AWS Batch, after :func:`use_server`."""
    import boto3

    return boto3.session.Session().client("batch")


@contextmanager
def own_queue() -> Iterator[str]:
    """Makes a job queue that no other test uses.

    Yields:
        Its name.
    """
    import boto3

    session = boto3.session.Session()
    name = f"test-{uuid.uuid4().hex[:12]}"
    role = session.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument="{}")
    client = session.client("batch")
    environment = client.create_compute_environment(
        computeEnvironmentName=name,
        type="UNMANAGED",
        state="ENABLED",
        serviceRole=role["Role"]["Arn"],
    )
    client.create_job_queue(
        jobQueueName=name,
        state="ENABLED",
        priority=1,
        computeEnvironmentOrder=[
            {"order": 1, "computeEnvironment": environment["computeEnvironmentArn"]}
        ],
    )
    yield name


class EngineJob(Job):
    """A job whose output is read from its containers while it runs.

    moto gives CloudWatch the output of a container only after its end, so that cases which have to
    know that a program runs could not go on.
    """

    def follow(self, role: str = "job", k: int = 0, streams: Stream | None = None) -> LogFollower:
        queue, _, name = self.handle.rpartition("/")[2].rpartition(":")
        filters = [{"name": "JOB_NAME", "values": [name]}]
        (summary,) = batch().list_jobs(jobQueue=queue, filters=filters)["jobSummaryList"]
        alone = f"{name}-{summary['jobId']}"
        engine = docker_client()

        def container() -> Container | None:
            # The log of one that has not been started ends at once.
            found = engine.containers.list(filters={"name": alone})
            return next((each for each in found if each.name in (alone, f"{alone}-{k}")), None)

        # A container that has ended is removed.
        eventually(
            lambda: container() or self.status().is_terminal(),
            f"node {k} of {name}",
            self._timeout_s,
        )
        running = container()
        if running is None:
            engine.close()
            return super().follow(role, k, streams)
        return LogFollower(_output(engine, running), self._timeout_s)


def _output(engine: DockerClient, container: Container) -> Iterator[str]:
    try:
        for line in container.logs(stream=True, follow=True):
            yield line.decode()
    finally:
        engine.close()


class BatchHarness(SchedulerHarness):
    """AWS Batch as moto plays it."""

    def job(self, handle: str) -> Job:
        self._launched.append(handle)
        return EngineJob(self.session(), handle, self.timeout_s)
