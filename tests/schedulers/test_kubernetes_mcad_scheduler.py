"""Holds ``torchx.schedulers.kubernetes_mcad_scheduler`` to what was published and tested."""

from __future__ import annotations

import importlib
import json
import sys
import warnings
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock, patch

import pytest

from tests.schedulers.kubernetes_mcad.published import MODULE, an_app
from tests.servers.kubernetes.http_api import write_kubeconfig
from torchx.schedulers import kubernetes_mcad_scheduler as mcad
from torchx.schedulers.api import AppDryRunInfo, DescribeAppResponse, ListAppResponse, Stream
from torchx.schedulers.kubernetes_mcad_scheduler import (
    KubernetesMCADJob,
    KubernetesMCADOpts,
    KubernetesMCADScheduler,
    Opts,
    create_scheduler,
    get_appwrapper_status,
    get_role_information,
    get_tasks_status_description,
)
from torchx.specs import (
    AppState,
    ReplicaState,
    ReplicaStatus,
    Resource,
    Role,
    RoleStatus,
)

CUSTOM = "kubernetes.client.CustomObjectsApi"
NAMESPACED = {
    "group": "workload.codeflare.dev",
    "version": "v1beta1",
    "namespace": "testnamespace",
    "plural": "appwrappers",
}


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whoever runs the tests may have a cluster."""
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "no-kubeconfig"))
    monkeypatch.setenv("TORCHX_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)


@pytest.fixture
def scheduler() -> Iterator[KubernetesMCADScheduler]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "failed to load kube config")
        yield create_scheduler("test")


def api_error(status: int, reason: str, body: str | None = None) -> Exception:
    from kubernetes.client.rest import ApiException

    error: Exception = ApiException(status=status, reason=reason)
    error.body = body  # type: ignore[attr-defined]
    return error


class TestAnswers:
    def test_states_are_published(self) -> None:
        assert mcad.JOB_STATE["Pending"] == AppState.PENDING
        assert mcad.JOB_STATE["Deleted"] == AppState.CANCELLED
        assert mcad.JOB_STATE["Completed"] == AppState.SUCCEEDED
        assert mcad.TASK_STATE["Pending dispatch"] == ReplicaState.PENDING
        assert mcad.TASK_STATE["Succeeded"] == ReplicaState.SUCCEEDED

    def test_an_appwrapper_without_status_is_pending(self) -> None:
        assert get_appwrapper_status({}) == AppState.PENDING
        assert get_appwrapper_status({"status": {"state": "Running"}}) == AppState.RUNNING
        assert get_appwrapper_status({"status": {"state": "Failed"}}) == AppState.FAILED
        assert get_appwrapper_status({"status": {"state": "Deleted"}}) == AppState.CANCELLED

    def test_counts_are_handed_on(self) -> None:
        status = {"running": "1", "Succeeded": 2, "failed": 3, "pending": 4, "state": "x", "y": 1}
        assert get_tasks_status_description(status) == {
            "running": "1",
            "pending": 4,
            "failed": 3,
            "Succeeded": 2,
        }

    @pytest.mark.parametrize(
        "items",
        [
            [{}],
            [{"generictemplate": {}}],
            [{"generictemplate": {"metadata": {}}}],
            [{"generictemplate": {"metadata": {"labels": {"a": "b"}}}}],
        ],
    )
    def test_what_has_no_label_of_a_role_is_none(self, items: Any) -> None:
        assert get_role_information(items) == {}

    @pytest.mark.parametrize(
        "present",
        [
            [],
            ["image"],
            ["image", "command"],
            ["image", "command", "env"],
            ["image", "command", "env", "resources"],
            ["image", "command", "env", "resources", "ports"],
            ["image", "command", "env", "resources", "ports", "volumeMounts"],
        ],
    )
    def test_roles_are_filled_in_as_far_as_they_are_told(self, present: list[str]) -> None:
        container = {
            "image": "img",
            "command": ["main", "0"],
            "env": {"A": "1"},
            "resources": {"requests": {"cpu": 900, "memory": 512976, "nvidia.com/gpu": 2}},
            "ports": {"c10d": 29500},
            "volumeMounts": [{"mountPath": "/dev/shm", "name": "dshm"}],
        }
        expected: dict[str, Any] = {
            "image": {"image": "img"},
            "command": {"args": ["main", "0"]},
            "env": {"env": {"A": "1"}},
            "resources": {"resource": Resource(cpu=900, gpu=2, memMB=512976)},
            "ports": {"port_map": {"c10d": 29500}},
            "volumeMounts": {"mounts": [{"mountPath": "/dev/shm", "name": "dshm"}]},
        }
        template = {
            "metadata": {"labels": {"torchx.pytorch.org/role-name": "foo"}},
            "spec": {"containers": [{key: container[key] for key in present}]},
        }
        fields: dict[str, Any] = {"image": ""}
        for key in present:
            fields.update(expected[key])
        role = get_role_information([{"generictemplate": template}] * 3)["foo"]
        assert role == Role("foo", num_replicas=3, **fields)
        if "resources" in present:
            assert vars(role)["resources"] == container["resources"]

    @pytest.mark.parametrize("missing", ["cpu", "memory"])
    def test_a_resource_is_all_or_nothing(self, missing: str) -> None:
        requests = {"cpu": 1, "memory": 2}
        del requests[missing]
        template = {
            "metadata": {"labels": {"torchx.pytorch.org/role-name": "foo"}},
            "spec": {
                "containers": [
                    {"image": "i", "command": [], "env": {}, "resources": {"requests": requests}}
                ]
            },
        }
        role = get_role_information([{"generictemplate": template}])["foo"]
        assert role.resource == Resource(-1, -1, -1)


class TestScheduler:
    def test_run_options(self, scheduler: KubernetesMCADScheduler) -> None:
        assert set(scheduler.run_opts()._opts) == {
            "namespace",
            "image_repo",
            "service_account",
            "priority",
            "priority_class_name",
            "image_secret",
            "coscheduler_name",
            "network",
            "quiet",
        }
        assert KubernetesMCADOpts is Opts
        assert Opts() == Opts(namespace="default")

    def test_clients_are_readable(self) -> None:
        client, docker = MagicMock(), MagicMock()
        scheduler = create_scheduler("foo", client=client, docker_client=docker, other=1)
        assert scheduler._client is client
        assert scheduler._docker_client is docker

    def test_any_app_is_valid(self, scheduler: KubernetesMCADScheduler) -> None:
        scheduler._validate(an_app(resource=Resource(-1, -1, -1)), "kubernetes_mcad", Opts())

    def test_schedule_gives_the_name_of_the_reply(self, scheduler: KubernetesMCADScheduler) -> None:
        info = scheduler._submit_dryrun(an_app(), Opts(namespace="testnamespace"))
        with patch(f"{CUSTOM}.create_namespaced_custom_object") as create:
            create.return_value = {"metadata": {"name": "testid"}}
            assert scheduler.schedule(info) == "testnamespace:testid"
        create.assert_called_once_with(**NAMESPACED, body=info.request.resource)

    def test_a_name_that_is_taken_is_a_value_error(
        self, scheduler: KubernetesMCADScheduler
    ) -> None:
        info = scheduler._submit_dryrun(an_app(), Opts(namespace="testnamespace"))
        body = json.dumps({"details": {"name": "test_job"}})
        with (
            patch(
                f"{CUSTOM}.create_namespaced_custom_object",
                side_effect=api_error(409, "Conflict", body),
            ),
            pytest.raises(ValueError, match="already exists"),
        ):
            scheduler.schedule(info)

    def test_other_refusals_are_handed_on(self, scheduler: KubernetesMCADScheduler) -> None:
        from kubernetes.client.rest import ApiException

        info = scheduler._submit_dryrun(an_app(), Opts())
        with (
            patch(
                f"{CUSTOM}.create_namespaced_custom_object", side_effect=api_error(422, "Invalid")
            ),
            pytest.raises(ApiException),
        ):
            scheduler.schedule(info)

    def test_images_are_pushed_once_by_a_bare_request(self) -> None:
        client = MagicMock()
        scheduler = create_scheduler("foo", client=MagicMock(), docker_client=client)
        job = KubernetesMCADJob(
            images_to_push={"sha256:testimage": ("testregistry", "latest")},
            resource={},
        )
        with patch(f"{CUSTOM}.create_namespaced_custom_object") as create:
            create.return_value = {"metadata": {"name": "testid"}}
            assert scheduler.schedule(AppDryRunInfo(job, repr)) == "default:testid"
        client.images.get.assert_called_once_with("sha256:testimage")
        assert client.images.get().tag.call_count == 1
        assert client.images.push.call_count == 1

    def test_describe(self, scheduler: KubernetesMCADScheduler) -> None:
        with patch(f"{CUSTOM}.get_namespaced_custom_object") as get:
            get.return_value = appwrapper({"state": "Running", "Succeeded": 1})
            described = scheduler.describe("testnamespace:testid")
        get.assert_called_once_with(*NAMESPACED.values(), "testid")
        assert described == DescribeAppResponse(
            app_id="testnamespace:testid",
            state=AppState.RUNNING,
            roles_statuses=[
                RoleStatus("echo", [ReplicaStatus(0, ReplicaState.SUCCEEDED, "echo", "")])
            ],
            roles=[Role(name="echo", image="", num_replicas=1)],
        )

    def test_describe_while_it_waits(self, scheduler: KubernetesMCADScheduler) -> None:
        with patch(f"{CUSTOM}.get_namespaced_custom_object") as get:
            get.return_value = appwrapper({"state": "Pending"}, {"kind": "Service"})
            described = scheduler.describe("testnamespace:testid")
        assert described == DescribeAppResponse(
            app_id="testnamespace:testid",
            state=AppState.PENDING,
            roles_statuses=[
                RoleStatus("echo", [ReplicaStatus(0, ReplicaState.PENDING, "echo", "")])
            ],
            roles=[Role(name="echo", image="", num_replicas=1)],
        )

    @pytest.mark.parametrize("app", [{}, {"spec": {"resources": {"GenericItems": [{"x": 1}]}}}])
    def test_describe_what_has_no_status(
        self, scheduler: KubernetesMCADScheduler, app: dict[str, Any]
    ) -> None:
        with patch(f"{CUSTOM}.get_namespaced_custom_object") as get:
            get.return_value = app
            assert scheduler.describe("foo:bar") == DescribeAppResponse(
                app_id="foo:bar", state=AppState.UNKNOWN
            )

    @pytest.mark.parametrize(("status", "reason"), [(404, "Not Found"), (401, "Unauthorized")])
    def test_no_access_is_a_value_error(
        self, scheduler: KubernetesMCADScheduler, status: int, reason: str
    ) -> None:
        with (
            patch(f"{CUSTOM}.get_namespaced_custom_object", side_effect=api_error(status, reason)),
            pytest.raises(ValueError, match="cannot read the AppWrapper bar") as raised,
        ):
            scheduler.describe("foo:bar")
        assert getattr(raised.value, "hint", "")

    def test_another_refusal_of_describe_is_handed_on(
        self, scheduler: KubernetesMCADScheduler
    ) -> None:
        from kubernetes.client.rest import ApiException

        with (
            patch(f"{CUSTOM}.get_namespaced_custom_object", side_effect=api_error(400, "Test")),
            pytest.raises(ApiException) as raised,
        ):
            scheduler.describe("foo:bar")
        assert not isinstance(raised.value, ValueError)

    def test_list(self, scheduler: KubernetesMCADScheduler) -> None:
        items = [
            {"metadata": {"name": "running"}, "status": {"state": "Running", "running": "1"}},
            {"metadata": {"name": "pending"}, "status": {"state": "Pending", "pending": "1"}},
        ]
        context = {"name": "c", "context": {"namespace": "testnamespace"}}
        with (
            patch(f"{CUSTOM}.list_namespaced_custom_object") as listed,
            patch.object(KubernetesMCADScheduler, "_get_active_context", return_value=context),
        ):
            listed.return_value = {"items": items}
            assert scheduler.list() == [
                ListAppResponse("testnamespace:running", AppState.RUNNING),
                ListAppResponse("testnamespace:pending", AppState.PENDING),
            ]
            listed.assert_called_once_with(**NAMESPACED, timeout_seconds=30)
            listed.side_effect = api_error(404, "Not Found")
            with pytest.raises(type(listed.side_effect)):
                scheduler.list()

    def test_list_goes_by_the_namespace_that_is_asked_for(
        self, scheduler: KubernetesMCADScheduler
    ) -> None:
        with (
            patch(f"{CUSTOM}.list_namespaced_custom_object") as listed,
            patch.object(KubernetesMCADScheduler, "_get_active_context") as context,
        ):
            listed.return_value = {"items": []}
            assert scheduler.list({"namespace": "testnamespace"}) == []
        listed.assert_called_once_with(**NAMESPACED, timeout_seconds=30)
        context.assert_not_called()

    @pytest.mark.parametrize("method", ["_cancel_existing", "_delete_existing"])
    def test_ending_is_deleting(self, scheduler: KubernetesMCADScheduler, method: str) -> None:
        with patch(f"{CUSTOM}.delete_namespaced_custom_object") as delete:
            getattr(scheduler, method)("testnamespace:testjob")
        delete.assert_called_once_with(**NAMESPACED, name="testjob")

    def test_log_iter(self, scheduler: KubernetesMCADScheduler) -> None:
        with (
            patch("kubernetes.client.CoreV1Api.read_namespaced_pod_log") as read_log,
            patch("kubernetes.client.CoreV1Api.read_namespaced_pod") as read_pod,
        ):
            read_log.return_value = "first line\nsecond line\n"
            read_pod.return_value = pod_of("role_blah-1")
            lines = scheduler.log_iter(
                "testnamespace:testjob", "role_blah", 1, since=datetime.now(), regex="second"
            )
            assert list(lines) == ["second line\n"]
        read_pod.assert_called_once_with(namespace="testnamespace", name="testjob-1")
        _, kwargs = read_log.call_args
        assert kwargs.pop("since_seconds") >= 0
        assert kwargs == {
            "namespace": "testnamespace",
            "name": "testjob-1",
            "container": "role_blah-1",
            "timestamps": True,
        }

    @pytest.mark.parametrize(
        ("container", "prefix"), [("role_blah-1", ""), ("testjob-1", ""), ("sidecar", "sidecar ")]
    )
    def test_only_other_containers_are_named(
        self, scheduler: KubernetesMCADScheduler, container: str, prefix: str
    ) -> None:
        with (
            patch("kubernetes.client.CoreV1Api.read_namespaced_pod_log") as read_log,
            patch("kubernetes.client.CoreV1Api.read_namespaced_pod") as read_pod,
        ):
            read_log.return_value = "line\n"
            read_pod.return_value = pod_of(container)
            lines = scheduler.log_iter("testnamespace:testjob", "role_blah", 1)
            assert list(lines) == [f"{prefix}line\n"]

    @pytest.mark.parametrize("stream", [Stream.STDOUT, Stream.STDERR])
    def test_one_output_alone_is_refused(
        self, scheduler: KubernetesMCADScheduler, stream: Stream
    ) -> None:
        with pytest.raises(ValueError, match="combined"):
            list(scheduler.log_iter("testnamespace:testjob", "role_blah", 1, streams=stream))

    def test_a_job_name_is_read_from_a_refusal(
        self, scheduler: KubernetesMCADScheduler, caplog: pytest.LogCaptureFixture
    ) -> None:
        body = json.dumps({"details": {"name": "test_job"}})
        error: Any = api_error(409, "Conflict", body)
        assert scheduler._get_job_name_from_exception(error) == "test_job"
        error.body = "nothing"
        assert scheduler._get_job_name_from_exception(error) is None
        assert [record.name for record in caplog.records] == [MODULE]


def test_the_package_kubernetes_may_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    app, opts = an_app(), Opts()
    for name in [name for name in sys.modules if name.partition(".")[0] == "kubernetes"]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, "kubernetes", None)
    try:
        reloaded = importlib.reload(mcad)
        scheduler = reloaded.create_scheduler("foo")
        assert "namespace" in scheduler.run_opts()._opts
        with pytest.raises(ModuleNotFoundError):
            scheduler.describe("foo:bar")
        with pytest.raises(ModuleNotFoundError):
            scheduler._submit_dryrun(app, opts)
    finally:
        monkeypatch.undo()
        importlib.reload(mcad)


def appwrapper(status: dict[str, Any], *others: dict[str, Any]) -> dict[str, Any]:
    labels = {"torchx.pytorch.org/role-name": "echo"}
    items = [{"generictemplate": {"metadata": {"labels": labels}}}]
    items += [{"generictemplate": {"metadata": {}, **other}} for other in others]
    return {"spec": {"resources": {"GenericItems": items}}, "status": status}


def pod_of(container: str) -> Any:
    from kubernetes.client import models

    spec = models.V1PodSpec(containers=[models.V1Container(name=container, image="i")])
    return models.V1Pod(spec=spec, metadata=models.V1ObjectMeta())


def test_calls_that_somebody_has_replaced_are_the_only_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Nowhere:
        url = "http://127.0.0.1:9"
        token = "token"

    write_kubeconfig(tmp_path / "kubeconfig", Nowhere())
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    scheduler = create_scheduler("test")
    with patch(f"{CUSTOM}.get_namespaced_custom_object") as get:
        get.return_value = appwrapper({"state": "Running", "Succeeded": 1})
        described = scheduler.describe("ns:app")
    assert described is not None
    assert described.state == AppState.RUNNING
