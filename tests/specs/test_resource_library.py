from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest.mock import MagicMock, patch

import pytest

import torchx.specs as specs
from torchx.plugins import PluginType, registry
from torchx.specs import NULL_RESOURCE, Resource, named_resources, resource
from torchx.specs.resource_library import ResourceFactory, _NamedResourcesLibrary
from torchx.util import entrypoints


@pytest.fixture
def library() -> _NamedResourcesLibrary:
    return _NamedResourcesLibrary()


def box() -> Resource:
    return Resource(cpu=3, gpu=0, memMB=3)


def test_a_name_is_made_anew_on_each_lookup() -> None:
    first, second = named_resources["gpu.small"], named_resources["gpu.small"]
    assert first == second
    assert first is not second


def test_the_close_name_is_suggested(library: _NamedResourcesLibrary) -> None:
    with pytest.raises(KeyError, match=r"No named resource found for `aws_p316xl`\. Did you mean"):
        library["aws_p316xl"]


def test_without_a_close_name_all_are_listed(library: _NamedResourcesLibrary) -> None:
    with pytest.raises(KeyError, match=r"Registered named resources: \['gpu\.small', "):
        library["zzzzzz"]


def test_order_and_count(library: _NamedResourcesLibrary) -> None:
    names = list(library)
    assert len(names) == 10 + 61 + 2
    assert names[0] == "gpu.small"
    assert names[10] == "aws_t3.medium"
    assert names[-2:] == ["NULL", "MISSING"]
    assert list(library.keys()) == names
    assert dict(library.items())["cpu.nano"] == library["cpu.nano"]
    assert "cpu.nano" in library
    assert "cpu.giant" not in library


def test_null_stands_for_no_resource() -> None:
    assert resource(h="NULL") is resource(h="MISSING") is NULL_RESOURCE


def test_resource_from_numbers() -> None:
    assert resource() == Resource(cpu=2, gpu=0, memMB=1024)
    assert resource(cpu=4, gpu=1, memMB=8) == Resource(cpu=4, gpu=1, memMB=8)
    assert resource(cpu=4, h="cpu.nano").cpu == 1


def test_get_named_resources_is_deprecated() -> None:
    with pytest.warns(FutureWarning, match="resource"):
        assert specs.get_named_resources("cpu.nano") == resource(h="cpu.nano")


