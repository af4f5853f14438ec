"""The helper that runs the built-in components on a scheduler, on this machine."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from torchx import specs
from torchx.components import utils
from torchx.components.integration_tests import component_provider
from torchx.components.integration_tests.component_provider import ComponentProvider
from torchx.components.integration_tests.integ_tests import IntegComponentTest
from torchx.components.integration_tests.test import dummy_app

# The published name of the session is one that runners warn about.
pytestmark = pytest.mark.filterwarnings("ignore:names of sessions:FutureWarning")


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHX_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TORCHXCONFIG", "")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


class Failing(ComponentProvider):
    def get_app_def(self) -> specs.AppDef:
        return utils.sh("echo 'it says'; exit 3", image=self._image)


def _module(*providers: type[object]) -> ModuleType:
    module = ModuleType("providers")
    vars(module).update({provider.__name__: provider for provider in providers})
    return module


def test_the_built_in_components_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # Two nodes on one machine need a port that other jobs may have, so that `ddp` is left out.
    chosen = [
        component_provider.ServeComponentProvider,
        component_provider.BoothComponentProvider,
        component_provider.ShComponentProvider,
        component_provider.TouchComponentProvider,
        component_provider.CopyComponentProvider,
    ]
    IntegComponentTest().run_components(_module(*chosen), "", "local_cwd", {})
    printed = capsys.readouterr().out
    logs = re.findall(
        r"=== BEGIN LOG (\S+) \(SUCCEEDED\)===\n.*?=== END LOG \1 \(SUCCEEDED\) ===", printed, re.S
    )
    assert len(logs) == len(chosen)
    assert "sh/0 test\n" in printed
    assert not list(tmp_path.glob("torchx-integ-*"))


def test_a_dry_run_submits_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    IntegComponentTest().run_components(component_provider, "", "local_cwd", {}, dryrun=True)
    assert "BEGIN LOG" not in capsys.readouterr().out
    assert not list(tmp_path.glob("home/local/*"))


def test_failed_apps_are_counted_and_named(capsys: pytest.CaptureFixture[str]) -> None:
    module = _module(Failing, component_provider.ShComponentProvider)
    with pytest.raises(AssertionError, match=r"^1/2 test jobs failed: local_cwd://test-runner/sh-"):
        IntegComponentTest().run_components(module, "", "local_cwd", {})
    assert "sh/0 it says\n" in capsys.readouterr().out


@pytest.mark.parametrize("scheduler", ["local_cwd", "kubernetes"])
def test_paths_are_in_a_directory_only_where_replicas_see_it(scheduler: str) -> None:
    touch = component_provider.TouchComponentProvider(scheduler, "image")
    copy = component_provider.CopyComponentProvider(scheduler, "image")
    for provider in (touch, copy):
        provider.setUp()
    (touched,) = touch.get_app_def().roles[0].args
    copied = copy.get_app_def().roles[0].args
    assert os.path.isabs(touched) is (scheduler == "local_cwd")
    assert os.path.basename(touched) == "torchx_touch_test.txt"
    assert [os.path.basename(word) for word in copied[3::2]] == ["README.md", "README.md.copy"]
    for provider in (touch, copy):
        provider.tearDown()


def test_the_dummy_program_says_that_it_ran(capsys: pytest.CaptureFixture[str]) -> None:
    dummy_app.main()
    assert capsys.readouterr().out == "hi from main\n"
