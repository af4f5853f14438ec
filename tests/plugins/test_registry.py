from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

import torchx.plugins
from torchx import specs
from torchx.plugins import PluginRegistry, PluginType, registry
from torchx.plugins._registry import (
    NAMED_RESOURCES_ATTR,
    PluginSource,
    PluginSourceError,
    RegistrationError,
)
from torchx.plugins.lookup import registered, uses_entry_points

Install = Callable[..., Path]

SCHEDULER = (
    "from torchx.plugins import register\n"
    "@register.scheduler()\n"
    "def demo(session_name, **kwargs): return session_name\n"
)
MODULE = "torchx_plugins.schedulers.demo"
FILES = {"torchx_plugins/schedulers/demo.py": SCHEDULER}
ENTRY_POINT = "[torchx.schedulers]\ndemo = demo_entry:create\n"


@pytest.fixture
def counting(install: Install) -> list[str]:
    """A plugin that counts how often its module is executed."""
    import builtins

    counts: list[str] = []
    builtins.demo_counts = counts  # type: ignore[attr-defined]  # what the module finds
    install({"torchx_plugins/schedulers/demo.py": f"demo_counts.append('x')\n{SCHEDULER}"})
    return counts


def test_what_is_published() -> None:
    assert sorted(torchx.plugins.__all__) == sorted(
        [
            *["EIGHTH", "HALF", "QUARTER", "SIXTEENTH", "WHOLE"],
            *["PluginRegistry", "PluginType", "RegistrationError", "register", "registry"],
            *["halve_mem_down_to", "powers_of_two_gpus", "resource_tags"],
        ]
    )
    assert NAMED_RESOURCES_ATTR == "NAMED_RESOURCES"
    assert {kind.name: kind.value for kind in PluginType} == {
        "SCHEDULER": "torchx.schedulers",
        "NAMED_RESOURCE": "torchx.named_resources",
        "TRACKER": "torchx.tracker",
        "EVENT_HANDLER": "torchx.event_handlers",
    }
    assert [PluginSource(number).name for number in range(3)] == [
        "NONE",
        "NAMESPACE_PKG",
        "ENTRYPOINT",
    ]


def test_the_same_table_is_returned_each_time_and_info_copies_it(counting: list[str]) -> None:
    one = PluginRegistry()
    table = one.get(PluginType.SCHEDULER)
    assert one.get(PluginType.SCHEDULER) is table
    assert one.info(PluginType.SCHEDULER) == table
    assert one.info(PluginType.SCHEDULER) is not table
    assert one.info()[PluginType.SCHEDULER] == table
    assert list(one.info()) == list(PluginType)
    assert counting == ["x"]


def test_many_threads_find_plugins_once(counting: list[str]) -> None:
    barrier = threading.Barrier(8)

    def look_up(_: int) -> Any:
        barrier.wait()
        return registry().get(PluginType.SCHEDULER)

    with ThreadPoolExecutor(8) as pool:
        tables = list(pool.map(look_up, range(8)))
    assert all(table is tables[0] for table in tables)
    assert counting == ["x"]


@pytest.mark.parametrize("on_main_thread", [True, False])
def test_a_module_that_asks_for_its_own_kind_is_reported_not_waited_for(
    on_main_thread: bool, install: Install
) -> None:
    asking = (
        "from torchx.plugins import PluginType, registry\nregistry().get(PluginType.SCHEDULER)\n"
    )
    install({"torchx_plugins/schedulers/asking.py": asking, **FILES})
    if on_main_thread:
        found = registry().get(PluginType.SCHEDULER)
    else:
        with ThreadPoolExecutor(1) as pool:
            found = pool.submit(registry().get, PluginType.SCHEDULER).result()
    assert list(found) == ["demo"]
    (error,) = registry().errors
    assert error.error.startswith("RuntimeError: re-entrant search for scheduler plugins")


def test_a_module_may_ask_for_another_kind(install: Install) -> None:
    asking = "from torchx.specs import resource\nCPUS = resource(h='demo_box').cpu\n" + SCHEDULER
    box = (
        "from torchx.plugins import register\nfrom torchx.specs import Resource\n"
        "@register.named_resource()\ndef demo_box(): return Resource(3, 0, 1)\n"
    )
    install(
        {
            "torchx_plugins/schedulers/demo.py": asking,
            "torchx_plugins/named_resources/demo.py": box,
        }
    )
    specs.named_resources.reset()
    assert list(registry().get(PluginType.SCHEDULER)) == ["demo"]
    assert registry().errors == []
    specs.named_resources.reset()


def test_an_interrupted_search_leaves_nothing_behind(install: Install) -> None:
    interrupting = (
        "import builtins\nif not hasattr(builtins, 'demo_again'): raise KeyboardInterrupt\n"
    )
    broken = "raise ImportError('x')\n"
    install(
        {
            "torchx_plugins/schedulers/a.py": broken,
            "torchx_plugins/schedulers/b.py": interrupting + SCHEDULER,
        }
    )
    one = PluginRegistry()
    with pytest.raises(KeyboardInterrupt):
        one.get(PluginType.SCHEDULER)
    assert one.errors == []
    with patch("builtins.demo_again", True, create=True):
        assert list(one.get(PluginType.SCHEDULER)) == ["demo"]
    assert [error.module for error in one.errors] == ["torchx_plugins.schedulers.a"]


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        (PluginSource.NONE, {}),
        (PluginSource.NAMESPACE_PKG, {"demo": MODULE}),
        (PluginSource.ENTRYPOINT, {"demo": "demo_entry"}),
        (PluginSource.NAMESPACE_PKG | PluginSource.ENTRYPOINT, {"demo": "demo_entry"}),
    ],
)
def test_sources_are_chosen_and_an_entry_point_wins(
    sources: PluginSource, expected: dict[str, str], install: Install
) -> None:
    install(FILES, entry_points=ENTRY_POINT)
    one = PluginRegistry(plugin_sources=sources)
    report = {each["name"]: each["module"] for each in one.to_dict()["scheduler"][:1]}
    assert report == expected


