"""The published facts of the scheduler ``kubernetes``, in the form of a Volcano Job."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock, patch

import pytest
import yaml
from kubernetes.client.models import (
    V1Container,
    V1ContainerPort,
    V1EmptyDirVolumeSource,
    V1EnvVar,
    V1EnvVarSource,
    V1HostPathVolumeSource,
    V1ObjectFieldSelector,
    V1ObjectMeta,
    V1Pod,
    V1PodSpec,
    V1ResourceRequirements,
    V1SecurityContext,
    V1Volume,
    V1VolumeMount,
)
from kubernetes.client.rest import ApiException

import torchx
from torchx.schedulers import kubernetes_scheduler
from torchx.schedulers.api import AppDryRunInfo
from torchx.schedulers.kubernetes_scheduler import (
    KubernetesJob,
    KubernetesOpts,
    KubernetesScheduler,
    Opts,
    app_to_resource,
    pod_labels,
    role_to_pod,
)
from torchx.specs import (
    AppDef,
    BindMount,
    DeviceMount,
    Resource,
    RetryPolicy,
    Role,
    VolumeMount,
    macros,
)

CREATE = "kubernetes.client.CustomObjectsApi.create_namespaced_custom_object"
EFA = "vpc.amazonaws.com/efa"
INSTANCE = "node.kubernetes.io/instance-type"


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "no-kubeconfig"))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)


@pytest.fixture
def scheduler() -> KubernetesScheduler:
    return KubernetesScheduler("test", client=MagicMock())


@pytest.fixture
def fixed_id(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kubernetes_scheduler, "make_unique", lambda name: f"{name}-x1")


def trainer(**fields: Any) -> Role:
    given: dict[str, Any] = {
        "image": "pytorch/torchx:latest",
        "entrypoint": "main",
        "args": ["--output-path", macros.img_root, "--app-id", macros.app_id,
                 "--rank0-env", macros.rank0_env],
        "env": {"FOO": "bar", "FOO_FIELD_PATH": "[FIELD_PATH]status.podIP"},
        "resource": Resource(cpu=2, memMB=3000, gpu=4),
        "port_map": {"foo": 1234},
        "num_replicas": 1,
        "max_retries": 3,
        "mounts": [BindMount(src_path="/src", dst_path="/dst", read_only=True)],
        **fields,
    }  # fmt: skip
    return Role("trainer_foo", **given)


def test_the_module_has_its_published_names() -> None:
    for name in (
        "RESERVED_MILLICPU", "RESERVED_MEMMB", "RETRY_POLICIES", "LABEL_VERSION",
        "LABEL_APP_NAME", "LABEL_ROLE_INDEX", "LABEL_ROLE_NAME", "LABEL_REPLICA_ID",
        "LABEL_KUBE_APP_NAME", "LABEL_ORGANIZATION", "LABEL_UNIQUE_NAME",
        "ANNOTATION_ISTIO_SIDECAR", "LABEL_INSTANCE_TYPE", "PLACEHOLDER_FIELD_PATH",
        "sanitize_for_serialization", "role_to_pod", "app_to_resource", "pod_labels",
        "KubernetesJob", "Opts", "KubernetesScheduler", "create_scheduler",
        "_apply_pod_overlay", "make_unique", "normalize_str",
    ):  # fmt: skip
        assert hasattr(kubernetes_scheduler, name), name
    assert KubernetesOpts is Opts
    assert kubernetes_scheduler.logger.name == "torchx.schedulers.kubernetes_scheduler"
    assert (kubernetes_scheduler.RESERVED_MILLICPU, kubernetes_scheduler.RESERVED_MEMMB) == (
        100,
        1024,
    )


def test_a_pod_has_exactly_these_fields() -> None:
    role = trainer(args=["--a", "b"])
    assert role_to_pod("name", role, service_account="srvacc") == V1Pod(
        spec=V1PodSpec(
            containers=[
                V1Container(
                    name="name",
                    image="pytorch/torchx:latest",
                    command=["main", "--a", "b"],
                    env=[
                        V1EnvVar(name="FOO", value="bar"),
                        V1EnvVar(
                            name="FOO_FIELD_PATH",
                            value_from=V1EnvVarSource(
                                field_ref=V1ObjectFieldSelector(field_path="status.podIP")
                            ),
                        ),
                    ],
                    resources=V1ResourceRequirements(
                        limits={"cpu": "2000m", "memory": "3000M", "nvidia.com/gpu": "4"},
                        requests={"cpu": "1900m", "memory": "1976M", "nvidia.com/gpu": "4"},
                    ),
                    ports=[V1ContainerPort(name="foo", container_port=1234)],
                    security_context=V1SecurityContext(),
                    volume_mounts=[
                        V1VolumeMount(name="dshm", mount_path="/dev/shm"),
                        V1VolumeMount(name="mount-0", mount_path="/dst", read_only=True),
                    ],
                )
            ],
            restart_policy="Never",
            service_account_name="srvacc",
            volumes=[
                V1Volume(name="dshm", empty_dir=V1EmptyDirVolumeSource(medium="Memory")),
                V1Volume(name="mount-0", host_path=V1HostPathVolumeSource(path="/src")),
            ],
            node_selector={},
        ),
        metadata=V1ObjectMeta(annotations={"sidecar.istio.io/inject": "false"}, labels={}),
    )


@pytest.mark.parametrize(
    ("reserved", "cpu", "memory"),
    [((100, 1024), "1900m", "1976M"), ((300, 1000), "1700m", "2000M"), ((0, 0), "2000m", "3000M")],
)
def test_reservations_lower_the_requests(reserved: tuple[int, int], cpu: str, memory: str) -> None:
    pod = role_to_pod(
        "n", trainer(), None, reserved_millicpu=reserved[0], reserved_memmb=reserved[1]
    )
    resources = pod.spec.containers[0].resources
    assert resources.limits == {"cpu": "2000m", "memory": "3000M", "nvidia.com/gpu": "4"}
    assert resources.requests == {"cpu": cpu, "memory": memory, "nvidia.com/gpu": "4"}


def test_no_resources_give_no_limits() -> None:
    pod = role_to_pod("n", Role("r", "img"), None)
    resources = pod.spec.containers[0].resources
    assert (resources.limits, resources.requests) == ({}, {})


@pytest.mark.parametrize(
    ("devices", "count", "limit"),
    [
        ({EFA: 4}, None, "4"),
        ({}, None, None),
        ({EFA: 4}, 0, None),
        ({EFA: 4}, 8, "8"),
        ({}, 32, "32"),
    ],
)
def test_adapters(devices: dict[str, int], count: int | None, limit: str | None) -> None:
    role = trainer(resource=Resource(1, 0, 100, devices=devices))
    pod = role_to_pod("n", role, None, efa_device_count=count)
    resources = pod.spec.containers[0].resources
    assert resources.limits.get(EFA) == limit
    assert EFA not in resources.requests


def test_an_instance_type_selects_nodes() -> None:
    role = trainer(resource=Resource(1, 0, 1, capabilities={INSTANCE: "m1"}))
    assert role_to_pod("n", role, None).spec.node_selector == {INSTANCE: "m1"}


def test_claims_and_devices_are_mounted() -> None:
    mounts = [
        VolumeMount(src="claim", dst_path="/data", read_only=True),
        DeviceMount("/dev/a", "/dev/b", permissions="rwm"),
        DeviceMount("/dev/c", "/dev/c", permissions="r"),
    ]
    spec = role_to_pod("n", trainer(mounts=mounts), None).spec
    container = spec.containers[0]
    assert spec.volumes[1].persistent_volume_claim.claim_name == "claim"
    assert [mount.read_only for mount in container.volume_mounts] == [None, True, False, True]
    assert container.security_context.privileged is True


@pytest.mark.parametrize(
    ("value", "path"),
    [("status.podIP", "status.podIP"), ("metadata.annotations['A']", "metadata.annotations['A']")],
)
def test_a_field_path_is_what_follows_the_mark(value: str, path: str) -> None:
    pod = role_to_pod("n", trainer(env={"A": f"[FIELD_PATH]{value}"}), None)
    assert pod.spec.containers[0].env[0].value_from.field_ref.field_path == path


def test_labels() -> None:
    app = AppDef("foo+bar", [Role("a/b", "")])
    assert pod_labels(app, 0, app.roles[0], 1, "app_id") == {
        "torchx.pytorch.org/version": torchx.__version__.replace("+", "."),
        "torchx.pytorch.org/app-name": "foo.bar",
        "torchx.pytorch.org/role-index": "0",
        "torchx.pytorch.org/role-name": "a.b",
        "torchx.pytorch.org/replica-id": "1",
        "app.kubernetes.io/name": "foo.bar",
        "app.kubernetes.io/managed-by": "torchx.pytorch.org",
        "app.kubernetes.io/instance": "app_id",
    }


GOLDEN = """\
apiVersion: batch.volcano.sh/v1alpha1
kind: Job
metadata:
  name: test-x1
