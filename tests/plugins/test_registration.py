from __future__ import annotations

import inspect
import sys
from types import ModuleType
from typing import Any

import pytest

from torchx.plugins import PluginType, powers_of_two_gpus, register, resource_tags
from torchx.plugins._model import PluginRegistrationError
from torchx.plugins._registration import _register_named_resource
from torchx.specs import Resource


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Any:
    made = ModuleType("demo_hardware")
    monkeypatch.setitem(sys.modules, "demo_hardware", made)
    return made


def box(fractional: float = 1.0) -> Resource:
    """A box."""
    return Resource(cpu=int(8 * fractional), gpu=int(4 * fractional), memMB=1024)


@pytest.fixture
def in_module(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(box, "__module__", module.__name__)


def names_of(module: ModuleType) -> list[str]:
    return list(vars(module)["NAMED_RESOURCES"])


@pytest.mark.parametrize(
    ("decorate", "kind"),
    [
        (register.scheduler, PluginType.SCHEDULER),
        (register.tracker, PluginType.TRACKER),
        (register.event_handler, PluginType.EVENT_HANDLER),
    ],
)
def test_a_function_is_marked_and_otherwise_left_alone(decorate: Any, kind: PluginType) -> None:
    def make() -> None: ...

    assert decorate()(make) is make
    assert (vars(make)["_plugin_type"], vars(make)["_plugin_name"]) == (kind, "make")
    decorate("other")(make)
    assert vars(make)["_plugin_name"] == "other"


def test_an_unknown_kind_is_refused() -> None:
    nonsense: Any = "nonsense"
    with pytest.raises(ValueError, match="nonsense"):
        register(nonsense)


@pytest.mark.usefixtures("in_module")
def test_a_named_resource_keeps_what_the_function_says_about_itself(module: Any) -> None:
    base = register.named_resource()(box)
    assert (base.__name__, base.__doc__, base.__module__) == ("box", "A box.", "demo_hardware")
    assert inspect.signature(base) == inspect.signature(box)
    assert {"box": base} == module.NAMED_RESOURCES
    assert not hasattr(module, "box"), "that is what the decorator syntax assigns"
    assert vars(base)["_plugin_type"] is PluginType.NAMED_RESOURCE


@pytest.mark.usefixtures("in_module")
def test_the_general_form_registers_a_named_resource_too(module: Any) -> None:
    assert register(PluginType.NAMED_RESOURCE, "crate")(box) is module.crate
    assert names_of(module) == ["crate"]


@pytest.mark.usefixtures("in_module")
def test_names_aliases_and_fractions(module: Any) -> None:
    base = register.named_resource("crate", aliases=["case"], fractionals=powers_of_two_gpus)(box)
    assert names_of(module) == ["crate", "case", "crate_4", "crate_2", "crate_1"]
    assert module.crate is base
    assert all(getattr(module, name) is made for name, made in module.NAMED_RESOURCES.items())
    half, alias = vars(module.crate_2), vars(module.case)
    assert (half["_plugin_base_name"], alias["_plugin_base_name"]) == ("crate", "crate")
    assert alias["_plugin_is_alias"] is True
    assert "_plugin_is_alias" not in half
    assert module.crate_2.__name__ == "crate_2"
    assert module.crate_2() == Resource(4, 2, 1024, tags=module.crate_2().tags)


@pytest.mark.usefixtures("in_module")
@pytest.mark.parametrize(
    ("name", "canonical", "is_fractional"),
    [
        ("crate", "crate", False),
        ("case", "crate", False),
        ("crate_all", "crate_all", False),
        ("crate_half", "crate_half", True),
    ],
)
def test_tags_tell_the_canonical_name(
    name: str, canonical: str, is_fractional: bool, module: Any
) -> None:
    parts = {1.0: "all", 0.5: "half"}
    register.named_resource("crate", aliases=["case"], fractionals=parts)(box)
    made = module.NAMED_RESOURCES[name]()
    assert made.tags == {
        resource_tags.RESOURCE_NAME: canonical,
        resource_tags.IS_FRACTIONAL: is_fractional,
    }
    assert (made.get_resource_name(), made.is_fractional()) == (canonical, is_fractional)


@pytest.mark.usefixtures("module")
def test_a_resource_that_others_use_too_is_not_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    shared = Resource(1, 0, 1, capabilities={"a": 1}, devices={"d": 1}, tags={"own": 1})

    def give() -> Resource:
        return shared

    monkeypatch.setattr(give, "__module__", "demo_hardware")
    made = _register_named_resource(give)()
    assert made.tags["own"] == 1
    made.capabilities["a"] = made.devices["d"] = 2
    assert shared == Resource(1, 0, 1, capabilities={"a": 1}, devices={"d": 1}, tags={"own": 1})


@pytest.mark.usefixtures("in_module")
def test_given_fractions_need_no_call_of_the_function(module: Any) -> None:
    def fail(fractional: float = 1.0) -> Resource:
        raise AssertionError("called while it was registered")

    fail.__module__ = "demo_hardware"
    register.named_resource("lazy", fractionals={0.5: "half"})(fail)
    assert names_of(module) == ["lazy", "lazy_half"]


@pytest.mark.usefixtures("in_module")
def test_a_name_can_be_registered_once_and_a_failure_leaves_nothing_behind(module: Any) -> None:
    register.named_resource("crate")(box)
    with pytest.raises(ValueError, match="duplicate named resource `crate` in module demo_hard"):
        register.named_resource("other", aliases=["crate"])(box)
    with pytest.raises(ValueError, match="duplicate named resource `twice`"):
        register.named_resource("other", aliases=["twice", "twice"])(box)
    module.taken = 1
    with pytest.raises(AttributeError, match="has an attribute `taken` already"):
        register.named_resource("other", aliases=["taken"])(box)
    assert names_of(module) == ["crate"]
    assert not hasattr(module, "other")


def test_a_function_of_a_module_that_is_not_imported_is_named() -> None:
    def lost() -> Resource:
        raise AssertionError

    lost.__module__ = "demo_not_imported"
    with pytest.raises(PluginRegistrationError, match=r"`lost` belongs to .*'demo_not_imported'"):
        register.named_resource()(lost)


@pytest.mark.usefixtures("module")
def test_a_function_that_makes_something_else_is_named() -> None:
    def wrong() -> Any:
        return "8 CPUs"

    wrong.__module__ = "demo_hardware"
    with pytest.raises(PluginRegistrationError, match="named resource `wrong` is a str"):
        register.named_resource()(wrong)()