def test_that_an_entry_point_wins_is_reported(install: Install) -> None:
    install(FILES, entry_points=ENTRY_POINT)
    one = PluginRegistry()
    one.get(PluginType.SCHEDULER)
    assert one.errors == [
        RegistrationError(
            MODULE,
            "`demo` is also the name of an entry point (demo_entry:create); the entry point wins",
            "demo",
            "scheduler",
        )
    ]


def test_one_function_registered_in_both_ways_is_no_clash(install: Install) -> None:
    install(FILES, entry_points=f"[torchx.schedulers]\ndemo = {MODULE}:demo\n")
    one = PluginRegistry()
    assert one.get(PluginType.SCHEDULER)["demo"]("session") == "session"
    assert one.load_errors() == []


def test_plugins_of_other_sorts_are_taken_as_they_are(install: Install) -> None:
    install(FILES)
    given: dict[str, Any] = {"demo": lambda session_name: 1, "more": object()}
    one = PluginRegistry()
    with patch("torchx.util.entrypoints.load_group", return_value=given):
        assert one.get(PluginType.SCHEDULER) == given
    assert "entry point wins" in one.errors[0].error


def test_broken_entry_points_are_found_by_looking_for_errors(install: Install) -> None:
    install(
        {"demo_exit.py": "raise SystemExit('no licence')\n", "demo_module.py": ""},
        entry_points=(
            "[torchx.schedulers]\n"
            "absent = demo_absent:create\n"
            "exits = demo_exit:create\n"
            "module = demo_module\n"
            "missing = os:no_such_function\n"
        ),
    )
    one = PluginRegistry()
    assert list(one.get(PluginType.SCHEDULER)) == ["absent", "exits", "module", "missing"]
    assert one.errors == [], "nothing was imported yet"
    errors = {error.name: error for error in one.load_errors(PluginType.SCHEDULER)}
    assert "ModuleNotFoundError" in errors["absent"].error
    assert "SystemExit: no licence" in errors["exits"].error
    assert "`demo_module` is a module, which cannot be called" in errors["module"].error
    assert "no_such_function" in errors["missing"].error
    assert {error.plugin_type for error in errors.values()} == {"scheduler"}
    assert len(one.load_errors()) == len(one.errors) == 4


def test_a_patched_scan_of_the_metadata_is_seen() -> None:
    fake = metadata.EntryPoints([metadata.EntryPoint("b", "sys:exit", "torchx.event_handlers")])
    with patch("torchx.util.entrypoints.metadata.entry_points", return_value=fake):
        assert list(PluginRegistry().get(PluginType.EVENT_HANDLER)) == ["b"]


def test_clear_forgets_everything_that_was_found(install: Install) -> None:
    shared = registry()
    assert shared.get(PluginType.SCHEDULER) == {}
    assert "demo_box" not in specs.named_resources
    install(
        {
            **FILES,
            "torchx_plugins/schedulers/bad.py": "raise ImportError\n",
            "torchx_plugins/named_resources/demo.py": (
                "from torchx.plugins import register\nfrom torchx.specs import Resource\n"
                "@register.named_resource()\ndef demo_box(): return Resource(3, 0, 1)\n"
            ),
        }
    )
    shared.clear()
    assert registry() is not shared
    assert list(shared.get(PluginType.SCHEDULER)) == ["demo"]
    assert len(shared.errors) == 1
    assert specs.named_resources["demo_box"].cpu == 3
    shared.clear()
    assert shared.errors == []


@pytest.mark.parametrize(("text", "sources"), [("0", 0), ("1", 1), ("2", 2), ("3", 3), (None, 3)])
def test_the_environment_names_the_sources(
    text: str | None, sources: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if text is None:
        monkeypatch.delenv("TORCHX_PLUGINS_SOURCE", raising=False)
    else:
        monkeypatch.setenv("TORCHX_PLUGINS_SOURCE", text)
    assert registry().plugin_sources == sources
    assert registry() is registry()
    assert uses_entry_points() is bool(sources & 2)


@pytest.mark.parametrize("text", ["4", "-1", "1a", "none", "", " 1"])
def test_an_illegal_value_is_an_error_that_names_the_legal_ones(
    text: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("TORCHX_PLUGINS_SOURCE", text)
    with pytest.raises(ValueError, match=r"TORCHX_PLUGINS_SOURCE=.* none of 0 .* 1 .* 2 .* 3"):
        registry()
    with pytest.raises(PluginSourceError):
        registry()
    assert registered(PluginType.SCHEDULER, registry) == {}
    assert f"TORCHX_PLUGINS_SOURCE={text!r}" in caplog.text
    assert not uses_entry_points()
