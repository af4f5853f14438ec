from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.runner.conftest import MemoryScheduler
from torchx.runner import Runner
from torchx.runner.relaunch import RelaunchError
from torchx.runner.store import JobStore, RememberedJob
from torchx.runner.store.app_data import app_from_data, app_to_data
from torchx.specs import (
    AppDef,
    AppDryRunInfo,
    BindMount,
    DeviceMount,
    Resource,
    RetryPolicy,
    Role,
    UnknownAppException,
    VolumeMount,
    Workspace,
)

COMPONENT = '''
import torchx.specs as specs

def make(*args: str, lr: float = 0.1, tags: list[str] = [], quiet: bool = False, token: str = ""
) -> specs.AppDef:
    """Makes.

    Args:
        args: words
        lr: rate
        tags: labels
        quiet: say less
        token: a secret
    """
    words = [str(lr), *tags, str(quiet), *args]
    cpu = specs.Resource(1, 0, 1)
    role = specs.Role("r", image="", entrypoint="echo", args=words, resource=cpu)
    return specs.AppDef("made", roles=[role])
'''


@pytest.fixture
def component(tmp_path: Path) -> str:
    (tmp_path / "mine.py").write_text(COMPONENT)
    return "mine.py:make"


def args_of(info: Any) -> list[str]:
    assert isinstance(info, AppDryRunInfo)
    assert info.app is not None
    return info.app.roles[0].args


def newest() -> RememberedJob:
    return next(JobStore().newest())


@pytest.mark.parametrize(
    ("given", "overrides", "expected"),
    [
        (["--lr", "0.5", "a", "b"], [], ["0.5", "False", "a", "b"]),
        (["--lr", "0.5", "a", "b"], ["--lr", "0.7"], ["0.7", "False", "a", "b"]),
        (["--quiet", "a"], ["--quiet=False", "--tags", "x,y"], ["0.1", "x", "y", "False", "a"]),
        (["a"], ["b", "c"], ["0.1", "False", "b", "c"]),
        (["--", "-x", "--lr", "9"], ["--lr", "0.2"], ["0.2", "False", "-x", "--lr", "9"]),
        (["--lr=0.5", "it's", "$(x)"], [], ["0.5", "False", "it's", "$(x)"]),
    ],
)
def test_arguments_of_words_are_replaced_one_by_one(
    runner: Runner, component: str, given: list[str], overrides: list[str], expected: list[str]
) -> None:
    handle = runner.run_component(component, given, "memory")
    assert args_of(runner.rerun(handle, overrides, dryrun=True)) == expected


def test_arguments_given_as_values_are_replaced_one_by_one(runner: Runner, component: str) -> None:
    given = {"args": ["a b"], "lr": 0.5, "tags": ["x"]}
    handle = runner.run_component(component, given, "memory")
    assert args_of(runner.rerun(handle, dryrun=True)) == ["0.5", "x", "False", "a b"]
    again = runner.rerun(handle, ["--lr", "0.7"])
    assert args_of(runner.rerun(str(again), dryrun=True)) == ["0.7", "x", "False", "a b"]


def test_a_relaunched_job_can_be_launched_again_with_the_same_changes(
    runner: Runner, component: str
) -> None:
    handle = runner.run_component(component, ["--lr", "0.5", "a"], "memory")
    again = runner.rerun(handle, ["--lr", "0.7"])
    assert newest().handle == again
    assert args_of(runner.rerun(str(again), dryrun=True)) == ["0.7", "False", "a"]


def test_defaults_of_config_files_are_those_of_the_first_time(
    runner: Runner, component: str
) -> None:
    runner._component_defaults[component] = {"lr": "0.3"}
    handle = runner.run_component(component, [], "memory")
    runner._component_defaults[component] = {"lr": "0.9", "quiet": "True"}
    assert args_of(runner.rerun(handle, dryrun=True)) == ["0.3", "False"]


