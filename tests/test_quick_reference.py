"""Runs the snippets of the quick reference as written, each in a folder of its own."""

from __future__ import annotations

import argparse
import re
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

import torchx.specs as specs
from torchx.runner import Runner, get_runner
from torchx.specs import AppState

FIXTURE = Path(__file__).parent / "fixtures" / "quick_reference.rst"
BLOCK = re.compile(r"\.\. code-block:: (\w+)\n\n((?:   .*\n|\n)+)")
TITLE = re.compile(r"^(.+)\n-{3,}$", re.MULTILINE)
NEEDS_A_CLUSTER = {"Submit a Job", "Distributed Training (DDP)", "Scheduler Config"}


def snippets() -> dict[str, list[str]]:
    text = FIXTURE.read_text(encoding="utf-8")
    parts = TITLE.split(text)[1:]
    return {
        title: [textwrap.dedent(body) for _, body in BLOCK.findall(section)]
        for title, section in zip(parts[::2], parts[1::2], strict=True)
    }


SNIPPETS = snippets()


def run_snippet(title: str, index: int = 0, **names: Any) -> dict[str, Any]:
    namespace = {"specs": specs, **names, "__name__": "quick_reference"}
    # Dataclasses and type hints look their module up by name.
    module = type(sys)("quick_reference")
    module.__dict__.update(namespace)
    sys.modules["quick_reference"] = module
    try:
        code = compile(SNIPPETS[title][index], f"<{title}>", "exec", dont_inherit=True)
        exec(code, module.__dict__)
    finally:
        del sys.modules["quick_reference"]
    return module.__dict__


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TORCHX_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:/usr/bin:/bin")
    return tmp_path


@pytest.fixture
def program(folder: Path) -> Path:
    """What the snippets call ``my_train``: prints its arguments and the variables it is given."""
    source = (
        "import os, sys\nprint('args', *sys.argv[1:])\nprint('job', os.environ['TORCHX_JOB_ID'])\n"
    )
    path = folder / "my_train.py"
    path.write_text(source, encoding="utf-8")
    return path


def logs_of(runner: Runner, handle: str, role: str) -> str:
    return "".join(runner.log_lines(handle, role, 0))


def test_every_title_is_known() -> None:
    assert len(SNIPPETS) == 21
    assert SNIPPETS.keys() > NEEDS_A_CLUSTER


@pytest.mark.parametrize(
    "title",
    sorted(SNIPPETS.keys() - {"Monitor and Wait", "Cancel and Delete", "Fetch Logs"} - {
        "Single-Node Training", "Custom Component", "Entry-Point Registration", "Tracker Plugin",
        *NEEDS_A_CLUSTER,
    }),
)  # fmt: skip
def test_definitions_run_as_written(title: str, folder: Path) -> None:
    names: dict[str, Any] = {}
    if title in ("AppDef", "Role", "Resource"):
        names = run_snippet("Imports")
    for index in range(len(SNIPPETS[title])):
        names |= run_snippet(title, index, **names)
    assert names


def test_core_types(folder: Path) -> None:
    names = run_snippet("Imports")
    role = run_snippet("Role", **names)["role"]
    assert (role.name, role.resource.memMB, role.num_replicas) == ("trainer", 8192, 1)
    resource = run_snippet("Resource", **names)
    assert resource["res"] == specs.resource(h="aws_p3.2xlarge")
    assert run_snippet("AppDef", **names)["app"].metadata == {}


