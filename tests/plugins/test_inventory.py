from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from torchx.plugins.inventory import BUILT_IN, ENTRY_POINT, Inventory, take_inventory

Install = Callable[..., Path]
Row = tuple[str, str, str, str]

DEMO = (
    "from torchx.plugins import register\n"
    "@register.scheduler()\ndef demo(session_name, **kwargs): ...\n"
)
BOX = (
    "from torchx.plugins import register\nfrom torchx.specs import Resource\n"
    "@register.named_resource(aliases=['case'])\ndef box(): return {}\n"
)


def take(builtins: dict[str, dict[str, str]] | None = None) -> Inventory:
    return take_inventory(builtins or {}, {})


def rows(inventory: Inventory) -> dict[str, tuple[str, str, str | None, str | None]]:
    return {
        f"{each.type} {each.name}": (
            each.style,
            each.module,
            each.origin.distribution,
            each.origin.version,
        )
        for each in inventory.plugins
        if each.origin.distribution != "torchx"
    }


def test_both_styles_are_shown_with_their_distributions(install: Install) -> None:
    install(
        {
            "torchx_plugins/schedulers/demo.py": DEMO,
            "torchx_plugins/named_resources/demo.py": BOX.format("Resource(1, 0, 1)"),
        },
        "demo-plugins",
        version="2.5",
    )
    install(
        {"demo_components.py": "", "demo_other.py": "def create(): ...\n"},
        "demo-entries",
        "[torchx.components]\nown = demo_components\n"
        "[torchx.schedulers]\nother = demo_other:create\n"
        "[torchx.schedulers.orchestrator]\nflow = demo_other:create\n",
    )
    inventory = take()
    assert rows(inventory) == {
        "scheduler demo": (
            "torchx_plugins",
            "torchx_plugins.schedulers.demo",
            "demo-plugins",
            "2.5",
        ),
        "named_resource box": (
            *("torchx_plugins", "torchx_plugins.named_resources.demo"),
            *("demo-plugins", "2.5"),
        ),
        "scheduler other": (ENTRY_POINT, "demo_other", "demo-entries", "1.0"),
        "component own": (ENTRY_POINT, "demo_components", "demo-entries", "1.0"),
        "orchestrator flow": (ENTRY_POINT, "demo_other", "demo-entries", "1.0"),
    }
    assert inventory.sources == ["torchx_plugins", ENTRY_POINT]
    assert [each.aliases for each in inventory.plugins if each.name == "box"] == [["case"]]
    assert (inventory.collisions, inventory.failures) == ([], [])


def test_a_module_of_no_distribution_is_shown_with_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, install: Install
) -> None:
    file = tmp_path / "loose" / "torchx_plugins" / "schedulers" / "demo.py"
    file.parent.mkdir(parents=True)
    file.write_text(DEMO)
    monkeypatch.syspath_prepend(tmp_path / "loose")
    (plugin,) = (each for each in take().plugins if each.type == "scheduler")
    assert (plugin.origin.file, plugin.origin.distribution) == (str(file), None)


def test_an_editable_distribution_is_known_by_its_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, install: Install
) -> None:
    source = tmp_path / "check out"
    file = source / "src" / "torchx_plugins" / "schedulers" / "demo.py"
    file.parent.mkdir(parents=True)
    file.write_text(DEMO)
    site = install({"demo.pth": str(source / "src")}, "demo-editable")
    origin = {"url": source.as_uri(), "dir_info": {"editable": True}}
    (site / "demo-editable-1.0.dist-info" / "direct_url.json").write_text(json.dumps(origin))
    other = install({}, "demo-odd")
    (other / "demo-odd-1.0.dist-info" / "direct_url.json").write_text("[]")
    monkeypatch.syspath_prepend(source / "src")
    (plugin,) = (each for each in take().plugins if each.type == "scheduler")
    assert plugin.origin.distribution == "demo-editable"


def test_what_has_one_name_is_shown_with_the_winner(install: Install) -> None:
    install(
        {
            "torchx_plugins/schedulers/a.py": DEMO,
            "torchx_plugins/schedulers/b.py": DEMO,
            "torchx_plugins/named_resources/demo.py": BOX.format("Resource(1, 0, 1)"),
            "demo_one.py": "def create(): ...\n",
        },
        "second",
        "[torchx.schedulers]\ndemo = demo_one:create\n[torchx.components]\nown = demo_one\n",
    )
    install(
        {"demo_two.py": ""},
        "first",
        "[torchx.components]\nown = demo_two\n",
    )
    inventory = take({"scheduler": {"demo": "ours.demo"}, "named_resource": {"case": "ours.case"}})
    clashes = [
        (each.loser.name, each.winner.module, each.loser.module, each.loser.style)
        for each in inventory.collisions
    ]
    assert sorted(clashes) == sorted(
        [
            (
                "demo",
                "torchx_plugins.schedulers.a",
                "torchx_plugins.schedulers.b",
                "torchx_plugins",
            ),
            ("demo", "demo_one", "torchx_plugins.schedulers.a", "torchx_plugins"),
            ("demo", "demo_one", "ours.demo", BUILT_IN),
            ("case", "torchx_plugins.named_resources.demo", "ours.case", BUILT_IN),
            ("own", "demo_two", "demo_one", ENTRY_POINT),
        ]
    )
    assert inventory.failures == []


def test_what_cannot_be_used_is_shown_once_with_the_reason(install: Install) -> None:
    install(
        {
            "torchx_plugins/schedulers/bad.py": "raise RuntimeError('no GPU')\n",
            "torchx_plugins/named_resources/wrong.py": BOX.format("'8 CPUs'"),
            "demo_made.py": "def number(): return 1\n",
        },
        "demo-broken",
        "[torchx.schedulers]\nabsent = demo_absent:create\nmodule = demo_made\n"
        "[torchx.named_resources]\nnumber = demo_made:number\n"
        "[torchx.tracker]\ntext = os:sep\n"
        "[torchx.components]\ngone = demo_absent\n",
    )
    for _ in range(2):
        failures = {
            (each.type, each.name): (each.error, each.origin.distribution)
            for each in take().failures
        }
        distributions = {distribution for _, distribution in failures.values()}
        assert distributions == {"demo-broken"}
        assert {key: error for key, (error, _) in failures.items()} == {
            (None, None): "RuntimeError: no GPU",
            ("scheduler", "absent"): "ModuleNotFoundError: No module named 'demo_absent'",
            ("scheduler", "module"): "it is a module, which cannot be called",
            ("named_resource", "box"): (
                "PluginRegistrationError: named resource `box` is a str, not a Resource"
            ),
            ("named_resource", "number"): "what it makes is of type int, not Resource",
            ("tracker", "text"): "it is a str, which cannot be called",
            ("component", "gone"): "ModuleNotFoundError: No module named 'demo_absent'",
        }


def test_a_distribution_that_cannot_be_read_is_shown(install: Install) -> None:
    install({}, "demo-garbled", "[torchx.schedulers]\nthis is no entry point\n")
    (failure,) = take().failures
    assert failure.error.startswith("its entry points cannot be read: ")
    assert failure.origin.distribution == "demo-garbled"


def test_an_illegal_source_leaves_components_and_commands(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHX_PLUGINS_SOURCE", "all")
    install(
        {"demo_components.py": "", "torchx_plugins/schedulers/demo.py": DEMO},
        entry_points="[torchx.components]\nown = demo_components\n",
    )
    inventory = take()
    assert [each.type for each in inventory.plugins] == ["component"]
    assert [each.module for each in inventory.failures] == ["TORCHX_PLUGINS_SOURCE"]
    assert inventory.sources == []
