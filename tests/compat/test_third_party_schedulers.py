"""Schedulers of other packages, in the ways in which published ones are written and registered.

``test_third_party_runner.py`` has one written for the last release, with fewer arguments.
"""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

import torchx.schedulers
from torchx.runner.api import Runner
from torchx.schedulers import get_scheduler_factories
from torchx.schedulers.api import (
    AppDryRunInfo,
    DescribeAppResponse,
    ListAppResponse,
    Scheduler,
    Stream,
)
from torchx.specs import AppDef, AppState, CfgVal, Resource, Role, runopts

Install = Callable[..., Path]
EIGHT = ["local", "docker", "slurm", "skypilot", "dgxcloud", "lepton", "kubeflow", "k8s"]


class NewScheduler(Scheduler[Mapping[str, CfgVal]]):
    """NeMo-Run's newer schedulers: ``_validate`` has ``cfg``, and checks nothing."""

    def __init__(self, session_name: str) -> None:
        super().__init__("new", session_name)
        self.calls: list[str] = []

    def _run_opts(self) -> runopts:
        opts = runopts()
        opts.add("job_dir", type_=str, default="/jobs", help="where jobs are kept")
        return opts

    def _validate(
        self, app: AppDef, scheduler: str, cfg: Mapping[str, CfgVal] | None = None
    ) -> None:
        self.calls.append(f"validate {scheduler} {dict(cfg or {})}")

    def _submit_dryrun(self, app: AppDef, cfg: Mapping[str, CfgVal]) -> AppDryRunInfo[Any]:
        return AppDryRunInfo({"app": app.name, **cfg}, repr)

    def schedule(self, dryrun_info: AppDryRunInfo[Any]) -> str:
        return "job-1"

    def describe(self, app_id: str) -> DescribeAppResponse | None:
        return DescribeAppResponse(app_id, AppState.RUNNING)

    def list(self, cfg: Mapping[str, CfgVal] | None = None) -> list[ListAppResponse]:
        return []

    def _cancel_existing(self, app_id: str) -> None:
        self.calls.append(f"cancel {app_id}")

    def log_iter(
        self,
        app_id: str,
        role_name: str,
        k: int = 0,
        regex: str | None = None,
        since: object = None,
        until: object = None,
        should_tail: bool = False,
        streams: Stream | None = None,
    ) -> Iterable[str]:
        return iter(())

    def close(self) -> None:
        self.calls.append("close")

    def __del__(self) -> None:
        self.calls.append("del")


def create_scheduler(session_name: str, **kwargs: object) -> NewScheduler:
    return NewScheduler(session_name)


def app() -> AppDef:
    return AppDef("job", [Role("r", "img", entrypoint="x")])


def test_hooks_are_called_under_their_names() -> None:
    with Runner("mine", {"new": create_scheduler}) as runner:
        handle = runner.run(app(), "new", {"job_dir": "/mine"})
        runner.cancel(handle)
        scheduler: Any = runner._scheduler("new")
    assert scheduler.calls == ["validate new {'job_dir': '/mine'}", "cancel job-1", "close"]


def test_the_checks_of_the_base_class_take_two_arguments_or_three() -> None:
    # NeMo-Run's runner asks whether there is a `cfg` before it passes one.
    class Checking(NewScheduler):
        _validate = Scheduler._validate

    scheduler = Checking("mine")
    assert "cfg" in inspect.signature(scheduler._validate).parameters
    good = app()
    good.roles[0].resource = Resource(1, 0, 1)
    scheduler._validate(good, "new")
    scheduler._validate(good, "new", {})
    with pytest.raises(ValueError, match="no resource for role `r`"):
        scheduler._validate(app(), "new")


def test_the_base_class_takes_its_arguments_by_position() -> None:
    scheduler = NewScheduler("mine")
    assert (scheduler.backend, scheduler.session_name) == ("new", "mine")


def test_eight_schedulers_may_fail_to_be_imported_without_disturbing_the_others(
    install: Install, caplog: pytest.LogCaptureFixture
) -> None:
    # NeMo-Run registers eight, most of which need a package that is not installed.
    module = "import missing_sdk\ndef create_scheduler(session_name, **kwargs): ...\n"
    install(
        {f"demo_run/{name}.py": module for name in EIGHT},
        entry_points="[torchx.schedulers]\n"
        + "".join(f"{name} = demo_run.{name}:create_scheduler\n" for name in EIGHT),
    )
    # Said once in a process.
    torchx.schedulers._report_replacement.cache_clear()
    factories = get_scheduler_factories()
    assert set(EIGHT) <= set(factories)
    with pytest.raises(ModuleNotFoundError, match="missing_sdk"):
        factories["skypilot"]("session")
    factories["local_cwd"]("session").close()
    assert caplog.messages == ["a plugin replaces the built-in scheduler `slurm`"]


def test_runopts_shows_the_other_schedulers(install: Install, tmp_path: Path) -> None:
    site = install(
        {"demo_run/sky.py": "import missing_sdk\n"},
        entry_points="[torchx.schedulers]\nsky = demo_run.sky:create_scheduler\n",
    )
    done = subprocess.run(
        [sys.executable, "-m", "torchx.cli.main", "runopts"],
        env={"PYTHONPATH": str(site), "HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "sky: No module named 'missing_sdk'" in done.stdout
    assert "local_cwd:\n" in done.stdout
