"""Whatever an AppWrapper says, there is an answer."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchx.schedulers.kubernetes_mcad.parse import describe, replicas_of
from torchx.schedulers.kubernetes_mcad.roles import get_role_information, quantity
from torchx.schedulers.kubernetes_mcad_scheduler import (
    KubernetesMCADScheduler,
    get_appwrapper_status,
)
from torchx.specs import (
    NONE,
    AppDef,
    AppState,
    BindMount,
    DeviceMount,
    ReplicaState,
    Resource,
    Role,
    SecretMount,
    VolumeMount,
)


def app_of(replicas: int, status: dict[str, Any], **spec: Any) -> dict[str, Any]:
    items = [
        {
            "generictemplate": {
                "kind": "Pod",
                "metadata": {
                    "name": f"x-{number}",
                    "labels": {
                        "torchx.pytorch.org/role-name": "job",
                        "torchx.pytorch.org/replica-id": str(number),
                    },
                },
            }
        }
        # A server gives them in any order.
        for number in reversed(range(replicas))
    ]
    return {"spec": {"resources": {"GenericItems": items}, **spec}, "status": status}


def retries(most: int) -> dict[str, Any]:
    return {"minAvailable": 2, "requeuing": {"maxNumRequeuings": most}}


@pytest.mark.parametrize(
    ("status", "spec", "state"),
    [
        ({}, {}, AppState.PENDING),
        ({"canrun": True}, {}, AppState.PENDING),
        ({"state": "Brooding"}, {}, AppState.UNKNOWN),
        ({"state": "RunningHoldCompletion"}, {}, AppState.RUNNING),
        ({"state": "Completed", "Succeeded": 2}, {}, AppState.SUCCEEDED),
        ({"state": "Completed", "failed": 1}, {}, AppState.FAILED),
        ({"state": "Running", "running": "1", "Succeeded": "1"}, {}, AppState.RUNNING),
        ({"state": "Running", "Succeeded": "2"}, {}, AppState.SUCCEEDED),
        ({"state": "Running", "Succeeded": 1, "failed": 1}, {}, AppState.FAILED),
        ({"state": "Running", "failed": 1}, {}, AppState.RUNNING),
        ({"state": "Running", "failed": 2}, {"schedulingSpec": retries(1)}, AppState.RUNNING),
        ({"state": "Running", "failed": 2}, {"schedulingSpec": retries(0)}, AppState.RUNNING),
        (
            {"state": "Running", "failed": 2, "numberOfRequeueings": 1},
            {"schedulingSpec": retries(1)},
            AppState.FAILED,
        ),
        ({"state": "Deleted"}, {}, AppState.CANCELLED),
        ({"state": "Deleted", "queuejobstate": "Failed"}, {}, AppState.FAILED),
        (
            {"state": "Deleted", "numberOfRequeueings": 1},
            {"schedulingSpec": retries(1)},
            AppState.FAILED,
        ),
    ],
)
def test_states_by_counts(status: dict[str, Any], spec: dict[str, Any], state: AppState) -> None:
    assert get_appwrapper_status(app_of(2, status, **spec)) == state


def test_counts_are_dealt_out_and_the_rest_waits() -> None:
    app = app_of(4, {"state": "Running", "running": "1", "failed": 1})
    described = describe("ns:x", app, {})
    (role,) = described.roles_statuses
    assert [(replica.id, replica.state) for replica in role.replicas] == [
        (0, ReplicaState.RUNNING),
        (1, ReplicaState.FAILED),
        (2, ReplicaState.PENDING),
        (3, ReplicaState.PENDING),
    ]


def test_an_unknown_state_is_told() -> None:
    described = describe("ns:x", app_of(1, {"state": "Brooding"}), {})
    assert described.msg == "MCAD says that it is `Brooding`"


@pytest.mark.parametrize(
    ("status", "message"),
    [
        ({"state": "Pending"}, NONE),
        (
            {"state": "Pending", "queuejobstate": "Queueing"},
            "waits for its turn in the queue of MCAD",
        ),
        (
            {"state": "Pending", "queuejobstate": "HeadOfLine"},
            "is the next one in the queue of MCAD",
        ),
        ({"state": "Failed", "message": "no\n room"}, "no room"),
        (
            {"state": "Deleted", "conditions": [{"type": "Failed", "message": "gave up"}]},
            "gave up",
        ),
    ],
)
def test_what_mcad_says_is_told(status: dict[str, Any], message: str) -> None:
    assert describe("ns:x", app_of(1, status), {}).msg == message


def test_roles_are_read_as_they_were_submitted(scheduler: KubernetesMCADScheduler) -> None:
    role = Role(
        "trainer",
        "img:1",
        entrypoint="main",
        args=["a", "b"],
        env={"A": "1", "IP": "[FIELD_PATH]status.podIP"},
        num_replicas=2,
        resource=Resource(4, 2, 8000, devices={"vpc.amazonaws.com/efa": 1}),
        port_map={"http": 80},
        mounts=[
            BindMount("/src", "/dst", read_only=True),
            VolumeMount("claim", "/claim"),
            DeviceMount("/dev/fuse", "/dev/fuse", "rwm"),
            SecretMount("keys", "/keys"),
        ],
    )
    info = scheduler.submit_dryrun(AppDef("x", [role]), {})  # type: ignore[arg-type]
    app = info.request.data()
    read = get_role_information(app["spec"]["resources"]["GenericItems"])["trainer"]
    name = app["metadata"]["name"]
    added = {"TORCHX_RANK0_HOST": "localhost", "TORCHX_MCAD_TRAINER_0_HOSTS": f"{name}-0.{name}"}
    role.env = {**role.env, **added}
    assert read == role


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("900m", 0.9),
        ("1976M", 1976e6),
        ("2", 2),
        (3, 3),
        ("1.5Gi", 1.5 * 2**30),
        ("x", -1),
        (None, -1),
    ],
)
def test_quantities(text: Any, number: float) -> None:
    assert quantity(text) == number


def test_half_a_cpu_is_half_a_cpu() -> None:
    resources = {"limits": {"cpu": "500m", "memory": "100M"}}
    container = {"image": "i", "command": ["a"], "env": [], "resources": resources}
    labels = {"torchx.pytorch.org/role-name": "r"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    role = get_role_information([{"generictemplate": template}])["r"]
    assert (role.resource.cpu, role.resource.memMB) == (0.5, 100)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)
statuses = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(
        (
            "state",
            "running",
            "pending",
            "failed",
            "Succeeded",
            "conditions",
            "message",
            "queuejobstate",
            "numberOfRequeueings",
        ),
        anything,
    ),
)


@given(
    st.integers(0, 3), statuses, st.fixed_dictionaries({}, optional={"schedulingSpec": anything})
)
def test_no_status_is_too_strange(
    replicas: int, status: dict[str, Any], spec: dict[str, Any]
) -> None:
    app = app_of(replicas, status, **spec)
    described = describe("ns:x", app, {})
    assert isinstance(described.state, AppState)
    assert len(replicas_of(app)) == replicas
