"""Apps as plain Jobs."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import yaml

import torchx
from tests.schedulers.kubernetes.conftest import app, role
from tests.schedulers.kubernetes.strict import check_strictly
from torchx.components.dist import ddp
from torchx.schedulers.kubernetes_scheduler import KubernetesJob, KubernetesScheduler, Opts
from torchx.specs import AppDef, RetryPolicy, macros

GOLDEN = """\
apiVersion: batch/v1
kind: Job
metadata:
  labels:
    app.kubernetes.io/instance: train-x1
    app.kubernetes.io/managed-by: torchx.pytorch.org
    app.kubernetes.io/name: train
    torchx.pytorch.org/app-name: train
    torchx.pytorch.org/role-index: '0'
    torchx.pytorch.org/role-name: train
    torchx.pytorch.org/version: VERSION
  name: train-x1
  namespace: default
spec:
  backoffLimit: 0
  completionMode: Indexed
  completions: 2
  parallelism: 2
  template:
    metadata:
      annotations:
        sidecar.istio.io/inject: 'false'
      labels:
        app.kubernetes.io/instance: train-x1
        app.kubernetes.io/managed-by: torchx.pytorch.org
        app.kubernetes.io/name: train
        torchx.pytorch.org/app-name: train
        torchx.pytorch.org/role-index: '0'
        torchx.pytorch.org/role-name: train
        torchx.pytorch.org/version: VERSION
    spec:
      containers:
      - command:
        - bash
        - -c
        - torchrun --rdzv_backend c10d --rdzv_endpoint ${TORCHX_RANK0_HOST:=localhost}:29500
          --rdzv_id 'train-x1' --nnodes 2 --nproc_per_node 2 --tee 3 --role '' train.py
        env:
        - name: LOGLEVEL
          value: WARNING
        - name: TORCHX_TRACKING_EXPERIMENT_NAME
          value: default-experiment
        - name: TORCHX_TRACKING_RUN_NAME
          value: train
        - name: TORCHX_RANK0_HOST
          value: train-x1-0
        - name: TORCHX_IMAGE
          value: img:1
        image: img:1
        name: train
        ports:
        - containerPort: 29500
          name: c10d
        resources:
          limits:
            cpu: 2000m
            memory: 4096M
          requests:
            cpu: 1900m
            memory: 3072M
        terminationMessagePolicy: FallbackToLogsOnError
        volumeMounts:
        - mountPath: /dev/shm
          name: dshm
      restartPolicy: Never
      subdomain: train-x1
      volumes:
      - emptyDir:
          medium: Memory
        name: dshm
---
apiVersion: v1
kind: Service
metadata:
  labels:
    app.kubernetes.io/instance: train-x1
    app.kubernetes.io/managed-by: torchx.pytorch.org
    app.kubernetes.io/name: train
    torchx.pytorch.org/app-name: train
    torchx.pytorch.org/version: VERSION
  name: train-x1
  namespace: default
spec:
  clusterIP: None
  publishNotReadyAddresses: true
  selector:
    app.kubernetes.io/instance: train-x1
---
apiVersion: v1
kind: Service
metadata:
  labels:
    app.kubernetes.io/instance: train-x1
    app.kubernetes.io/managed-by: torchx.pytorch.org
    app.kubernetes.io/name: train
    torchx.pytorch.org/app-name: train
    torchx.pytorch.org/version: VERSION
  name: train-x1-0
  namespace: default
spec:
  clusterIP: None
  publishNotReadyAddresses: true
  selector:
    app.kubernetes.io/instance: train-x1
    batch.kubernetes.io/job-completion-index: '0'
    torchx.pytorch.org/role-index: '0'
