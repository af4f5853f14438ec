"""Facts about Volcano Jobs that tests of others rely on: exact calls, without any cluster."""

from __future__ import annotations

import importlib
import json
import logging
import sys
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from unittest.mock import MagicMock, patch

import pytest
from kubernetes.client import ApiException
from kubernetes.config import ConfigException

import torchx.schedulers
from torchx.schedulers import kubernetes_scheduler
from torchx.schedulers.api import ListAppResponse
from torchx.schedulers.kubernetes_scheduler import (
    KubernetesScheduler,
    create_scheduler,
    prefix_container_name,
)
from torchx.specs import AppState, ReplicaState, ReplicaStatus, Role, RoleStatus

CUSTOM = "kubernetes.client.CustomObjectsApi"
CORE = "kubernetes.client.CoreV1Api"
PLACE = {
    "group": "batch.volcano.sh",
    "version": "v1alpha1",
    "namespace": "ns",
    "plural": "jobs",
}
ONE = {**PLACE, "name": "job"}
DONE = {
    "status": {
        "state": {"phase": "Completed"},
        "succeeded": 1,
        "taskStatusCount": {"echo-0": {"phase": {"Succeeded": 1}}},
    }
}

pytestmark = pytest.mark.filterwarnings("ignore:failed to load kube config")


def api_error(status: int) -> ApiException:
    return ApiException(status=status, reason="because")


@pytest.fixture
def get_status() -> Iterator[MagicMock]:
    with patch(f"{CUSTOM}.get_namespaced_custom_object_status") as mock:
        yield mock


@pytest.fixture
def read_pod() -> Iterator[MagicMock]:
    with patch(f"{CORE}.read_namespaced_pod") as mock:
        mock.return_value.status.pod_ip = "10.244.1.5"
        yield mock


def test_describe(
    scheduler: KubernetesScheduler, get_status: MagicMock, read_pod: MagicMock
) -> None:
    get_status.return_value = DONE
    app = scheduler.describe("ns:job")
    get_status.assert_called_once_with(**ONE)
    read_pod.assert_called_once_with(name="job-echo-0-0", namespace="ns")
    assert app is not None
    assert app.state == AppState.SUCCEEDED
    assert app.roles == [Role(name="echo", image="", num_replicas=1)]
    host = "10-244-1-5.ns.pod.cluster.local"
    replica = ReplicaStatus(id=0, role="echo", state=ReplicaState.SUCCEEDED, hostname=host)
    assert app.roles_statuses == [RoleStatus("echo", [replica])]
    assert (app.num_restarts, app.msg, app.ui_url) == (-1, "<NONE>", None)


@pytest.mark.parametrize("ip", [None, api_error(404)])
def test_a_host_that_is_not_known_is_empty(
    scheduler: KubernetesScheduler, get_status: MagicMock, read_pod: MagicMock, ip: Any
) -> None:
    get_status.return_value = DONE
    if ip is None:
        read_pod.return_value.status.pod_ip = None
    else:
        read_pod.side_effect = ip
    app = scheduler.describe("ns:job")
    assert app is not None
    assert app.roles_statuses[0].replicas[0].hostname == ""


@pytest.mark.parametrize(
    ("status", "state"),
    [
        (None, AppState.UNKNOWN),
        ({}, AppState.UNKNOWN),
        ({"state": {"lastTransitionTime": None}}, AppState.PENDING),
        ({"state": {"phase": "Completing"}}, AppState.RUNNING),
        ({"state": {"phase": "NoSuchPhase"}}, AppState.UNKNOWN),
        ({"state": {"phase": "Aborted"}}, AppState.CANCELLED),
        ({"state": {"phase": "Terminated"}}, AppState.FAILED),
        ({"state": None, "taskStatusCount": {"a": None}}, AppState.PENDING),
        (
            {"state": {"phase": "Running"}, "taskStatusCount": {"a": {"phase": {}}}},
            AppState.RUNNING,
        ),
    ],
)
@pytest.mark.usefixtures("read_pod")
def test_no_status_crashes(
    scheduler: KubernetesScheduler, get_status: MagicMock, status: Any, state: AppState
) -> None:
    get_status.return_value = {"status": status} if status is not None else {}
    app = scheduler.describe("ns:job")
    assert app is not None
    assert app.state == state


