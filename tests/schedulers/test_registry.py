from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

import torchx.schedulers
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


def install(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
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
    install(monkeypatch, "mine", "other")
    assert list(get_scheduler_factories()) == ["mine", "other", *BUILTIN]
    assert get_default_scheduler_name() == "mine"


def test_a_plugin_replaces_the_built_in_of_its_name_and_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    install(monkeypatch, "slurm")
    factories = get_scheduler_factories()
    assert factories["slurm"] is plugin
    assert sorted(factories) == sorted(BUILTIN)
    assert "slurm" in caplog.text


def test_the_built_in_schedulers_can_be_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    assert get_scheduler_factories("torchx.schedulers.orchestrator", skip_defaults=True) == {}
    install(monkeypatch, "mine")
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
