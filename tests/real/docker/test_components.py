"""Built-in components run in containers, one that trains across two of them included."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import torchx
from tests.real.docker.engine import IMAGE, need_engine, own_session
from torchx.runner import Runner
from torchx.schedulers import get_scheduler_factories
from torchx.specs import AppState

TIMEOUT_S = 300.0
PACKAGE = Path(torchx.__file__).parent


@pytest.fixture
def runner() -> Iterator[Runner]:
    need_engine()
    session = own_session()
    with Runner(session, get_scheduler_factories()) as runner:
        yield runner
        for app in runner.list("local_docker"):
            if app.app_handle.startswith(f"local_docker://{session}/"):
                runner.delete(app.app_handle)


@pytest.fixture
def workspace(tmp_path: Path) -> str:
    """A directory with torchx in it, as the checkout of its developer."""
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(PACKAGE, tmp_path / "code" / "torchx", ignore=ignored)
    return str(tmp_path / "code")


def run(
    runner: Runner, component: str, *args: str, workspace: str | None = None, replicas: int = 1
) -> list[str]:
    handle = runner.run_component(component, [*args], "local_docker", workspace=workspace or None)
    status = runner.wait(handle, timeout=TIMEOUT_S)
    assert status is not None
    (role,) = status.roles
    log = [line for k in range(replicas) for line in runner.log_lines(handle, role.role, k)]
    assert status.state == AppState.SUCCEEDED, (status.msg, log)
    return log


def test_echo(runner: Runner) -> None:
    args = ["--image", IMAGE, "--num_replicas", "2", "--msg", "hello $HOME"]
    assert run(runner, "utils.echo", *args, replicas=2) == ["hello $HOME\n"] * 2


def test_touch(runner: Runner) -> None:
    assert run(runner, "utils.touch", "--image", IMAGE, "--file", "/tmp/x") == []


def test_sh(runner: Runner) -> None:
    args = ["--image", IMAGE, "sh", "-c", "echo 'a b' && id -u"]
    assert run(runner, "utils.sh", *args) == ["a b\n", "0\n"]


def test_python(runner: Runner) -> None:
    assert run(runner, "utils.python", "--image", IMAGE, "-c", "print(6 * 7)") == ["42\n"]


def test_copy(runner: Runner, workspace: str, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "source").write_text("copied")
    mount = f"type=bind,src={tmp_path / 'data'},dst=/data"
    args = ["--image", IMAGE, "--src", "file:///data/source", "--dst", "file:///data/target"]
    run(runner, "utils.copy", *args, "--mounts", mount, workspace=workspace)
    assert (tmp_path / "data" / "target").read_text() == "copied"


def test_booth(runner: Runner, workspace: str) -> None:
    args = ["--image", IMAGE, "--x1", "1", "--x2", "3"]
    run(runner, "utils.booth", *args, workspace=workspace)


def test_torchserve(runner: Runner, workspace: str) -> None:
    args = ["--image", IMAGE, "--model_path", "/app/torchx/version.txt"]
    args += ["--management_api", "http://localhost:8081", "--dryrun", "true"]
    run(runner, "serve.torchserve", *args, workspace=workspace)


def test_ddp_trains_across_two_containers(runner: Runner, tmp_path: Path) -> None:
    # The environment of this test is the software of the image, which has no PyTorch of its own.
    places = {sys.prefix, str(PACKAGE.parent)}
    if sys.base_prefix not in ("/usr", "/usr/local"):
        places.add(sys.base_prefix)
    mounts = ",".join(f"type=bind,src={place},dst={place},readonly" for place in sorted(places))
    path = f"{sys.prefix}/bin:/usr/local/bin:/usr/bin:/bin"
    log = run(
        runner,
        "dist.ddp",
        *["-j", "2x2", "-m", "torchx.examples.digits.train", "--image", IMAGE],
        *["--cpu", "1", "--memMB", "3000", "--mounts", mounts],
        *["--env", f"PATH={path},PYTHONPATH={PACKAGE.parent},OMP_NUM_THREADS=1"],
        replicas=2,
    )
    text = "".join(log)
    assert "accuracy" in text, text
