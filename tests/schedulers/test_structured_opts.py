from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Optional, Union

import pytest

from torchx.schedulers.api import StructuredOpts
from torchx.schedulers.structured_opts import IS_EXTENSION
from torchx.specs.api import CfgVal, InvalidRunConfigException

if TYPE_CHECKING:
    from decimal import Decimal


@dataclass
class Sample(StructuredOpts):
    cluster_name: str
    """Name of the cluster."""

    num_retries: int = 3  # not part of the help
    """How often to "retry",
    at most."""

    tags: list[str] | None = None
    no_help: Optional[bool] = None  # noqa: UP045 - the older spelling must work too


@dataclass
class Derived(Sample):
    extra_time_s: float = 1.5
    "Seconds on top."


@dataclass
class Mail(StructuredOpts):
    user: str
    """Who gets mail."""

    mail_type: str = "END"
    """When."""


@dataclass
class Deep(StructuredOpts):
    mail: Mail = field(default_factory=lambda: Mail("root"))
    flag: bool = False


@dataclass
class Nested(StructuredOpts):
    first: int = 1
    child_group: Deep = field(default_factory=Deep)
    """A group."""

    maybe: Mail | None = None
    last: str = "z"


@dataclass
class Required(StructuredOpts):
    mail: Mail


@dataclass
class Keyed(StructuredOpts):
    mail_user: str | None = field(default=None, metadata={"cfg_key": "mail-user"})
    """Who gets mail."""


def test_from_cfg_takes_snake_and_camel_case_and_prefers_snake() -> None:
    assert Sample.from_cfg({"clusterName": "a", "numRetries": 1}) == Sample("a", 1)
    assert Sample.from_cfg({"clusterName": "a", "cluster_name": "b"}) == Sample("b")


def test_from_cfg_ignores_unknown_keys_and_passes_none_through() -> None:
    opts = Sample.from_cfg({"cluster_name": "a", "num_retries": None, "other": 1})
    assert opts.num_retries is None


def test_from_cfg_without_a_required_option_is_an_error() -> None:
    with pytest.raises(TypeError, match="cluster_name"):
        Sample.from_cfg({})


def test_an_instance_is_a_mapping_of_its_fields() -> None:
    opts = Sample("blue")
    assert list(opts) == ["cluster_name", "num_retries", "tags", "no_help"]
    assert len(opts) == 4
    assert {**opts} == {"cluster_name": "blue", "num_retries": 3, "tags": None, "no_help": None}
    assert (opts["cluster_name"], opts["clusterName"], opts.get("numRetries")) == ("blue",) * 2 + (
        3,
    )
    assert "clusterName" in opts
    assert isinstance(opts, Mapping)
    assert opts != {"cluster_name": "blue"}


@pytest.mark.parametrize(
    "key", ["get", "from_cfg", "__len__", "_find", "", ".", "cluster_name.x", 3]
)
def test_only_fields_are_keys(key: str) -> None:
    opts = Sample("blue")
    assert key not in opts
    assert opts.get(key, 7) == 7
    with pytest.raises(KeyError):
        opts[key]


def test_camel_case_is_a_key_and_no_attribute() -> None:
    assert not hasattr(Sample("a"), "clusterName")


def test_a_field_with_upper_case_letters_is_a_key_like_any_other() -> None:
    @dataclass
    class Opts(StructuredOpts):
        memMB: int = 5
        mem_mb: int = 6

    assert dict(Opts()) == {"memMB": 5, "mem_mb": 6}
    assert Opts.from_cfg({"memMB": 7, "mem_mb": 8}) == Opts(7, 8)


def test_or_gives_a_dict_in_which_the_right_side_wins() -> None:
    merged = Sample("a") | Mail("b")
    assert merged == {**Sample("a"), "user": "b", "mail_type": "END"}
    assert Sample("a", 1) | {"num_retries": None} == {**Sample("a"), "num_retries": None}
    assert type(merged) is dict


def test_docstrings_may_hold_quotes_and_lines_and_are_inherited() -> None:
    assert Derived.get_docstrings() == {
        "cluster_name": "Name of the cluster.",
        "num_retries": 'How often to "retry",\n    at most.',
        "extra_time_s": "Seconds on top.",
    }


def test_docstrings_of_a_class_without_source_are_empty() -> None:
    namespace: dict[str, type[StructuredOpts]] = {}
    source = "@dataclass\nclass Made(StructuredOpts):\n    x: int = 1\n    'Help.'\n"
    exec(
        source,
        {"dataclass": dataclass, "StructuredOpts": StructuredOpts, "__name__": "builtins"},
        namespace,
    )
    assert namespace["Made"].get_docstrings() == {}
    assert namespace["Made"].as_runopts()._opts["x"].help == "x"


def test_docstrings_of_a_class_within_a_function_are_found() -> None:
    @dataclass
    class Opts(StructuredOpts):
        x: int = 1
        """Local help."""

    assert Opts.get_docstrings() == {"x": "Local help."}


def test_as_runopts_declares_type_default_help_and_whether_required() -> None:
    declared = {
        name: (option.opt_type, option.default, option.is_required, option.help)
        for name, option in Sample.as_runopts()
    }
    assert declared == {
        "cluster_name": (str, None, True, "Name of the cluster."),
        "num_retries": (int, 3, False, 'How often to "retry",\n    at most.'),
        "tags": (list[str], None, False, "tags"),
        "no_help": (bool, None, False, "no_help"),
    }


