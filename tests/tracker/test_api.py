"""Finding trackers, and writing to all of them."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from unittest.mock import MagicMock, patch

import pytest

from torchx.tracker import AppRun, app_run_from_env
from torchx.tracker import api as tracker_api
from torchx.tracker.api import (
    AppRunTrackableSource,
    Lineage,
    TrackerArtifact,
    TrackerBase,
    TrackerSource,
    _extract_tracker_name_and_config_from_environ,
    build_trackers,
    tracker_config_env_var_name,
    trackers_from_environ,
)


class Memory(TrackerBase):
    """Has the eight methods of the published interface and no more."""

    def __init__(self, config: str | None = None) -> None:
        self.config = config
        self.kept: dict[str, dict[str, object]] = {}
        self.made: dict[str, TrackerArtifact] = {}
        self.from_: list[tuple[str, TrackerSource]] = []

    def add_artifact(
        self, run_id: str, name: str, path: str, metadata: Mapping[str, object] | None = None
    ) -> None:
        self.made[name] = TrackerArtifact(name, path, metadata)

    def artifacts(self, run_id: str) -> Mapping[str, TrackerArtifact]:
        return self.made

    def add_metadata(self, run_id: str, **kwargs: object) -> None:
        self.kept.setdefault(run_id, {}).update(kwargs)

    def metadata(self, run_id: str) -> Mapping[str, object]:
        return self.kept.get(run_id, {})

    def add_source(self, run_id: str, source_id: str, artifact_name: str | None = None) -> None:
        self.from_.append((run_id, TrackerSource(source_id, artifact_name)))

    def sources(self, run_id: str, artifact_name: str | None = None) -> Iterable[TrackerSource]:
        return [source for child, source in self.from_ if child == run_id]

    def lineage(self, run_id: str) -> Lineage:
        return Lineage()

    def run_ids(self, **kwargs: str) -> Iterable[str]:
        parent = kwargs.get("parent_run_id")
        return [child for child, source in self.from_ if source.source_run_id == parent]


class Broken(Memory):
    """Fails whenever it is asked for something."""

    def add_metadata(self, run_id: str, **kwargs: object) -> None:
        raise ConnectionError("no route to http://user:secret@host")

    def sources(self, run_id: str, artifact_name: str | None = None) -> Iterable[TrackerSource]:
        raise NotImplementedError


def _in_job(monkeypatch: pytest.MonkeyPatch, trackers: str, **env: str) -> None:
    monkeypatch.setenv("TORCHX_JOB_ID", "s://n/app")
    monkeypatch.setenv("TORCHX_TRACKERS", trackers)
    for name, value in env.items():
        monkeypatch.setenv(name, value)


def _messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.levelno >= logging.WARNING]


def test_importing_trackers_imports_nothing_heavy() -> None:
    code = """
