from __future__ import annotations

import json
import pickle

import pytest
import yaml

from torchx.specs.app import NONE
from torchx.specs.status import (
    _TERMINAL_STATES,
    AppState,
    AppStatus,
    AppStatusError,
    MeasuredReplicaStatus,
    ReplicaState,
    ReplicaStatus,
    ReplicaUsage,
    RoleStatus,
    is_started,
    is_terminal,
)

ENDED = {AppState.SUCCEEDED, AppState.FAILED, AppState.CANCELLED}


def make_status(error: str = NONE) -> AppStatus:
    trainer = RoleStatus(
        "trainer",
        [
            ReplicaStatus(1, AppState.CANCELLED, "trainer", "node8"),
            ReplicaStatus(0, AppState.FAILED, "trainer", "node7", error),
        ],
    )
    reader = RoleStatus("reader", [ReplicaStatus(0, AppState.RUNNING, "reader", "node9")])
    return AppStatus(
        AppState.FAILED, num_restarts=2, msg="lost", ui_url="http://ui", roles=[trainer, reader]
    )


def test_numbers_and_names_of_states() -> None:
    names = [
        "UNSUBMITTED",
        "SUBMITTED",
        "PENDING",
        "RUNNING",
        "SUCCEEDED",
        "FAILED",
        "CANCELLED",
        "UNKNOWN",
    ]
    assert [(state.name, state.value) for state in AppState] == list(
        zip(names, range(8), strict=True)
    )
    assert ReplicaState is AppState


def test_text_of_a_state() -> None:
    state = AppState.FAILED
    assert (str(state), f"{state}", repr(state)) == ("FAILED", "FAILED", "FAILED (5)")
    assert json.dumps({"state": state}) == '{"state": 5}'


@pytest.mark.parametrize("state", AppState)
def test_which_states_have_started_and_ended(state: AppState) -> None:
    assert is_terminal(state) == AppStatus(state).is_terminal() == (state in ENDED)
    assert is_terminal(state) == (state in _TERMINAL_STATES)
    assert is_started(state) == (state in ENDED | {AppState.RUNNING})


def test_address_of_a_replica_is_its_host_name_unless_given() -> None:
    assert ReplicaStatus(0, AppState.RUNNING, "r", "host").hostaddr == "host"
    assert ReplicaStatus(0, AppState.RUNNING, "r", "host", hostaddr="::1").hostaddr == "::1"


def test_json_of_a_status_can_be_written() -> None:
    status = make_status()
    content = status.to_json()
    assert list(content) == [
        "state",
        "num_restarts",
        "roles",
        "msg",
        "structured_error_msg",
        "url",
    ]
    assert json.loads(json.dumps(content))["roles"][1] == {
        "role": "reader",
        "replicas": [
            {
                "id": 0,
                "state": 3,
                "role": "reader",
                "hostname": "node9",
                "structured_error_msg": "<NONE>",
                "hostaddr": "node9",
            }
        ],
    }
    assert (content["state"], content["url"]) == ("FAILED", "http://ui")


@pytest.mark.parametrize(
    ("filter_roles", "shown"),
    [
        (None, ["trainer", "reader"]),
        ([], ["trainer", "reader"]),
        (["reader"], ["reader"]),
        (["nobody"], []),
    ],
)
def test_roles_can_be_selected(filter_roles: list[str] | None, shown: list[str]) -> None:
    status = make_status()
    assert [role["role"] for role in status.to_json(filter_roles)["roles"]] == shown
    text = status.format(filter_roles)
    assert [name for name in ("trainer", "reader") if f"{name}[0]" in text] == shown


def test_repr_is_yaml_with_sorted_keys() -> None:
    assert repr(AppStatus(AppState.FAILED)) == (
        "AppStatus:\n"
        "  msg: ''\n"
        "  num_restarts: 0\n"
        "  roles: []\n"
        "  state: FAILED (5)\n"
        "  structured_error_msg: <NONE>\n"
        "  ui_url: null\n"
    )


def test_structured_error_is_nested_into_the_yaml() -> None:
    status = AppStatus(AppState.FAILED, structured_error_msg='{"message": "test error"}')
    assert "  structured_error_msg:\n    message: test error\n" in repr(status)


@pytest.mark.parametrize("error", ["not JSON", "{", "", "[" * 100_000])
def test_structured_error_that_is_not_json_is_shown_as_it_is(error: str) -> None:
    status = AppStatus(AppState.FAILED, structured_error_msg=error)
    assert yaml.safe_load(repr(status))["AppStatus"]["structured_error_msg"] == error
    with pytest.raises(AppStatusError):
        status.raise_for_status()


def test_any_yaml_reader_can_load_a_status_with_replicas() -> None:
    (trainer, _) = yaml.safe_load(repr(make_status()))["AppStatus"]["roles"]
    assert trainer["replicas"][1]["state"] == "FAILED (5)"


@pytest.mark.parametrize("state", [state for state in AppState if state != AppState.SUCCEEDED])
def test_all_but_success_raises(state: AppState) -> None:
    status = AppStatus(state)
    with pytest.raises(AppStatusError, match=f"(?s)job did not succeed:.*{state}.*") as caught:
        status.raise_for_status()
    assert caught.value.status is status


def test_success_does_not_raise() -> None:
    AppStatus(AppState.SUCCEEDED).raise_for_status()


def test_error_of_a_status_survives_pickling() -> None:
    error = AppStatusError(AppStatus(AppState.FAILED), "job did not succeed: FAILED")
    loaded = pickle.loads(pickle.dumps(error))
    assert (str(loaded), loaded.status) == (str(error), error.status)
    assert str(AppStatusError(AppStatus(AppState.FAILED))) == "job did not succeed: FAILED"


def test_usage_of_a_replica_is_in_json_only_where_it_is_measured() -> None:
    usage = ReplicaUsage(rss_bytes=1024, cpu_time_s=0.5)
    measured = MeasuredReplicaStatus(0, AppState.RUNNING, "r", "host", usage=usage)
    (replica,) = RoleStatus("r", [measured]).to_json()["replicas"]
    assert replica["usage"] == {"rss_bytes": 1024, "cpu_time_s": 0.5}