def test_a_job_is_watched_and_its_logs_are_read(
    program: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    role = specs.Role(name="trainer", image="", entrypoint="python", args=["-m", "my_train", "a b"])
    with get_runner() as runner:
        app_handle = runner.run(specs.AppDef("train", [role]), scheduler="local_cwd")
        names = run_snippet("Monitor and Wait", runner=runner, app_handle=app_handle)
        run_snippet("Fetch Logs", runner=runner, app_handle=app_handle)
        run_snippet("Cancel and Delete", runner=runner, app_handle=app_handle)
        assert runner.status(app_handle) is None
    assert names["final_status"].state is AppState.SUCCEEDED
    printed = capsys.readouterr().out
    assert "Done: SUCCEEDED" in printed
    assert f"args a b\njob {app_handle}\n" in printed


def test_single_node_training(program: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = run_snippet("Single-Node Training")
    assert names["status"].state is AppState.SUCCEEDED
    assert "state: SUCCEEDED (4)" in capsys.readouterr().out
    with get_runner() as runner:
        assert "args --epochs 10\n" in logs_of(runner, names["app_handle"], "trainer")


def test_a_custom_component_runs_by_name_and_by_call(program: Path, folder: Path) -> None:
    snippet = SNIPPETS["Custom Component"][0]
    component, launch = snippet.split("# Launch it:")
    (folder / "my_component.py").write_text(component, encoding="utf-8")
    names = run_snippet("Custom Component")
    assert launch.count("app_handle") == 2
    role = names["app"].roles[0]
    assert role.resource == specs.resource(h="gpu.medium")
    # As in the snippet the runner is closed at once, and with it ends what still runs.
    with get_runner() as runner:
        status = runner.status(names["app_handle"])
    assert status is not None
    assert status.state in (AppState.SUCCEEDED, AppState.CANCELLED)


def test_the_app_of_a_distributed_job_can_be_built_without_a_cluster(folder: Path) -> None:
    definition, _, _ = SNIPPETS["Distributed Training (DDP)"][1].partition("with get_runner()")
    names: dict[str, Any] = {}
    exec(definition, names)
    with get_runner() as runner:
        info = runner.dryrun(names["app"], scheduler="local_cwd")
    assert len(info.request.role_params["trainer"]) == 2


def test_macros_reach_the_job(program: Path, capsys: pytest.CaptureFixture[str]) -> None:
    role = run_snippet("Runtime Macros")["role"]
    with get_runner() as runner:
        handle = runner.run(specs.AppDef("macros", [role]), scheduler="local_cwd")
        assert runner.wait(handle) is not None
        app_id = specs.parse_app_handle(handle).app_id
        assert f"args --job_id {app_id} --replica 0\n" in logs_of(runner, handle, "trainer")


def test_a_scheduler_written_after_the_skeleton_works(folder: Path) -> None:
    create_scheduler = run_snippet("Scheduler Plugin")["create_scheduler"]
    runner = Runner("session", {"mine": create_scheduler})
    role = specs.Role("r", "image", entrypoint="true", resource=specs.resource())
    assert runner.run(specs.AppDef("a", [role]), "mine") == "mine://session/job-id-123"
    assert runner.scheduler_run_opts("mine").resolve({}) == {"cluster": "default"}
    opts = repr(runner.scheduler_run_opts("mine"))
    assert "cluster=CLUSTER (str, default)" in opts


def test_a_workspace_written_after_the_skeleton_updates_roles(folder: Path) -> None:
    mixin = run_snippet("Workspace Plugin")["MyWorkspaceMixin"]()
    assert [name for name, _ in mixin.workspace_opts()] == ["artifact_store"]
    role = specs.Role("r", "image", workspace=specs.Workspace({str(folder): ""}))
    mixin.build_workspaces([role], {"artifact_store": "s3://b"})
    assert role.env == {"WORKSPACE_URL": "s3://b/r"}


def test_a_command_written_after_the_skeleton_runs(capsys: pytest.CaptureFixture[str]) -> None:
    command = run_snippet("CLI Command Plugin")["CmdMyTool"]()
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    command.run(parser.parse_args(["--config", "c", "app"]))
    assert capsys.readouterr().out == "Running my_tool on app with config=c\n"


def test_the_tables_of_states_and_named_resources() -> None:
    terminal = {"SUCCEEDED", "FAILED", "CANCELLED"}
    assert {state.name for state in AppState if specs.is_terminal(state)} == terminal
    sizes = {
        "gpu.small": (8, 1, 32), "gpu.medium": (16, 2, 64), "gpu.large": (32, 4, 128),
        "gpu.xlarge": (64, 8, 256), "cpu.small": (1, 0, 2), "cpu.medium": (2, 0, 4),
        "cpu.large": (2, 0, 8), "cpu.xlarge": (8, 0, 32),
    }  # fmt: skip
    for name, (cpu, gpu, memory_gib) in sizes.items():
        found = specs.resource(h=name)
        assert (found.cpu, found.gpu, found.memMB) == (cpu, gpu, memory_gib * 1024)