def test_it_runs_where_the_first_one_did(
    runner: Runner, component: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle = runner.run_component(component, ["a"], "memory")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert args_of(runner.rerun(handle, dryrun=True)) == ["0.1", "False", "a"]
    assert Path.cwd() == elsewhere


def test_a_directory_that_is_gone_is_told_of(
    runner: Runner, component: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle = runner.run_component(component, ["a"], "memory")
    (job,) = JobStore().newest()
    JobStore().change(job.submission_id, {"cwd": str(tmp_path / "gone")})
    with pytest.raises(RelaunchError, match="gone"):
        runner.rerun(handle)


def test_run_options_and_workspace_can_be_replaced(
    runner: Runner, memory: MemoryScheduler, app: AppDef
) -> None:
    handle = runner.run(app, "memory", {"queue": "short", "nodes": 3})
    runner.rerun(handle, cfg={"nodes": 5}, workspace="/w")
    assert memory.submitted[-1].cfg["queue"] == "short"
    assert memory.submitted[-1].cfg["nodes"] == 5
    assert newest().launch.workspace == "/w"


def test_another_scheduler_starts_without_the_run_options_of_the_first(
    runner: Runner, app: AppDef
) -> None:
    handle = runner.run(app, "memory", {"queue": "short"})
    again = runner.rerun(handle, scheduler="building")
    assert str(again).startswith("building://")
    assert newest().cfg["queue"] == "default"


def test_an_app_that_no_component_made_is_submitted_as_it_was(
    runner: Runner, memory: MemoryScheduler
) -> None:
    role = Role(
        "trainer",
        image="img",
        entrypoint="python",
        args=["-c", "pass"],
        env={"LEVEL": "1"},
        num_replicas=2,
        max_retries=3,
        retry_policy=RetryPolicy.REPLICA,
        resource=Resource(1, 2, 3, capabilities={"a": 1}, devices={"efa": 4}),
        port_map={"http": 80},
        metadata={"kubernetes": {"x": ["y"]}},
        mounts=[
            BindMount("/a", "/b", read_only=True),
            VolumeMount("v", "/c"),
            DeviceMount("d", "e"),
        ],
    )
    app = AppDef("train", roles=[role], metadata={"team": "ml"})
    handle = runner.run(app, "memory")
    runner._apps.clear()
    runner.rerun(handle)
    again = memory.submitted[-1].app
    again.roles[0].env = {"LEVEL": again.roles[0].env["LEVEL"]}
    assert again == app


def test_only_a_component_has_arguments_to_replace(runner: Runner, app: AppDef) -> None:
    handle = runner.run(app, "memory")
    with pytest.raises(RelaunchError, match="AppDef"):
        runner.rerun(handle, ["--lr", "1"])


def test_an_app_survives_being_stored() -> None:
    app = AppDef("a", roles=[Role("r", image="i", workspace=Workspace({"/w": "sub"}))])
    assert app_from_data(app_to_data(app)) == app


def test_secrets_have_to_be_given_again(
    runner: Runner, memory: MemoryScheduler, component: str
) -> None:
    handle = runner.run_component(component, ["--token", "s3cr3t-value", "a"], "memory")
    with pytest.raises(RelaunchError, match="--token was not remembered") as error:
        runner.rerun(handle)
    assert "-- --token=..." in error.value.hint
    assert args_of(runner.rerun(handle, ["--token", "x"], dryrun=True)) == ["0.1", "False", "a"]

    handle = runner.run_component(component, ["a"], "memory", {"api_token": "s3cr3t-value"})
    with pytest.raises(RelaunchError, match="`api_token` was not remembered"):
        runner.rerun(handle)
    runner.rerun(handle, cfg={"api_token": "other"})
    assert memory.submitted[-1].cfg["api_token"] == "other"


def test_secret_variables_come_from_the_environment(
    runner: Runner, memory: MemoryScheduler, app: AppDef, monkeypatch: pytest.MonkeyPatch
) -> None:
    app.roles[0].env.update(HF_TOKEN="s3cr3t-value", DB_PASSWORD="s3cr3t-word")
    handle = runner.run(app, "memory")
    with pytest.raises(RelaunchError, match="`HF_TOKEN`, `DB_PASSWORD`"):
        runner.rerun(handle)
    monkeypatch.setenv("HF_TOKEN", "another-one")
    monkeypatch.setenv("DB_PASSWORD", "another-two")
    runner.rerun(handle)
    assert memory.submitted[-1].app.roles[0].env["HF_TOKEN"] == "another-one"


def test_what_is_not_remembered_cannot_be_launched_again(runner: Runner) -> None:
    with pytest.raises(UnknownAppException):
        runner.rerun("memory://test/nothing")
