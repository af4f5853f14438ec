"""What is asked of a cluster to create an app."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from kubernetes.client.rest import ApiException

from tests.schedulers.kubernetes.api_server import JOBS, SERVICES, VOLCANO, ApiServer
from tests.schedulers.kubernetes.conftest import app, role
from torchx.schedulers.abilities import PlansAppIds
from torchx.schedulers.kubernetes_scheduler import KubernetesScheduler, Opts


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with ApiServer().running() as server:
        yield server


@pytest.fixture
def scheduler(server: ApiServer) -> Iterator[KubernetesScheduler]:
    client = server.client()
    yield KubernetesScheduler("s", client=client)
    client.close()


def dry_run(scheduler: KubernetesScheduler, **options: Any) -> Any:
    job = app(role("a"), role("b", num_replicas=1000))
    return scheduler.submit_dryrun(job, Opts(validate_spec=False, **options))


def test_the_first_job_owns_all_others(scheduler: KubernetesScheduler, server: ApiServer) -> None:
    info = dry_run(scheduler)
    assert scheduler.schedule(info) == "default:demo-x1"
    assert [(asked.method, asked.path) for asked in server.asked] == [
        ("POST", JOBS),
        ("POST", SERVICES),
        ("POST", SERVICES),
        ("POST", JOBS),
    ]
    first, *others = [asked.body for asked in server.asked]
    assert first == info.request.data()[0]
    owner = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "name": "demo-x1-a",
        "uid": "uid-0",
        "controller": False,
        "blockOwnerDeletion": True,
    }
    for body, printed in zip(others, info.request.data()[1:], strict=True):
        assert body["metadata"].pop("ownerReferences") == [owner]
        assert body == printed
    assert "uid-0" not in str(info)


def test_nothing_is_left_of_a_submission_that_fails(
    scheduler: KubernetesScheduler, server: ApiServer
) -> None:
    server.refuse(3, 403, "exceeded quota")
    with pytest.raises(ApiException, match="exceeded quota"):
        scheduler.schedule(dry_run(scheduler))
    assert server.asked[-1][:2] == ("DELETE", f"{JOBS}/demo-x1-a?propagationPolicy=Background")


def test_what_could_not_be_removed_is_told(
    scheduler: KubernetesScheduler, server: ApiServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.refuse(1, 403, "no services")
    server.refuse(2, 500, "later")
    with pytest.raises(ApiException, match="no services"):
        scheduler.schedule(dry_run(scheduler))
    assert "the Job default/demo-x1-a is left" in caplog.text


@pytest.mark.parametrize("options", [{}, {"queue": "q"}])
def test_a_name_that_is_taken(
    scheduler: KubernetesScheduler, server: ApiServer, options: dict[str, Any]
) -> None:
    server.refuse(0, 409, "exists", reason="AlreadyExists")
    with pytest.raises(ValueError, match="already exists; resubmit"):
        scheduler.schedule(dry_run(scheduler, **options))
    assert len(server.asked) == 1


def test_volcano_is_asked_once(scheduler: KubernetesScheduler, server: ApiServer) -> None:
    info = dry_run(scheduler, queue="q", ttl_s=60)
    assert scheduler.schedule(info) == "default:demo-x1"
    ((method, path, body),) = server.asked
    assert (method, path) == ("POST", VOLCANO)
    assert body == info.request.data()[0]
    assert body["spec"]["ttlSecondsAfterFinished"] == 60


@pytest.mark.parametrize("options", [{}, {"queue": "q"}])
def test_the_id_is_known_before(scheduler: KubernetesScheduler, options: dict[str, Any]) -> None:
    assert isinstance(scheduler, PlansAppIds)
    info = dry_run(scheduler, namespace="team", **options)
    assert scheduler.planned_app_id(info) == "team:demo-x1"
