from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest

import torchx.schedulers
from torchx.cli.main import main
from torchx.plugins import registry
from torchx.schedulers import (
    DEFAULT_SCHEDULER_MODULES,
    Scheduler,
    get_default_scheduler_name,
    get_scheduler_factories,
)
from torchx.schedulers.local_scheduler import LocalScheduler

BUILTIN = [
    "local_docker",
    "local_cwd",
    "slurm",
    "kubernetes",
    "kubernetes_mcad",
    "aws_batch",
    "aws_sagemaker",
    "lsf",
]


def plugin(session_name: str, **kwargs: object) -> Scheduler[Any]:
    raise AssertionError("nothing may be created")


def patch_group(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    def load_group(group: str, default: object = None) -> object:
        return dict.fromkeys(names, plugin) or default

    monkeypatch.setattr(torchx.schedulers, "load_group", load_group)


def test_the_built_in_schedulers_and_the_default() -> None:
    assert list(DEFAULT_SCHEDULER_MODULES) == list(get_scheduler_factories()) == BUILTIN
    assert get_default_scheduler_name() == "local_docker"


@pytest.mark.parametrize("name", BUILTIN)
def test_a_factory_creates_a_scheduler_or_says_what_is_missing(name: str) -> None:
    try:
        scheduler = get_scheduler_factories()[name]("test_session", unknown_parameter=1)
    except ModuleNotFoundError as error:
        assert "\n" not in str(error)  # noqa: PT017 - either outcome is right
    else:
        assert scheduler.session_name == "test_session"
        scheduler.close()


def test_local_cwd_is_the_local_scheduler() -> None:
    scheduler = get_scheduler_factories()["local_cwd"]("test_session")
    assert isinstance(scheduler, LocalScheduler)
    assert isinstance(scheduler, Scheduler)
    scheduler.close()


def test_plugins_are_added_to_the_built_in_schedulers(monkeypatch: pytest.MonkeyPatch) -> None:
    patch_group(monkeypatch, "mine", "other")
    assert list(get_scheduler_factories()) == ["mine", "other", *BUILTIN]
    assert get_default_scheduler_name() == "mine"


def test_a_plugin_replaces_the_built_in_of_its_name_and_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    torchx.schedulers._report_replacement.cache_clear()
    patch_group(monkeypatch, "slurm")
    factories = get_scheduler_factories()
    assert factories["slurm"] is plugin
    assert sorted(factories) == sorted(BUILTIN)
    assert "slurm" in caplog.text


def test_the_registry_of_plugins_is_asked_first(monkeypatch: pytest.MonkeyPatch) -> None:
    plugins = MagicMock()
    plugins.registry.return_value.get.return_value = {"mine": plugin}
    monkeypatch.setattr(torchx.schedulers, "plugins", plugins)
    patch_group(monkeypatch, "other")
    assert list(get_scheduler_factories()) == ["mine", *BUILTIN]
    plugins.registry.return_value.get.return_value = {}
    assert list(get_scheduler_factories()) == ["other", *BUILTIN]
    assert get_scheduler_factories("torchx.schedulers.orchestrator", skip_defaults=True) == {
        "other": plugin
    }


def test_a_replacement_for_load_group_may_return_the_defaults_that_it_is_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        torchx.schedulers, "load_group", lambda group, default: {**default, "mine": plugin}
    )
    assert list(get_scheduler_factories()) == ["mine", *BUILTIN]


def test_both_styles_of_plugins_are_found_and_the_broken_ones_skipped(
    install: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    install(
        {
            "torchx_plugins/schedulers/bad.py": "raise SystemExit\n",
            "torchx_plugins/schedulers/demo.py": (
                "from torchx.plugins import register\n"
                "@register.scheduler()\ndef demo(session_name, **kwargs): ...\n"
            ),
        },
        entry_points="[torchx.schedulers]\nother = demo_absent:create\n",
    )
    assert list(get_scheduler_factories()) == ["demo", "other", *BUILTIN]
    registry().clear()
    monkeypatch.setenv("TORCHX_PLUGINS_SOURCE", "0")
    assert list(get_scheduler_factories()) == BUILTIN


def test_an_illegal_source_of_plugins_leaves_the_built_in_schedulers(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TORCHX_PLUGINS_SOURCE", "all")
    patch_group(monkeypatch, "mine")
    assert list(get_scheduler_factories()) == BUILTIN
    for words in (["--help"], ["run", "--help"], ["list", "--help"]):
        with pytest.raises(SystemExit) as exit_info:
            main(words)
        assert exit_info.value.code == 0
    assert "local_cwd" in capsys.readouterr().out


def test_the_built_in_schedulers_can_be_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    assert get_scheduler_factories("torchx.schedulers.orchestrator", skip_defaults=True) == {}
    patch_group(monkeypatch, "mine")
    assert list(get_scheduler_factories(skip_defaults=True)) == ["mine"]


def test_listing_schedulers_imports_none_of_them() -> None:
    program = (
        "import sys, torchx.schedulers as s; s.get_scheduler_factories()\n"
        "print([m for m in sys.modules if m.startswith(('torchx.schedulers.', 'torchx.specs'))])"
    )
    shown = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert shown.stdout.strip() == "[]"


def test_the_registry_has_no_other_attributes() -> None:
    with pytest.raises(AttributeError, match="nonsense"):
        torchx.schedulers.nonsense  # noqa: B018
