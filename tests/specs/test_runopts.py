# ruff: noqa: UP006, UP035 - schedulers register options in the old spelling too
from __future__ import annotations

import logging
import pickle
from typing import Any, Dict, List

import pytest

from torchx.errors import TorchXError
from torchx.specs.app import CfgVal
from torchx.specs.runopts import (
    InvalidRunConfigException,
    MalformedRunConfigException,
    cases,
    get_type_name,
    runopt,
    runopts,
)


@pytest.fixture
def opts() -> runopts:
    opts = runopts()
    opts.add("user", type_=str, help="who runs it", required=True)
    opts.add("prio", type_=float, help="job priority", default=0.5)
    opts.add("nodes", type_=int, help="how many")
    opts.add("spot", type_=bool, help="cheap ones", default=False)
    opts.add("tags", type_=List[str], help="labels")
    opts.add("env_vars", type_=Dict[str, str], help="environment")
    opts.add("api_token", type_=int, help="a secret")
    return opts


@pytest.mark.parametrize(
    ("tp", "name"), [(int, "int"), (list[str], "list"), (List[int], "typing.List[int]")]
)
def test_get_type_name(tp: Any, name: str) -> None:
    assert get_type_name(tp) == name


def test_cases() -> None:
    assert cases.snake_to_camel("hpc_cluster_uuid") == "hpcClusterUuid"
    assert cases.camel_to_snake("numRetries") == "num_retries"
    assert cases.camel_to_snake("HTTPServer") == "httpserver"
    assert cases.camel_to_snake(cases.snake_to_camel("a_bc_d")) == "a_bc_d"


@pytest.mark.parametrize(
    ("tp", "text", "value"),
    [
        (bool, "Yes", True),
        (bool, "0", False),
        (List[str], "a;b,", ["a", "b"]),
        (list[str], "a", ["a"]),
        (Dict[str, str], "f:b,F:B:C", {"f": "b", "F": "B:C"}),
        (int, "5", 5),
        (float, "1e-3", 0.001),
        (str, "x", "x"),
    ],
)
def test_cast(tp: Any, text: str, value: object) -> None:
    assert runopt(None, tp, False, "").cast_to_type(text) == value


@pytest.mark.parametrize(
    ("tp", "text"), [(None, "x"), (bool, "garbage"), (dict[str, str], "ab"), (int, "x")]
)
def test_cast_refuses(tp: Any, text: str) -> None:
    with pytest.raises(ValueError, match=r"garbage|None|key:value|invalid literal"):
        runopt(None, tp, False, "").cast_to_type(text)


def test_cast_of_an_unreadable_type() -> None:
    with pytest.raises(AssertionError):
        runopt(None, tuple, False, "").cast_to_type("x")


@pytest.mark.parametrize(
    ("value", "tp", "expected"),
    [
        (None, str, False),
        (1, int, True),
        (True, int, False),
        (True, bool, True),
        (1, bool, False),
        (1, float, True),
        ("1", int, False),
        (["a"], List[str], True),
        ([1], list[str], False),
        ({"a": "b"}, dict[str, str], True),
        ({"a": 1}, dict[str, str], False),
        (["a"], dict[str, str], False),
        ({"a": "b"}, list[str], False),
    ],
)
def test_is_type(value: CfgVal, tp: Any, expected: bool) -> None:
    assert runopts.is_type(value, tp) is expected


def test_add_checks_the_default() -> None:
    opts = runopts()
    with pytest.raises(ValueError, match="must not specify a default"):
        opts.add("a", type_=int, help="", default=1, required=True)
    with pytest.raises(TypeError, match="must be of type: int"):
        opts.add("a", type_=int, help="", default=0.5)
    opts.add("d", type_=dict[str, str], help="", default=[])
    assert len(opts) == 1


def test_get_by_either_case(opts: runopts) -> None:
    assert opts.get("env_vars") is opts.get("envVars") is not None
    assert opts.get("nope") is None


