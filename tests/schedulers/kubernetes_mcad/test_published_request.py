"""What is sent is what was published: names, labels, pods, the whole text."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock, patch

import pytest

import torchx
from tests.schedulers.kubernetes_mcad.published import MODULE, a_role, an_app
from torchx.schedulers import kubernetes_mcad_scheduler as mcad
from torchx.schedulers.kubernetes_mcad_scheduler import (
    KubernetesMCADScheduler,
    Opts,
    app_to_resource,
    cleanup_str,
    create_pod_group,
    enable_retry,
    get_port_for_service,
    get_unique_truncated_appid,
    mcad_svc,
    role_to_pod,
)
from torchx.specs import AppDef, DeviceMount, Resource, RetryPolicy, VolumeMount


def resource_of(app: AppDef, **options: Any) -> dict[str, Any]:
    given: dict[str, Any] = dict.fromkeys(
        ("service_account", "image_secret", "coscheduler_name", "priority_class_name", "network")
    )
    return app_to_resource(app, **{"namespace": "default", **given, **options})


GOLDEN = Path(__file__).parents[2] / "fixtures" / "kubernetes" / "appwrapper.yaml"


class TestRequest:
    @pytest.fixture(autouse=True)
    def app_name(self) -> Iterator[MagicMock]:
        with patch(f"{MODULE}.make_unique") as make_unique:
            make_unique.return_value = "app-name"
            yield make_unique

    def test_the_text_of_a_request_is_pinned(self, scheduler: KubernetesMCADScheduler) -> None:
        opts = Opts(
            priority=0,
            namespace="test_namespace",
            coscheduler_name="test-co-scheduler-name",
            network="test-network-conf",
            validate_spec=False,
        )
        info = scheduler._submit_dryrun(an_app(), opts)
        assert str(info) == str(info.request) == repr(info.request)
        assert str(info) == GOLDEN.read_text().replace("{version}", torchx.__version__)

    def test_a_dry_run_without_a_runner_knows_its_app(
        self, scheduler: KubernetesMCADScheduler
    ) -> None:
        app, cfg = an_app(), Opts(namespace="test-ns")
        info = scheduler._submit_dryrun(app, cfg)
        assert info._app is app
        assert info._cfg == cfg
        assert scheduler.planned_app_id(info) == "test-ns:app-name"

    def test_make_unique_is_called_with_name_and_length(self, app_name: MagicMock) -> None:
        resource_of(an_app())
        app_name.assert_called_once_with("test", 14)

    def test_pods_are_model_objects(self) -> None:
        from kubernetes.client.models import V1Pod, V1Service

        items = resource_of(an_app())["spec"]["resources"]["GenericItems"]
        assert [type(item["generictemplate"]) for item in items] == [V1Pod, V1Service]
        assert {item["replicas"] for item in items} == {1}

    def test_options_reach_the_request(self) -> None:
        text = str(
            resource_of(
                an_app(),
                service_account="srvacc",
                image_secret="secret_name",
                priority_class_name="test-priority",
                network="test-network-conf",
                priority=10,
            )
        )
        assert "'service_account_name': 'srvacc'" in text
        assert "image_pull_secrets': [{'name': 'secret_name'}]" in text
        assert "'priority': 10" in text
        assert "'priority_class_name': 'test-priority'" in text
        assert "'k8s.v1.cni.cncf.io/networks': 'test-network-conf'" in text

    def test_what_is_not_asked_for_is_none(self) -> None:
        text = str(resource_of(an_app()))
        assert "service_account_name': None" in text
        assert "image_pull_secrets': [{'name': None}]" in text
        assert "'priority': None" in text
        assert "'priority_class_name': None" in text
        assert "k8s.v1.cni.cncf.io/networks" not in text

    def test_priority_0_is_sent_and_none_is_not(self) -> None:
        assert resource_of(an_app(), priority=0)["spec"]["priority"] == 0
        assert "priority" not in resource_of(an_app())["spec"]

    def test_retries_are_requeuings(self) -> None:
        assert resource_of(an_app(max_retries=3, num_replicas=2))["spec"]["schedulingSpec"] == {
            "minAvailable": 2,
            "requeuing": {
                "timeInSeconds": 300,
                "maxTimeInSeconds": 0,
                "growthType": "exponential",
                "maxNumRequeuings": 3,
            },
        }
        assert "schedulingSpec" not in resource_of(an_app(max_retries=0))["spec"]

    def test_enable_retry_changes_the_spec_it_is_given(self) -> None:
        spec: dict[str, Any] = {}
        enable_retry(spec, 5, 7)
        assert spec["schedulingSpec"]["minAvailable"] == 7
        assert spec["schedulingSpec"]["requeuing"]["maxNumRequeuings"] == 5

    def test_the_first_replica_is_told_apart(self) -> None:
        items = resource_of(an_app(num_replicas=2))["spec"]["resources"]["GenericItems"]
        first, second = (item["generictemplate"].spec.containers[0] for item in items[:2])
        assert first.command[-1] == "TORCHX_RANK0_HOST"
        assert second.command[-1] == "TORCHX_MCAD_TRAINERFOO_0_HOSTS"
        env = [{item.name: item.value for item in each.env} for each in (first, second)]
        assert env[0]["TORCHX_RANK0_HOST"] == "localhost"
        assert "TORCHX_RANK0_HOST" not in env[1]
        assert {each["TORCHX_MCAD_TRAINERFOO_0_HOSTS"] for each in env} == {"app-name-0.app-name"}

    def test_an_image_that_was_built_here_gets_its_place_in_a_repository(
        self, scheduler: KubernetesMCADScheduler
    ) -> None:
        app = an_app(image="sha256:testhash")
        info = scheduler._submit_dryrun(app, Opts(image_repo="example.com/some/repo"))
        assert "example.com/some/repo:testhash" in str(info.request.resource)
        assert info.request.images_to_push == {
            "sha256:testhash": ("example.com/some/repo", "testhash")
        }
        assert app == an_app(image="sha256:testhash"), "a second dry run pushes it as well"

    def test_an_image_that_was_built_here_needs_a_repository(
        self, scheduler: KubernetesMCADScheduler
    ) -> None:
        with pytest.raises(KeyError, match="image_repo"):
            scheduler._submit_dryrun(an_app(image="sha256:testhash"), Opts())

    @pytest.mark.parametrize(
        "option",
        [
            field.name
            for field in dataclasses.fields(Opts)
            if field.name not in ("image_repo", "validate_spec")
        ],
    )
    def test_a_wrong_type_is_an_assertion(
        self, scheduler: KubernetesMCADScheduler, option: str
    ) -> None:
        with pytest.raises(AssertionError, match=option):
            scheduler._submit_dryrun(an_app(), {**Opts(), option: [1]})  # type: ignore[arg-type]

    def test_there_is_always_a_namespace(self, scheduler: KubernetesMCADScheduler) -> None:
        with pytest.raises(AssertionError, match="namespace"):
            scheduler._submit_dryrun(an_app(), {"namespace": None})  # type: ignore[arg-type]

    def test_a_pull_secret_and_a_service_account_are_warned_of(
        self, scheduler: KubernetesMCADScheduler
    ) -> None:
        with pytest.warns(UserWarning, match="pull secret"):
            scheduler._submit_dryrun(an_app(), Opts(image_secret="s", service_account="a"))


class TestParts:
    def test_a_pod_is_what_it_was(self) -> None:
        from kubernetes.client import models

        role = a_role(mounts=[], resource=Resource(2, 4, 3000, devices={}))
        pod = role_to_pod(
            "app-name-0",
            "app-name",
            "test_namespace",
            role,
            service_account="",
            image_secret="",
            coscheduler_name="",
            priority_class_name="",
            network="",
        )
        container = models.V1Container(
            command=["main", *role.args],
            image="pytorch/torchx:latest",
            name="app-name-0",
            env=[
                models.V1EnvVar(name="FOO", value="bar"),
                models.V1EnvVar(name="TORCHX_MCAD_TRAINERFOO_0_HOSTS", value="app-name-0.app-name"),
            ],
            resources=models.V1ResourceRequirements(
                limits={"cpu": "2000m", "memory": "3000M", "nvidia.com/gpu": "4"},
                requests={"cpu": "1900m", "memory": "1976M", "nvidia.com/gpu": "4"},
            ),
            ports=[models.V1ContainerPort(name="foo", container_port=1234)],
            security_context=models.V1SecurityContext(),
            volume_mounts=[models.V1VolumeMount(name="dshm", mount_path="/dev/shm")],
        )
        assert pod == models.V1Pod(
            api_version="v1",
            kind="Pod",
            spec=models.V1PodSpec(
                containers=[container],
                hostname="app-name-0",
                subdomain="app-name",
                image_pull_secrets=[models.V1LocalObjectReference(name="")],
                restart_policy="Never",
                service_account_name="",
                volumes=[
                    models.V1Volume(
                        name="dshm", empty_dir=models.V1EmptyDirVolumeSource(medium="Memory")
                    )
                ],
                node_selector={},
                scheduler_name="",
                priority_class_name="",
            ),
            metadata=models.V1ObjectMeta(
                name="app-name-0",
                namespace="test_namespace",
                annotations={
                    "sidecar.istio.io/inject": "false",
                    "k8s.v1.cni.cncf.io/networks": "",
                },
                labels={},
            ),
        )

    def test_resources_devices_mounts_and_instance_type_are_those_of_kubernetes(self) -> None:
        resource = Resource(
            1,
            0,
            2000,
            capabilities={mcad.LABEL_INSTANCE_TYPE: "some_instance"},
            devices={"vpc.amazonaws.com/efa": 4},
        )
        mounts = [
            VolumeMount(src="claim", dst_path="/v"),
            DeviceMount(src_path="/dev/fuse", dst_path="/dev/fuse", permissions="r"),
        ]
        pod = role_to_pod(
            "n", "a", "ns", a_role(resource=resource, mounts=mounts[:1]), *([None] * 5)
        )
        container = pod.spec.containers[0]
        assert container.resources.limits["vpc.amazonaws.com/efa"] == "4"
        assert "vpc.amazonaws.com/efa" not in container.resources.requests
        assert not container.security_context.privileged
        assert pod.spec.node_selector == {mcad.LABEL_INSTANCE_TYPE: "some_instance"}
        assert pod.spec.volumes[1].persistent_volume_claim.claim_name == "claim"
        pod = role_to_pod("n", "a", "ns", a_role(mounts=mounts), *([None] * 5))
        assert pod.spec.containers[0].security_context.privileged
        assert pod.spec.containers[0].volume_mounts[2].read_only

    def test_an_unknown_mount_is_a_type_error(self) -> None:
        with pytest.raises(TypeError, match="unknown mount type"):
            role_to_pod("n", "a", "ns", a_role(mounts=[object()]), *([None] * 5))

    def test_a_pod_group_is_what_it_was(self) -> None:
        app = AppDef("demo", [a_role(num_replicas=2)])
        assert create_pod_group(app, app.roles[0], 0, "ns1", "demo-u1") == {
            "generictemplate": {
                "apiVersion": "scheduling.sigs.k8s.io/v1alpha1",
                "kind": "PodGroup",
                "metadata": {
                    "name": "demo-u1-pg0",
                    "namespace": "ns1",
                    "labels": {
                        "app.kubernetes.io/instance": "demo-u1",
                        "app.kubernetes.io/managed-by": "torchx.pytorch.org",
                        "app.kubernetes.io/name": "demo",
                        "appwrapper.workload.codeflare.dev": "demo-u1",
                    },
                },
                "spec": {"minMember": 2},
            },
            "replicas": 1,
        }

    def test_a_service_is_what_it_was(self) -> None:
        from kubernetes.client import models

        assert mcad_svc(an_app(), "svc", "ns1", service_port="1234") == models.V1Service(
            api_version="v1",
            kind="Service",
            metadata=models.V1ObjectMeta(
                name="svc",
                namespace="ns1",
                labels={
                    "app.kubernetes.io/name": "test",
                    "app.kubernetes.io/managed-by": "torchx.pytorch.org",
                    "app.kubernetes.io/instance": "svc",
                },
            ),
            spec=models.V1ServiceSpec(
                cluster_ip="None",
                publish_not_ready_addresses=True,
                ports=[models.V1ServicePort(protocol="TCP", port=1234, target_port=1234)],
                selector={"app.kubernetes.io/instance": "svc"},
                session_affinity="None",
                type="ClusterIP",
            ),
            status=models.V1ServiceStatus(load_balancer={}),
        )

    @pytest.mark.parametrize(
        ("port_map", "port"), [({"foo": 1234}, "1234"), ({}, "29500"), (None, "29500")]
    )
    def test_the_service_has_the_port_of_the_role(self, port_map: Any, port: str) -> None:
        assert get_port_for_service(an_app(port_map=port_map)) == port

    def test_the_last_port_of_the_last_role_wins(self) -> None:
        roles = [a_role(port_map={"a": 1, "b": 2}), a_role(port_map={"c": 3, "d": 4}), a_role()]
        roles[2].port_map = {}
        assert get_port_for_service(AppDef("x", roles)) == "4"

    def test_a_port_that_there_is_not_is_warned_of(self) -> None:
        with pytest.warns(UserWarning, match="65536"):
            assert get_port_for_service(an_app(port_map={"foo": 65536})) == "29500"

    @pytest.mark.parametrize(
        ("text", "cleaned"),
        [
            ("abcd123", "abcd123"),
            ("-/_a/b/CD!123!", "abcd123"),
            ("-a-bcd123", "a-bcd123"),
            ("!!!", ""),
            ("1234abcd1234", "abcd1234"),
        ],
    )
    def test_names_are_cleaned(self, text: str, cleaned: str) -> None:
        assert cleanup_str(text) == cleaned

    def test_unique_names_are_short_enough(self) -> None:
        assert len(get_unique_truncated_appid(AppDef("abcde", [a_role()]))) <= 20
        fifty = "abcdefghijklmnopqrstuvwxyz012345678910111213141516"
        name = get_unique_truncated_appid(AppDef(fifty, [a_role()]))
        assert fifty in name
        assert len(name) <= 56
        long = f"{fifty}171819202122232425"
        app = AppDef(long, [a_role()])
        with pytest.warns(UserWarning, match="too long"):
            name = get_unique_truncated_appid(app)
        assert long[:55] in name
        assert "9202122232425" not in name
        assert len(name) <= 59
        assert app.name == long

    def test_labels_tell_app_role_and_replica(self) -> None:
        app = an_app()
        assert mcad.object_labels(app, "test-1") == {
            "app.kubernetes.io/name": "test",
            "app.kubernetes.io/managed-by": "torchx.pytorch.org",
            "app.kubernetes.io/instance": "test-1",
        }
        labels = mcad.pod_labels(app, 0, app.roles[0], 3, "cosched", "test-1")
        assert labels == {
            **mcad.object_labels(app, "test-1"),
            "torchx.pytorch.org/version": torchx.__version__.replace("+", "."),
            "torchx.pytorch.org/app-name": "test",
            "torchx.pytorch.org/role-index": "0",
            "torchx.pytorch.org/role-name": "trainer_foo",
            "torchx.pytorch.org/replica-id": "3",
            "pod-group.scheduling.sigs.k8s.io": "test-1-pg0",
        }
        without = mcad.pod_labels(app, 0, app.roles[0], 3, None, "test-1")
        assert "pod-group.scheduling.sigs.k8s.io" not in without

    def test_retry_policies_are_published(self) -> None:
        assert list(mcad.RETRY_POLICIES[RetryPolicy.APPLICATION]) == [
            {"event": "PodEvicted", "action": "RestartJob"},
            {"event": "PodFailed", "action": "RestartJob"},
        ]