def test_importing_specs_loads_no_table() -> None:
    code = (
        "import sys, torchx.specs as s;"
        "assert s.named_resources._factories is None;"
        "sys.exit(any(m.startswith(('torchx.specs.named_resources_', 'torchx_plugins'))"
        " for m in sys.modules))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_registered_factory_is_found() -> None:
    specs._named_resource_factories["test.box"] = box
    try:
        assert resource(h="test.box") == box()
    finally:
        del specs._named_resource_factories["test.box"]


def test_a_table_assigned_to_the_package_is_preferred() -> None:
    table = MagicMock()
    table.keys.return_value = ["p3.16xlarge"]
    with patch("torchx.specs._named_resource_factories", table):
        with pytest.raises(KeyError, match=r"Did you mean `p3\.16xlarge`\?"):
            _NamedResourcesLibrary()["p316xl"]
        with pytest.raises(KeyError, match=r"Registered named resources: \['p3\.16xlarge'\]"):
            _NamedResourcesLibrary()["zz"]


def test_custom_resources_assigned_to_the_package_are_merged() -> None:
    with patch("torchx.specs.CUSTOM_NAMED_RESOURCES", {"test.box": box}):
        assert specs._load_named_resources()["test.box"] is box
    assert "test.box" not in specs._load_named_resources()


@pytest.fixture
def custom_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    def write(name: str, text: str) -> None:
        (tmp_path / f"{name}.py").write_text(text)
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.setenv("TORCHX_CUSTOM_NAMED_RESOURCES", name)

    return write


def test_custom_module(
    library: _NamedResourcesLibrary, custom_module: Callable[[str, str], None]
) -> None:
    custom_module(
        "demo_custom_resources",
        "from torchx.specs import Resource\n"
        "def nano(): return Resource(cpu=9, gpu=9, memMB=9)\n"
        "NAMED_RESOURCES = {'cpu.nano': nano}\n",
    )
    assert library["cpu.nano"].cpu == 9


def test_broken_custom_modules_are_reported(
    library: _NamedResourcesLibrary, custom_module: Callable[[str, str], None]
) -> None:
    custom_module("demo_custom_empty", "")
    with pytest.raises(AttributeError, match="NAMED_RESOURCES"):
        library["cpu.nano"]
    custom_module("demo_custom_broken", "import demo_absent_dependency\n")
    with pytest.raises(ModuleNotFoundError, match="demo_absent_dependency"):
        library["cpu.nano"]


def test_an_absent_custom_module_provides_nothing(
    library: _NamedResourcesLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHX_CUSTOM_NAMED_RESOURCES", "demo_absent.resources")
    assert "cpu.nano" in library


def test_plugins_are_asked_once_by_many_threads(
    library: _NamedResourcesLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    barrier = threading.Barrier(8)

    def load_group(group: str) -> dict[str, ResourceFactory]:
        asked.append(group)
        return {"test.box": box}

    def look_up() -> None:
        barrier.wait()
        assert library["test.box"] == box()

    monkeypatch.setattr(entrypoints, "load_group", load_group)
    threads = [threading.Thread(target=look_up) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert asked == ["torchx.named_resources"]


def test_a_lookup_during_discovery_is_an_error_not_a_deadlock(
    library: _NamedResourcesLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load_group(group: str) -> dict[str, ResourceFactory]:
        return {"test.box": lambda: library["NULL"]} if library["NULL"] else {}

    monkeypatch.setattr(entrypoints, "load_group", load_group)
    with pytest.raises(RuntimeError, match="re-entrant named-resource lookup"):
        library["cpu.nano"]
    monkeypatch.undo()
    assert library["cpu.nano"].cpu == 1


def test_reset_discovers_again(
    library: _NamedResourcesLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "test.box" not in library
    monkeypatch.setattr(entrypoints, "load_group", lambda group: {"test.box": box})
    assert "test.box" not in library
    library.reset()
    assert "test.box" in library


def test_the_registry_of_plugins_is_asked_once(library: _NamedResourcesLibrary) -> None:
    with patch("torchx.plugins.registry") as registry:
        registry.return_value.get.return_value = {"test.box": box}
        assert library["test.box"] == box()
        assert library["cpu.nano"].cpu == 1
    registry.return_value.get.assert_called_once_with(PluginType.NAMED_RESOURCE)


def test_plugins_of_both_styles_are_found(
    library: _NamedResourcesLibrary, install: Callable[..., Path]
) -> None:
    install(
        {
            "torchx_plugins/named_resources/demo.py": (
                "from torchx.plugins import register\nfrom torchx.specs import Resource\n"
                "@register.named_resource(fractionals={0.5: 'half'})\n"
                "def demo_box(fractional=1.0): return Resource(int(4 * fractional), 0, 1)\n"
            ),
            "demo_sizes.py": (
                "from torchx.specs import Resource\ndef nano(): return Resource(9, 0, 1)\n"
            ),
        },
        entry_points="[torchx.named_resources]\ncpu.nano = demo_sizes:nano\n",
    )
    assert library["demo_box"].get_resource_name() == "demo_box"
    assert (library["demo_box_half"].cpu, library["cpu.nano"].cpu) == (2, 9)
    assert list(library)[-4:] == ["demo_box", "demo_box_half", "NULL", "MISSING"]


@pytest.mark.parametrize("on_main_thread", [True, False])
def test_a_plugin_that_looks_up_resources_while_it_is_imported_is_reported(
    on_main_thread: bool, library: _NamedResourcesLibrary, install: Callable[..., Path]
) -> None:
    install(
        {
            "torchx_plugins/named_resources/asking.py": (
                "import torchx.specs as specs\nspecs.demo_library['NULL']\n"
            )
        }
    )
    with patch("torchx.specs.demo_library", library, create=True):
        if on_main_thread:
            found = library["cpu.nano"]
        else:
            with ThreadPoolExecutor(1) as pool:
                found = pool.submit(library.__getitem__, "cpu.nano").result()
    assert found.cpu == 1
    (error,) = registry().load_errors(PluginType.NAMED_RESOURCE)
    assert "re-entrant named-resource lookup" in error.error


def test_an_illegal_source_of_plugins_leaves_the_other_resources(
    library: _NamedResourcesLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHX_PLUGINS_SOURCE", "all")
    assert library["cpu.nano"].cpu == 1
