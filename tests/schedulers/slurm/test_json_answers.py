"""squeue's JSON and sacct's table, as different versions print them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchx.schedulers.slurm import json_answers
from torchx.specs import AppState, ReplicaStatus, Resource, Role, RoleStatus

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures" / "slurm"
SCRIPT = "/tmp/tmpa4u7gedr/torchx-sbatch.sh"
HOSTS = {
    ("trainer", 0): "slurm-compute-node-234",
    ("trainer", 1): "slurm-compute-node-231",
    ("generator", 0): "slurm-compute-node-235",
    ("generator", 1): "slurm-compute-node-233",
}


def answer(name: str) -> Any:
    return json.loads((FIXTURES / name).read_text())


@pytest.mark.parametrize("version", ["21.08", "23.02", "23.11", "24.05", "24.11", "25.05"])
def test_a_running_app_of_two_roles(version: str) -> None:
    described = json_answers.describe_squeue("204", answer(f"squeue-{version}.json"))
    assert described is not None
    assert (described.app_id, described.state) == ("204", AppState.RUNNING)
    # 21.08 tells what is allocated in a form of its own.
    size = Resource(cpu=1, memMB=16, gpu=-1) if version != "21.08" else Resource(-1, -1, -1)
    assert described.roles == [
        Role(name, "/home/foo", entrypoint=SCRIPT, num_replicas=2, resource=size)
        for name in ("trainer", "generator")
    ]
    assert described.roles_statuses == [
        RoleStatus(
            name,
            [
                ReplicaStatus(id=k, state=AppState.RUNNING, role=name, hostname=HOSTS[name, k])
                for k in range(2)
            ],
        )
        for name in ("trainer", "generator")
    ]


def test_a_version_that_tells_about_all_jobs_is_read_for_the_one_that_was_asked_for() -> None:
    everything = answer("squeue-22.05.json")
    for app_id, state in (("13", AppState.PENDING), ("5", AppState.RUNNING)):
        described = json_answers.describe_squeue(app_id, everything)
        assert described is not None
        # None of these was made by torchx, so that the published answer is that nothing is known.
        assert (described.state, described.roles) == (AppState.UNKNOWN, []), state
    assert json_answers.describe_squeue("99", everything) is None


def test_jobs_of_others_do_not_disturb_a_list() -> None:
    listed = json_answers.list_squeue(answer("squeue-22.05.json"))
    states = {app.app_id: app.state for app in listed}
    assert states["5"] == AppState.RUNNING
    assert states["8"] == AppState.PENDING
    assert "14" not in states, "the second component of 13"
    assert len(json_answers.list_sacct(answer("sacct-22.05.json"))) > 10


def pending(**fields: object) -> dict[str, object]:
    return {"name": "test-job-0", "job_state": ["PENDING"], **fields}


@pytest.mark.parametrize(
    ("job", "state", "host"),
    [
        (pending(job_resources=None, nodes="", scheduled_nodes=""), AppState.PENDING, ""),
        (pending(job_resources=None, nodes="n1", scheduled_nodes="n2"), AppState.PENDING, "n1"),
        (pending(job_resources=None, nodes="", scheduled_nodes="n2"), AppState.PENDING, "n2"),
        (pending(nodes="", scheduled_nodes=None), AppState.PENDING, ""),
        (pending(job_resources={"nodes": {"list": "n3"}}), AppState.PENDING, "n3"),
        (
            {"name": "a-0", "job_state": "RUNNING", "job_resources": {"nodes": "allocation1"}},
            AppState.RUNNING,
            "allocation1",
        ),
        (
            {"name": "a-0", "job_state": "RUNNING", "job_resources": {"nodes": {"list": "n4"}}},
            AppState.RUNNING,
            "n4",
        ),
        ({"name": "a-0", "job_state": "TIMEOUT", "job_resources": None}, AppState.FAILED, ""),
    ],
)
def test_the_host_of_a_replica(job: dict[str, object], state: AppState, host: str) -> None:
    described = json_answers.describe_squeue("1", {"jobs": [job]})
    assert described is not None
    assert described.state == state
    (status,) = described.roles_statuses
    assert [replica.hostname for replica in status.replicas] == [host]


def test_numbers_may_be_text_and_memory_is_not_scaled() -> None:
    allocation = [{"name": "n", "cpus": {"used": "4"}, "memory": {"allocated": "4096"}}]
    resources = {"nodes": {"allocation": allocation}}
    job = {"name": "a-0", "job_state": ["RUNNING"], "job_resources": resources}
    described = json_answers.describe_squeue("1", {"jobs": [job]})
    assert described is not None
    assert described.roles[0].resource == Resource(cpu=4, memMB=4096, gpu=-1)


def test_jobs_with_other_names_are_skipped() -> None:
    jobs = [
        {"name": name, "job_state": ["RUNNING"]} for name in ("my-job", "-0", "plain", "a-1x", "")
    ]
    described = json_answers.describe_squeue("1", {"jobs": jobs})
    assert described is not None
    assert (described.state, described.roles) == (AppState.UNKNOWN, [])


@pytest.mark.parametrize(
    ("words", "state"),
    [
        (["FAILED", "RUNNING"], AppState.RUNNING),
        (["RUNNING", "FAILED"], AppState.RUNNING),
        (["PENDING", "COMPLETED"], AppState.PENDING),
        (["FAILED", "COMPLETED"], AppState.FAILED),
        (["COMPLETED", "CANCELLED"], AppState.CANCELLED),
        (["COMPLETED", "COMPLETED"], AppState.SUCCEEDED),
    ],
)
def test_the_state_of_an_app_is_that_of_all_its_components(
    words: list[str], state: AppState
) -> None:
    jobs = [{"name": f"a-{n}", "job_state": [word]} for n, word in enumerate(words)]
    described = json_answers.describe_squeue("1", {"jobs": jobs})
    assert described is not None
    assert described.state == state
    rows = [f"1+{n}|a-{n}|{word}" for n, word in enumerate(words)]
    table = "\n".join(["JobID|JobName|State", *rows, ""])
    described = json_answers.describe_sacct("1", table)
    assert described is not None
    assert described.state == state


@pytest.mark.parametrize(
    ("app_id", "state"),
    [
        ("1", AppState.SUCCEEDED),
        ("2", AppState.FAILED),
        ("4", AppState.FAILED),
        ("5", AppState.FAILED),
        ("6", AppState.CANCELLED),
        ("8", AppState.RUNNING),
        ("9", AppState.FAILED),
        ("10", AppState.SUCCEEDED),
        ("13", AppState.FAILED),
        ("19", AppState.SUCCEEDED),
        ("0", None),
    ],
)
def test_recorded_jobs_of_accounting(app_id: str, state: AppState | None) -> None:
    described = json_answers.describe_sacct(app_id, (FIXTURES / "sacct-22.05.txt").read_text())
    assert (described and described.state) == state


scalars = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
trees = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["nodes", "allocation", "list", "name", "cpus", "used", "set", "number"]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)
jobs = st.fixed_dictionaries(
    {},
    optional={
        "job_id": st.integers() | st.text(max_size=3),
        "name": st.text(max_size=5) | st.just("a-0"),
        "job_state": st.text(max_size=5) | st.lists(st.text(max_size=5), max_size=2) | st.none(),
        "het_job_id": trees,
        "job_resources": st.none() | st.fixed_dictionaries({}, optional={"nodes": scalars}),
        "nodes": scalars,
        "scheduled_nodes": scalars,
    },
)


@given(st.lists(jobs, max_size=3))
def test_no_job_makes_reading_fail(found: list[dict[str, Any]]) -> None:
    json_answers.describe_squeue("1", {"jobs": found})
    json_answers.list_squeue({"jobs": found})


@given(st.text())
def test_no_table_makes_reading_fail(table: str) -> None:
    json_answers.describe_sacct("1", table)
