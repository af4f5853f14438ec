from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

import pytest

from torchx.plugins import PluginRegistry, PluginType, RegistrationError

Install = Callable[..., Path]

HEAD = "from torchx.plugins import register\n"


def scheduler(name: str, head: str = HEAD) -> str:
    return f"{head}@register.scheduler()\ndef {name}(session_name, **kwargs): return {name!r}\n"


def resource(name: str, cpu: int = 1) -> str:
    return (
        f"{HEAD}from torchx.specs import Resource\n"
        f"@register.named_resource()\ndef {name}(): return Resource({cpu}, 0, 1)\n"
    )


@pytest.fixture
def registry() -> PluginRegistry:
    return PluginRegistry()


def found(registry: PluginRegistry) -> list[str]:
    return list(registry.get(PluginType.SCHEDULER))


def test_without_the_package_there_is_nothing_and_the_scanner_is_not_even_imported() -> None:
    code = (
        "import sys; from torchx.plugins import PluginType, registry\n"
        "assert [registry().get(kind) for kind in PluginType if kind.name != 'TRACKER'] == 3 * [{}]"
        "\nassert registry().errors == []\n"
        "unneeded = {'torchx.plugins._namespace', 'importlib.metadata', 'pkgutil'}\n"
        "print(unneeded & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_modules_packages_and_directories_at_any_depth_are_searched(
    install: Install, registry: PluginRegistry
) -> None:
    root = "torchx_plugins/schedulers"
    install(
        {
            f"{root}/one.py": scheduler("one"),
            f"{root}/aws/__init__.py": "",
            f"{root}/aws/two.py": scheduler("two"),
            f"{root}/gcp/three.py": scheduler("three"),
            f"{root}/deep/down/four.py": scheduler("four"),
            f"{root}/_private.py": scheduler("never"),
            f"{root}/_hidden/five.py": scheduler("never"),
            f"{root}/not-a-module/six.py": scheduler("never"),
            f"{root}/data/file.txt": "no module",
            f"{root}/single.txt": "no module",
        }
    )
    assert found(registry) == ["two", "one", "four", "three"]
    assert registry.errors == []
    assert registry.get(PluginType.SCHEDULER)["one"]("session") == "one"
    assert "torchx_plugins.schedulers._private" not in sys.modules


def test_several_distributions_add_to_one_package(
    install: Install, registry: PluginRegistry
) -> None:
    for name in ("a", "b", "c", "d"):
        install({f"torchx_plugins/schedulers/{name}.py": scheduler(name)}, name)
    assert sorted(found(registry)) == ["a", "b", "c", "d"]


def test_a_module_that_another_of_its_name_hides_is_reported(
    install: Install, registry: PluginRegistry
) -> None:
    root = "torchx_plugins/schedulers"
    hidden = install({f"{root}/a.py": scheduler("a"), f"{root}/same.py": ""}, "hidden")
    first = install({f"{root}/a.py": scheduler("b"), f"{root}/same.py": ""}, "first")
    assert found(registry) == ["b"]
    (error,) = registry.errors
    assert error.module == "torchx_plugins.schedulers.a"
    assert error.error == f"{hidden / root / 'a.py'} is hidden by {first / root / 'a.py'}"


