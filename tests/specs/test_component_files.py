from __future__ import annotations

import inspect
import pickle
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest

from torchx.specs.component_files import load_component_file


@pytest.fixture(autouse=True)
def unchanged_path() -> Iterator[None]:
    before = list(sys.path)
    yield
    sys.path[:] = before


def write(path: Path, text: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return text


def test_a_component_file_is_a_module_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "my job.py"
    text = write(
        path,
        "import dataclasses\n"
        "@dataclasses.dataclass\nclass Config:\n    n: int = 1\n"
        "def fn(): return Config()\n",
    )
    module = load_component_file(str(path), text)
    assert module.__name__.startswith("torchx_component_file_my_job_")
    assert module.__file__ == str(path)
    assert sys.modules[module.__name__] is module
    assert pickle.loads(pickle.dumps(module.fn())) == module.fn()
    assert inspect.getsource(module.fn) == "def fn(): return Config()\n"
    assert not hasattr(module, "Path")
    assert not list(tmp_path.rglob("*.pyc"))


def test_two_files_of_one_name_are_two_modules(tmp_path: Path) -> None:
    first, second = tmp_path / "a" / "job.py", tmp_path / "b" / "job.py"
    modules = [load_component_file(str(path), write(path, "x = 1\n")) for path in (first, second)]
    assert modules[0] is not modules[1]


def test_a_file_is_executed_once_for_each_state_of_its_text(tmp_path: Path) -> None:
    path = tmp_path / "job.py"
    first = load_component_file(str(path), write(path, "x = object()\n"))
    assert load_component_file(str(path), path.read_text()) is first
    changed = load_component_file(str(path), write(path, "x = 2\n"))
    assert changed.x == 2


def test_siblings_can_be_imported_when_loading_and_when_called(tmp_path: Path) -> None:
    write(tmp_path / "demo_sibling_early.py", "value = 1\n")
    write(tmp_path / "demo_sibling_late.py", "value = 2\n")
    path = tmp_path / "job.py"
    text = write(
        path,
        "import demo_sibling_early\n"
        "def fn():\n"
        "    import demo_sibling_late\n"
        "    return demo_sibling_early.value + demo_sibling_late.value\n",
    )
    module = load_component_file(str(path), text)
    assert module.fn() == 3
    assert sys.path[0] != str(tmp_path)


def test_a_traceback_shows_the_true_file_and_source_line(tmp_path: Path) -> None:
    path = tmp_path / "job.py"
    text = write(path, "def fn():\n    raise ValueError('from the component')\n")
    module = load_component_file(str(path), text)
    with pytest.raises(ValueError, match="from the component") as caught:
        module.fn()
    frame = traceback.extract_tb(caught.value.__traceback__)[-1]
    assert (frame.filename, frame.lineno) == (str(path), 2)
    assert frame.line == "raise ValueError('from the component')"


def test_text_without_a_file_has_source_lines_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    module = load_component_file("virtual.py", "def fn():\n    return 1\n")
    assert inspect.getsource(module.fn) == "def fn():\n    return 1\n"
    assert module.__file__ == str(tmp_path / "virtual.py")


def test_a_file_that_fails_leaves_no_module_behind(tmp_path: Path) -> None:
    path = tmp_path / "demo_failing_job.py"
    with pytest.raises(RuntimeError, match="boom"):
        load_component_file(str(path), write(path, "raise RuntimeError('boom')\n"))
    assert not [name for name in sys.modules if "demo_failing_job" in name]
    good = load_component_file(str(path), write(path, "x = 1\n"))
    with pytest.raises(RuntimeError, match="boom"):
        load_component_file(str(path), write(path, "raise RuntimeError('boom')\n"))
    assert sys.modules[good.__name__] is good


def test_annotations_are_not_postponed_unless_the_file_says_so(tmp_path: Path) -> None:
    path = tmp_path / "job.py"
    module = load_component_file(str(path), write(path, "def fn(x: int): ...\n"))
    assert module.fn.__annotations__ == {"x": int}
