from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
import typing
from pathlib import Path

import pytest

from torchx.specs.app import (
    ALL,
    MISSING,
    NONE,
    NULL_RESOURCE,
    TORCHX_HOME,
    UNKNOWN,
    AppDef,
    Resource,
    RetryPolicy,
    Role,
)
from torchx.specs.dryrun import AppDryRunInfo
from torchx.specs.mounts import BindMount


def make_role() -> Role:
    return Role(
        "trainer",
        "image",
        args=["a"],
        env={"K": "V"},
        resource=Resource(4, 1, 8192, {"c": 1}, {"d": 1}, {"t": 1}),
        mounts=[BindMount("/a", "/b")],
        metadata={"kubernetes": {"a": [1]}},
    )


def test_sentinels() -> None:
    assert (ALL, MISSING, NONE, UNKNOWN) == ("all", "<MISSING>", "<NONE>", "<UNKNOWN>")


def test_retry_policies_equal_their_names() -> None:
    assert [str(policy.value) for policy in RetryPolicy] == ["REPLICA", "APPLICATION", "ROLE"]
    assert all(policy == policy.name for policy in RetryPolicy)


def test_home_is_the_variable_or_a_directory_of_the_user(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "me")
    monkeypatch.delenv("TORCHX_HOME", raising=False)
    assert TORCHX_HOME() == tmp_path / "me" / ".torchx"
    assert TORCHX_HOME("a", "b/c") == tmp_path / "me" / ".torchx" / "a" / "b" / "c"
    assert (tmp_path / "me" / ".torchx" / "a" / "b" / "c").is_dir()
    monkeypatch.setenv("TORCHX_HOME", str(tmp_path / "elsewhere"))
    assert TORCHX_HOME("x") == tmp_path / "elsewhere" / "x"
    assert (tmp_path / "elsewhere" / "x").is_dir()


def test_empty_home_variable_is_no_variable_and_a_tilde_is_expanded(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TORCHX_HOME", "")
    assert TORCHX_HOME() == tmp_path / ".torchx"
    monkeypatch.setenv("TORCHX_HOME", "~/mine")
    assert TORCHX_HOME() == tmp_path / "mine"


def test_home_that_cannot_be_created_is_still_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHX_HOME", "/proc/torchx")
    assert TORCHX_HOME("jobs") == Path("/proc/torchx/jobs")


def test_repr_of_a_resource() -> None:
    assert repr(Resource(cpu=4, gpu=1, memMB=8192)) == (
        "Resource(cpu=4, gpu=1, memMB=8192, capabilities={}, devices={}, tags={})"
    )


def test_copy_of_a_resource_adds_capabilities_and_shares_nothing() -> None:
    original = Resource(1, 2, 3, {"a": 1}, {"d": 1}, {"t": 1})
    before = copy.deepcopy(original)
    duplicate = Resource.copy(original, a=2, b=3)
    assert duplicate == Resource(1, 2, 3, {"a": 2, "b": 3}, {"d": 1}, {"t": 1})
    duplicate.capabilities["x"] = duplicate.devices["x"] = duplicate.tags["x"] = 1
    assert original == before


def test_tags_tell_name_and_fraction() -> None:
    resource = Resource(1, 1, 1)
    assert (resource.is_fractional(), resource.get_resource_name()) == (False, None)
    resource.tags["torchx/named_resources.is_fractional"] = True
    resource.tags["torchx/named_resources.name"] = "gpu_half"
    assert (resource.is_fractional(), resource.get_resource_name()) == (True, "gpu_half")


def test_order_and_defaults_of_the_fields_of_a_role() -> None:
    assert [field.name for field in dataclasses.fields(Role)] == [
        "name",
        "image",
        "min_replicas",
        "entrypoint",
        "args",
        "env",
        "num_replicas",
        "max_retries",
        "retry_policy",
        "resource",
        "port_map",
        "metadata",
        "mounts",
        "workspace",
        "overrides",
    ]
    assert list(inspect.signature(Role).parameters)[-1] == "overrides"
    assert dataclasses.asdict(Role("r", "i")) == {
        "name": "r",
        "image": "i",
        "min_replicas": None,
        "entrypoint": "<MISSING>",
        "args": [],
        "env": {},
        "num_replicas": 1,
        "max_retries": 0,
        "retry_policy": RetryPolicy.APPLICATION,
        "resource": dataclasses.asdict(NULL_RESOURCE),
        "port_map": {},
        "metadata": {},
        "mounts": [],
        "workspace": None,
        "overrides": {},
    }


def test_types_of_the_model_can_be_resolved() -> None:
    for model in (AppDef, Role, Resource):
        hints = typing.get_type_hints(model)
        assert set(hints) == {field.name for field in dataclasses.fields(model)}


def test_roles_are_equal_field_by_field_copyable_picklable_and_not_hashable() -> None:
    role = make_role()
    assert role == make_role()
    assert role != Role("trainer", "image")
    for duplicate in (copy.deepcopy(role), pickle.loads(pickle.dumps(role))):
        assert duplicate == role
        assert duplicate.resource is not role.resource
    assert "Role(name='trainer', image='image'" in repr(role)
    with pytest.raises(TypeError, match="unhashable"):
        hash(role)


def test_roles_share_no_default() -> None:
    role, other = Role("r", "i"), Role("r", "i")
    role.resource.cpu = 5
    role.resource.capabilities["x"] = 1
    role.env["x"] = role.metadata["x"] = "x"
    role.overrides["x"] = str
    assert other == Role("r", "i")
    assert other.resource == NULL_RESOURCE == Resource(-1, -1, -1)


def test_subclass_may_add_fields() -> None:
    @dataclasses.dataclass
    class MyRole(Role):
        team: str = "mine"

    role = MyRole("r", "i", team="ours", overrides={"team": lambda: "theirs"})
    assert role.team == "theirs"
    assert MyRole("r", "i").team == "mine"


def test_hook_returns_what_it_is_given() -> None:
    info = AppDryRunInfo({"request": 1}, repr)
    assert Role("r", "i").pre_proc("local_cwd", info) is info


def test_app_starts_empty() -> None:
    app = AppDef("app")
    assert (app.roles, app.metadata) == ([], {})
    app.roles.append(make_role())
    assert AppDef("app").roles == []
