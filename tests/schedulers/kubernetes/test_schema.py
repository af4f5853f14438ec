from __future__ import annotations

import copy
from typing import Any

import pytest

from tests.schedulers.kubernetes.conftest import app, role
from torchx.schedulers.kubernetes.schema import faults_of
from torchx.schedulers.kubernetes_scheduler import KubernetesScheduler, Opts


@pytest.fixture
def job(scheduler: KubernetesScheduler) -> dict[str, Any]:
    data: dict[str, Any] = scheduler.submit_dryrun(app(), Opts(validate_spec=False)).request.data()[
        0
    ]
    return data


def test_a_good_job_has_no_faults(job: dict[str, Any]) -> None:
    assert faults_of([job]) == []


@pytest.mark.parametrize(
    ("path", "value", "fault"),
    [
        ("spec.completions", "2", "Job.spec.completions must be integer, not '2'"),
        ("spec.completions", True, "Job.spec.completions must be integer, not True"),
        (
            "spec.complettions",
            2,
            "Job.spec has no field `complettions`; did you mean `completions`?",
        ),
        ("spec.completionMode", "indexed", "must be one of Indexed, NonIndexed, not 'indexed'"),
        ("spec.template.spec.containers", None, "containers must be array, not None"),
        ("spec.template.spec.containers", [{}], "containers[0] must have the field `name`"),
        ("spec.template.spec.volumes", [{"name": "a", "emptyDir": {"sizeLimit": "1 GB"}}], "match"),
        ("metadata.labels", {"a": 1}, "Job.metadata.labels.a must be string, not 1"),
        ("kind", "Jobs", "`batch/v1 Jobs` is not known"),
    ],
)
def test_faults(job: dict[str, Any], path: str, value: object, fault: str) -> None:
    *parents, last = path.split(".")
    place = job
    for name in parents:
        place = place[name]
    place[last] = value
    (found,) = faults_of([job])
    assert fault in found


def test_faults_of_the_form_of_volcano(scheduler: KubernetesScheduler) -> None:
    cfg = Opts(queue="Not A Queue", validate_spec=False)
    job = scheduler.submit_dryrun(app(role(num_replicas=3)), cfg).request.data()[0]
    job["spec"]["maxRetry"] = -1
    for task in job["spec"]["tasks"]:
        task["template"]["spec"]["restartPolicy"] = "No"
    faults = faults_of([job])
    assert len(faults) == 3, "replicas that are alike have one fault"
    assert "Job.spec.queue must match" in faults[0] + faults[1]
    assert any("maxRetry must be at least 0, not -1" in fault for fault in faults)


def test_secrets_do_not_get_into_messages(job: dict[str, Any]) -> None:
    broken = copy.deepcopy(job)
    broken["spec"]["template"] = "postgres://user:hunter22@host"
    assert "hunter22" not in faults_of([broken])[0]
