from __future__ import annotations

from typing import Any

import pytest

from torchx.runner import Runner
from torchx.runner.events import TorchxEvent
from torchx.runner.validate import InvalidAppError, validate_app
from torchx.specs import AppDef, Role


def faults_of(app: AppDef) -> list[str]:
    with pytest.raises(InvalidAppError) as caught:
        validate_app(app)
    return caught.value.faults


def role(**changed: Any) -> Role:
    return Role(**{"name": "r", "image": "", "entrypoint": "cmd", **changed})


def test_a_sound_app_passes(app: AppDef) -> None:
    validate_app(app)
    app.roles[0].num_replicas, app.roles[0].min_replicas = 4, 1
    validate_app(app)


def test_an_app_without_roles_is_refused() -> None:
    assert faults_of(AppDef("a"))[0].startswith("No roles for app: a")


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"name": ""}, "name"),
        ({"entrypoint": ""}, "entrypoint"),
        ({"entrypoint": 7}, "entrypoint"),
        ({"num_replicas": 0}, "num_replicas"),
        ({"num_replicas": -1}, "num_replicas"),
        ({"num_replicas": "2"}, "num_replicas"),
        ({"max_retries": -1}, "max_retries"),
        ({"min_replicas": 2}, "min_replicas"),
        ({"args": ["ok", 1]}, "args[1]"),
        ({"args": ["a\0b"]}, "args[0]"),
        ({"env": {"N": 1}}, "env[N]"),
        ({"env": {"N": None}}, "env[N]"),
        ({"env": {"N": "a\0b"}}, "env[N]"),
        ({"env": {"A=B": "x"}}, "env"),
        ({"env": {"": "x"}}, "env"),
    ],
)
def test_a_fault_names_role_and_field(changed: dict[str, Any], field: str) -> None:
    (fault,) = faults_of(AppDef("a", [role(**changed)]))
    assert fault.startswith(f"role `{changed.get('name', 'r')}`, {field}: ")


def test_two_roles_of_one_name_are_refused() -> None:
    (fault,) = faults_of(AppDef("a", [role(), role(), role(name="other")]))
    assert fault.startswith("role `r`: 2 roles")


def test_all_faults_are_told_at_once() -> None:
    app = AppDef("", [role(entrypoint="", num_replicas=0), role(name="s", env={"N": 1})])
    with pytest.raises(ValueError, match=r"(?s)entrypoint.*num_replicas.*env\[N\]") as caught:
        validate_app(app)
    assert str(caught.value).count("\n") == 4


def test_the_value_of_a_variable_is_not_told() -> None:
    app = AppDef("a", [role(env={"TOKEN": b"hidden"})])
    assert "hidden" not in " ".join(faults_of(app))


def test_a_fault_is_found_before_any_workspace_is_built(
    runner: Runner, app: AppDef, recorded: list[TorchxEvent]
) -> None:
    app.roles.append(role(num_replicas=0))
    with pytest.raises(ValueError, match="Non-positive replicas for role: r"):
        runner.run(app, "building", workspace="/code")
    assert [event.api for event in recorded] == ["run"]
    assert recorded[0].exception_type == "InvalidAppError"
    assert recorded[0].scheduler == "building"
