"""How often the API server is asked, and what happens where it does not let us."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from kubernetes.client import ApiException

from tests.schedulers.kubernetes.watching.apps import add_plain, add_volcano, ended, plain_job
from tests.schedulers.kubernetes.watching.conftest import requests_of
from tests.servers.kubernetes.cluster import Cluster
from tests.servers.kubernetes.http_api import ApiServer
from tests.servers.kubernetes.store import JOB, SERVICE, VOLCANO_JOB, WORKLOAD, Refusal
from torchx.schedulers.kubernetes.errors import KubernetesError
from torchx.schedulers.kubernetes_scheduler import KubernetesScheduler, create_scheduler
from torchx.specs import AppDef, AppState, Resource, Role

JOBS = "GET /apis/batch/v1/namespaces/default/jobs"
OURS = "labelSelector=app.kubernetes.io/managed-by=torchx.pytorch.org"
VOLCANO = "GET /apis/batch.volcano.sh/v1alpha1/namespaces/default/jobs"
PODS = "GET /api/v1/namespaces/default/pods"


def test_the_status_of_a_thousand_jobs_is_two_questions(
    server: ApiServer,
    scheduler: KubernetesScheduler,
) -> None:
    for number in range(1000):
        add_plain(server.store, f"app{number}", {"active": 1, "ready": 1})
    add_volcano(server.store, "vol", "Running")
    ids = [f"default:app{number}" for number in range(1000)] + ["default:vol", "default:none"]
    found = scheduler.describe_many(ids)
    assert set(found) == set(ids[:-1])
    assert {item.state for item in found.values()} == {AppState.RUNNING}
    assert requests_of(server) == [f"{VOLCANO}?timeoutSeconds=30", f"{JOBS}?{OURS}"]


def test_a_list_is_two_questions(
    server: ApiServer,
    scheduler: KubernetesScheduler,
) -> None:
    add_plain(server.store, "one", {"active": 1, "ready": 1})
    add_plain(server.store, "two", ended("Failed", "BackoffLimitExceeded"))
    server.store.create(JOB, "default", {"metadata": {"name": "foreign"}, "spec": {}})
    add_volcano(server.store, "vol", "Completed")
    listed = {item.app_id: item.state.name for item in scheduler.list()}
    assert listed == {
        "default:one": "RUNNING",
        "default:two": "FAILED",
        "default:vol": "SUCCEEDED",
    }
    assert requests_of(server) == [f"{VOLCANO}?timeoutSeconds=30", f"{JOBS}?{OURS}"]


def test_describing_asks_for_all_pods_at_once(
    server: ApiServer,
    scheduler: KubernetesScheduler,
) -> None:
    add_plain(server.store, "app", ended())
    assert scheduler.describe("default:app") is not None
    asked = requests_of(server)
    of_app = "?labelSelector=app.kubernetes.io/instance=app"
    assert asked == [f"{VOLCANO}/app/status", f"{JOBS}{of_app}", f"{PODS}{of_app}"]
    assert scheduler.describe("default:app") is not None
    # What it is made of is known by now.
    assert requests_of(server) == [f"{JOBS}{of_app}", f"{PODS}{of_app}"]
    assert scheduler.exists("default:app")
    assert requests_of(server) == [f"{JOBS}{of_app}"]


def test_a_pending_app_is_explained_by_two_questions_more_at_most(
    server: ApiServer,
    scheduler: KubernetesScheduler,
) -> None:
    for position in range(9):
        job = plain_job(f"app-{position}", app="app", role=f"r{position}", position=position)
        server.store.create(JOB, "default", job)
    described = scheduler.describe("default:app")
    assert described is not None
    assert [role.name for role in described.roles] == [f"r{position}" for position in range(9)]
    assert len(requests_of(server)) == 5


def test_cancelling_keeps_the_job_and_its_reason(
    server: ApiServer,
    scheduler: KubernetesScheduler,
) -> None:
    add_plain(server.store, "app", {"active": 1, "ready": 1})
    scheduler.cancel("default:app")
    scheduler.cancel("default:app")
    (job,) = server.store.all(JOB)
    assert job["spec"]["activeDeadlineSeconds"] == 1
    server.store.change(
        JOB, "default", "app", lambda item: item.update(status={"active": 1, "terminating": 1})
    )
    other = create_scheduler("other")
    described = other.describe("default:app")
    assert described is not None
    assert described.state == AppState.RUNNING
    status = ended("Failed", "DeadlineExceeded")
    server.store.change(JOB, "default", "app", lambda item: item.update(status=status))
    described = other.describe("default:app")
    assert described is not None
    assert described.state == AppState.CANCELLED
    assert described.msg.startswith("it was cancelled at 20")
    assert [item.state for item in other.list()] == [AppState.CANCELLED]


def test_cancelling_what_has_ended_changes_nothing(
    server: ApiServer,
    scheduler: KubernetesScheduler,
) -> None:
    add_plain(server.store, "app", ended("Failed", "BackoffLimitExceeded"))
    add_volcano(server.store, "vol", "Completed")
    scheduler.cancel("default:app")
    scheduler.cancel("default:vol")
    scheduler.cancel("default:none")
    asked = requests_of(server)
    assert [request for request in asked if not request.startswith("GET ")] == []


def test_a_job_that_waits_in_a_queue_leaves_it_when_it_is_cancelled(
    server: ApiServer,
    scheduler: KubernetesScheduler,
) -> None:
    job = plain_job("app")
    job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] = "lq"
    job["spec"]["suspend"] = True
    uid = server.store.create(JOB, "default", job)["metadata"]["uid"]
    labels = {"kueue.x-k8s.io/job-uid": uid}
    workload = {"metadata": {"name": "job-app", "labels": labels}, "spec": {"active": True}}
    server.store.create(WORKLOAD, "default", workload)
    scheduler.cancel("default:app")
    assert server.store.get(WORKLOAD, "default", "job-app")["spec"] == {"active": False}
    described = scheduler.describe("default:app")
    assert described is not None
    assert described.state == AppState.CANCELLED


def test_deleting_takes_the_owner_last(
    server: ApiServer,
    scheduler: KubernetesScheduler,
) -> None:
    for position, role in enumerate(("leader", "helper")):
        job = plain_job(f"app-{role}", app="app", role=role, position=position)
        server.store.create(JOB, "default", job)
    server.store.create(SERVICE, "default", {"metadata": {"name": "app"}, "spec": {}})
    scheduler.delete("default:app")
    deleted = [item for item in requests_of(server) if item.startswith("DELETE")]
    path = JOBS.replace("GET", "DELETE")
    assert deleted == [
        f"{path}/app-helper?propagationPolicy=Background",
        f"{path}/app-leader?propagationPolicy=Background",
    ]
    assert not scheduler.exists("default:app")


def test_a_conflict_while_cancelling_is_tried_again(
    server: ApiServer,
    scheduler: KubernetesScheduler,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    add_volcano(server.store, "vol", "Running")
    admitted = server.store.change
    conflicts = [Refusal(409, "Conflict", "Operation cannot be fulfilled: modified")] * 2

    def change(*args: object) -> object:
        if conflicts:
            raise conflicts.pop()
        return admitted(*args)  # type: ignore[arg-type]  # what the server gives

    monkeypatch.setattr(server.store, "change", change)
    scheduler.cancel("default:vol")
    assert server.store.get(VOLCANO_JOB, "default", "vol")["status"]["state"]["phase"] == "Aborted"
    assert conflicts == []


def test_a_cluster_without_volcano_is_asked_for_it_once(
    server: ApiServer,
    scheduler: KubernetesScheduler,
) -> None:
    server.faults.missing_groups.add("batch.volcano.sh")
    add_plain(server.store, "app", {"active": 1, "ready": 1})
    assert [item.app_id for item in scheduler.list()] == ["default:app"]
    assert [item.app_id for item in scheduler.list()] == ["default:app"]
    assert sum("volcano" in request for request in requests_of(server)) == 1
    assert scheduler.describe("default:none") is None


def test_without_rights_on_volcano_plain_jobs_are_found(
    server: ApiServer,
    scheduler: KubernetesScheduler,
    caplog: pytest.LogCaptureFixture,
) -> None:
    forbidden = {("list", "jobs.batch.volcano.sh")}
    server.faults.forbidden |= forbidden
    add_plain(server.store, "app", {"active": 1, "ready": 1})
    assert scheduler.describe("default:app") is not None
    assert [item.app_id for item in scheduler.list()] == ["default:app"]
    assert "Volcano jobs are left out" in caplog.text
    # There may be a Volcano job of that name.
    with pytest.raises(KubernetesError, match="cannot list") as raised:
        scheduler.describe("default:other")
    assert isinstance(raised.value, ApiException)
    server.faults.missing_groups.add("batch.volcano.sh")
    assert scheduler.describe("default:another") is None


def test_an_expired_token_is_told_in_one_line(
    server: ApiServer,
    scheduler: KubernetesScheduler,
) -> None:
    server.token = "a-new-token"
    with pytest.raises(KubernetesError, match="missing, wrong or expired") as raised:
        scheduler.describe("default:app")
    assert "log in again" in raised.value.hint
    with pytest.raises(ApiException):
        scheduler.list()


@pytest.mark.parametrize("app_id", ["app", "a:b:c", ":app", "default:"])
def test_what_is_no_id_of_an_app_says_what_one_is(
    scheduler: KubernetesScheduler, app_id: str
) -> None:
    with pytest.raises(ValueError, match="<namespace>:<name>"):
        scheduler.describe(app_id)


def test_submitting_makes_one_call_for_each_object_and_asks_nothing(
    cluster: Cluster, scheduler: KubernetesScheduler
) -> None:
    role = Role("job", image="image", entrypoint="true", resource=Resource(1, 0, 128))
    app = AppDef("app", [role, dataclasses.replace(role, name="other")])
    info = scheduler.submit_dryrun(app, {"validate_spec": False})  # type: ignore[arg-type]  # a mapping
    assert requests_of(cluster.server) == []
    app_id = scheduler.schedule(info)
    assert [request.split("?")[0] for request in requests_of(cluster.server)] == [
        JOBS.replace("GET", "POST"),
        *["POST /api/v1/namespaces/default/services"] * 2,
        JOBS.replace("GET", "POST"),
    ]
    assert scheduler.exists(app_id)
    # It is known to be plain Jobs: Volcano is not asked.
    assert [request.split("?")[0] for request in requests_of(cluster.server)] == [JOBS]


def test_a_context_that_an_option_names_is_the_one_that_is_asked(
    server: ApiServer, scheduler: KubernetesScheduler, kubeconfig: Path
) -> None:
    add_plain(server.store, "app")
    config = json.loads(kubeconfig.read_text())
    config["current-context"] = "elsewhere"
    elsewhere = {"cluster": "e", "user": "u", "namespace": "default"}
    config["contexts"].append({"name": "elsewhere", "context": elsewhere})
    config["clusters"].append({"name": "e", "cluster": {"server": "http://127.0.0.1:9"}})
    kubeconfig.write_text(json.dumps(config))
    assert [app.app_id for app in scheduler.list({"context": "here"})] == ["default:app"]
    assert create_scheduler("test", kube_context="here").exists("default:app")
    with pytest.raises(KubernetesError, match=r"127\.0\.0\.1:9 does not answer"):
        scheduler.list({"context": "elsewhere"})