@pytest.mark.usefixtures("read_pod")
def test_replicas_are_in_the_order_of_their_numbers_and_none_is_missing(
    scheduler: KubernetesScheduler, get_status: MagicMock
) -> None:
    tasks = [{"name": f"my-role-{k}", "replicas": 1, "minAvailable": int(k < 5)} for k in range(12)]
    counts = {f"my-role-{k}": {"phase": {"Running": 1}} for k in (10, 1, 2)}
    get_status.return_value = {
        "spec": {"tasks": tasks},
        "status": {"state": {"phase": "Running"}, "taskStatusCount": counts, "retryCount": 2},
    }
    app = scheduler.describe("ns:job")
    assert app is not None
    assert app.roles == [Role(name="my-role", image="", num_replicas=12, min_replicas=5)]
    assert [item.id for item in app.roles_statuses[0].replicas] == list(range(12))
    running = [i.id for i in app.roles_statuses[0].replicas if i.state == AppState.RUNNING]
    assert running == [1, 2, 10]
    assert app.num_restarts == 2


def test_an_unknown_app_is_none_and_nothing_else_is_asked(
    scheduler: KubernetesScheduler, get_status: MagicMock
) -> None:
    get_status.side_effect = api_error(404)
    assert scheduler.describe("ns:job") is None
    assert not scheduler.exists("ns:job")
    get_status.side_effect = api_error(500)
    with pytest.raises(ApiException) as raised:
        scheduler.describe("ns:job")
    assert raised.value.status == 500


def test_clients_that_are_mocks_do(get_status: MagicMock, read_pod: MagicMock) -> None:
    get_status.return_value = DONE
    scheduler = create_scheduler("foo", client=MagicMock(), docker_client=MagicMock())
    assert scheduler.describe("ns:job") is not None
    get_status.side_effect = api_error(404)
    assert scheduler.describe("ns:other") is None


def test_list(scheduler: KubernetesScheduler) -> None:
    items = [
        {"metadata": {"name": "a"}, "status": {"state": {"phase": "Running"}}},
        {"metadata": {"name": "b"}},
        {"metadata": {"name": "c"}, "status": {"state": {}}},
    ]
    with (
        patch(f"{CUSTOM}.list_namespaced_custom_object") as listed,
        patch.object(KubernetesScheduler, "_get_active_context") as context,
    ):
        listed.return_value = {"items": items}
        assert scheduler.list({"namespace": "ns"}) == [
            ListAppResponse("ns:a", AppState.RUNNING),
            ListAppResponse("ns:b", AppState.UNKNOWN),
            ListAppResponse("ns:c", AppState.UNKNOWN),
        ]
        listed.assert_called_once_with(**PLACE, timeout_seconds=30)
        context.assert_not_called()
        listed.side_effect = api_error(404)
        with pytest.raises(ApiException):
            scheduler.list({"namespace": "ns"})


@pytest.mark.parametrize(
    ("context", "namespace"),
    [
        ({"context": {"namespace": "mine"}}, "mine"),
        ({"context": {}}, "default"),
        ({}, "default"),
        (ConfigException("no kubeconfig"), "default"),
    ],
)
def test_the_namespace_of_a_list(
    scheduler: KubernetesScheduler, context: Any, namespace: str
) -> None:
    with (
        patch(f"{CUSTOM}.list_namespaced_custom_object") as listed,
        patch.object(KubernetesScheduler, "_get_active_context") as active,
    ):
        listed.return_value = {"items": []}
        active.side_effect = [context]
        assert scheduler.list() == []
        assert listed.call_args.kwargs["namespace"] == namespace


@pytest.mark.parametrize("job", [{}, {"status": {"state": {"phase": "Running"}}}, {"status": None}])
def test_cancel(scheduler: KubernetesScheduler, job: dict[str, Any]) -> None:
    with (
        patch(f"{CUSTOM}.get_namespaced_custom_object") as get,
        patch(f"{CUSTOM}.replace_namespaced_custom_object_status") as replace,
    ):
        get.return_value = {**job, "spec": {"queue": "q"}}
        scheduler._cancel_existing("ns:job")
        get.assert_called_once_with(**ONE)
        replace.assert_called_once_with(**ONE, body=get.return_value)
        assert get.return_value["status"]["state"]["phase"] == "Aborted"
        assert get.return_value["spec"] == {"queue": "q"}


