from __future__ import annotations

from typing import Any

import pytest

from tests.schedulers.kubernetes.conftest import app, role
from torchx.schedulers.kubernetes.labels import clean_label_value
from torchx.schedulers.kubernetes.names import split_app_id
from torchx.schedulers.kubernetes_scheduler import KubernetesScheduler, Opts
from torchx.specs import AppDef, Role


def test_an_id_is_a_namespace_and_a_name() -> None:
    assert split_app_id("ns:demo-x1") == ("ns", "demo-x1")


@pytest.mark.parametrize("text", ["demo", ":demo", "ns:", "a:b:c"])
def test_what_is_no_id(text: str) -> None:
    with pytest.raises(ValueError, match="<namespace>:<name>"):
        split_app_id(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("foo+bar", "foo.bar"),
        ("_x", "x"),
        ("-r-", "r"),
        ("a" * 62 + "_b", "a" * 62),
        ("trainer_foo", "trainer_foo"),
        ("é", ""),
    ],
)
def test_values_of_labels(text: str, value: str) -> None:
    assert clean_label_value(text) == value


@pytest.mark.parametrize("queue", ["q", None])
@pytest.mark.parametrize(
    ("job", "error", "message"),
    [
        (AppDef("a", []), ValueError, "has no roles"),
        (app(role("a_b"), role("ab")), ValueError, "'a_b' and 'ab' would both be called `ab`"),
        (app(role("__")), ValueError, "nothing is left of the name of role '__'"),
        (app(name="3d"), ValueError, "must begin with a letter"),
        (app(role(num_replicas=0)), ValueError, "0 replicas"),
        (app(role(port_map={"Web_Port": 80})), ValueError, "`Web_Port` of role 'trainer'"),
        (app(role(port_map={"a" * 16: 80})), ValueError, "1 to 15 characters"),
        (app(role(port_map={"web": 0})), ValueError, "must be 1 to 65535, not 0"),
        (app(role(env={"A": 1})), TypeError, "variable A of role 'trainer' must be text, not int"),
        (app(role(mounts=["what"])), TypeError, "unknown mount type"),
    ],
)
def test_apps_that_no_cluster_takes(
    scheduler: KubernetesScheduler,
    queue: str | None,
    job: AppDef,
    error: type[Exception],
    message: str,
) -> None:
    with pytest.raises(error, match=message):
        scheduler.submit_dryrun(job, Opts(queue=queue, validate_spec=False))


@pytest.mark.parametrize(("length", "replicas"), [(61, 10), (60, 11)])
def test_the_longest_names_of_plain_jobs(
    scheduler: KubernetesScheduler, length: int, replicas: int
) -> None:
    def dry_run(name_length: int) -> Any:
        job = app(Role("r", "i", num_replicas=replicas), name="a" * (name_length - len("-x1")))
        return scheduler.submit_dryrun(job, Opts())

    assert dry_run(length)
    with pytest.raises(ValueError, match=r"\(64 characters\) exceeds 63 character limit"):
        dry_run(length + 1)
