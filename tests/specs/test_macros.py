from __future__ import annotations

import copy
import dataclasses
import string
from collections import OrderedDict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchx.specs.app import Resource, Role
from torchx.specs.macros import escape_macros, macros
from torchx.specs.mounts import BindMount
from torchx.specs.workspace import Workspace

VALUES = macros.Values(img_root="/img", app_id="a1", replica_id="7", rank0_env="R0")

texts = st.text(st.sampled_from("$${}()_ab1-\n") | st.characters(max_codepoint=0x2FF))
pieces = st.sampled_from(
    [
        "$",
        "$$",
        "${app_id}",
        "$app_id",
        "${rank0_env}",
        "${other}",
        "$(POD)",
        "{",
        "}",
        "(",
        "x",
        " ",
    ]
)
templates = st.lists(pieces | texts).map("".join)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${app_id}", "a1"),
        ("$app_id", "a1"),
        ("$$app_id", "$app_id"),
        ("$$${rank0_env}", "$R0"),
        ("$${${rank0_env}:=localhost}", "${R0:=localhost}"),
        ("${other}", "${other}"),
        ("$", "$"),
        ("$$", "$"),
        ("${app_id", "${app_id"),
        ("$APP_ID ${img_root}/${replica_id}", "$APP_ID /img/7"),
        ("${base_img_root}", "DEPRECATED"),
        ("", ""),
    ],
)
def test_substitution(text: str, expected: str) -> None:
    assert VALUES.substitute(text) == expected


def test_each_macro_stands_for_its_value() -> None:
    for name, value in VALUES.to_dict().items():
        assert VALUES.substitute(getattr(macros, name)) == value
    assert VALUES.to_dict() == dataclasses.asdict(VALUES)


@pytest.mark.parametrize(
    "text", ["$(POD_NAME)", "$$(POD_NAME)", "$(app_id)", "metadata.labels['$']"]
)
def test_text_of_kubernetes_is_left_alone(text: str) -> None:
    assert VALUES.substitute(text) == text
    role = Role("r", "i", args=[text], env={"E": text}, metadata={"kubernetes": {"f": [text]}})
    assert VALUES.apply(role) == role


@given(templates.filter(lambda text: "$$(" not in text))
def test_substitution_agrees_with_templates_of_the_standard_library(text: str) -> None:
    assert VALUES.substitute(text) == string.Template(text).safe_substitute(VALUES.to_dict())


@given(texts.filter(lambda text: "$" not in text))
def test_text_without_a_dollar_never_changes(text: str) -> None:
    assert VALUES.substitute(text) == text


@pytest.mark.parametrize("value", [1, None, ["${app_id}"]])
def test_only_text_can_be_substituted(value: Any) -> None:
    with pytest.raises(TypeError, match="not a string"):
        VALUES.substitute(value)
    with pytest.raises(TypeError, match="not a string"):
        VALUES.apply(Role("r", "i", args=[value]))


def make_role() -> Role:
    return Role(
        "trainer",
        "${img_root}",
        entrypoint="${img_root}/run",
        args=["--id", "${app_id}"],
        env={"${app_id}": "${app_id}"},
        resource=Resource(1, 0, 1, capabilities={"a": ["${app_id}"]}),
        port_map={"tb": 1},
        metadata={
            "${app_id}": "${app_id}",
            "number": 1,
            "list": ["${app_id}", 2, ["${app_id}"], {"deep": {"er": "${replica_id}"}}],
            "tuple": ("${app_id}",),
            "ordered": OrderedDict(b="${app_id}", a=None),
        },
        mounts=[BindMount("${img_root}", "/dst")],
        workspace=Workspace({"/a": ""}),
    )


def test_macros_are_replaced_wherever_a_replica_can_use_them() -> None:
    replica = VALUES.apply(make_role())
    assert replica.entrypoint == "/img/run"
    assert replica.mounts == [BindMount("/img", "/dst")]
    assert replica.args == ["--id", "a1"]
    assert replica.env == {"${app_id}": "a1"}
    assert replica.metadata == {
        "${app_id}": "a1",
        "number": 1,
        "list": ["a1", 2, ["a1"], {"deep": {"er": "7"}}],
        "tuple": ("a1",),
        "ordered": OrderedDict(b="a1", a=None),
    }


def test_nothing_else_is_replaced() -> None:
    role = make_role()
    replica = VALUES.apply(role)
    for name in ("name", "image", "port_map", "resource", "workspace"):
        assert getattr(replica, name) == getattr(role, name)


def test_copy_shares_nothing_with_the_role() -> None:
    role = make_role()
    before = copy.deepcopy(role)
    replica = VALUES.apply(role)
    replica.args.append("x")
    replica.env["x"] = "x"
    replica.metadata["list"][3]["deep"]["er"] = "x"
    replica.port_map["x"] = 1
    replica.resource.capabilities["a"].append("x")
    replica.mounts.clear()
    replica.overrides["x"] = lambda: 1
    assert role == before
    assert role.overrides == {}


def test_values_that_are_no_text_are_kept_in_the_environment() -> None:
    env: dict[str, Any] = {"N": 1, "T": "${app_id}"}
    assert VALUES.apply(Role("r", "i", env=env)).env == {"N": 1, "T": "a1"}


def test_subclass_and_its_own_attributes_are_kept() -> None:
    class MyRole(Role):
        pass

    role = MyRole("r", "i")
    role.notes = ["mine"]  # type: ignore[attr-defined]  # what third-party code does
    replica = VALUES.apply(role)
    assert type(replica) is MyRole
    assert replica.notes == ["mine"]  # type: ignore[attr-defined]
    assert replica.notes is not role.notes  # type: ignore[attr-defined]


def test_copy_shares_the_overrides_and_keeps_those_of_the_role(
    caplog: pytest.LogCaptureFixture,
) -> None:
    produced = iter(["produced"])
    role = Role("r", "i", overrides={"image": lambda: next(produced)})
    replica = VALUES.apply(role)
    assert replica.overrides is role.overrides
    assert (role.image, replica.image) == ("produced", "produced")
    assert not caplog.records


def test_macros_are_replaced_in_overridden_arguments() -> None:
    role = Role("r", "i", overrides={"args": lambda: ["${app_id}"]})
    assert VALUES.apply(role).args == ["a1"]
    assert role.args == ["${app_id}"]


@given(texts | st.lists(pieces).map("".join))
def test_an_escaped_text_arrives_as_it_was(text: str) -> None:
    assert VALUES.substitute(escape_macros(text)) == text


@pytest.mark.parametrize("text", ["${app_id}", "$app_id", "$$", "$$$(x)", "a$${img_root}"])
def test_an_escaped_macro_is_no_macro(text: str) -> None:
    assert escape_macros(text) != text
    assert VALUES.substitute(escape_macros(text)) == text