def test_a_union_of_several_types_stays_a_union() -> None:
    @dataclass
    class Opts(StructuredOpts):
        x: int | str | None = None
        y: Union[str, None] = None  # noqa: UP007 - the older spelling must work too

    assert [option.opt_type for _, option in Opts.as_runopts()] == [int | str, str]


def test_an_annotation_known_only_to_type_checkers_does_no_harm() -> None:
    @dataclass
    class Opts(StructuredOpts):
        price: Decimal | None = None
        count: int | None = 3
        names: list[Decimal] = field(default_factory=list)

    assert Opts.from_cfg({"price": "1"}) == Opts("1")  # type: ignore[arg-type] # any value is taken
    assert [option.opt_type for _, option in Opts.as_runopts()] == [str, int, list]


def test_a_resolved_run_config_makes_the_options_again() -> None:
    resolved = Sample.as_runopts().resolve({"clusterName": "foo"})
    assert resolved == {**Sample("foo")}
    assert Sample.from_cfg(resolved) == Sample("foo")


def test_resolving_does_not_turn_the_result_of_a_factory_into_none() -> None:
    @dataclass
    class Opts(StructuredOpts):
        tags: list[str] = field(default_factory=lambda: ["a"])

    assert Opts.from_cfg(Opts.as_runopts().resolve({})) == Opts(["a"])


def test_groups_appear_under_dotted_keys_in_the_order_of_declaration() -> None:
    keys = ["first", "child_group.mail.user", "child_group.mail.mail_type", "child_group.flag"]
    opts = Nested()
    assert list(opts) == [*keys, "last"]
    assert len(opts) == 5
    assert [name for name, _ in Nested.as_runopts()] == [
        *keys,
        "maybe.user",
        "maybe.mail_type",
        "last",
    ]
    assert opts["child_group.mail.user"] == opts["childGroup.mail.user"] == "root"
    assert "child_group.flag" in opts
    assert "child_group.other" not in opts
    assert opts.get("maybe.user") is None
    assert list(Nested(maybe=Mail("me"))) == [*keys, "maybe.user", "maybe.mail_type", "last"]


def test_docstrings_of_groups_have_dotted_keys() -> None:
    docs = Nested.get_docstrings()
    assert docs["child_group"] == "A group."
    assert docs["child_group.mail.user"] == docs["maybe.user"] == "Who gets mail."
    assert dict(Nested.as_runopts())["child_group.mail.user"].help == "Who gets mail."


def test_from_cfg_collects_the_keys_of_a_group() -> None:
    opts = Nested.from_cfg({"childGroup.flag": True, "child_group.mail.user": "me"})
    assert opts.child_group == Deep(Mail("me"), True)
    assert opts.maybe is None
    assert Nested.from_cfg({**opts}) == opts
    assert opts | {"child_group.flag": False} == {**opts, "child_group.flag": False}


def test_a_required_group_is_made_of_its_defaults_if_they_suffice() -> None:
    @dataclass
    class Opts(StructuredOpts):
        deep: Deep

    assert Opts.from_cfg({}) == Opts(Deep())
    with pytest.raises(TypeError, match="user"):
        Required.from_cfg({})
    assert dict(Required.as_runopts())["mail.user"].is_required


def test_a_group_may_be_given_as_a_whole() -> None:
    assert Nested.from_cfg({"maybe": Mail("me")}).maybe == Mail("me")  # type: ignore[dict-item] # more than a run config can hold


def test_an_optional_group_requires_nothing_until_it_is_used() -> None:
    declared = Nested.as_runopts()
    given: dict[str, CfgVal] = {"child_group.mail.user": "you"}
    assert Nested.from_cfg(declared.resolve(given)).maybe is None
    used = declared.resolve({**given, "maybe.user": "me"})
    assert Nested.from_cfg(used).maybe == Mail("me")
    with pytest.raises(TypeError, match="user"):
        Nested.from_cfg(declared.resolve({**given, "maybe.mail_type": "BEGIN"}))


def test_a_group_that_needs_a_value_is_asked_for_it_by_the_run_options() -> None:
    with pytest.raises(InvalidRunConfigException, match=r"mail\.user"):
        Required.as_runopts().resolve({})


@pytest.mark.parametrize("key", ["mail-user", "mail_user", "mailUser"])
def test_a_field_with_a_cfg_key_goes_by_it_outside(key: str) -> None:
    cfg: dict[str, CfgVal] = {key: "me"}
    opts = Keyed.from_cfg(cfg)
    assert opts == Keyed("me")
    assert opts[key] == "me"
    assert dict(opts) == {"mail-user": "me"}
    assert [(name, option.help) for name, option in Keyed.as_runopts()] == [
        ("mail-user", "Who gets mail.")
    ]


def test_of_several_spellings_the_cfg_key_counts_first() -> None:
    cfg: dict[str, CfgVal] = {"mailUser": "c", "mail_user": "b", "mail-user": "a"}
    assert Keyed.from_cfg(cfg).mail_user == "a"


def test_a_field_may_be_an_extension_of_the_published_options() -> None:
    @dataclass
    class Extended(StructuredOpts):
        queue: str | None = None
        extra: int = field(default=1, metadata=IS_EXTENSION)

    declared = Extended.as_runopts()
    assert list(declared._opts) == ["queue"]
    assert [name for name, _ in declared] == ["queue", "extra"]
    assert Extended.from_cfg(declared.resolve({"extra": 2})).extra == 2