def test_resolve_fills_in_defaults(opts: runopts) -> None:
    cfg: dict[str, CfgVal] = {"user": "me", "unknown": 1, "tags": None}
    assert opts.resolve(cfg) == {
        "user": "me",
        "unknown": 1,
        "prio": 0.5,
        "nodes": None,
        "spot": False,
        "tags": None,
        "env_vars": None,
        "api_token": None,
    }
    assert cfg == {"user": "me", "unknown": 1, "tags": None}


def test_resolve_hands_out_a_copy_of_a_mutable_default() -> None:
    opts = runopts()
    opts.add("tags", type_=list[str], help="", default=["a"])
    first = opts.resolve({})["tags"]
    assert isinstance(first, list)
    first.append("b")
    assert opts.resolve({})["tags"] == ["a"]


def test_resolve_renames_a_camel_case_alias(opts: runopts) -> None:
    resolved = opts.resolve({"user": "me", "envVars": {"a": "b"}})
    assert resolved["env_vars"] == {"a": "b"}
    assert "envVars" not in resolved
    both = opts.resolve({"user": "me", "envVars": {"a": "b"}, "env_vars": {"c": "d"}})
    assert (both["env_vars"], both["envVars"]) == ({"c": "d"}, {"a": "b"})


@pytest.mark.parametrize("cfg", [{}, {"user": None}])
def test_resolve_misses_a_required_option(opts: runopts, cfg: dict[str, CfgVal]) -> None:
    with pytest.raises(InvalidRunConfigException, match="Required run option: user") as caught:
        opts.resolve(cfg)
    assert caught.value.cfg_key == "user"


@pytest.mark.parametrize(
    ("key", "value"),
    [("prio", "high"), ("nodes", True), ("tags", {"a": "b"}), ("env_vars", ["a"]), ("user", 5)],
)
def test_resolve_checks_types(opts: runopts, key: str, value: CfgVal) -> None:
    with pytest.raises(InvalidRunConfigException, match=f"Run option: {key}, must be of type"):
        opts.resolve({"user": "me", key: value})


@pytest.mark.parametrize(
    ("text", "cfg"),
    [
        ("", {}),
        ("tags=a,b,user=d", {"tags": ["a", "b"], "user": "d"}),
        ("tags=a;b;user=d", {"tags": ["a", "b"], "user": "d"}),
        ("tags=a,b;", {"tags": ["a", "b"]}),
        ("envVars=f:b,F:B", {"envVars": {"f": "b", "F": "B"}}),
        ("nodes=5,", {"nodes": 5}),
        ("spot=yes,prio=2", {"spot": True, "prio": 2.0}),
    ],
)
def test_cfg_from_str(opts: runopts, text: str, cfg: dict[str, CfgVal]) -> None:
    assert opts.cfg_from_str(text) == cfg


def test_an_unknown_option_is_dropped_with_the_closest_name(
    opts: runopts, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "torchx.specs.api"):
        assert opts.cfg_from_str("user=me,proi=1") == {"user": "me"}
    assert "Unknown run option passed to scheduler: proi=1 (did you mean `prio`?)" in caplog.text
    assert opts.unknown_keys({"proi": 1, "zzz": 2, "envVars": None}) == {
        "proi": "prio",
        "zzz": None,
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nodes=x", "Run option: nodes, must be of type: int, but was: x"),
        ("spot=maybe", "Run option: spot, must be of type: bool, but was: maybe"),
        ("env_vars=ab", "Run option: env_vars"),
        ("nodes", "'nodes' is not a list of NAME=VALUE pairs"),
    ],
)
def test_malformed_text_names_the_option_and_stays_a_value_error(
    opts: runopts, text: str, message: str
) -> None:
    with pytest.raises(MalformedRunConfigException, match=message) as caught:
        opts.cfg_from_str(text)
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, TorchXError)


def test_errors_hide_secrets(opts: runopts) -> None:
    with pytest.raises(InvalidRunConfigException) as caught:
        opts.cfg_from_str("api_token=hunter2")
    assert "hunter2" not in str(caught.value)


