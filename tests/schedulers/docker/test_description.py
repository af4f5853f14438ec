from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchx.schedulers.docker.description import describe_roles, read_description
from torchx.schedulers.docker.options import Opts
from torchx.specs import (
    AppDef,
    BindMount,
    DeviceMount,
    Resource,
    RetryPolicy,
    Role,
    VolumeMount,
)

plain = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="=:/"))
mounts = st.one_of(
    st.builds(BindMount, plain, plain, st.booleans()),
    st.builds(VolumeMount, plain, plain, st.booleans()),
    st.builds(DeviceMount, plain, plain),
)
roles = st.builds(
    Role,
    name=plain,
    image=plain,
    entrypoint=plain,
    args=st.lists(plain.map(lambda text: f"x{text}")),
    env=st.dictionaries(st.sampled_from(["A", "B", "PATH"]), plain),
    num_replicas=st.integers(1, 9),
    min_replicas=st.none() | st.integers(1, 9),
    max_retries=st.integers(0, 9),
    retry_policy=st.sampled_from(RetryPolicy),
    port_map=st.dictionaries(plain, st.integers(1, 65535)),
    mounts=st.lists(mounts),
    resource=st.builds(
        Resource,
        cpu=st.integers(-1, 9),
        gpu=st.integers(-1, 9),
        memMB=st.integers(-1, 9),
        devices=st.dictionaries(plain, st.integers(1, 4)),
    ),
)


@given(role=roles)
def test_a_role_comes_back_as_it_was(role: Role) -> None:
    labels = describe_roles(AppDef("app", [role]), "session", Opts(grace_period_s=3))
    told = read_description(labels[role.name])
    assert told is not None
    assert told.role == role
    assert (told.app_name, told.session, told.grace_period_s) == ("app", "session", 3)
    assert (told.position, told.num_replicas) == (0, role.num_replicas)


def test_secrets_are_left_out() -> None:
    role = Role(
        "role",
        "image",
        entrypoint="main",
        args=["--password=hidden", "--token", "hidden", "postgres://me:hidden@host"],
        env={"AWS_SECRET_ACCESS_KEY": "hidden", "URL": "http://me:hidden@host"},
        metadata={"anything": "hidden"},
    )
    (label,) = describe_roles(AppDef("app", [role]), "session", Opts()).values()
    assert "hidden" not in label


@pytest.mark.parametrize(
    "label", [None, "", "no JSON", "[]", "{}", '{"app_name": "x"}', json.dumps({"role": 3})]
)
def test_what_is_not_ours_is_ignored(label: str | None) -> None:
    assert read_description(label) is None