def test_delete(scheduler: KubernetesScheduler, get_status: MagicMock) -> None:
    with patch(f"{CUSTOM}.delete_namespaced_custom_object") as delete:
        get_status.side_effect = api_error(404)
        scheduler.delete("ns:job")
        delete.assert_not_called()
        scheduler._delete_existing("ns:job")
        delete.assert_called_once_with(**ONE)


@pytest.fixture
def containers(read_pod: MagicMock) -> MagicMock:
    main, side = MagicMock(), MagicMock()
    main.name, side.name = "role_blah-1", "side"
    read_pod.return_value.spec.containers = [main, side]
    return read_pod


def test_logs(scheduler: KubernetesScheduler, containers: MagicMock) -> None:
    with patch(f"{CORE}.read_namespaced_pod_log") as read:
        read.return_value = "1\nfoo reg\nfoo\nbar reg"
        lines = scheduler.log_iter("ns:job", "role_blah", k=1, regex="reg", since=datetime.now())
        assert list(lines) == ["foo reg\n", "bar reg", "side foo reg\n", "side bar reg"]
    containers.assert_called_once_with(name="job-roleblah-1-0", namespace="ns")
    asked = [dict(call.kwargs) for call in read.call_args_list]
    assert [kwargs.pop("since_seconds") for kwargs in asked] == [1, 1]
    common = {"name": "job-roleblah-1-0", "namespace": "ns", "timestamps": True}
    assert asked == [
        {**common, "container": "role_blah-1"},
        {**common, "container": "side"},
    ]


@pytest.mark.usefixtures("containers")
def test_followed_logs_end_their_lines(scheduler: KubernetesScheduler) -> None:
    with (
        patch("kubernetes.watch.Watch.stream") as stream,
        patch(f"{CORE}.read_namespaced_pod_log") as read,
    ):
        stream.side_effect = [iter(["line1", "line2"]), iter([])]
        lines = scheduler.log_iter("ns:job", "role_blah", k=1, should_tail=True)
        assert list(lines) == ["line1\n", "line2\n"]
        assert stream.call_args_list[0].args == (read,)
        assert stream.call_args_list[0].kwargs == {
            "name": "job-roleblah-1-0",
            "namespace": "ns",
            "timestamps": True,
            "container": "role_blah-1",
        }


@pytest.mark.parametrize(
    ("container", "role", "prefix"),
    [
        ("role_blah-1", "role_blah", ""),
        ("roleblah-1", "role_blah", ""),
        ("side", "role_blah", "side "),
        ("role_blah-2", "role_blah", "role_blah-2 "),
    ],
)
def test_only_other_containers_are_named(container: str, role: str, prefix: str) -> None:
    assert prefix_container_name(container, role, 1) == prefix


def test_the_job_that_an_error_is_about(
    scheduler: KubernetesScheduler, caplog: pytest.LogCaptureFixture
) -> None:
    error = api_error(409)
    error.body = json.dumps({"details": {"name": "job"}})
    assert scheduler._get_job_name_from_exception(error) == "job"
    error.body = "no json"
    assert scheduler._get_job_name_from_exception(error) is None
    (record,) = [item for item in caplog.records if item.levelno == logging.ERROR]
    assert record.name == kubernetes_scheduler.__name__
    assert record.exc_info is not None


def test_without_the_package_options_are_known_and_all_else_says_so() -> None:
    blanked = dict.fromkeys(name for name in sys.modules if name.startswith("kubernetes"))
    with patch.dict(sys.modules, blanked):
        importlib.reload(kubernetes_scheduler)
        importlib.reload(torchx.schedulers)
        scheduler = kubernetes_scheduler.create_scheduler("foo")
        assert "queue" in scheduler.run_opts()._opts
        with pytest.raises(ModuleNotFoundError):
            scheduler.describe("foo:bar")
    importlib.reload(kubernetes_scheduler)
    importlib.reload(torchx.schedulers)