import sys
import torchx.tracker.backend.fsspec
import torchx.tracker.mlflow
print({'fsspec', 'mlflow', 'torch', 'yaml'} & set(sys.modules))
"""
    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert printed.stdout == "set()\n"


@pytest.mark.parametrize(
    ("name", "variable"),
    [
        ("tracker1", "TORCHX_TRACKER_TRACKER1_CONFIG"),
        ("my_tracker", "TORCHX_TRACKER_MY_TRACKER_CONFIG"),
        ("pkg.mod:create", "TORCHX_TRACKER_PKG_MOD_CREATE_CONFIG"),
        ("my-tracker", "TORCHX_TRACKER_MY_TRACKER_CONFIG"),
    ],
)
def test_variables_of_trackers_can_be_set_in_a_shell(name: str, variable: str) -> None:
    assert tracker_config_env_var_name(name) == variable


def test_names_and_configurations_come_from_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert _extract_tracker_name_and_config_from_environ() == {}
    monkeypatch.setenv("TORCHX_TRACKERS", "b, a-1,,a-2")
    monkeypatch.setenv("TORCHX_TRACKER_A_1_CONFIG", "new")
    monkeypatch.setenv("TORCHX_TRACKER_A-2_CONFIG", "as launchers of earlier releases set it")
    found = _extract_tracker_name_and_config_from_environ()
    assert list(found.items()) == [
        ("b", None), ("a-1", "new"), ("a-2", "as launchers of earlier releases set it")
    ]  # fmt: skip
    monkeypatch.setenv("TORCHX_TRACKERS", "")
    assert _extract_tracker_name_and_config_from_environ() == {}
    assert trackers_from_environ() == []


@pytest.mark.parametrize("config", [None, "file.conf"])
def test_a_factory_is_called_once_with_the_configuration(config: str | None) -> None:
    factory = MagicMock()
    with patch("torchx.tracker.api.load_group", return_value={"tracker1": factory}):
        assert build_trackers({"tracker1": config}) == [factory.return_value]
    factory.assert_called_once_with(config)


def test_a_factory_may_be_named_by_module_and_function() -> None:
    factory = MagicMock()
    with patch("torchx.tracker.api.load_module", return_value=factory) as load:
        (tracker,) = build_trackers({"torchx.tracker.mlflow:create_tracker": "config"})
    load.assert_called_once_with("torchx.tracker.mlflow:create_tracker")
    factory.assert_called_once_with("config")
    assert tracker is factory.return_value


@pytest.mark.parametrize("installed", [None, {}])
def test_a_tracker_that_is_not_installed_is_left_out(
    installed: object, caplog: pytest.LogCaptureFixture
) -> None:
    assert build_trackers({}) == []
    with patch("torchx.tracker.api.load_group", return_value=installed):
        assert build_trackers({"tracker1": None, "no.such:thing": None}) == []
    assert any("tracker `tracker1` is left out" in message for message in _messages(caplog))


@pytest.mark.parametrize("name", ["json", "module"])
def test_what_is_no_factory_is_left_out(name: str, caplog: pytest.LogCaptureFixture) -> None:
    with patch("torchx.tracker.api.load_group", return_value={"module": lambda config: os}):
        assert build_trackers({name: None}) == []
    assert f"tracker `{name}` is left out" in caplog.text
    assert "cannot be called" in caplog.text


def _raise(error: BaseException) -> TrackerBase:
    raise error


@pytest.mark.parametrize("error", [ValueError("bad"), SystemExit(3), ImportError("no sdk")])
def test_a_factory_that_fails_leaves_the_others(
    error: BaseException, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    factories = {"bad": lambda config: _raise(error), "good": Memory}
    with patch("torchx.tracker.api.load_group", return_value=factories):
        (good,) = build_trackers({"bad": None, "good": "c"})
        assert isinstance(good, Memory)
        assert good.config == "c"
        (warning,) = _messages(caplog)
        assert f"tracker `bad` is left out, it cannot be made: {type(error).__name__}" in warning
        monkeypatch.setenv("TORCHX_TRACKER_STRICT", "1")
        with pytest.raises(type(error)):
            build_trackers({"bad": None})


def test_a_factory_travels_to_the_job_beside_its_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "mine.py").write_text(f"from {__name__} import Memory as create\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    _in_job(
        monkeypatch, "t3", TORCHX_TRACKER_T3_FACTORY="mine:create", TORCHX_TRACKER_T3_CONFIG="c"
    )
    (made,) = trackers_from_environ()
    assert isinstance(made, Memory)
    assert made.config == "c"


def test_outside_of_a_job_nothing_happens() -> None:
    run = app_run_from_env()
    assert run.id == run.job_id() == "<UNDEFINED>"
    assert list(run.backends) == []
    run.add_metadata(a=1)
    run.add_params(a=1)
    run.add_metrics(1, a=1)
    run.add_artifact("a", "b")
    run.add_source("a")
    assert (list(run.sources()), list(run.children()), run.metadata(), run.artifacts()) == (
        [], [], {}, {},
    )  # fmt: skip


def test_the_run_is_made_once_and_again_when_the_environment_changes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    outside = app_run_from_env()
    assert AppRun.run_from_env() is outside
    _in_job(monkeypatch, "t", TORCHX_TRACKER_T_FACTORY=f"{__name__}:Memory")
    with patch("torchx.tracker.api.load_module", return_value=Memory):
        inside = app_run_from_env()
        assert inside.id == "s://n/app"
        assert app_run_from_env() is inside
        AppRun.run_from_env.cache_clear()
        assert app_run_from_env() is not inside


def test_a_forked_process_has_trackers_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    _in_job(monkeypatch, "t")
    with patch("torchx.tracker.api.load_group", return_value={"t": Memory}):
        (ours,) = app_run_from_env().backends
        monkeypatch.setattr(os, "getpid", lambda: -1)
        (theirs,) = app_run_from_env().backends
    assert theirs is not ours


@pytest.mark.parametrize(("rank", "links"), [(None, 1), ("0", 1), ("1", 0)])
def test_the_first_worker_links_the_run_to_its_parent(
    rank: str | None, links: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    _in_job(monkeypatch, "tracker1", TORCHX_PARENT_RUN_ID="parent")
    if rank is not None:
        monkeypatch.setenv("RANK", rank)
    with patch("torchx.tracker.api.load_group", return_value={"tracker1": Memory}):
        run = app_run_from_env()
    (tracker,) = run.backends
    assert list(tracker.sources("s://n/app")) == [TrackerSource("parent", None)] * links


def test_every_tracker_is_told_with_the_published_arguments() -> None:
    trackers = [MagicMock(spec=TrackerBase), MagicMock(spec=TrackerBase)]
    run = AppRun("id", trackers)
    run.add_metadata(lr=0.1)
    run.add_artifact("model", "path", {"epoch": 1})
    run.add_source("source", "model")
    for tracker in trackers:
        tracker.add_metadata.assert_called_once_with("id", lr=0.1)
        tracker.add_artifact.assert_called_once_with("id", "model", "path", {"epoch": 1})
        tracker.add_source.assert_called_once_with("id", "source", "model")


def test_what_a_tracker_does_not_know_becomes_metadata() -> None:
    tracker = Memory()
    run = AppRun("id", [tracker])
    run.add_params(lr=0.1)
    run.add_metrics(1, loss=0.5)
    run.add_metrics(2, loss=0.25)
    assert run.metadata() == {"lr": 0.1, "loss": 0.25}


def test_lineage_is_read_from_the_first_tracker() -> None:
    tracker = Memory()
    run = AppRun("child", [tracker, Broken()])
    run.add_source("parent", "model")
    assert run.sources() == [AppRunTrackableSource(AppRun("parent", run.backends), "model")]
    (source,) = run.sources()
    assert source.parent.backends == run.backends
    assert source.parent.children() == [AppRun("child", run.backends)]


def test_a_tracker_that_fails_is_warned_about_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = Memory()
    run = AppRun("id", [Broken(), good])
    for number in range(3):
        run.add_metadata(n=number)
    assert list(run.sources()) == []
    assert good.kept == {"id": {"n": 2}}
    (warning,) = _messages(caplog)
    assert "tracker Broken: add_metadata failed, the job goes on without it" in warning
    assert "secret" not in caplog.text
    monkeypatch.setenv("TORCHX_TRACKER_STRICT", "1")
    with pytest.raises(ConnectionError):
        run.add_metadata(n=4)


def test_a_tracker_that_fails_slowly_is_left_alone_for_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now_s = 1000.0
    calls: list[float] = []

    class Unreachable(Memory):
        def add_metadata(self, run_id: str, **kwargs: object) -> None:
            nonlocal now_s
            calls.append(now_s)
            now_s += 30
            raise TimeoutError

    monkeypatch.setattr("torchx.tracker.isolation.time.monotonic", lambda: now_s)
    run = AppRun("id", [Unreachable()])
    while now_s < 2000:
        run.add_metadata(n=1)
        now_s += 1
    assert calls == [1000.0, 1330.0, 1660.0, 1990.0]


def test_plugins_are_found_by_their_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    registered = MagicMock()
    registered.registry.return_value.get.return_value = {"tracker1": Memory}
    monkeypatch.setitem(vars(tracker_api), "plugins", registered)
    with patch("torchx.tracker.api.load_group", return_value=None):
        (tracker,) = build_trackers({"tracker1": "c"})
    assert isinstance(tracker, Memory)
    registered.registry.return_value.get.assert_called_with(registered.PluginType.TRACKER)