"""


def request_of(scheduler: KubernetesScheduler, job: AppDef, **options: Any) -> KubernetesJob:
    request = scheduler.submit_dryrun(job, Opts(validate_spec=False, **options)).request
    for item in request.data():
        check_strictly(item)
    assert isinstance(request, KubernetesJob)
    return request


def spec_of(scheduler: KubernetesScheduler, job: AppDef, **options: Any) -> dict[str, Any]:
    spec: dict[str, Any] = request_of(scheduler, job, **options).resource["spec"]
    return spec


def test_the_golden(scheduler: KubernetesScheduler, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LOGLEVEL", raising=False)
    job = ddp(script="train.py", j="2x2", image="img:1", memMB=4096)
    assert str(request_of(scheduler, job)) == GOLDEN.replace(
        "VERSION", torchx.__version__.replace("+", ".")
    )


def test_one_replica_alone_needs_no_service(scheduler: KubernetesScheduler) -> None:
    request = request_of(scheduler, app(role(args=[macros.replica_id, macros.rank0_env])))
    assert not request.dependents
    pod = request.resource["spec"]["template"]["spec"]
    assert "subdomain" not in pod
    (container,) = pod["containers"]
    assert container["command"] == ["main", "0", "TORCHX_RANK0_HOST"]
    assert {"name": "TORCHX_RANK0_HOST", "value": "localhost"} in container["env"]


def test_several_roles_are_jobs_with_one_meeting_point(scheduler: KubernetesScheduler) -> None:
    job = app(role("chief"), role("my_worker", num_replicas=2), name="demo")
    request = request_of(scheduler, job, namespace="team")
    objects = [request.resource, *request.dependents]
    assert [(item["kind"], item["metadata"]["name"]) for item in objects] == [
        ("Job", "demo-x1-chief"),
        ("Service", "demo-x1"),
        ("Service", "demo-x1-chief-0"),
        ("Job", "demo-x1-myworker"),
    ]
    assert {item["metadata"]["namespace"] for item in objects} == {"team"}
    for item in (objects[0], objects[3]):
        pod = item["spec"]["template"]["spec"]
        assert pod["subdomain"] == "demo-x1"
        assert {"name": "TORCHX_RANK0_HOST", "value": "demo-x1-chief-0"} in pod["containers"][0][
            "env"
        ]
    assert objects[3]["metadata"]["labels"]["torchx.pytorch.org/role-name"] == "my_worker"


def test_the_name_of_a_role_is_kept_where_a_label_cannot(scheduler: KubernetesScheduler) -> None:
    metadata = request_of(scheduler, app(role("a/b"))).resource["metadata"]
    assert metadata["annotations"] == {"torchx.pytorch.org/role-name": "a/b"}
    assert metadata["labels"]["torchx.pytorch.org/role-name"] == "a.b"


def test_what_is_printed_can_be_applied(scheduler: KubernetesScheduler) -> None:
    request = request_of(scheduler, app(role("a"), role("b")))
    printed = list(yaml.safe_load_all(str(request)))
    assert printed == request.data()
    assert "ownerReferences" not in str(request)


def test_secrets_are_not_printed(scheduler: KubernetesScheduler) -> None:
    job = app(role(env={"HF_TOKEN": "hf_abcdefghij"}, args=["--api-key", "hf_abcdefghij"]))
    for queue in (None, "q"):
        request = request_of(scheduler, job, queue=queue)
        assert "hf_abcdefghij" not in str(request)
        assert "hf_abcdefghij" in str(request.data())


@pytest.mark.parametrize("queue", [None, "q"])
def test_a_job_is_told_its_handle(scheduler: KubernetesScheduler, queue: str | None) -> None:
    env = {"TORCHX_JOB_ID": f"kubernetes://me/{macros.app_id}", "ID": macros.app_id}
    request = request_of(scheduler, app(role(env=env)), queue=queue, namespace="team")
    shown = str(request)
    assert "value: kubernetes://me/team:demo-x1\n" in shown
    assert "value: demo-x1\n" in shown


IGNORED = {
    "rules": [
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
    ]
}


@pytest.mark.parametrize(
    ("policy", "retries", "expected"),
    [
        (RetryPolicy.APPLICATION, 0, {"backoffLimit": 0}),
        (RetryPolicy.REPLICA, 0, {"backoffLimit": 0}),
        (RetryPolicy.APPLICATION, 2, {"backoffLimit": 2, "podFailurePolicy": IGNORED}),
        (RetryPolicy.ROLE, 2, {"backoffLimit": 2, "podFailurePolicy": IGNORED}),
        (
            RetryPolicy.REPLICA,
            2,
            {
                "backoffLimit": 6,
                "backoffLimitPerIndex": 2,
                "maxFailedIndexes": 0,
                "podFailurePolicy": IGNORED,
            },
        ),
    ],
)
def test_retries(
    scheduler: KubernetesScheduler, policy: RetryPolicy, retries: int, expected: dict[str, Any]
) -> None:
    job = app(role(num_replicas=3, retry_policy=policy, max_retries=retries))
    spec = spec_of(scheduler, job)
    fields = ("backoffLimit", "backoffLimitPerIndex", "maxFailedIndexes", "podFailurePolicy")
    assert {name: spec[name] for name in fields if name in spec} == expected


@pytest.mark.parametrize(
    ("policy", "replicas", "is_told"),
    [
        (RetryPolicy.APPLICATION, 2, True),
        (RetryPolicy.ROLE, 2, True),
        (RetryPolicy.REPLICA, 2, False),
        (RetryPolicy.APPLICATION, 1, False),
    ],
)
def test_retries_that_mean_more_are_told_once(
    scheduler: KubernetesScheduler,
    caplog: pytest.LogCaptureFixture,
    policy: RetryPolicy,
    replicas: int,
    is_told: bool,
) -> None:
    with caplog.at_level(logging.WARNING):
        spec_of(scheduler, app(role(num_replicas=replicas, retry_policy=policy, max_retries=1)))
    assert [("starts only the replica" in text) for text in caplog.messages] == [True] * is_told


def test_options_of_the_job(scheduler: KubernetesScheduler) -> None:
    request = request_of(scheduler, app(), kueue_queue="lq", max_duration_s=60, ttl_s=3600)
    spec, metadata = request.resource["spec"], request.resource["metadata"]
    assert metadata["labels"]["kueue.x-k8s.io/queue-name"] == "lq"
    assert (spec["suspend"], spec["activeDeadlineSeconds"]) == (True, 60)
    assert spec["ttlSecondsAfterFinished"] == 3600


def test_options_of_the_pod(scheduler: KubernetesScheduler) -> None:
    options: dict[str, Any] = {
        "service_account": "sa",
        "priority_class": "high",
        "image_pull_policy": "Always",
        "image_secret": ["reg", "reg2"],
        "node_selector": {"zone": "a"},
        "tolerations": ["dedicated=ml:NoSchedule", "gpu"],
    }
    pod = spec_of(scheduler, app(), **options)["template"]["spec"]
    assert pod["serviceAccountName"] == "sa"
    assert pod["priorityClassName"] == "high"
    assert pod["containers"][0]["imagePullPolicy"] == "Always"
    assert pod["imagePullSecrets"] == [{"name": "reg"}, {"name": "reg2"}]
    assert pod["nodeSelector"] == {"zone": "a"}
    assert pod["tolerations"] == [
        {"key": "dedicated", "operator": "Equal", "value": "ml", "effect": "NoSchedule"},
        {"key": "gpu", "operator": "Exists"},
    ]
    task = request_of(scheduler, app(), queue="q", **options).data()[0]["spec"]["tasks"][0]
    of_volcano = {**task["template"]["spec"], "priorityClassName": "high"}
    assert {key: of_volcano[key] for key in pod if key != "containers"} == {
        key: pod[key] for key in pod if key != "containers"
    }


def test_a_time_to_live_would_end_the_other_roles(scheduler: KubernetesScheduler) -> None:
    with pytest.raises(ValueError, match="several roles"):
        request_of(scheduler, app(role("a"), role("b")), ttl_s=60)


def test_the_number_of_a_replica_where_kubernetes_cannot_put_it(
    scheduler: KubernetesScheduler,
) -> None:
    overlay = {"spec": {"hostname": f"h-{macros.replica_id}"}}
    job = app(role(num_replicas=2, metadata={"kubernetes": {"V1Pod": overlay}}))
    with pytest.raises(ValueError, match=r"`h-\$\{replica_id\}` at spec.hostname"):
        request_of(scheduler, job)
    assert request_of(scheduler, job, queue="q")


def test_the_number_of_a_replica_in_a_path_of_a_mount(scheduler: KubernetesScheduler) -> None:
    mount = {"name": "scratch", "mountPath": "/s", "subPathExpr": f"r-{macros.replica_id}"}
    overlay = {
        "spec": {
            "volumes": [{"name": "scratch", "emptyDir": {}}],
            "__join__:containers:name": [{"name": "main", "volumeMounts": [mount]}],
        }
    }
    job = app(role(num_replicas=2, metadata={"kubernetes": {"V1Pod": overlay}}))
    (container,) = spec_of(scheduler, job)["template"]["spec"]["containers"]
    assert container["volumeMounts"][0]["subPathExpr"] == "r-$(JOB_COMPLETION_INDEX)"
