"""What holds for every built-in component."""

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from torchx.components import dist, metrics, serve, utils
from torchx.components.component_test_base import ComponentTestCase
from torchx.specs import finder

BUILTINS = {
    "dist": (dist, ["ddp", "spmd"]),
    "metrics": (metrics, ["tensorboard"]),
    "serve": (serve, ["torchserve"]),
    "utils": (utils, ["binary", "booth", "copy", "echo", "hydra", "python", "sh", "touch"]),
}
NAMES = [(module, name) for module, (_, names) in BUILTINS.items() for name in names]


def test_listing_is_complete() -> None:
    assert sorted(finder.get_components()) == [f"{module}.{name}" for module, name in NAMES]


@pytest.mark.parametrize(("module", "name"), NAMES)
def test_component_is_valid_and_has_help(
    module: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ComponentTestCase().validate(BUILTINS[module][0], name)
    text = capsys.readouterr().out
    assert "usage: torchx run <run args...> " + name in text
    assert "(required)" in text or "(default: " in text


@pytest.mark.parametrize(("module", "name"), NAMES)
def test_printed_source_is_a_component_of_its_own(module: str, name: str, tmp_path: Path) -> None:
    path = tmp_path / "printed.py"
    path.write_text(finder.get_builtin_source(f"{module}.{name}"))
    component = finder.get_component(f"{path}:{name}")
    assert component.validation_errors == []
    original = finder.get_component(f"{module}.{name}")
    if name != "hydra":  # it needs a config, and has tests of its own
        args = _arguments(name)
        assert component.fn(**args) == original.fn(**args)


def _arguments(name: str) -> dict[str, object]:
    arguments: dict[str, dict[str, object]] = {
        "ddp": {"script": "a.py", "j": "2x2", "debug": True},
        "spmd": {"m": "a.b"},
        "tensorboard": {"logdir": "/l"},
        "torchserve": {"model_path": "m", "management_api": "http://h"},
        "binary": {"entrypoint": "true"},
        "booth": {"x1": 1.0, "x2": 2.0},
        "copy": {"src": "a", "dst": "b"},
        "python": {"c": "1"},
        "touch": {"file": "f"},
    }
    return arguments.get(name, {})


def test_importing_a_component_module_starts_nothing_heavy() -> None:
    program = (
        "import sys, torchx.components.dist, torchx.components.utils\n"
        "heavy = {'asyncio', 'argparse', 'fsspec', 'yaml', 'hydra', 'unittest'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ran.stdout == "[]\n", ran.stderr


def test_modules_without_components_can_be_imported() -> None:
    from torchx.components import interpret, train

    assert all(isinstance(module, ModuleType) and module.__doc__ for module in (interpret, train))
