"""``torchx tracker``."""

from __future__ import annotations

import argparse
import json
import subprocess
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from unittest.mock import MagicMock, PropertyMock, patch

import fsspec
import jsonschema
import pytest

import torchx
from torchx.cli.cmd_tracker import CmdTracker
from torchx.cli.main import main
from torchx.tracker.api import TrackerArtifact, TrackerBase
from torchx.tracker.backend.fsspec import FsspecTracker

Torchx = Callable[..., "subprocess.CompletedProcess[str]"]

RUN = "local_cwd://torchx/app-1"
CHILD = "local_cwd://torchx/app-2"


@pytest.fixture
def tracker() -> Iterator[MagicMock]:
    found = MagicMock(spec=TrackerBase)
    with patch.object(CmdTracker, "tracker", PropertyMock(return_value=found)):
        yield found


@pytest.fixture
def recorded(project: Path) -> FsspecTracker:
    """A tracker that the project configures, and that knows two runs."""
    (project / "runs").mkdir()
    (project / "tracker.conf").write_text(f"protocol=file\nroot_path={project}/runs\n")
    (project / ".torchxconfig").write_text(
        "[torchx:tracker]\nfsspec =\nother = torchx.tracker.backend.fsspec:create\n"
        f"[tracker:fsspec]\nconfig = {project}/tracker.conf\n"
    )
    tracker = FsspecTracker(fsspec.filesystem("file"), f"{project}/runs")
    tracker.add_metadata(RUN, lr="007", n=1e3)
    tracker.add_metrics(RUN, {"loss": 0.5}, 1)
    tracker.add_metrics(RUN, {"loss": 0.25}, None)
    tracker.add_artifact(RUN, "model", "s3://b/m.pt", {"epoch": 1})
    tracker.add_artifact(RUN, "log", "s3://b/log")
    tracker.add_source(CHILD, RUN, "model")
    tracker.add_source(CHILD, "s3://b/data")
    return tracker


def _run(*words: str) -> None:
    parser = argparse.ArgumentParser()
    CmdTracker().add_arguments(parser)
    args = parser.parse_args(list(words))
    args.func(args)


def _table(text: str) -> list[list[str]]:
    lines = text.splitlines()
    assert set(lines[1]) <= {"-", " "}
    return [line.split() for line in [lines[0], *lines[2:]]]


@pytest.mark.parametrize(("words", "parent"), [([], None), (["--parent-run-id", RUN], RUN)])
def test_jobs_are_asked_for_by_keyword(
    words: list[str], parent: str | None, tracker: MagicMock, capsys: pytest.CaptureFixture[str]
) -> None:
    tracker.run_ids.return_value = [RUN, "1e3"]
    _run("list", "jobs", *words)
    tracker.run_ids.assert_called_once_with(parent_run_id=parent)
    assert _table(capsys.readouterr().out) == [["JOB", "ID"], [RUN], ["1e3"]]


def test_metadata_and_artifacts_are_asked_for_by_position(
    tracker: MagicMock, capsys: pytest.CaptureFixture[str]
) -> None:
    tracker.metadata.return_value = {"lr": "007"}
    tracker.artifacts.return_value = {"m": TrackerArtifact("m", "/m", {"epoch": 1})}
    _run("list", "metadata", RUN)
    tracker.metadata.assert_called_once_with(RUN)
    assert _table(capsys.readouterr().out) == [["ID", "VALUE"], ["lr", "007"]]
    _run("list", "artifacts", RUN)
    tracker.artifacts.assert_called_once_with(RUN)
    header, row = _table(capsys.readouterr().out)
    assert header == ["ARTIFACT", "PATH", "METADATA"]
    assert row == ["m", "/m", "{'epoch':", "1}"]


@pytest.mark.parametrize(("words", "next_word"), [([], "list"), (["list"], "artifacts")])
def test_without_a_question_it_says_what_can_be_asked(
    words: list[str], next_word: str, capsys: pytest.CaptureFixture[str], tracker: MagicMock
) -> None:
    _run(*words)
    assert next_word in capsys.readouterr().out
    tracker.assert_not_called()


@pytest.mark.parametrize("words", [[], ["--sources-only", "--descendants-only", RUN]])
def test_lineage_needs_one_run(words: list[str], tracker: MagicMock) -> None:
    with pytest.raises(SystemExit) as end:
        _run("list", "lineage", *words)
    assert end.value.code == 2


