"""Each example of the gallery, run as its documentation says."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import fsspec
import pytest

pytest.importorskip("sklearn")
pytest.importorskip("torch")


from torchx.components.component_test_base import ComponentTestCase
from torchx.examples.digits import component, data
from torchx.specs.finder import get_component
from torchx.tracker.backend.fsspec import FsspecTracker

EXAMPLES = Path(component.__file__).parent


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with a tracker; nothing of the machine's configuration is seen."""
    for name in [name for name in os.environ if name.startswith("TORCHX")]:
        monkeypatch.delenv(name)
    (tmp_path / "runs").mkdir()
    (tmp_path / "tracker.conf").write_text(f"protocol=file\nroot_path={tmp_path}/runs\n")
    (tmp_path / ".torchxconfig").write_text(
        f"[torchx:tracker]\nfsspec =\n[tracker:fsspec]\nconfig = {tmp_path}/tracker.conf\n"
    )
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TORCHX_HOME", str(tmp_path / "torchx-home"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _tracker(project: Path) -> FsspecTracker:
    return FsspecTracker(fsspec.filesystem("file"), f"{project}/runs")


def _run(*argv: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-m", *argv], capture_output=True, text=True, timeout=500
    )
    logs = Path(os.environ["TORCHX_HOME"]).rglob("stderr.log")
    told = [path.read_text(errors="replace")[-3000:] for path in logs if done.returncode]
    assert done.returncode == 0, "\n".join([done.stdout, done.stderr, *told])
    return done.stdout.splitlines()


def test_preprocessing_then_training_are_linked(project: Path) -> None:
    prepared_data = f"file://{project}/data/digits.pt"
    argv = ["--data", prepared_data, "--epochs", "20"]
    lines = _run("torchx.examples.digits.pipeline", *argv)
    prepared, trained = (line.split()[-1] for line in lines[-2:])
    tracker = _tracker(project)
    artifact = tracker.artifacts(prepared)["digits"]
    assert (artifact.path, artifact.metadata) == (prepared_data, {"images": 1797})
    images, digits = data.read_file(prepared_data)
    assert images.shape == (1797, 1, 8, 8)
    assert len(digits) == 1797
    assert float(images.mean().abs()) < 0.01
    assert tracker.metadata(trained)["data"] == prepared_data
    assert float(str(tracker.metadata(trained)["test_accuracy"])) > 95
    assert [source.source_run_id for source in tracker.sources(trained)] == [prepared]
    assert [each.run_id for each in tracker.lineage(prepared).descendants] == [trained]


def test_a_sweep_names_the_best_learning_rate_last(project: Path) -> None:
    lines = _run("torchx.examples.digits.sweep", "--lr", "0.00001", "0.02", "--epochs", "2")
    worst, best = lines[-2:]
    assert worst.startswith("lr 0.00001: test accuracy ")
    assert best.startswith("lr 0.02: test accuracy ")
    assert sorted(_tracker(project).run_ids()) == sorted(line.split()[-1] for line in (worst, best))


def test_a_sweep_without_tracker_says_what_is_missing(project: Path) -> None:
    (project / ".torchxconfig").unlink()
    argv = [sys.executable, "-m", "torchx.examples.digits.sweep"]
    done = subprocess.run(argv, capture_output=True, text=True)
    assert done.returncode == 1
    assert "name one in .torchxconfig" in done.stderr


def test_the_component_passes_the_linter_and_checks_its_arguments() -> None:
    found = get_component(f"{component.__file__}:train")
    app = found.fn(epochs=3, workers=2, size="large", data="s3://b/d.pt")
    (role,) = app.roles
    assert app.name == "train"
    assert (role.resource.cpu, role.resource.memMB) == (8, 8192)
    assert "--nproc_per_node 2" in role.args[1]
    assert role.args[1].endswith("train --epochs 3 --lr 0.01 --data s3://b/d.pt")
    with pytest.raises(ValueError, match="--workers must be at least 1, not 0"):
        found.fn(workers=0)


class TestComponent(ComponentTestCase):
    """How a project tests its own components."""

    def test_it_has_help(self) -> None:
        self.validate(component, "train")


def test_the_component_runs_from_its_file(project: Path) -> None:
    argv = ["run", "-s", "local_cwd", f"{EXAMPLES}/component.py:train"]
    handle, *_ = _run("torchx.cli.main", *argv, "--epochs", "5", "--workers", "1", "--lr", "0.02")
    assert _tracker(project).metadata(handle)["epochs"] == 5


def test_the_notebook_runs_in_a_real_kernel(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    notebook = nbformat.read(EXAMPLES / "tour.ipynb", as_version=4)
    client = nbclient.NotebookClient(
        notebook, timeout=300, resources={"metadata": {"path": project}}
    )
    asyncio.run(client.async_execute())
    text = "\n".join(_printed(cell) for cell in notebook.cells)
    assert "[0]:epoch  4/4: loss" in text
    assert "'SUCCEEDED'" in text
    assert "epoch 4: loss" in text
    assert "TrackerArtifact(name='checkpoint'" in text


def _printed(cell: Any) -> str:
    outputs = cell.get("outputs", [])
    return "\n".join(
        output.get("text") or output.get("data", {}).get("text/plain", "") for output in outputs
    )
