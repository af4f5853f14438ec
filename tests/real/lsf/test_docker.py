"""Jobs of a simulated LSF cluster in containers of a real Docker engine."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.schedulers.lsf.simulator import Cluster
from torchx.schedulers.api import DescribeAppResponse
from torchx.schedulers.lsf_scheduler import LsfScheduler, create_scheduler
from torchx.specs import AppDef, AppState, BindMount, CfgVal, Resource, Role, is_terminal
from torchx.testing.waiting import eventually

# The image is empty: programs are those of this machine.
MOUNTS = [BindMount(path, path, read_only=True) for path in ("/usr", "/bin", "/lib", "/lib64")]

SHOW = """printf '%s\\n' "$1" "$A" "$HF_TOKEN"; [ ! -e main.txt ] || cat main.txt"""
HOSTILE = "a 'b\n#BSUB -q x $HOME `id`"


def docker(*words: str, data: bytes | None = None) -> str:
    done = subprocess.run(["docker", *words], input=data, capture_output=True, timeout=60)
    return done.stdout.decode() if done.returncode == 0 else ""


@pytest.fixture(scope="module")
def image() -> Iterator[str]:
    if shutil.which("docker") is None or not docker("version"):
        pytest.skip("no Docker engine answers (scripts/services/dockerd-up.sh starts one)")
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("empty"))
    name = f"torchx-test-lsf:{uuid.uuid4().hex}"
    assert docker("import", "-", name, data=archive.getvalue())
    yield name
    docker("rmi", "--force", name)


@pytest.fixture
def scheduler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LsfScheduler]:
    cluster = Cluster(tmp_path / "cluster")
    commands = cluster.install()
    (commands / "docker").unlink()
    monkeypatch.setenv("PATH", f"{commands}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("TORCHX_HOME", str(tmp_path / "a'; $HOME"))
    scheduler = create_scheduler("session")
    yield scheduler
    for app in scheduler.list():
        scheduler.cancel(app.app_id)
    scheduler.close()


def submit(
    scheduler: LsfScheduler, image: str, *args: str, workspace: str | None = None, **fields: Any
) -> str:
    cfg: dict[str, CfgVal] = fields.pop("cfg", {})
    role = Role(
        "job",
        image,
        entrypoint="/bin/sh",
        args=["-c", *args],
        mounts=list(MOUNTS),
        resource=Resource(cpu=1, gpu=0, memMB=100),
        **fields,
    )
    return scheduler.submit(AppDef("real", [role]), cfg, workspace=workspace)


def wait(scheduler: LsfScheduler, app_id: str) -> DescribeAppResponse:
    def ended() -> DescribeAppResponse | None:
        found = scheduler.describe(app_id)
        assert found is not None
        return found if is_terminal(found.state) else None

    found = eventually(ended, "end of the app", 60)
    assert found is not None
    return found


def test_text_secrets_and_workspace_reach_the_container(
    scheduler: LsfScheduler, image: str, tmp_path: Path
) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "main.txt").write_text("from the workspace\n")
    app_id = submit(
        scheduler,
        image,
        SHOW,
        "sh",
        HOSTILE,
        env={"A": HOSTILE, "HF_TOKEN": "token-value 'x"},
        cfg={"jobdir": str(tmp_path / "job")},
        workspace=str(tmp_path / "code"),
    )
    assert wait(scheduler, app_id).state == AppState.SUCCEEDED
    expected = f"{HOSTILE}\n{HOSTILE}\ntoken-value 'x\nfrom the workspace\n"
    assert "".join(scheduler.log_iter(app_id, "job")) == expected


def test_a_failure_is_tried_again_and_explained(scheduler: LsfScheduler, image: str) -> None:
    program = """echo '{"message": "bad"}' >"$TORCHELASTIC_ERROR_FILE"; exit 3"""
    found = wait(scheduler, submit(scheduler, image, program, max_retries=1))
    assert (found.state, found.num_restarts) == (AppState.FAILED, 1)
    assert found.structured_error_msg == '{"message": "bad"}'
    assert "exit code 3" in found.msg


def test_an_image_that_there_is_not_is_a_failure_of_docker(scheduler: LsfScheduler) -> None:
    found = wait(scheduler, submit(scheduler, "INVALID IMAGE", "true"))
    assert found.state == AppState.FAILED
    assert "docker could not run the container" in found.msg


def test_a_cancelled_app_leaves_no_container(scheduler: LsfScheduler, image: str) -> None:
    program = "trap '' TERM INT; echo started; while :; do sleep 1; done"
    app_id = submit(scheduler, image, program)
    eventually(lambda: list(scheduler.log_iter(app_id, "job")), "start of the container", 60)
    assert app_id in docker("ps", "--format", "{{.Names}}")
    scheduler.cancel(app_id)
    assert wait(scheduler, app_id).state == AppState.CANCELLED
    assert app_id not in docker("ps", "--all", "--format", "{{.Names}}")
