from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from torchx.specs.app import AppDef, Role
from torchx.specs.overlays import (
    _FORMAT_KEY,
    DEL,
    JOIN,
    PUT,
    OverlaySpec,
    _load_overlay_file,
    get_overlay,
    set_overlay,
    validate_overlay,
)

LOGGER = "torchx.specs.overlays"


@pytest.fixture
def role() -> Role:
    return Role("trainer", "image")


def test_stored_overlay_is_a_copy_and_so_is_what_is_read(role: Role) -> None:
    overlay: dict[str, Any] = {"spec": {"tolerations": [{"key": "gpu"}]}}
    set_overlay(role, "kubernetes", "V1Pod", overlay)
    overlay["spec"]["tolerations"].append("mine")
    stored = get_overlay(role, "kubernetes", "V1Pod")
    assert stored == {"spec": {"tolerations": [{"key": "gpu"}]}}
    stored["spec"].clear()
    assert get_overlay(role, "kubernetes", "V1Pod") != stored


def test_overlays_can_be_stored_in_an_app_without_metadata() -> None:
    app = AppDef("app", metadata=None)  # type: ignore[arg-type]  # third-party code does this
    assert get_overlay(app, "kubernetes", "V1Job") == {}
    set_overlay(app, "kubernetes", "V1Job", {"a": 1})
    assert get_overlay(app, "kubernetes", "V1Job") == {"a": 1}


def test_kinds_are_kept_apart(role: Role, caplog: pytest.LogCaptureFixture) -> None:
    set_overlay(role, "kubernetes", "V1Job", {"job": 1})
    with caplog.at_level(logging.DEBUG, LOGGER):
        assert get_overlay(role, "kubernetes", "V1Pod") == {}
    (record,) = caplog.records
    assert record.levelno == logging.DEBUG
    assert "['V1Job']" in record.getMessage()
    set_overlay(role, "kubernetes", "V1Pod", {"pod": 1})
    assert role.metadata["kubernetes"] == {
        "V1Job": {"job": 1},
        "V1Pod": {"pod": 1},
        _FORMAT_KEY: True,
    }


def test_overlays_accumulate(role: Role) -> None:
    set_overlay(role, "k", "K", {"labels": {"a": 1}, "list": [1], JOIN("c", on="n"): [{"n": 1}]})
    set_overlay(role, "k", "K", {"labels": {"b": 2}, "list": [2], JOIN("c", on="n"): [{"n": 2}]})
    assert get_overlay(role, "k", "K") == {
        "labels": {"a": 1, "b": 2},
        "list": [1, 2],
        JOIN("c", on="n"): [{"n": 1}, {"n": 2}],
    }


def test_overlay_that_does_not_fit_an_earlier_one_stores_nothing(role: Role) -> None:
    set_overlay(role, "k", "K", {"a": {"b": 1}, "c": 1})
    with pytest.raises(TypeError, match="type mismatch for attr: `b`"):
        set_overlay(role, "k", "K", {"c": 2, "a": {"b": [1]}})
    assert get_overlay(role, "k", "K") == {"a": {"b": 1}, "c": 1}


def test_other_metadata_is_replaced_with_a_warning(
    role: Role, caplog: pytest.LogCaptureFixture
) -> None:
    role.metadata["k"] = 5
    assert get_overlay(role, "k", "K") == {}
    set_overlay(role, "k", "K", {"a": 1})
    assert get_overlay(role, "k", "K") == {"a": 1}
    assert [(record.name, record.levelname) for record in caplog.records] == [(LOGGER, "WARNING")]


def test_reserved_kind_is_refused(role: Role) -> None:
    with pytest.raises(ValueError, match="reserved"):
        set_overlay(role, "k", _FORMAT_KEY, {})
    with pytest.raises(ValueError, match="reserved"):
        get_overlay(role, "k", _FORMAT_KEY)


