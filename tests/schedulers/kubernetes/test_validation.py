"""Who checks a request, and how a refusal is told."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from tests.schedulers.kubernetes.api_server import JOBS, SERVICES, VOLCANO, ApiServer
from tests.schedulers.kubernetes.conftest import app, role
from torchx.schedulers.kubernetes.errors import KubernetesError
from torchx.schedulers.kubernetes_scheduler import KubernetesScheduler, Opts

QUEUE = (
    'admission webhook "validatejob.volcano.sh" denied the request: unable to find job queue:'
    ' queue.scheduling.volcano.sh "nosuch" not found;'
)
RBAC = 'jobs.batch is forbidden: User "me" cannot create resource "jobs" in API group "batch"'


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with ApiServer().running() as server:
        yield server


@pytest.fixture
def connected(server: ApiServer) -> Iterator[KubernetesScheduler]:
    client = server.client()
    yield KubernetesScheduler("s", client=client)
    client.close()


def dry_run(scheduler: KubernetesScheduler, **options: Any) -> Any:
    return scheduler.submit_dryrun(app(role("a"), role("b")), Opts(**options))


@pytest.mark.parametrize(
    ("options", "paths"), [({}, [JOBS, SERVICES, SERVICES, JOBS]), ({"queue": "q"}, [VOLCANO])]
)
def test_a_cluster_that_answers_decides(
    connected: KubernetesScheduler,
    server: ApiServer,
    options: dict[str, Any],
    paths: list[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    dry_run(connected, **options)
    assert [asked.path for asked in server.asked] == [f"{path}?dryRun=All" for path in paths]
    assert not caplog.messages


@pytest.mark.parametrize(
    ("status", "message", "error", "told"),
    [
        (400, QUEUE, ValueError, 'Invalid job spec: admission webhook .* "nosuch" not found'),
        (422, "spec.x: Invalid value", ValueError, "Invalid job spec: spec.x: Invalid value"),
        (403, "exceeded quota: q", ValueError, "Invalid job spec: exceeded quota: q"),
        (404, 'namespaces "default" not found', KubernetesError, 'namespaces "default" not found'),
        (401, "Unauthorized", KubernetesError, "does not accept the credentials"),
        (403, RBAC, KubernetesError, "cannot submit the job: jobs.batch is"),
    ],
)
def test_refusals(
    connected: KubernetesScheduler,
    server: ApiServer,
    status: int,
    message: str,
    error: type[Exception],
    told: str,
) -> None:
    server.refuse(0, status, message)
    with pytest.raises(error, match=told):
        dry_run(connected)


def test_a_cluster_without_volcano(connected: KubernetesScheduler, server: ApiServer) -> None:
    server.refusals[0] = (404, "404 page not found\n")
    with pytest.raises(KubernetesError, match="Volcano is not installed") as refusal:
        dry_run(connected, queue="q")
    assert "install Volcano" in refusal.value.hint


def test_a_cluster_in_trouble_decides_nothing(
    connected: KubernetesScheduler, server: ApiServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.refuse(0, 500, "failed calling webhook")
    with caplog.at_level(logging.WARNING):
        dry_run(connected, queue="q")
    (message,) = caplog.messages
    assert "(failed calling webhook), it was checked by the schema" in message


@pytest.mark.parametrize("queue", ["q", None])
def test_without_a_cluster_the_schema_decides(
    scheduler: KubernetesScheduler, queue: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        dry_run(scheduler, queue=queue)
    (message,) = caplog.messages
    assert "(there is no kubeconfig), it was checked by the schema" in message
    with pytest.raises(ValueError, match=r"Invalid job spec: .*dnsPolicy must be one of"):
        _broken(scheduler, queue)


def _broken(scheduler: KubernetesScheduler, queue: str | None) -> None:
    overlay = {"spec": {"dnsPolicy": "x"}}
    worker = role(metadata={"kubernetes": {"V1Pod": overlay}})
    scheduler.submit_dryrun(app(worker), Opts(queue=queue))


def test_a_cluster_that_cannot_be_reached_is_named(caplog: pytest.LogCaptureFixture) -> None:
    with ApiServer().running() as server:
        client = server.client()
    with caplog.at_level(logging.WARNING):
        dry_run(KubernetesScheduler("s", client=client))
    client.close()
    (message,) = caplog.messages
    assert "Connection refused" in message
    assert "\n" not in message


def test_a_job_that_may_be_too_large_is_warned_of(
    scheduler: KubernetesScheduler, caplog: pytest.LogCaptureFixture
) -> None:
    large = role(env={"A": "x" * 100_000}, num_replicas=20)
    with caplog.at_level(logging.WARNING):
        scheduler.submit_dryrun(app(large), Opts())
        scheduler.submit_dryrun(app(large), Opts(queue="q"))
    told = [text for text in caplog.messages if "1.5 MB" in text]
    assert len(told) == 1
    assert "the Volcano Job has 2.0 MB" in told[0]


def test_no_check_asks_nobody(connected: KubernetesScheduler, server: ApiServer) -> None:
    dry_run(connected, validate_spec=False)
    assert not server.asked