spec:
  maxRetry: 3
  plugins:
    env: []
    svc:
    - --publish-not-ready-addresses
  queue: testqueue
  schedulerName: volcano
  tasks:
  - maxRetry: 3
    name: trainerfoo-0
    policies:
    - action: RestartJob
      event: PodEvicted
    - action: RestartJob
      event: PodFailed
    replicas: 1
    template:
      metadata:
        annotations:
          sidecar.istio.io/inject: 'false'
        labels:
          app.kubernetes.io/instance: test-x1
          app.kubernetes.io/managed-by: torchx.pytorch.org
          app.kubernetes.io/name: test
          torchx.pytorch.org/app-name: test
          torchx.pytorch.org/replica-id: '0'
          torchx.pytorch.org/role-index: '0'
          torchx.pytorch.org/role-name: trainer_foo
          torchx.pytorch.org/version: VERSION
      spec:
        containers:
        - command:
          - main
          - --output-path
          - ''
          - --app-id
          - test-x1
          - --rank0-env
          - TORCHX_RANK0_HOST
          env:
          - name: FOO
            value: bar
          - name: FOO_FIELD_PATH
            valueFrom:
              fieldRef:
                fieldPath: status.podIP
          - name: TORCHX_RANK0_HOST
            value: localhost
          - name: TORCHX_IMAGE
            value: pytorch/torchx:latest
          image: pytorch/torchx:latest
          name: trainerfoo-0
          ports:
          - containerPort: 1234
            name: foo
          resources:
            limits:
              cpu: 2000m
              memory: 3000M
              nvidia.com/gpu: '4'
            requests:
              cpu: 1900m
              memory: 1976M
              nvidia.com/gpu: '4'
          securityContext: {}
          volumeMounts:
          - mountPath: /dev/shm
            name: dshm
          - mountPath: /dst
            name: mount-0
            readOnly: true
        nodeSelector: {}
        restartPolicy: Never
        volumes:
        - emptyDir:
            medium: Memory
          name: dshm
        - hostPath:
            path: /src
          name: mount-0