@pytest.mark.usefixtures("install")
def test_plugins_in_an_archive_are_found(
    tmp_path: Path, registry: PluginRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "content" / "torchx_plugins" / "schedulers"
    for path, text in {
        "one.py": scheduler("one"),
        "pack/__init__.py": "",
        "pack/two.py": scheduler("two"),
        "gcp/deep/three.py": scheduler("three"),
    }.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    shutil.make_archive(str(tmp_path / "plugins"), "zip", tmp_path / "content")
    monkeypatch.syspath_prepend(tmp_path / "plugins.zip")
    assert found(registry) == ["one", "two", "three"]
    assert registry.errors == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("raise RuntimeError('no GPU')\n", "RuntimeError: no GPU"),
        ("import demo_missing_dependency\n", "ModuleNotFoundError: No module named 'demo_miss"),
        ("def broken(:\n", "SyntaxError: "),
        ("import sys; sys.exit('no licence')\n", "to end the process: SystemExit: no licence"),
        ("class Odd(BaseException): pass\nraise Odd('x')\n", "to end the process: Odd: x"),
        ("import threading; threading.Event().wait()\n", "took longer than 0.05 s"),
        ("while True: pass\n", "took longer than 0.05 s"),
        (f"{HEAD}register('nonsense')\n", "ValueError: 'nonsense' is not a valid PluginType"),
    ],
    ids=["raises", "dependency", "syntax", "exits", "odd", "hangs", "loops", "nonsense"],
)
def test_a_module_that_cannot_be_imported_is_reported_and_skipped(
    text: str,
    expected: str,
    install: Install,
    registry: PluginRegistry,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    if "longer" in expected:
        monkeypatch.setenv("TORCHX_PLUGINS_TIMEOUT_S", "0.05")
    install({"torchx_plugins/schedulers/bad.py": text})
    assert found(registry) == []
    (error,) = registry.errors
    assert (error.module, error.name, error.plugin_type) == (
        "torchx_plugins.schedulers.bad",
        None,
        None,
    )
    assert expected in error.error
    assert error.error in caplog.text


def test_the_neighbours_of_a_broken_module_are_found(
    install: Install, registry: PluginRegistry
) -> None:
    install(
        {
            "torchx_plugins/schedulers/a.py": scheduler("a"),
            "torchx_plugins/schedulers/b/__init__.py": "import sys; sys.exit()\n",
            "torchx_plugins/schedulers/b/inner.py": scheduler("never"),
            "torchx_plugins/schedulers/c.py": scheduler("c"),
        }
    )
    assert found(registry) == ["a", "c"]
    assert [error.module for error in registry.errors] == ["torchx_plugins.schedulers.b"]


def test_a_broken_root_is_reported_also_if_a_dependency_is_missing(
    install: Install, registry: PluginRegistry
) -> None:
    install({"torchx_plugins/schedulers/__init__.py": "import demo_missing_dependency\n"})
    assert found(registry) == []
    (error,) = registry.errors
    assert error.module == "torchx_plugins.schedulers"
    assert error.error.startswith("ModuleNotFoundError: No module named 'demo_missing_dependency'")


def test_a_root_that_is_no_package_holds_nothing(
    install: Install, registry: PluginRegistry
) -> None:
    install({"torchx_plugins/schedulers.py": scheduler("never")})
    assert found(registry) == []
    assert registry.errors == []


def test_a_scan_that_fails_is_reported(install: Install, registry: PluginRegistry) -> None:
    install({"torchx_plugins/schedulers/a.py": scheduler("a")})
    with patch("torchx.plugins._registry.pkgutil.iter_modules", side_effect=OSError("stale")):
        assert found(registry) == []
    (error,) = registry.errors
    assert error.error == "the scan failed: OSError: stale"


def test_only_what_a_module_itself_defines_is_its_plugin(
    install: Install, registry: PluginRegistry
) -> None:
    install(
        {
            "torchx_plugins/schedulers/a.py": scheduler("a"),
            "torchx_plugins/schedulers/b.py": "from torchx_plugins.schedulers.a import a as b\n",
        }
    )
    assert found(registry) == ["a"]


def test_objects_that_raise_when_they_are_touched_are_passed_over(
    install: Install, registry: PluginRegistry
) -> None:
    proxy = (
        "class Proxy:\n"
        "    def __getattr__(self, name): raise RuntimeError('out of context')\n"
        "    def __call__(self): pass\n"
        "class Leaving(Proxy):\n"
        "    def __getattr__(self, name): raise SystemExit\n"
        "request, leaving = Proxy(), Leaving()\n"
        "class Mimic:\n"
        "    def __getattr__(self, name): return name\n"
        "    def __call__(self): pass\n"
        "mimic = Mimic()\n"
    )
    install({"torchx_plugins/schedulers/a.py": scheduler("zz", HEAD + proxy)})
    assert found(registry) == ["zz"]
    assert registry.errors == []


def test_an_object_that_hangs_when_it_is_touched_is_passed_over(
    install: Install, registry: PluginRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHX_PLUGINS_TIMEOUT_S", "0.05")
    hanging = (
        "import threading\n"
        "class Hanging:\n"
        "    def __getattr__(self, name): threading.Event().wait()\n"
        "    def __call__(self): pass\n"
        "hanging = Hanging()\n"
    )
    install({"torchx_plugins/schedulers/a.py": hanging})
    assert found(registry) == []


def test_a_module_that_cannot_be_listed_is_reported(
    install: Install, registry: PluginRegistry
) -> None:
    install({"torchx_plugins/schedulers/a.py": "def __dir__(): raise OSError('gone')\n"})
    assert found(registry) == []
    assert [error.error for error in registry.errors] == ["OSError: gone"]


def test_a_name_that_is_no_text_is_reported(install: Install, registry: PluginRegistry) -> None:
    odd = f"{HEAD}@register.scheduler()\ndef a(): pass\na._plugin_name = 7\n"
    install({"torchx_plugins/schedulers/a.py": odd})
    assert found(registry) == []
    assert [error.error for error in registry.errors] == [
        "the name of a plugin must be text, not 7"
    ]


def test_a_plugin_in_the_wrong_place_counts_for_both(
    install: Install, registry: PluginRegistry
) -> None:
    text = f"{HEAD}@register.tracker()\ndef runs(config): pass\n"
    install({"torchx_plugins/schedulers/misplaced.py": text})
    assert found(registry) == []
    expected = RegistrationError(
        "torchx_plugins.schedulers.misplaced",
        "is a tracker but is under the scheduler namespace \u2014 use @register.scheduler() or move"
        " to `torchx_plugins.tracker`",
        "runs",
        "tracker",
    )
    for kind in (PluginType.TRACKER, PluginType.SCHEDULER):
        assert registry.load_errors(kind) == [expected]
    assert registry.load_errors(PluginType.NAMED_RESOURCE) == []


def test_of_two_plugins_of_one_name_the_first_is_used_and_the_other_reported(
    install: Install, registry: PluginRegistry
) -> None:
    install(
        {
            "torchx_plugins/schedulers/a.py": scheduler("one"),
            "torchx_plugins/schedulers/b.py": scheduler("one"),
        }
    )
    plugin = registry.get(PluginType.SCHEDULER)["one"]
    assert plugin.__module__ == "torchx_plugins.schedulers.a"
    (error,) = registry.errors
    assert "DIFFERENT value in torchx_plugins.schedulers.a" in error.error
    assert (error.name, error.module, error.plugin_type) == (
        "one",
        "torchx_plugins.schedulers.b",
        "scheduler",
    )


def test_equal_named_resources_are_no_clash(install: Install, registry: PluginRegistry) -> None:
    root = "torchx_plugins/named_resources"
    files = {"a": ("box", 1), "b": ("box", 1), "c": ("crate", 1), "d": ("crate", 2)}
    install({f"{root}/{name}.py": resource(*made) for name, made in files.items()})
    assert list(registry.get(PluginType.NAMED_RESOURCE)) == ["box", "crate"]
    assert [(error.name, error.module[-1]) for error in registry.errors] == [("crate", "d")]


def test_the_private_names_that_others_use(install: Install, registry: PluginRegistry) -> None:
    assert registry._namespace_for_type(PluginType.NAMED_RESOURCE) == (
        "torchx_plugins.named_resources"
    )
    assert registry._namespace_for_type(PluginType.TRACKER) == "torchx_plugins.tracker"
    install({"torchx_plugins/schedulers/a.py": scheduler("a")})
    assert list(registry._find_namespace_plugins("torchx_plugins.schedulers")) == ["a"]
    module: Any = ModuleType("demo_module")
    exec(scheduler("inside"), vars(module))
    collected: dict[str, Callable[..., Any]] = {}
    registry._collect_plugins_from_module(module, "demo_module", PluginType.SCHEDULER, collected)
    assert collected == {"inside": module.inside}
    registry._collect_plugins_from_module(module, "demo_module", PluginType.TRACKER, {})
    assert [error.plugin_type for error in registry.errors] == ["scheduler"]
