"""MLflow, on a disk and on a real server."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

import fsspec
import pytest

mlflow = pytest.importorskip("mlflow")

# ruff: noqa: E402  (MLflow is optional)
from torchx.tracker.api import (
    AppRun,
    Lineage,
    MetricPoint,
    TrackerArtifact,
    TrackerDescendant,
    TrackerSource,
)
from torchx.tracker.backend.fsspec import FsspecTracker
from torchx.tracker.mlflow import MLflowTracker, create_tracker
from torchx.tracker.mlflow_params import flatten

# MLflow uses what its own dependencies have deprecated.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

Make = Callable[..., MLflowTracker]


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with the tables of MLflow, which takes seconds to make."""
    path = tmp_path_factory.mktemp("database") / "runs.db"
    MLflowTracker("empty", f"sqlite:///{path}")
    return path


@pytest.fixture(params=["sqlite", "file", "http"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Make]:
    """Makes trackers of an experiment of this test, in one place."""
    uri = f"{request.param}://{tmp_path}/runs"
    if request.param == "http":
        uri = request.getfixturevalue("mlflow_url")
    elif request.param == "sqlite":
        database = shutil.copy(request.getfixturevalue("empty_database"), tmp_path)
        uri = f"sqlite:///{database}"

    def make(**options: str) -> MLflowTracker:
        return MLflowTracker(**{"experiment_name": tmp_path.name, "tracking_uri": uri, **options})

    yield make
    mlflow.end_run()


@pytest.fixture
def tracker(make: Make) -> MLflowTracker:
    return make()


def _write(path: Path, text: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return str(path)


def _sorted(items: Iterable[object]) -> list[str]:
    return sorted(map(str, items))


def test_a_run_has_the_name_it_was_asked_by(tracker: MLflowTracker) -> None:
    assert tracker.run_ids() == []
    run = tracker.get_run("run1")
    assert run.info.run_name == "run1"
    assert tracker.get_run("run1").info.run_id == run.info.run_id == tracker.get_run_id("run1")
    tracker.close()
    assert tracker.get_run_id("run2") != run.info.run_id
    tracker.close()
    assert tracker.get_run_id("run1") == run.info.run_id
    assert sorted(tracker.run_ids()) == ["run1", "run2"]


def test_names_may_hold_what_queries_are_made_of(tracker: MLflowTracker) -> None:
    names = ["a'b", "a_b", "a'b\"c", "a'b_c%", "local_cwd://torchx/a-1", "ü"]
    for name in names:
        tracker.add_metadata(name, mine=name)
        tracker.close()
    assert [tracker.metadata(name)["mine"] for name in names] == names


def test_the_active_run_is_the_one_that_is_meant(tracker: MLflowTracker) -> None:
    with mlflow.start_run(run_name="mine", experiment_id=tracker.experiment_id) as mine:
        assert tracker.get_run("other").info.run_id == mine.info.run_id
        tracker.add_metadata("other", lr=0.1)
        assert tracker.metadata("other")["lr"] == "0.1"
    assert tracker.run_ids() == ["mine"]


def test_writing_to_another_run_leaves_the_active_one_alone(tracker: MLflowTracker) -> None:
    tracker.get_run("job")
    tracker.add_metadata("parent", k=1)
    tracker.add_metadata("job", k=2)
    assert (tracker.metadata("parent")["k"], tracker.metadata("job")["k"]) == ("1", "2")
    assert mlflow.active_run().info.run_name == "job"


def test_several_runs_of_a_name_are_an_error_that_names_them(tracker: MLflowTracker) -> None:
    ids = [
        tracker._client.create_run(tracker.experiment_id, run_name="twice").info.run_id
        for _ in range(2)
    ]
    with pytest.raises(RuntimeError, match=r"^More than 1 run found for run_name `twice`") as error:
        tracker.get_run("twice")
    assert all(run_id in str(error.value) for run_id in ids)


def test_reading_an_unknown_run_does_not_start_it(tracker: MLflowTracker) -> None:
    assert tracker.metadata("none") == {}
    assert tracker.artifacts("none") == {}
    assert tracker.metrics("none") == {}
    assert tracker.artifact_uri("none", "model") is None
    assert list(tracker.sources("none")) == []
    assert tracker.lineage("none") == Lineage([], [])
    assert tracker.run_ids() == []


def test_metadata_are_tags_and_the_last_value_wins(tracker: MLflowTracker) -> None:
    tracker.add_metadata("run1", **{f"k{number}": number for number in range(150)})
    tracker.add_metadata("run1", k1="new")
    tags = tracker.metadata("run1")
    assert (tags["k1"], tags["k149"], tags["mlflow.runName"]) == ("new", "149", "run1")


def test_curves_come_back_in_order(tracker: MLflowTracker) -> None:
    for step in range(3):
        tracker.add_metrics("run1", {"loss": 1 / (step + 1), "eval/acc": step}, step)
    tracker.add_metrics("run1", {"best": 2}, None)
    curves = tracker.metrics("run1")
    assert curves["eval/acc"] == [MetricPoint(0, 0.0), MetricPoint(1, 1.0), MetricPoint(2, 2.0)]
    assert curves["loss"][-1] == MetricPoint(2, 1 / 3)
    assert curves["best"] == [MetricPoint(0, 2.0)]


def test_artifacts_have_the_published_paths_and_real_ones(
    tracker: MLflowTracker, tmp_path: Path
) -> None:
    manifest = _write(tmp_path / "manifest.json", json.dumps({"name": "foobar"}))
    tracker.add_artifact("run1", "manifest", manifest)
    metadata = {"epoch": 0, "rank": 3, "world_size": 4}
    tracker.add_artifact("run1", "checkpoint_0/3", _write(tmp_path / "c", "hello world"), metadata)
    found = tracker.artifacts("run1")
    location = tracker.artifact_location
    assert found["manifest"] == TrackerArtifact(
        "manifest", f"{location}/manifest/manifest.json", {"mlflow.file_size": 18}
    )
    assert found["checkpoint_0/3"].metadata == {
        "epoch": "0", "rank": "3", "world_size": "4", "mlflow.file_size": 11,
    }  # fmt: skip
    uri = tracker.artifact_uri("run1", "manifest")
    copied = mlflow.artifacts.load_dict(f"{uri}/manifest.json")
    assert copied == {"name": "foobar"}


def test_a_directory_is_one_artifact_and_a_url_is_kept(
    tracker: MLflowTracker, tmp_path: Path
) -> None:
    _write(tmp_path / "ckpt" / "a", "12")
    _write(tmp_path / "ckpt" / "b", "345")
    tracker.add_artifact("run1", "model", f"file://{tmp_path}/ckpt")
    tracker.add_artifact("run1", "remote", "s3://bucket/m.pt", {"epoch": 1})
    tracker.add_artifact("run1", "remote.v2", "s3://bucket/m2.pt", {"epoch": 2})
    found = tracker.artifacts("run1")
    assert found["model/ckpt"].path == f"{tracker.artifact_location}/model/ckpt"
    assert found["model/ckpt"].metadata == {"mlflow.file_size": 5}
    assert found["remote"] == TrackerArtifact("remote", "s3://bucket/m.pt", {"epoch": "1"})
    assert found["remote.v2"].metadata == {"epoch": "2"}
    assert tracker.artifact_uri("run1", "remote") == "s3://bucket/m.pt"


def test_sources_nest_runs_and_can_be_followed_both_ways(tracker: MLflowTracker) -> None:
    parent = tracker.get_run_id("parent")
    tracker.close()
    for name in ("model", None, "model"):
        tracker.add_source("child", "parent", name)
    tracker.add_source("child", "s3://bucket/data")
    assert tracker.metadata("child")["mlflow.parentRunId"] == parent
    by_model, as_a_whole = TrackerSource("parent", "model"), TrackerSource("parent", None)
    data = TrackerSource("s3://bucket/data", None)
    assert list(tracker.sources("child", "model")) == [by_model]
    assert _sorted(tracker.lineage("child").sources) == _sorted([by_model, as_a_whole, data])
    lineage = tracker.lineage("parent")
    assert lineage.sources == []
    descendants = [TrackerDescendant("child", "model"), TrackerDescendant("child", None)]
    assert _sorted(lineage.descendants) == _sorted(descendants)
    assert tracker.run_ids(parent_run_id="parent") == ["child"]


class Color(Enum):
    RED = 1


@dataclass
class ModelConfig:
    hidden_act: str = "gelu"
    sizes: tuple[int, ...] = (1, 2)


@dataclass
class Config:
    model_config: ModelConfig = field(default_factory=ModelConfig)
    locales: list[str] = field(default_factory=lambda: ["us", "eu", "fr"])
    datasets: list[dict[str, str]] = field(
        default_factory=lambda: [{"name": "a"}, {"name": "b", "split": "70/30"}]
    )
    empty_list: list[str] = field(default_factory=list)
    empty_map: dict[str, str] = field(default_factory=dict)
    use_amp: bool = False
    path: Path = Path("/data")
    color: Color = Color.RED
    none: None = None


FLAT = {
    "model_config.hidden_act": "gelu",
    "model_config.sizes": "(1, 2)",
    "locales": "['us', 'eu', 'fr']",
    "datasets._0.name": "a",
    "datasets._1.name": "b",
    "datasets._1.split": "70/30",
    "empty_list": "[]",
    "empty_map": "{}",
    "use_amp": "False",
    "path": "/data",
    "color": "Color.RED",
    "none": "None",
}


def test_nested_configurations_become_flat_params(tracker: MLflowTracker) -> None:
    tracker.log_params_flat("run1", Config())
    tracker.log_params_flat("run1", {}, key="nothing")
    tracker.log_params_flat("run1", {})
    tracker.log_params_flat("run1", {f"p{number}": number for number in range(150)})
    params = tracker.get_run("run1").data.params
    assert {name: params[name] for name in FLAT} == FLAT
    assert (params["nothing"], params["p149"]) == ("{}", "149")
    assert tracker.metadata("run1")["p149"] == "149"


def test_flattening_puts_a_key_before_names() -> None:
    assert flatten({"a": [{"b": 1}]}, "key") == {"key.a._0.b": 1}
    assert flatten([{"b": 1}]) == {"_0.b": 1}
    assert flatten(3, "n") == {"n": 3}
    assert flatten({}) == {}


def test_an_experiment_is_created_once_and_has_a_default_name(make: Make, tmp_path: Path) -> None:
    first = make(experiment_name=f"{tmp_path.name}-2", artifact_location=f"file://{tmp_path}/a")
    again = make(experiment_name=f"{tmp_path.name}-2")
    assert again.experiment_id == first.experiment_id
    assert again.artifact_location.endswith(f"{tmp_path}/a")
    assert again.experiment_name == f"{tmp_path.name}-2"
    assert MLflowTracker.default_experiment_name().startswith("default-experiment/")


def test_the_run_of_a_job_starts_with_the_tracker(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHX_JOB_ID", "local_cwd://torchx/app-1")
    tracker = make()
    mlflow.log_metric("loss", 0.5)
    assert tracker.metrics("local_cwd://torchx/app-1") == {"loss": [MetricPoint(0, 0.5)]}


WORKER = """
import os, sys
from torchx.tracker.backend.fsspec import FsspecTracker
from torchx.tracker.mlflow import MLflowTracker
rank, uri, name, directory = sys.argv[1:]
tracker = MLflowTracker(experiment_name=name, tracking_uri=uri)
path = os.path.join(directory, f"shard-{rank}")
open(path, "w").write(rank)
tracker.add_artifact("job", f"checkpoint/{rank}", path, {"rank": rank})
tracker.add_metrics("job", {f"loss/{rank}": int(rank)}, 1)
tracker.close()
"""


def test_ranks_that_start_at_once_share_one_run(tracker: MLflowTracker, tmp_path: Path) -> None:
    name = f"{tmp_path.name}-ranks"
    ranks = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(rank), tracker.tracking_uri, name, str(tmp_path)],
            env={**os.environ, "RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(4)
    ]
    for rank in ranks:
        _, errors = rank.communicate()
        assert rank.returncode == 0, errors
    shared = MLflowTracker(experiment_name=name, tracking_uri=tracker.tracking_uri)
    assert shared.run_ids() == ["job"]
    assert sorted(shared.metrics("job")) == [f"loss/{rank}" for rank in range(4)]
    artifacts = shared.artifacts("job")
    assert {name: found.metadata for name, found in artifacts.items()} == {
        f"checkpoint/{rank}": {"rank": str(rank), "mlflow.file_size": 1} for rank in range(4)
    }


def test_the_factory_reads_its_section_of_a_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TORCHXCONFIG")
    (tmp_path / ".torchxconfig").write_text(
        f"[tracker:mlflow]\nconfig = {tmp_path}\ntracking_uri = sqlite:///{tmp_path}/new/runs.db\n"
        "experiment_name = from-file\n"
    )
    tracker = create_tracker(str(tmp_path))
    assert tracker.tracking_uri == f"sqlite:///{tmp_path}/new/runs.db"
    assert tracker.experiment_name == "from-file"
    assert tracker.artifact_location == f"file://{tmp_path}/new/runs/from-file"
    monkeypatch.setenv("TORCHX_TRACKING_EXPERIMENT_NAME", "from-env")
    assert create_tracker(str(tmp_path)).experiment_name == "from-env"
    (tmp_path / ".torchxconfig").write_text("[tracker:mlflow]\ntrackinguri = x\n")
    with pytest.raises(ValueError, match=r"\[tracker:mlflow\] has unknown keys: trackinguri"):
        create_tracker(str(tmp_path))


def test_the_factory_takes_a_uri_and_has_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_database: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    uri = f"sqlite:///{shutil.copy(empty_database, tmp_path)}"
    MLflowTracker("elsewhere", uri).add_metadata("run1", k=1)
    mlflow.end_run()
    tracker = create_tracker(uri)
    assert tracker.tracking_uri == uri
    assert tracker.metadata("run1")["k"] == "1"
    monkeypatch.setenv("TORCHX_TRACKING_EXPERIMENT_NAME", "other")
    assert create_tracker(uri).run_ids() == []
    monkeypatch.delenv("MLFLOW_TRACKING_URI")  # MLflow sets it itself
    not_a_directory = _write(tmp_path / "file", "x")
    assert create_tracker(not_a_directory).tracking_uri == f"sqlite:///{tmp_path}/torchx/mlruns.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert create_tracker(None).tracking_uri == uri


def test_a_missing_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(ImportError, match=r"pip install 'torchx\[mlflow\]'"):
        MLflowTracker()


def test_a_program_that_tracks_goes_on_without_its_server(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("TORCHX_JOB_ID", "s://n/app")
    monkeypatch.setenv("TORCHX_TRACKERS", "mlflow")
    monkeypatch.setenv("TORCHX_TRACKER_MLFLOW_CONFIG", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    run = AppRun.run_from_env()
    run.add_metrics(1, loss=0.5)
    assert list(run.backends) == []
    warnings: list[Any] = [record for record in caplog.records if record.levelname == "WARNING"]
    assert "tracker `mlflow` is left out, it cannot be made" in warnings[-1].message


class Line:
    """A connection to a server that can be cut and mended."""

    def __init__(self, url: str) -> None:
        host, port = url.removeprefix("http://").split(":")
        self._server = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.is_cut = False
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:  # closed
                return
            if self.is_cut:
                client.close()
                continue
            server = socket.create_connection(self._server)
            for source, target in ((client, server), (server, client)):
                threading.Thread(target=self._pump, args=(source, target), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        # Either end may be gone, which is the point of it.
        with source, target, contextlib.suppress(OSError):
            while (block := source.recv(65536)) and not self.is_cut:
                target.sendall(block)
            target.shutdown(socket.SHUT_RDWR)


def test_a_server_that_goes_away_and_comes_back_costs_what_was_said_meanwhile(
    mlflow_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    line = Line(mlflow_url)
    tracker = MLflowTracker(tmp_path.name, line.url)
    files = FsspecTracker(fsspec.filesystem("file"), str(tmp_path))
    run = AppRun("job", [tracker, files])
    for step in range(5):
        line.is_cut = step in (2, 3)
        run.add_metrics(step, loss=step)
    assert [point.step for point in files.metrics("job")["loss"]] == [0, 1, 2, 3, 4]
    assert [point.step for point in tracker.metrics("job")["loss"]] == [0, 1, 4]
    warnings = [record for record in caplog.records if record.name == "torchx.tracker.isolation"]
    assert [record.levelname for record in warnings if record.levelno > logging.DEBUG] == [
        "WARNING"
    ]
    mlflow.end_run()
    line.close()
