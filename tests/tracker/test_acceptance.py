"""The training example as a job that tells two trackers about itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sklearn")
pytest.importorskip("torch")
mlflow = pytest.importorskip("mlflow")

EPOCHS = 3
TORCHX = [sys.executable, "-m", "torchx.cli.main", "--log_level", "WARNING"]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("project", "runs", "home"):
        (tmp_path / name).mkdir()
    monkeypatch.delenv("TORCHXCONFIG")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TORCHX_HOME", str(tmp_path / "home" / "torchx"))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path


def _configure(project: Path, mlflow_uri: str) -> None:
    (project / "tracker.conf").write_text(f"protocol=file\nroot_path={project}/runs\n")
    (project / "project" / ".torchxconfig").write_text(
        f"[torchx:tracker]\nmlflow =\nfsspec =\n[tracker:fsspec]\nconfig = {project}/tracker.conf\n"
        f"[tracker:mlflow]\nconfig = {mlflow_uri}\n"
    )


def _torchx(*words: str) -> str:
    done = subprocess.run([*TORCHX, *words], capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def _train(*words: str) -> tuple[str, str]:
    """Returns the handle of the job and all that was printed."""
    argv = ["-j", "1x2", "--env", "OMP_NUM_THREADS=1", "-m", "torchx.examples.digits.train", "--"]
    settings = ["--epochs", str(EPOCHS), "--lr", "0.02", "--min-accuracy", "0", *words]
    printed = _torchx("run", "-s", "local_cwd", "dist.ddp", *argv, *settings)
    return printed.split()[0], printed


def _ask(what: str, handle: str, tracker: str) -> Any:
    printed = _torchx("tracker", "list", what, handle, "--tracker", tracker, "--json")
    answer = json.loads(printed)
    assert answer["schema_version"] == 1
    return answer[what]


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_parameters_curves_and_checkpoint_are_in_both_trackers(
    project: Path, mlflow_url: str
) -> None:
    _configure(project, mlflow_url)
    handle, printed = _train("--checkpoint-dir", str(project / "checkpoints"))
    assert f"epoch  {EPOCHS}/{EPOCHS}" in printed

    for tracker in ("fsspec", "mlflow"):
        metadata = _ask("metadata", handle, tracker)
        assert (str(metadata["lr"]), str(metadata["epochs"])) == ("0.02", str(EPOCHS))
        assert float(metadata["test_accuracy"]) > 50
        curves = _ask("metrics", handle, tracker)
        assert [point["step"] for point in curves["loss"]] == [1, 2, 3]
        assert curves["loss"][-1]["value"] < curves["loss"][0]["value"]
        (checkpoint,) = _ask("artifacts", handle, tracker)
        assert checkpoint["name"] == "checkpoint"
        assert str(checkpoint["metadata"]["epoch"]) == str(EPOCHS)
    assert _ask("metrics", handle, "mlflow") == _ask("metrics", handle, "fsspec")

    client = mlflow.MlflowClient(mlflow_url)
    experiment = client.get_experiment_by_name("default-experiment")
    (run,) = client.search_runs([experiment.experiment_id], f"tags.mlflow.runName = '{handle}'")
    assert run.info.status == "FINISHED"
    assert run.data.params["lr"] == "0.02"
    assert len(client.get_metric_history(run.info.run_id, "accuracy")) == EPOCHS
    (kept,) = (project / "checkpoints").iterdir()
    mlflow.set_tracking_uri(mlflow_url)
    directory = client.download_artifacts(run.info.run_id, "checkpoint", str(project))
    assert (Path(directory) / kept.name).read_bytes() == kept.read_bytes()


def test_a_server_that_is_gone_costs_one_warning(project: Path) -> None:
    _configure(project, "http://127.0.0.1:9")
    handle, printed = _train("--checkpoint-dir", str(project))
    assert "test accuracy: " in printed
    warnings = [line for line in printed.splitlines() if "tracker `mlflow` is left out" in line]
    assert len(warnings) == 1
    assert len(_ask("metrics", handle, "fsspec")["loss"]) == EPOCHS
