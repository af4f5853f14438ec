"""The base class for tests of components, used as a component author would."""

import os
import unittest
from pathlib import Path

import pytest

import torchx
from torchx import specs
from torchx.components import utils
from torchx.components.component_test_base import ComponentTestCase
from torchx.specs.finder import ComponentValidationException


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHX_HOME", str(tmp_path / "home"))


@pytest.fixture
def case() -> ComponentTestCase:
    return ComponentTestCase()


def test_directories_are_those_of_the_test_and_go_away() -> None:
    seen: list[str] = []

    class Case(ComponentTestCase):
        def test(self) -> None:
            seen.extend([self.test_dir, os.getcwd(), self.old_cwd])
            self.assertTrue(os.path.isdir(self.test_dir))  # noqa: PT009  (this is a unittest class)

    before = os.getcwd()
    result = unittest.TestResult()
    Case("test").run(result)
    assert result.wasSuccessful()
    test_dir, during, old = seen
    assert not os.path.exists(test_dir)
    assert during == str(Path(torchx.__file__).parent)
    assert old == before == os.getcwd()


def test_component_runs_to_its_end(case: ComponentTestCase) -> None:
    status = case.run_component(utils.echo, scheduler_params={"cache_size": 1}, timeout=60)
    assert status is not None
    assert status.state == specs.AppState.SUCCEEDED


def test_failure_is_returned(case: ComponentTestCase) -> None:
    args = {"entrypoint": "false"}
    status = case.run_component(utils.binary, args, interval=0.01, timeout=60)
    assert status is not None
    assert status.state == specs.AppState.FAILED


def test_job_that_does_not_end_is_left_behind_at_the_timeout(case: ComponentTestCase) -> None:
    def sleep() -> specs.AppDef:
        return utils.sh("sleep 1000")

    status = case.run_component(sleep, interval=0.01, timeout=0.05)
    assert status is not None
    assert not status.is_terminal()


def test_parameters_reach_the_scheduler(case: ComponentTestCase) -> None:
    with pytest.raises(ValueError, match="cache"):
        case.run_component(utils.echo, scheduler_params={"cache_size": -1})


def test_invalid_component_is_refused(case: ComponentTestCase, tmp_path: Path) -> None:
    path = tmp_path / "broken.py"
    path.write_text("def job(x):\n    return x\n")
    broken = type(os)("broken")
    broken.__file__ = str(path)
    with pytest.raises(ComponentValidationException, match="Missing type annotation"):
        case.validate(broken, "job")
