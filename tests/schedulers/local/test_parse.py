from __future__ import annotations

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchx.schedulers.local import parse
from torchx.schedulers.local.messages import AppRecord
from torchx.schedulers.local.store import Owner
from torchx.specs.api import NONE, AppState, RetryPolicy
from torchx.specs.status import MeasuredReplicaStatus, ReplicaUsage

RECORD = AppRecord(
    format=1,
    generation=3,
    app_id="app-id",
    name="app",
    session="session",
    state="RUNNING",
    msg="",
    num_restarts=1,
    created=1.0,
    ended=None,
    grace_period_s=10,
    owner={"pid": 1, "start_ticks": 1, "boot_id": "b", "pid_namespace": "n", "host": "elsewhere"},
    log_dir="/logs",
    owns_logs=False,
    roles=[
        {
            "name": "r",
            "image": "i",
            "entrypoint": "e",
            "args": ["a"],
            "env_names": ["A"],
            "num_replicas": 1,
            "max_retries": 2,
            "retry_policy": "ROLE",
            "cpu": 1,
            "gpu": 2,
            "memory_mib": 3,
        }
    ],
    replicas=[
        {
            "role": "r",
            "id": 0,
            "state": "RUNNING",
            "pid": 7,
            "start_ticks": 8,
            "exit_code": None,
            "attempt": 1,
            "gpus": [],
            "stdout": None,
            "stderr": None,
            "combined": None,
            "error_file": "<N/A>",
        }
    ],
)


def record(state: str = "RUNNING", msg: str = "", generation: int = 3) -> AppRecord:
    changed = copy.deepcopy(RECORD)
    changed["state"], changed["msg"], changed["generation"] = state, msg, generation
    return changed


@given(st.text(), st.text(), st.sampled_from(Owner))
def test_any_word_for_a_state_is_understood(app: str, replica: str, owner: Owner) -> None:
    odd = record(app)
    odd["replicas"][0]["state"] = replica
    assert isinstance(parse.describe(odd, owner).state, AppState)
    assert parse.list_entry(odd, owner).name == "app"


@pytest.mark.parametrize(
    ("state", "generation", "owner", "expected", "said"),
    [
        ("RUNNING", 3, Owner.ALIVE, AppState.RUNNING, ""),
        ("SUCCEEDED", 3, Owner.GONE, AppState.SUCCEEDED, ""),
        ("CANCELLED", 3, Owner.ELSEWHERE, AppState.CANCELLED, ""),
        ("RUNNING", 3, Owner.GONE, AppState.FAILED, "exit codes are unknown"),
        ("PENDING", 0, Owner.GONE, AppState.FAILED, "before all replicas had been started"),
        ("RUNNING", 3, Owner.REBOOTED, AppState.FAILED, "the machine was restarted"),
        ("CANCELLED", 3, Owner.REBOOTED, AppState.CANCELLED, ""),
        ("RUNNING", 3, Owner.ORPHANED, AppState.RUNNING, "cancel the app to end them"),
        ("RUNNING", 3, Owner.ELSEWHERE, AppState.RUNNING, "runs on elsewhere"),
        ("new word", 3, Owner.ALIVE, AppState.UNKNOWN, ""),
    ],
)
def test_the_state_of_an_app(
    state: str, generation: int, owner: Owner, expected: AppState, said: str
) -> None:
    found, msg = parse.app_state(record(state, generation=generation), owner)
    assert found == expected
    assert said in msg
    assert bool(said) == bool(msg)


def test_all_that_is_known_is_told() -> None:
    usage = ReplicaUsage(rss_bytes=1, cpu_time_s=2.0)
    response = parse.describe(
        record(msg="why"), Owner.ALIVE, replica_errors={0: "{}"}, usages={0: usage}
    )
    (status,) = response.roles_statuses
    assert status.replicas == [
        MeasuredReplicaStatus(0, AppState.RUNNING, "r", "elsewhere", "{}", usage=usage)
    ]
    (role,) = response.roles
    assert (role.name, role.args, role.retry_policy) == ("r", ["a"], RetryPolicy.ROLE)
    assert (role.resource.cpu, role.resource.gpu, role.resource.memMB) == (1, 2, 3)
    assert response.num_restarts == 1
    assert response.msg == "why"
    assert response.structured_error_msg == NONE
    assert response.ui_url == "file:///logs"