"""


@pytest.mark.usefixtures("fixed_id")
@pytest.mark.filterwarnings("ignore:.*do not do retries properly")
def test_the_golden(scheduler: KubernetesScheduler) -> None:
    app = AppDef("test", [trainer()])
    info = scheduler.submit_dryrun(app, Opts(queue="testqueue", validate_spec=False))
    expected = GOLDEN.replace("VERSION", torchx.__version__.replace("+", "."))
    assert str(info) == expected
    assert repr(info.request) == expected
    assert str(info.request) == yaml.dump(yaml.safe_load(expected))
    assert isinstance(info.request.resource["spec"]["tasks"][0]["template"], V1Pod)


@pytest.mark.usefixtures("fixed_id")
def test_rank0_is_found_by_the_variable_of_volcano() -> None:
    roles = [trainer(num_replicas=2, max_retries=0), Role("other", "i", args=[macros.rank0_env])]
    tasks = app_to_resource(AppDef("test", roles), "q", None)["spec"]["tasks"]
    containers = [task["template"].spec.containers[0] for task in tasks]
    first = V1EnvVar(name="TORCHX_RANK0_HOST", value="localhost")
    assert [first in container.env for container in containers] == [True, False, False]
    assert [container.command[-1] for container in containers] == [
        "TORCHX_RANK0_HOST",
        "VC_TRAINERFOO_0_HOSTS",
        "VC_TRAINERFOO_0_HOSTS",
    ]
    images = [container.env[-1] for container in containers]
    assert images == [
        V1EnvVar(name="TORCHX_IMAGE", value=i) for i in (trainer().image,) * 2 + ("i",)
    ]


def test_a_dash_in_the_name_of_a_role_is_an_underscore_in_that_variable() -> None:
    role = Role("my-trainer", "i", args=[macros.rank0_env], num_replicas=2)
    task = app_to_resource(AppDef("test", [role]), "q", None)["spec"]["tasks"][1]
    assert task["template"].spec.containers[0].command[-1] == "VC_MY_TRAINER_0_HOSTS"


def test_retries_are_warned_of_once_for_each_role() -> None:
    role = trainer(num_replicas=2, retry_policy=RetryPolicy.APPLICATION)
    with pytest.warns(UserWarning, match="`trainer_foo` has max_retries=3") as warned:
        tasks = app_to_resource(AppDef("test", [role]), "q", None)["spec"]["tasks"]
    assert len(warned) == 1
    for task in tasks:
        assert task["maxRetry"] == 3
        assert task["policies"] == [
            {"event": "PodEvicted", "action": "RestartJob"},
            {"event": "PodFailed", "action": "RestartJob"},
        ]


def test_without_retries_a_task_says_nothing_of_them() -> None:
    job = app_to_resource(AppDef("test", [trainer(max_retries=0)]), "q", None)
    assert not {"policies", "maxRetry"} & job["spec"]["tasks"][0].keys()
    assert "priorityClassName" not in job["spec"]


def test_an_elastic_role_needs_only_its_first_replicas() -> None:
    role = trainer(num_replicas=3, min_replicas=2, max_retries=0)
    tasks = app_to_resource(AppDef("test", [role]), "q", None)["spec"]["tasks"]
    assert [task["minAvailable"] for task in tasks] == [1, 1, 0]


@pytest.mark.parametrize("account", ["srvacc", None])
def test_service_account_and_priority(scheduler: KubernetesScheduler, account: str | None) -> None:
    app = AppDef("test", [trainer(max_retries=0)])
    cfg = Opts(queue="q", service_account=account, priority_class="high", validate_spec=False)
    shown = str(scheduler.submit_dryrun(app, cfg).request.resource)
    assert f"'service_account_name': {account!r}" in shown
    assert "'priorityClassName': 'high'" in shown


def test_local_images_are_pushed(scheduler: KubernetesScheduler) -> None:
    app = AppDef("test", [trainer(image="sha256:testhash", max_retries=0)])
    cfg = Opts(queue="q", image_repo="example.com/some/repo", validate_spec=False)
    for _ in range(2):
        request = scheduler.submit_dryrun(app, cfg).request
        assert request.images_to_push == {"sha256:testhash": ("example.com/some/repo", "testhash")}
        assert "example.com/some/repo:testhash" in str(request.resource)
    with pytest.raises(KeyError, match="image_repo"):
        scheduler.submit_dryrun(app, Opts(queue="q", validate_spec=False))


def test_the_published_options(scheduler: KubernetesScheduler) -> None:
    opts = scheduler.run_opts()
    assert list(opts._opts) == [
        "queue", "namespace", "service_account", "priority_class", "validate_spec",
        "reserved_millicpu", "reserved_memmb", "image_repo", "efa_device_count", "quiet",
    ]  # fmt: skip
    assert {name for name, _ in opts} - opts._opts.keys() == {
        "context", "kueue_queue", "image_pull_policy", "image_secret", "node_selector",
        "tolerations", "max_duration_s", "ttl_s",
    }  # fmt: skip


def test_the_check_is_one_dry_run(scheduler: KubernetesScheduler) -> None:
    app = AppDef("test", [trainer(max_retries=0)])
    with patch(CREATE) as create:
        scheduler.submit_dryrun(app, Opts(queue="q", namespace="ns"))
        scheduler.submit_dryrun(app, Opts(queue="q", validate_spec=False))
    assert create.call_count == 1
    given = create.call_args.kwargs
    assert given["dry_run"] == "All"
    assert given["namespace"] == "ns"


def test_a_refused_spec(scheduler: KubernetesScheduler) -> None:
    refusal = ApiException(status=422, reason="Invalid")
    app = AppDef("test", [trainer(max_retries=0)])
    with (
        patch(CREATE, side_effect=refusal),
        pytest.raises(ValueError, match="Invalid job spec") as e,
    ):
        scheduler.submit_dryrun(app, Opts(queue="q"))
    assert e.value.__cause__ is refusal


def test_a_name_that_is_too_long(scheduler: KubernetesScheduler) -> None:
    app = AppDef("a" * 40, [Role("b" * 40, "i")])
    with (
        patch(CREATE) as create,
        pytest.raises(ValueError, match="exceeds 63 character limit") as e,
    ):
        scheduler.submit_dryrun(app, Opts(queue="q"))
    assert "Pod name" in str(e.value)
    assert "shorten" in str(e.value)
    create.assert_not_called()
    scheduler.submit_dryrun(app, Opts(queue="q", validate_spec=False))


def test_schedule_creates_the_job(scheduler: KubernetesScheduler) -> None:
    app = AppDef("test", [trainer(max_retries=0)])
    info = scheduler.submit_dryrun(
        app, Opts(queue="q", namespace="testnamespace", validate_spec=False)
    )
    with patch(CREATE, return_value={"metadata": {"name": "testid"}}) as create:
        assert scheduler.schedule(info) == "testnamespace:testid"
    assert "dry_run" not in create.call_args.kwargs
    assert create.call_args.kwargs["body"] is info.request.resource


def test_schedule_after_the_inner_dry_run_keeps_the_namespace(
    scheduler: KubernetesScheduler,
) -> None:
    app = AppDef("test", [trainer(max_retries=0)])
    info = scheduler._submit_dryrun(app, Opts(queue="q", namespace="ns", validate_spec=False))
    with patch(CREATE, return_value={"metadata": {"name": "testid"}}):
        assert scheduler.schedule(info) == "ns:testid"


def test_schedule_when_the_name_is_taken(scheduler: KubernetesScheduler) -> None:
    app = AppDef("test", [trainer(max_retries=0)])
    info = scheduler.submit_dryrun(app, Opts(queue="q", validate_spec=False))
    taken = ApiException(status=409, reason="Conflict")
    with patch(CREATE, side_effect=taken), pytest.raises(ValueError, match="already exists"):
        scheduler.schedule(info)
    other = ApiException(status=500, reason="?")
    with patch(CREATE, side_effect=other), pytest.raises(ApiException):
        scheduler.schedule(info)


def test_schedule_pushes_images_of_a_bare_request() -> None:
    engine = MagicMock()
    scheduler = KubernetesScheduler("test", client=MagicMock(), docker_client=engine)
    job = KubernetesJob(
        images_to_push={"sha256:testhash": ("example.com/some/repo", "testhash")},
        resource={},
    )
    with patch(CREATE, return_value={"metadata": {"name": "testid"}}):
        assert scheduler.schedule(AppDryRunInfo(job, repr)) == "default:testid"
    assert engine.images.get.call_count == 1
    assert engine.images.get.return_value.tag.call_count == 1
    assert engine.images.push.call_count == 1


def test_the_queue_must_be_text(scheduler: KubernetesScheduler) -> None:
    wrong: Any = {"queue": 3}
    with pytest.raises(TypeError, match="`queue` must be a string"):
        scheduler._submit_dryrun(AppDef("test", [trainer()]), wrong)


def test_subclasses_may_add_to_the_metadata() -> None:
    class Labelled(KubernetesScheduler):
        def _submit_dryrun(self, app: AppDef, cfg: Opts) -> AppDryRunInfo[KubernetesJob]:
            info = super()._submit_dryrun(app, cfg)
            info.request.resource["metadata"].setdefault("labels", {})["queue-name"] = "lq"
            return info

    app = AppDef("test", [trainer(max_retries=0)])
    for queue in ("q", None):
        request = Labelled(session_name="s").submit_dryrun(
            app, Opts(queue=queue, validate_spec=False)
        )
        assert (
            yaml.safe_load(str(request).split("---")[0])["metadata"]["labels"]["queue-name"] == "lq"
        )


def test_without_the_package_options_can_be_shown_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "kubernetes"]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, "kubernetes", None)
    earlier = Opts(queue="q")
    importlib.reload(kubernetes_scheduler)
    monkeypatch.setattr(kubernetes_scheduler, "warn_of_volcano_retries", lambda roles: None)

    class Reloaded(kubernetes_scheduler.KubernetesScheduler):
        describe = list = _cancel_existing = MagicMock()

    assert dict(Reloaded("foo").run_opts())
    with pytest.raises(ModuleNotFoundError):
        Reloaded("foo").submit_dryrun(AppDef("test", [trainer()]), earlier)


def test_importing_the_scheduler_loads_no_library() -> None:
    program = (
        "import sys, torchx.schedulers.kubernetes_scheduler;"
        "heavy = ('kubernetes', 'yaml', 'docker', 'http', 'ssl');"
        "print([name for name in heavy if name in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert shown.stdout.strip() == b"[]"