@pytest.mark.usefixtures("recorded")
@pytest.mark.parametrize(
    ("words", "rows"),
    [
        (["jobs"], [["JOB", "ID"], [RUN], [CHILD]]),
        (["jobs", "--parent-run-id", RUN], [["JOB", "ID"], [CHILD]]),
        (["metadata", RUN], [["ID", "VALUE"], ["lr", "007"], ["n", "1000.0"]]),
        (["metrics", RUN], [["METRIC", "STEP", "VALUE"], ["loss", "1", "0.5"], ["loss", "0.25"]]),
        (["metrics", "--metric", "acc", RUN], [["METRIC", "STEP", "VALUE"]]),
        (["artifacts", "--artifact", "log", RUN],
         [["ARTIFACT", "PATH", "METADATA"], ["log", "s3://b/log"]]),
        (["lineage", RUN],
         [["RELATION", "RUN", "ID", "ARTIFACT"], ["descendant", CHILD, "model"]]),
        (["lineage", CHILD, "--artifact", "model"],
         [["RELATION", "RUN", "ID", "ARTIFACT"], ["source", RUN, "model"]]),
        (["lineage", CHILD, "--descendants-only"], [["RELATION", "RUN", "ID", "ARTIFACT"]]),
        (["metadata", "none"], [["ID", "VALUE"]]),
    ],
)  # fmt: skip
def test_answers_are_tables(
    words: list[str], rows: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    main(["tracker", "list", *words])
    assert _table(capsys.readouterr().out) == rows


@pytest.mark.usefixtures("recorded")
@pytest.mark.parametrize(
    ("words", "data"),
    [
        (["jobs"], {"kind": "tracker_jobs", "jobs": [RUN, CHILD]}),
        (["metadata", RUN],
         {"kind": "tracker_metadata", "run_id": RUN, "metadata": {"lr": "007", "n": 1000.0}}),
        (["metrics", RUN],
         {"kind": "tracker_metrics", "run_id": RUN, "metrics":
          {"loss": [{"step": 1, "value": 0.5}, {"step": None, "value": 0.25}]}}),
        (["artifacts", RUN, "--artifact", "model"],
         {"kind": "tracker_artifacts", "run_id": RUN, "artifacts":
          [{"name": "model", "path": "s3://b/m.pt", "metadata": {"epoch": 1}}]}),
        (["lineage", CHILD],
         {"kind": "tracker_lineage", "run_id": CHILD, "lineage":
          [{"relation": "source", "run_id": RUN, "artifact": "model"},
           {"relation": "source", "run_id": "s3://b/data", "artifact": None}]}),
    ],
)  # fmt: skip
def test_answers_are_one_json_object(
    words: list[str], data: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    main(["tracker", "list", *words, "--json"])
    answer = json.loads(capsys.readouterr().out)
    assert answer == {"schema_version": 1, **data}
    jsonschema.validate(answer, json.loads((files(torchx) / "cli" / "schema.json").read_text()))


@pytest.mark.usefixtures("recorded")
def test_a_tracker_is_chosen_by_its_name(
    monkeypatch: pytest.MonkeyPatch, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "empty").mkdir()
    (project / "other.conf").write_text(f"protocol=file\nroot_path={project}/empty\n")
    monkeypatch.setenv("TORCHX_TRACKER_OTHER_CONFIG", f"{project}/other.conf")
    main(["tracker", "list", "jobs", "--tracker", "other"])
    assert _table(capsys.readouterr().out) == [["JOB", "ID"]]


def test_the_first_tracker_that_can_be_found_answers(
    recorded: FsspecTracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHX_TRACKERS", "unknown,fsspec,other")
    assert repr(CmdTracker().tracker) == repr(recorded)
    with patch("torchx.cli.cmd_tracker.build_trackers") as build:
        build.return_value = [MagicMock(), MagicMock()]
        assert CmdTracker().tracker is build.return_value[0]


def test_no_tracker_is_an_error_that_says_where_to_name_one(torchx: Torchx) -> None:
    with pytest.raises(RuntimeError, match="no tracker is configured"):
        _ = CmdTracker().tracker
    done = torchx("tracker", "list", "jobs")
    assert done.returncode == 1
    assert "hint: name trackers in section [torchx:tracker] of .torchxconfig" in done.stderr


@pytest.mark.parametrize(
    ("env", "words", "error"),
    [
        ({"TORCHX_TRACKERS": "fsspec"}, ["--tracker", "mlflow"],
         "tracker `mlflow` is not configured; configured: `fsspec`"),
        ({"TORCHX_TRACKERS": "nope"}, ["--tracker", "nope"], "tracker `nope` cannot be found"),
        ({"TORCHX_TRACKERS": "fsspec"}, [], "the tracker `fsspec` needs a configuration"),
    ],
)  # fmt: skip
def test_a_tracker_that_cannot_answer_says_why(
    env: dict[str, str], words: list[str], error: str, torchx: Torchx
) -> None:
    done = torchx("tracker", "list", "jobs", *words, **env)
    assert done.returncode == 1
    assert f"error: {error}" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_tracker_without_curves_says_so(tracker: MagicMock) -> None:
    with pytest.raises(RuntimeError, match="keeps no curves"):
        _run("list", "metrics", RUN)
