"""Overlays of pods: how they merge, and that they reach every replica."""

from __future__ import annotations

import copy
import json
import logging
from pathlib import Path
from typing import Any

import pytest
from kubernetes.client.models import V1Container, V1ObjectMeta, V1Pod, V1PodSpec, V1Toleration

from tests.schedulers.kubernetes.conftest import app, role
from torchx.schedulers.kubernetes_scheduler import KubernetesScheduler, Opts, _apply_pod_overlay
from torchx.specs import macros
from torchx.specs.overlays import JOIN, PUT, _load_overlay_file, set_overlay

BY_NAME = JOIN("containers", on="name")


def pod() -> V1Pod:
    return V1Pod(
        spec=V1PodSpec(
            containers=[V1Container(name="trainer-0", image="img", command=["a"])],
            init_containers=[V1Container(name="setup", image="init")],
            tolerations=[V1Toleration(key="a", operator="Exists")],
            node_selector={"x": "1"},
        ),
        metadata=V1ObjectMeta(labels={"l": "1"}),
    )


def applied(spec: dict[str, Any]) -> V1PodSpec:
    changed, overlay = pod(), {"spec": spec}
    before = copy.deepcopy(overlay)
    _apply_pod_overlay(changed, overlay)
    assert overlay == before
    return changed.spec


def test_dicts_merge() -> None:
    spec = applied({"nodeSelector": {"y": "2"}, "affinity": {"nodeAffinity": {}}})
    assert spec.node_selector == {"x": "1", "y": "2"}
    assert spec.affinity.node_affinity is not None


def test_lists_are_appended_to_and_tuples_replace() -> None:
    more = {"key": "b", "operator": "Exists"}
    assert [item.key for item in applied({"tolerations": [more]}).tolerations] == ["a", "b"]
    assert [item.key for item in applied({"tolerations": (more,)}).tolerations] == ["b"]


def test_containers() -> None:
    extra = {"name": "extra", "image": "x"}
    assert [item.name for item in applied({PUT("containers"): [extra]}).containers] == ["extra"]
    joined = applied({BY_NAME: [{"name": "trainer-0", "command": ["b"]}, extra]}).containers
    assert [(item.name, item.image, item.command) for item in joined] == [
        ("trainer-0", "img", ["b"]),
        ("extra", "x", None),
    ]
    same = applied({"containers": [{"name": "trainer-0", "image": "y"}]})
    assert len(same.containers) == 2
    assert len(applied({"containers": []}).containers) == 1
    init = applied({JOIN("initContainers", on="name"): [{"name": "setup", "command": ["c"]}]})
    assert (init.init_containers[0].image, init.init_containers[0].command) == ("init", ["c"])


def test_only_spec_and_metadata_have_an_effect() -> None:
    changed = pod()
    _apply_pod_overlay(changed, {"metadata": {"labels": {"m": "2"}}, "kind": "Other"})
    assert changed.metadata.labels == {"l": "1", "m": "2"}
    assert changed.kind is None


def pods(scheduler: KubernetesScheduler, *roles: Any, queue: str | None) -> list[dict[str, Any]]:
    request = scheduler.submit_dryrun(app(*roles), Opts(queue=queue, validate_spec=False)).request
    resource = request.data()[0]["spec"]
    tasks = resource["tasks"] if queue else [resource]
    return [task["template"] for task in tasks]


@pytest.mark.parametrize("queue", ["q", None])
@pytest.mark.parametrize(
    "name", ["main", "my_trainer", "mytrainer", "mytrainer-0", f"mytrainer-{macros.replica_id}"]
)
def test_the_container_of_every_replica_is_joined(
    scheduler: KubernetesScheduler, queue: str | None, name: str
) -> None:
    worker = role("my_trainer", num_replicas=3)
    set_overlay(worker, "kubernetes", "V1Pod", {"spec": {BY_NAME: [{"name": name, "tty": True}]}})
    made = pods(scheduler, worker, queue=queue)
    assert len(made) == (3 if queue else 1)
    for template in made:
        (container,) = template["spec"]["containers"]
        assert container["tty"] is True
        assert container["image"] == "img:1"


def test_macros_are_replaced_for_each_replica(scheduler: KubernetesScheduler) -> None:
    labels = {"number": f"n{macros.replica_id}", "app": macros.app_id}
    worker = role(
        num_replicas=2, metadata={"kubernetes": {"V1Pod": {"metadata": {"labels": labels}}}}
    )
    made = pods(scheduler, worker, queue="q")
    assert [template["metadata"]["labels"]["number"] for template in made] == ["n0", "n1"]
    assert {template["metadata"]["labels"]["app"] for template in made} == {"demo-x1"}


@pytest.mark.parametrize("queue", ["q", None])
def test_labels_of_torchx_win_over_those_of_an_overlay(
    scheduler: KubernetesScheduler, queue: str | None
) -> None:
    labels = {"app.kubernetes.io/instance": "mine", "own": "1"}
    worker = role(metadata={"kubernetes": {"V1Pod": {"metadata": {"labels": labels}}}})
    (template,) = pods(scheduler, worker, queue=queue)
    assert template["metadata"]["labels"]["app.kubernetes.io/instance"] == "demo-x1"
    assert template["metadata"]["labels"]["own"] == "1"


@pytest.mark.parametrize("queue", ["q", None])
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("o.json", json.dumps({"V1Pod": {"spec": {"tolerations": [{"key": "t"}]}}})),
        ("o.yaml", "spec:\n  tolerations: !!python/tuple\n  - key: t\n"),
    ],
)
def test_a_file_is_read_once_for_a_role(
    scheduler: KubernetesScheduler,
    queue: str | None,
    name: str,
    text: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reads: list[str] = []

    def load(uri: str) -> dict[str, Any]:
        reads.append(uri)
        return _load_overlay_file(uri)

    monkeypatch.setattr("torchx.specs.overlays._load_overlay_file", load)
    (tmp_path / name).write_text(text)
    worker = role(num_replicas=3, metadata={"kubernetes": f"file://{tmp_path / name}"})
    for template in pods(scheduler, worker, queue=queue):
        assert template["spec"]["tolerations"] == [{"key": "t"}]
    assert reads == [f"file://{tmp_path / name}"]


def test_what_is_neither_an_overlay_nor_a_file_is_ignored(scheduler: KubernetesScheduler) -> None:
    assert pods(scheduler, role(metadata={"kubernetes": 123}), queue="q") == pods(
        scheduler, role(), queue="q"
    )


@pytest.mark.parametrize("queue", ["q", None])
def test_fields_that_do_not_exist_are_told_once(
    scheduler: KubernetesScheduler, queue: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    worker = role(f"w-{queue}", num_replicas=3)
    worker.metadata = {"kubernetes": {"V1Pod": {"spec": {"tolerationz": []}}}}
    with caplog.at_level(logging.WARNING):
        pods(scheduler, worker, queue=queue)
    (message,) = caplog.messages
    assert "ignores: spec.tolerationz" in message
