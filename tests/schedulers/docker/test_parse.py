"""What the engine says about containers, and what is made of it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchx.schedulers.docker.description import LABEL_DESCRIPTION, describe_roles
from torchx.schedulers.docker.options import Opts
from torchx.schedulers.docker.parse import (
    CONTAINER_STATE,
    Detail,
    describe,
    list_entry,
    read_apps,
    read_detail,
)
from torchx.schedulers.docker.request import LABEL_APP_ID, LABEL_REPLICA_ID, LABEL_ROLE_NAME
from torchx.specs import NONE, AppDef, AppState, Role


def entry(
    state: str = "running",
    status: str = "Up 2 seconds",
    *,
    role: str = "job",
    k: int = 0,
    name: str = "",
    labels: dict[str, str] | None = None,
) -> dict[str, Any]:
    name = name or f"app-{role}-{k}"
    return {
        "Id": f"id-{role}-{k}",
        "Names": [f"/{name}"],
        "Image": "image",
        "State": state,
        "Status": status,
        "Labels": {
            LABEL_APP_ID: "app",
            LABEL_ROLE_NAME: role,
            LABEL_REPLICA_ID: str(k),
            **(labels or {}),
        },
    }


def exited(code: int, **fields: Any) -> dict[str, Any]:
    return entry("exited", f"Exited ({code}) 3 seconds ago", **fields)


def detail(**fields: Any) -> Detail:
    defaults = {
        "restarts": 0,
        "ran_out_of_memory": False,
        "memory_limit_mib": 64,
        "error": "",
        "finished_at": "",
        "error_file": "",
    }
    return Detail(**{**defaults, **fields})


@pytest.mark.parametrize(
    ("entries", "state"),
    [
        ([exited(0), exited(0, k=1)], AppState.SUCCEEDED),
        ([exited(0), exited(1, k=1)], AppState.FAILED),
        ([exited(1), entry(k=1)], AppState.RUNNING),
        ([entry("created"), entry(k=1)], AppState.RUNNING),
        ([entry("created")], AppState.SUBMITTED),
        ([entry("restarting")], AppState.PENDING),
        ([entry("paused")], AppState.PENDING),
        ([entry("dead")], AppState.FAILED),
        ([entry("no such word")], AppState.UNKNOWN),
        ([exited(137, name="x.cancelled"), exited(143, k=1)], AppState.CANCELLED),
        ([exited(0, name="x.cancelled")], AppState.CANCELLED),
        ([entry("created", name="x.cancelled")], AppState.CANCELLED),
        ([entry(name="x.cancelled")], AppState.RUNNING),
    ],
)
def test_the_state_of_an_app(entries: list[dict[str, Any]], state: AppState) -> None:
    (replicas,) = read_apps(entries).values()
    assert describe(replicas).state == state
    assert list_entry(replicas).state == state


@pytest.mark.parametrize(
    ("found", "told", "message"),
    [
        (exited(42), None, "replica job/0 failed with exit code 42"),
        (exited(139), None, "replica job/0 failed with exit code 139 (SIGSEGV)"),
        (exited(127), None, "replica job/0 failed with exit code 127: its entrypoint"),
        (exited(137), detail(ran_out_of_memory=True), "replica job/0 ran out of memory"),
        (exited(127), detail(error="no such file"), "could not be started: no such file"),
        (entry("dead"), None, "Docker says `dead`"),
        (entry("odd"), None, "Docker says `odd` about replica job/0"),
        (entry("restarting"), None, "replica job/0 is about to be restarted"),
        (entry("paused"), None, "replica job/0 is paused"),
        (entry("created"), None, "0 of 1 replicas have been started"),
        (exited(0), None, NONE),
        (entry(), None, NONE),
    ],
)
def test_the_reason_is_a_sentence(found: dict[str, Any], told: Detail | None, message: str) -> None:
    (replicas,) = read_apps([found]).values()
    details = {} if told is None else {replicas[0].container_id: told}
    assert message in describe(replicas, details).msg


def test_the_first_failure_comes_first() -> None:
    (replicas,) = read_apps([exited(1, k=k) for k in range(5)]).values()
    details = {f"id-job-{k}": detail(finished_at=f"2026-01-01T00:00:0{9 - k}Z") for k in range(5)}
    errors = {"id-job-4": '"the cause"', "id-job-0": '"a consequence"'}
    told = describe(replicas, details, errors)
    assert told.msg.startswith("replica job/4 failed")
    assert told.msg.endswith("2 more replicas failed")
    assert told.structured_error_msg == '"the cause"'
    (role,) = told.roles_statuses
    assert [item.structured_error_msg for item in role.replicas] == [
        '"a consequence"',
        NONE,
        NONE,
        NONE,
        '"the cause"',
    ]


def test_replicas_are_in_the_order_of_roles_and_numbers() -> None:
    app = AppDef("my app", [Role("z", "i", num_replicas=11), Role("a", "i")])
    labels = describe_roles(app, "session", Opts())
    entries = [entry(role="a", labels={LABEL_DESCRIPTION: labels["a"]})]
    entries += [
        entry(role="z", k=k, labels={LABEL_DESCRIPTION: labels["z"]} if k == 0 else {})
        for k in range(10, -1, -1)
    ]
    (replicas,) = read_apps(entries).values()
    told = describe(replicas)
    assert [role.role for role in told.roles_statuses] == ["z", "a"]
    assert [item.id for item in told.roles_statuses[0].replicas] == list(range(11))
    assert told.roles == app.roles
    assert list_entry(replicas).name == "my app"


def test_apps_of_other_releases_are_described_from_what_there_is() -> None:
    (replicas,) = read_apps([entry(k=1), entry(k=0)]).values()
    assert describe(replicas).roles == [Role("job", "image", num_replicas=2)]
    assert list_entry(replicas).name == ""


def test_containers_of_others_are_left_out() -> None:
    assert read_apps([{"Id": "x", "Names": ["/x"], "Labels": {"other": "label"}}]) == {}


texts = st.none() | st.text()
labels = st.dictionaries(
    st.sampled_from([LABEL_APP_ID, LABEL_ROLE_NAME, LABEL_REPLICA_ID, LABEL_DESCRIPTION]),
    st.text(),
)
entries = st.fixed_dictionaries(
    {"Id": st.text(min_size=1)},
    optional={
        "Names": st.none() | st.lists(st.text(), min_size=1),
        "State": st.sampled_from([*CONTAINER_STATE, "exited"]) | texts,
        "Status": st.sampled_from(["Exited (0) ago", "Exited (-1)"]) | texts,
        "Image": texts,
        "Labels": st.none() | labels,
    },
)


@given(found=st.lists(entries))
def test_whatever_the_engine_says_is_understood(found: list[dict[str, Any]]) -> None:
    for replicas in read_apps(found).values():
        assert describe(replicas).state in AppState
        assert describe(replicas).state == list_entry(replicas).state


def test_an_inspection_tells_the_details() -> None:
    inspection = {
        "RestartCount": 2,
        "State": {"OOMKilled": True, "Error": "bad", "FinishedAt": "2026"},
        "HostConfig": {"Memory": 64 << 20},
        "Config": {"Env": ["A=b", "TORCHELASTIC_ERROR_FILE=/x=y"]},
    }
    assert read_detail(inspection) == Detail(2, True, 64, "bad", "2026", "/x=y")
    assert read_detail({}) == Detail(0, False, 0, "", "", "")
