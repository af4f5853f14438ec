from __future__ import annotations

import importlib
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from types import ModuleType
from unittest.mock import patch

import pytest

from torchx.specs import AppDef, finder
from torchx.specs.builders import materialize_appdef
from torchx.specs.finder import (
    ComponentLoadException,
    ComponentNotFoundException,
    ComponentValidationException,
    ModuleComponentsFinder,
    _Component,
    get_builtin_source,
    get_component,
    get_components,
    is_namespace_package,
    is_package,
    module_relname,
)

COMPONENT = '''from torchx.specs import AppDef


def {name}(x: str = "") -> AppDef:
    """The component {name}."""
    return AppDef("{name}")
'''
BUILTINS = {
    "dist.ddp",
    "dist.spmd",
    "metrics.tensorboard",
    "serve.torchserve",
    "utils.binary",
    "utils.booth",
    "utils.copy",
    "utils.echo",
    "utils.hydra",
    "utils.python",
    "utils.sh",
    "utils.touch",
}

Plugins = Callable[..., None]


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(finder, "_components", None)
    path, modules = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if name.startswith(("demo_", "torchx_component_file_")):
            del sys.modules[name]
    importlib.invalidate_caches()


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package with sub-packages, a broken module, helpers and tests."""
    files = {
        "demo_pkg/__init__.py": COMPONENT.format(name="top"),
        "demo_pkg/bar.py": COMPONENT.format(name="e") + "\n\ndef _hidden() -> AppDef: ...\n",
        "demo_pkg/sub/__init__.py": "",
        "demo_pkg/sub/deep.py": "from demo_pkg.bar import e\n" + COMPONENT.format(name="f"),
        "demo_pkg/broken.py": "import demo_absent_dependency\n" + COMPONENT.format(name="g"),
        "demo_pkg/exits.py": "import sys\nsys.exit(3)\n" + COMPONENT.format(name="h"),
        "demo_pkg/unparsable.py": "def x(:\n",
        "demo_pkg/invalid.py": "def helper(x): ...\n",
        "demo_pkg/test/__init__.py": COMPONENT.format(name="t"),
        "demo_namespace/mod.py": COMPONENT.format(name="n"),
        "demo_other/utils.py": COMPONENT.format(name="echo"),
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "demo_other" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def plugins(tree: Path) -> Iterator[Plugins]:
    with patch("torchx.util.entrypoints.metadata.entry_points") as scan:

        def install(**values: str) -> None:
            scan.return_value = metadata.EntryPoints(
                metadata.EntryPoint(name, value, "torchx.components")
                for name, value in values.items()
            )

        install()
        yield install


def names(found: list[_Component], *, valid: bool = True) -> list[str]:
    return [one.name for one in found if bool(one.validation_errors) != valid]


def test_the_builtins() -> None:
    assert set(get_components()) == BUILTINS
    listed = ModuleComponentsFinder("torchx.components", "").find(None)
    assert set(names(listed)) == BUILTINS
    assert get_components()["utils.echo"].description == "Echos a message to stdout (calls echo)"


def test_looking_up_one_builtin_imports_only_its_module() -> None:
    code = (
        "import sys; from torchx.specs.finder import get_component;"
        "get_component('utils.echo');"
        "found = {m for m in sys.modules if m.startswith('torchx.components.')};"
        "assert found == {'torchx.components.utils'}, found;"
        "assert 'importlib.metadata' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("base", "group", "expected"),
    [
        ("demo_pkg", "", ["top", "bar.e", "sub.deep.f"]),
        ("demo_pkg", "foo", ["foo.top", "foo.bar.e", "foo.sub.deep.f"]),
        ("demo_pkg.bar", "foo", ["foo.e"]),
        ("demo_namespace", "foo", ["foo.mod.n"]),
    ],
)
def test_names_of_components(tree: Path, base: str, group: str, expected: list[str]) -> None:
    assert names(ModuleComponentsFinder(base, group).find(None)) == expected
    by_module = ModuleComponentsFinder(importlib.import_module(base), group)
    assert names(by_module.find(None)) == expected
    for name in expected:
        found = by_module.find_one(name, None)
        assert found is not None
        assert (found.name, found.fn_name) == (name, name.rpartition(".")[2])


def test_a_broken_module_hides_only_its_own_components(
    tree: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert "bar.e" in names(ModuleComponentsFinder("demo_pkg", "").find(None))
    for reason in ("demo_absent_dependency", "SystemExit: 3", "SyntaxError"):
        assert reason in caplog.text


def test_a_broken_module_is_reported_when_its_component_is_looked_up(plugins: Plugins) -> None:
    plugins(foo="demo_pkg")
    assert get_component("foo.bar.e").fn_name == "e"
    assert get_component("utils.echo").fn_name == "echo"
    for name in ("foo.broken.g", "foo.exits.h", "foo.unparsable.x"):
        with pytest.raises(ComponentLoadException, match=f"'{name}' cannot be loaded"):
            get_component(name)


def test_plugins_are_added_to_the_builtins(plugins: Plugins) -> None:
    plugins(foo="demo_pkg", _0="demo_namespace", _1="demo_pkg.bar")
    assert set(get_components()) == BUILTINS | {
        "foo.top",
        "foo.bar.e",
        "foo.sub.deep.f",
        "mod.n",
        "e",
    }
    assert get_component("mod.n").fn_name == "n"
    assert get_component("e").fn_name == "e"
    plugins()
    assert set(get_components()) == BUILTINS


@pytest.mark.parametrize("is_listed_first", [True, False])
def test_a_plugin_of_the_same_name_wins_and_says_so(
    plugins: Plugins, caplog: pytest.LogCaptureFixture, is_listed_first: bool
) -> None:
    plugins(_0="demo_other")
    with caplog.at_level(logging.WARNING):
        if is_listed_first:
            get_components()
        assert get_component("utils.echo").fn.__module__ == "demo_other.utils"
    assert "component utils.echo of demo_other.utils hides the built-in" in caplog.text


def test_a_plugin_that_cannot_be_imported_is_reported_and_skipped(
    plugins: Plugins, caplog: pytest.LogCaptureFixture
) -> None:
    plugins(bad="demo_absent_plugin", worse="demo_pkg.exits", worst="demo_pkg.broken:g")
    with caplog.at_level(logging.WARNING):
        assert set(get_components()) == BUILTINS
    assert "demo_absent_plugin" in caplog.text
    assert "SystemExit" in caplog.text
    assert get_component("utils.echo").name == "utils.echo"
    with pytest.raises(ComponentNotFoundException):
        get_component("bad.x")


def test_an_entry_point_may_return_a_module_or_its_name(plugins: Plugins, tree: Path) -> None:
    (tree / "demo_factories.py").write_text(
        "def by_name(): return 'demo_namespace'\n"
        "def module():\n    import demo_namespace\n    return demo_namespace\n"
        "def number(): return 5\n"
    )
    plugins(a="demo_factories:by_name", b="demo_factories:module")
    assert {"a.mod.n", "b.mod.n"} <= set(get_components())
    assert get_component("b.mod.n").fn_name == "n"
    plugins(c="demo_factories:number")
    with pytest.raises(AssertionError, match=r"torchx\.components\.c must be a module"):
        get_components()


def test_the_closest_name_is_suggested() -> None:
    with pytest.raises(ComponentNotFoundException, match=r"`utils\.ecko` not found") as caught:
        get_component("utils.ecko")
    assert caught.value.hint == "did you mean `utils.echo`?"


@pytest.mark.parametrize("name", ["", "a b", ".echo", "utils.", "utils..echo", "no.such.thing"])
def test_hostile_names_are_just_not_found(name: str) -> None:
    with pytest.raises(ComponentNotFoundException):
        get_component(name)


def test_all_faults_of_a_component_are_named(plugins: Plugins) -> None:
    plugins(foo="demo_pkg")
    with pytest.raises(ComponentValidationException) as caught:
        get_component("foo.invalid.helper")
    lines = str(caught.value).splitlines()
    assert lines[0] == "Component foo.invalid.helper has validation errors: "
    assert len(lines) == 3
    assert "foo.invalid.helper" not in get_components()
    assert get_component("foo.invalid.helper", []).fn_name == "helper"


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = tmp_path / "a'; echo foo"
    directory.mkdir()
    monkeypatch.chdir(directory)
    path = directory / "job.py"
    path.write_text(
        "from __future__ import annotations\n"
        "import demo_finder_sibling\n"
        "from torchx.specs import AppDef\n"
        "def run(n: int | None = None, *args: str) -> AppDef:\n"
        '    """Runs."""\n'
        "    return AppDef(f'{demo_finder_sibling.value}-{n}')\n"
        "def invalid(x): ...\n"
        "class Klass: ...\n"
        "shortcut = lambda: 1\n"
    )
    (directory / "demo_finder_sibling.py").write_text("value = 'sibling'\n")
    return path


def test_a_file_component(job: Path) -> None:
    component = get_component("job.py:run")
    assert (component.name, component.fn_name) == ("job.py:run", "run")
    assert component.description == "Runs."
    assert component.fn.__module__ not in ("torchx.specs.finder", "__main__")
    assert materialize_appdef(component.fn, ["-n", "5"]).name == "sibling-5"
    assert get_component(f"{job}:run").fn is component.fn


def test_file_and_function_are_split_at_the_last_colon(job: Path) -> None:
    path = job.with_name("with:colon.py")
    path.write_text(COMPONENT.format(name="fn"))
    assert get_component(f"{path}:fn").fn_name == "fn"


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("job.py:rum", ComponentNotFoundException, "Function rum does not exist in file job.py"),
        ("job.py:Klass", ComponentNotFoundException, "Klass in job.py is no function but a type"),
        ("job.py:shortcut", ComponentValidationException, "Function shortcut not found"),
        ("job.py:invalid", ComponentValidationException, "Missing type annotation"),
        ("absent.py:fn", FileNotFoundError, r"absent\.py does not exist and is not a builtin"),
        ("absent.module:fn", FileNotFoundError, "does not exist"),
    ],
)
def test_file_components_that_cannot_be(
    job: Path, name: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        get_component(name)


def test_errors_of_a_file_come_through(job: Path) -> None:
    job.write_text("def fn(:\n")
    with pytest.raises(SyntaxError):
        get_component("job.py:fn")
    job.write_text("raise RuntimeError('at import')\n")
    with pytest.raises(RuntimeError, match="at import"):
        get_component("job.py:fn")


def test_a_builtin_file_is_found_from_anywhere(job: Path) -> None:
    assert get_component("torchx/components/utils.py:echo").fn_name == "echo"


def test_a_component_of_a_module(tree: Path) -> None:
    component = get_component("demo_pkg.sub.deep:f")
    assert component.name == "demo_pkg.sub.deep:f"
    assert component.fn.__module__ == "demo_pkg.sub.deep"


@pytest.mark.parametrize("name", sorted(BUILTINS))
def test_the_source_of_a_builtin_runs_as_a_file(name: str, job: Path) -> None:
    fn_name = name.rpartition(".")[2]
    job.write_text(get_builtin_source(name))
    copied = get_component(f"job.py:{fn_name}")
    original = get_component(name)
    required = {"touch": ["--file", "x"], "copy": ["--src", "a", "--dst", "b"]}.get(fn_name)
    assert copied.description == original.description
    if required is not None or fn_name in ("echo", "sh"):
        app = materialize_appdef(copied.fn, required or ["x"] * (fn_name == "sh"))
        assert isinstance(app, AppDef)


def test_the_source_of_a_file_component(job: Path) -> None:
    source = get_builtin_source("job.py:run")
    assert source.startswith("from __future__ import annotations\nimport demo_finder_sibling\n")
    assert "Klass" not in source


def test_questions_about_modules(tree: Path) -> None:
    package, module, namespace = (
        importlib.import_module(name)
        for name in ("demo_pkg", "demo_pkg.sub.deep", "demo_namespace")
    )
    assert is_package(package)
    assert not is_package(module)
    assert is_namespace_package(namespace)
    assert not is_namespace_package(package)
    assert module_relname(module, package) == "sub.deep"
    assert module_relname(package, package) == ""
    with pytest.raises(ValueError, match="is not a submodule of"):
        module_relname(package, ModuleType("demo"))
