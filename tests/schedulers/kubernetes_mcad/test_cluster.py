"""What is asked of an API server, how often, and what is told when it refuses."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest

from tests.servers.kubernetes.cluster import Cluster
from tests.servers.kubernetes.http_api import write_kubeconfig
from torchx.errors import TorchXError
from torchx.schedulers.kubernetes_mcad import notes
from torchx.schedulers.kubernetes_mcad.logs import _view
from torchx.schedulers.kubernetes_mcad_scheduler import KubernetesMCADScheduler, create_scheduler
from torchx.specs import AppDef, AppState, ReplicaState, Resource, Role, UnknownAppException
from torchx.testing.waiting import eventually

SMALL = Resource(cpu=1, gpu=0, memMB=16)
APPWRAPPERS = "/apis/workload.codeflare.dev/v1beta1/namespaces/default/appwrappers"
PODS = "/api/v1/namespaces/default/pods"
TIMEOUT_S = 30


@pytest.fixture
def cluster(kubeconfig: Path) -> Iterator[Cluster]:
    with Cluster(has_volcano=False) as cluster:
        write_kubeconfig(kubeconfig, cluster.server)
        yield cluster


def launch(scheduler: KubernetesMCADScheduler, *roles: Role, **cfg: Any) -> str:
    app_id: str = scheduler.submit(AppDef("demo", list(roles)), cfg)  # type: ignore[arg-type]
    return app_id


def role(script: str = "sleep 60", name: str = "job", **fields: Any) -> Role:
    return Role(name, "image", entrypoint="sh", args=["-c", script], resource=SMALL, **fields)


def wait_for(scheduler: KubernetesMCADScheduler, app_id: str, state: AppState) -> None:
    eventually(lambda: state_of(scheduler, app_id) == state, str(state), TIMEOUT_S)


def state_of(scheduler: KubernetesMCADScheduler, app_id: str) -> AppState | None:
    described = scheduler.describe(app_id)
    return None if described is None else described.state


def taken(cluster: Cluster) -> list[str]:
    requests = list(cluster.server.requests)
    cluster.server.requests.clear()
    return requests


def test_the_number_of_requests_does_not_grow(
    cluster: Cluster, real: KubernetesMCADScheduler
) -> None:
    app_ids = [launch(real, role(num_replicas=3)) for _ in range(4)]
    assert taken(cluster) == [f"POST {APPWRAPPERS}"] * 4
    for app_id in app_ids:
        wait_for(real, app_id, AppState.RUNNING)
    taken(cluster)
    name = app_ids[0].partition(":")[2]
    assert state_of(real, app_ids[0]) == AppState.RUNNING
    assert taken(cluster) == [
        f"GET {APPWRAPPERS}/{name}",
        f"GET {PODS}?labelSelector=app.kubernetes.io/instance={name}",
    ]
    both = [
        f"GET {PODS}?labelSelector=app.kubernetes.io/managed-by=torchx.pytorch.org",
        f"GET {APPWRAPPERS}?timeoutSeconds=30",
    ]
    assert set(real.describe_many([*app_ids, "default:unknown"])) == set(app_ids)
    assert sorted(taken(cluster)) == sorted(both)
    assert [each.state for each in real.list()] == [AppState.RUNNING] * 4
    assert sorted(taken(cluster)) == sorted(both)
    real._cancel_existing(app_ids[0])
    assert taken(cluster) == [f"DELETE {APPWRAPPERS}/{name}"]


def test_all_apps_are_waited_for_with_two_watches(
    cluster: Cluster, real: KubernetesMCADScheduler, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    script = f"while [ ! -e {gate} ]; do sleep 0.05; done"
    app_ids = [launch(real, role(script, num_replicas=2)) for _ in range(5)]
    for app_id in app_ids:
        wait_for(real, app_id, AppState.RUNNING)
    taken(cluster)

    def wait(app_id: str) -> None:
        while state_of(real, app_id) != AppState.SUCCEEDED:
            real.wait_for_change(app_id, TIMEOUT_S)

    threads = [threading.Thread(target=wait, args=(app_id,)) for app_id in app_ids]
    for thread in threads:
        thread.start()
    gate.touch()
    for thread in threads:
        thread.join(TIMEOUT_S)
        assert not thread.is_alive()
    watches = {request for request in taken(cluster) if "watch=1" in request}
    assert len({request.partition("?")[0] for request in watches}) <= 2


def test_every_replica_is_described_with_its_own_state(
    cluster: Cluster, real: KubernetesMCADScheduler
) -> None:
    app_id = launch(real, role("exit 0", name="good"), role("exit 7", name="bad", num_replicas=2))
    wait_for(real, app_id, AppState.FAILED)
    described = real.describe(app_id)
    assert described is not None
    told = {
        status.role: [(each.id, each.state) for each in status.replicas]
        for status in described.roles_statuses
    }
    assert told == {
        "good": [(0, ReplicaState.SUCCEEDED)],
        "bad": [(0, ReplicaState.FAILED), (1, ReplicaState.FAILED)],
    }
    assert re.match(r"replica bad/\d failed with exit code 7", described.msg)
    assert described.roles[1].entrypoint == "sh"
    assert described.roles[1].args == ["-c", "exit 7"]
    assert described.roles[1].num_replicas == 2


def test_a_failure_beside_running_replicas_is_told(
    cluster: Cluster, real: KubernetesMCADScheduler
) -> None:
    app_id = launch(real, role("exit 3", name="bad"), role(name="good"))

    def told() -> str:
        described = real.describe(app_id)
        return "" if described is None or described.state != AppState.RUNNING else described.msg

    message = eventually(
        lambda: told() if "exit code 3" in told() else "", "word of the failure", TIMEOUT_S
    )
    assert message.endswith("the other replicas go on until they end or the app is cancelled")


def test_why_it_waits_is_told(cluster: Cluster, real: KubernetesMCADScheduler) -> None:
    large = role()
    large.resource = Resource(cpu=4000, gpu=0, memMB=16)
    app_id = launch(real, large)

    def message() -> str:
        described = real.describe(app_id)
        return "" if described is None else described.msg

    eventually(lambda: "Insufficient resources" in message(), "a reason", TIMEOUT_S)
    missing = role()
    missing.image = "no-such"
    app_id = launch(real, missing)
    eventually(lambda: "`no-such` cannot be pulled" in message(), "a reason", TIMEOUT_S)
    assert state_of(real, app_id) == AppState.PENDING


def test_a_cancelled_app_is_remembered_and_a_deleted_one_is_not(
    cluster: Cluster, real: KubernetesMCADScheduler
) -> None:
    app_id = launch(real, role(num_replicas=2))
    wait_for(real, app_id, AppState.RUNNING)
    real.cancel(app_id)
    wait_for(real, app_id, AppState.CANCELLED)
    other = create_scheduler("other")
    described = other.describe(app_id)
    assert described is not None
    assert described.state == AppState.CANCELLED
    assert "it was cancelled at" in described.msg
    assert [each.state for each in described.roles_statuses[0].replicas] == [
        ReplicaState.CANCELLED
    ] * 2
    assert other.describe_many([app_id])[app_id].state == AppState.CANCELLED
    other.cancel(app_id)
    with pytest.raises(UnknownAppException):
        other.log_iter(app_id, "job")
    other.delete(app_id)
    assert not other.exists(app_id)
    other.close()


def test_an_app_that_has_ended_is_not_cancelled(
    cluster: Cluster, real: KubernetesMCADScheduler
) -> None:
    app_id = launch(real, role("exit 0"))
    wait_for(real, app_id, AppState.SUCCEEDED)
    real.cancel(app_id)
    assert state_of(real, app_id) == AppState.SUCCEEDED


def test_an_app_that_could_not_be_started_again_any_more_has_failed(
    cluster: Cluster, real: KubernetesMCADScheduler
) -> None:
    app_id = launch(real, role("exit 1", max_retries=1), requeue_after_s=1)
    wait_for(real, app_id, AppState.FAILED)
    name = app_id.partition(":")[2]

    def status() -> dict[str, Any]:
        from tests.servers.kubernetes.store import APP_WRAPPER

        status: dict[str, Any] = cluster.store.get(APP_WRAPPER, "default", name)["status"]
        return status

    eventually(lambda: status()["state"] == "Deleted", "end of the attempts", TIMEOUT_S)
    described = real.describe(app_id)
    assert described is not None
    assert (described.state, described.num_restarts) == (AppState.FAILED, 1)
    assert "Requeuing limit was reached." in described.msg


def test_counts_stand_in_for_pods_that_may_not_be_listed(
    cluster: Cluster, real: KubernetesMCADScheduler, caplog: pytest.LogCaptureFixture
) -> None:
    cluster.server.faults.forbidden.add(("list", "pods"))
    app_id = launch(real, role(num_replicas=2))
    wait_for(real, app_id, AppState.RUNNING)
    assert caplog.text.count("the states of replicas are those that MCAD counts") == 1
    assert 'cannot list resource "pods"' in caplog.text


def test_a_cluster_without_mcad_is_told_to_be_one(
    cluster: Cluster, real: KubernetesMCADScheduler
) -> None:
    cluster.server.faults.missing_groups.add("workload.codeflare.dev")
    for act in (lambda: launch(real, role()), lambda: real.describe("default:x"), real.list):
        with pytest.raises(TorchXError, match="MCAD is not installed in this cluster") as raised:
            act()
        assert "install MCAD" in raised.value.hint
        assert len(str(raised.value).splitlines()) == 1
    assert not real.exists("default:x")


def test_a_right_that_is_missing_is_named(cluster: Cluster, real: KubernetesMCADScheduler) -> None:
    cluster.server.faults.forbidden.add(("create", "appwrappers.workload.codeflare.dev"))
    with pytest.raises(TorchXError, match='User "tester" cannot create') as raised:
        launch(real, role())
    assert "kubectl auth can-i create appwrappers" in raised.value.hint


def test_credentials_that_are_not_accepted_are_told(
    cluster: Cluster, real: KubernetesMCADScheduler
) -> None:
    cluster.server.token = "another"
    with pytest.raises(ValueError, match="does not accept the credentials") as raised:
        real.describe("default:x")
    assert "log in again" in getattr(raised.value, "hint", "")


def test_a_namespace_that_there_is_not_is_told(
    cluster: Cluster, real: KubernetesMCADScheduler
) -> None:
    with pytest.raises(TorchXError, match='namespaces "nowhere" not found'):
        launch(real, role(), namespace="nowhere")
    assert real.list({"namespace": "nowhere"}) == []


def test_without_a_kubeconfig_the_reason_is_told(kubeconfig: Path) -> None:
    scheduler = create_scheduler("test")
    with pytest.warns(UserWarning, match="failed to load kube config"):
        scheduler._api_client()
    with pytest.raises(TorchXError, match="no cluster is configured"):
        scheduler.list({"namespace": "x"})


@pytest.mark.parametrize("app_id", ["noid", "a:b:c", ":b"])
def test_what_is_no_id_is_refused(real: KubernetesMCADScheduler, app_id: str) -> None:
    with pytest.raises(ValueError, match="is not the id of an app on Kubernetes"):
        real.describe(app_id)


def test_foreign_appwrappers_are_listed_and_described(
    cluster: Cluster, real: KubernetesMCADScheduler
) -> None:
    from tests.servers.kubernetes.store import APP_WRAPPER

    foreign = {"metadata": {"name": "foreign"}, "spec": {"resources": {}}}
    cluster.store.create(APP_WRAPPER, "default", foreign)
    wait_for(real, "default:foreign", AppState.RUNNING)
    assert [(each.app_id, each.state) for each in real.list()] == [
        ("default:foreign", AppState.RUNNING)
    ]


def test_old_notes_are_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    notes.note_cancelled("a:old", None)
    monkeypatch.setattr(notes, "_KEPT_S", -60)
    notes.note_cancelled("a:new", None)
    monkeypatch.undo()
    assert notes.recall("a:old") is None
    assert notes.recall("a:other") is None


def test_a_log_does_not_end_because_a_watch_does_not_know_the_app_yet(
    cluster: Cluster, real: KubernetesMCADScheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    app_id = launch(real, role())
    late = MagicMock()
    late.objects.return_value = ({}, 0)
    monkeypatch.setattr(real._apps().watches, "of", lambda wire, listing: late)
    for looked_for, is_over in ((app_id, False), ("default:none", True)):
        assert _view(real._apps(), looked_for, "pod", watches=True).is_over() is is_over