def test_cfg_from_json(opts: runopts) -> None:
    text = '{"user": "me", "nodes": "5", "tags": [1, "b"], "env_vars": {"a": 1}, "prio": null}'
    assert opts.cfg_from_json_repr(text) == {
        "user": "me",
        "nodes": 5,
        "tags": ["1", "b"],
        "env_vars": {"a": "1"},
        "prio": None,
    }
    assert opts.cfg_from_json_repr('{"zzz": 1}') == {}


@pytest.mark.parametrize("text", ["[1]", "{", '{"nodes": "x"}'])
def test_malformed_json(opts: runopts, text: str) -> None:
    with pytest.raises(MalformedRunConfigException):
        opts.cfg_from_json_repr(text)


def test_union_leaves_its_operands_alone(opts: runopts) -> None:
    other = runopts()
    other.add("nodes", type_=str, help="other")
    both = opts | other
    assert [key for key, _ in both] == [key for key, _ in opts]
    assert both._opts["nodes"].help == "other"
    assert opts._opts["nodes"].help == "how many"
    opts.update(other)
    assert opts._opts["nodes"].help == "other"


def test_repr() -> None:
    opts = runopts()
    assert repr(opts) == "    usage:\n        "
    opts.add("prio", type_=float, help="job priority", default=0.5)
    opts.add("user", type_=str, help="who runs it", required=True)
    opts.add("tags", type_=List[str], help="labels\n    of the job")
    assert repr(opts) == (
        "    usage:\n"
        "        user=USER,[prio=PRIO],[tags=TAGS]\n"
        "\n"
        "    required arguments:\n"
        "        user=USER (str)\n"
        "            who runs it\n"
        "\n"
        "    optional arguments:\n"
        "        prio=PRIO (float, 0.5)\n"
        "            job priority\n"
        "        tags=TAGS (typing.List[str], None)\n"
        "            labels\n"
        "            of the job"
    )


def test_the_error_of_a_run_option() -> None:
    error = InvalidRunConfigException("bad", "k", {"k": 1, "db_password": "x"}, hint="fix it")
    assert str(error) == "bad. Given: {'k': 1, 'db_password': '<redacted>'}"
    assert str(InvalidRunConfigException("bad", "k", {})) == "bad. Given: <EMPTY>"
    copied = pickle.loads(pickle.dumps(error))
    assert (str(copied), copied.cfg_key, copied.hint) == (str(error), "k", "fix it")


def test_extensions_are_kept_apart_but_behave_like_any_option() -> None:
    opts = runopts()
    opts.add("extra_time", type_=int, help="more", default=1, is_extension=True)
    opts.add("queue", type_=str, help="where")
    assert list(opts._opts) == ["queue"]
    assert [name for name, _ in opts] == ["queue", "extra_time"]
    assert len(opts) == 2
    assert opts.get("extraTime") is opts.get("extra_time") is not None
    assert opts.resolve({"extraTime": 2}) == {"queue": None, "extra_time": 2}
    assert opts.cfg_from_str("extra_time=3") == {"extra_time": 3}
    assert opts.unknown_keys({"extra_tine": 1, "queue": "q"}) == {"extra_tine": "extra_time"}
    assert "extra_time=EXTRA_TIME (int, 1)" in repr(opts)
    with pytest.raises(InvalidRunConfigException, match="extra_time"):
        opts.resolve({"extra_time": "x"})


def test_extensions_stay_extensions_in_a_union() -> None:
    one, other = runopts(), runopts()
    one.add("published", type_=str, help="")
    other.add("extra", type_=str, help="", is_extension=True)
    both = one | other
    assert (list(both._opts), list(dict(both))) == (["published"], ["published", "extra"])
    both.add("published", type_=int, help="replaced", is_extension=True)
    both.add("extra", type_=int, help="replaced")
    assert list(both._opts) == ["published"]
    assert {option.help for _, option in both} == {"replaced"}