@pytest.mark.parametrize(
    ("stored", "is_flat"),
    [
        ({"spec": {"a": 1}}, True),
        ({"spec": {"a": 1}, "x": 1}, True),
        ({"V1Job": {"a": 1}, "V1Secret": {}}, False),
        ({}, False),
    ],
)
def test_old_flat_format_is_used_with_a_warning(
    role: Role, caplog: pytest.LogCaptureFixture, stored: dict[str, Any], is_flat: bool
) -> None:
    role.metadata["k"] = stored
    assert get_overlay(role, "k", "V1Pod", flat_fallback=False) == {}
    assert not caplog.records
    assert get_overlay(role, "k", "V1Pod") == (stored if is_flat else {})
    assert ["flat" in record.getMessage() for record in caplog.records] == [True] * is_flat


def test_kind_of_an_unmarked_nested_dict_is_found(role: Role) -> None:
    role.metadata["k"] = {"V1Pod": {"a": 1}}
    assert get_overlay(role, "k", "V1Pod") == {"a": 1}


def test_overlay_may_be_the_path_of_a_file(
    role: Role, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pod.json").write_text('{"V1Pod": {"a": "ü"}}')
    monkeypatch.chdir(tmp_path)
    for path in ("pod.json", str(tmp_path / "pod.json"), f"file://{tmp_path}/pod.json"):
        role.metadata["k"] = path
        assert get_overlay(role, "k", "V1Pod") == {"a": "ü"}
    role.metadata["k"] = "missing.yaml"
    with pytest.raises(FileNotFoundError):
        get_overlay(role, "k", "V1Pod")


def test_text_that_is_no_path_is_ignored_with_a_warning(
    role: Role, caplog: pytest.LogCaptureFixture
) -> None:
    role.metadata["k"] = "some remark"
    assert get_overlay(role, "k", "V1Pod") == {}
    assert "'some remark'" in caplog.text


def test_file_may_be_json_or_yaml_with_tuples(tmp_path: Path) -> None:
    path = tmp_path / "overlay"
    path.write_text(json.dumps({PUT("a"): [1]}))
    assert _load_overlay_file(str(path)) == {PUT("a"): [1]}
    path.write_text("a: !!python/tuple [x, [y]]\n__del__:b: null\n")
    assert _load_overlay_file(str(path)) == {"a": ("x", ["y"]), DEL("b"): None}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("[1]", "must hold a mapping, not a list"),
        ("", "must hold a mapping, not a NoneType"),
        ("a: [", "is neither JSON nor YAML"),
        ("a: !!python/object/apply:os.system [true]", "is neither JSON nor YAML"),
    ],
)
def test_malformed_file_is_refused(tmp_path: Path, content: str, reason: str) -> None:
    path = tmp_path / "overlay"
    path.write_text(content)
    with pytest.raises(ValueError, match=reason) as caught:
        _load_overlay_file(str(path))
    assert str(path) in str(caught.value)


def test_fields_made_from_the_role_are_refused_under_every_operator() -> None:
    overlay = {PUT("env"): [], JOIN("args", on="x"): [], "ok": 1}
    with pytest.raises(ValueError, match=r"`V1Pod\.env`, `V1Pod\.args`.* role"):
        validate_overlay(overlay, blocklist=["env", "args", "x"], overlay_name="V1Pod")
    validate_overlay({"ok": {"env": 1}}, blocklist=["env"], forbidden_keys={"env"})


def test_misplaced_keys_are_refused_with_the_suggestion() -> None:
    with pytest.raises(ValueError, match=r"\['spec'\].*put it into V1Pod"):
        validate_overlay({DEL("spec"): 0}, forbidden_keys={"spec"}, suggestion="put it into V1Pod")


def test_spec_stores_only_what_it_allows(role: Role) -> None:
    spec = OverlaySpec("kubernetes", "V1Pod", blocklist=("env",))
    with pytest.raises(ValueError, match=r"V1Pod\.env"):
        spec.set(role, {"env": []})
    assert role.metadata == {}
    spec.set(role, {"a": 1})
    assert spec.get(role) == {"a": 1}
    set_overlay(role, "kubernetes", "V1Pod", {"env": []})
    with pytest.raises(ValueError, match=r"V1Pod\.env"):
        spec.get(role)


def test_spec_never_reads_the_flat_format(role: Role) -> None:
    role.metadata["kubernetes"] = {"spec": {"a": 1}}
    assert OverlaySpec("kubernetes", "V1Pod").get(role) == {}
