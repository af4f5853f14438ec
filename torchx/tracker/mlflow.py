"""Keeps what runs tell about themselves in MLflow.

A run of torchx is the MLflow run of that name, so that what a program logs through MLflow itself
goes there too. Metadata are tags, parameters and metrics are those of MLflow, artifacts are copied.
A run that another one was made from is its parent, which MLflow shows as nesting.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from torchx.tracker.base import (
    Lineage,
    MetricPoint,
    TrackerArtifact,
    TrackerBase,
    TrackerDescendant,
    TrackerSource,
)
from torchx.tracker.mlflow_params import flatten
from torchx.tracker.mlflow_store import (
    default_artifact_location,
    default_tracking_uri,
    one_at_a_time,
    prepare,
    wait_for_rank0,
)

if TYPE_CHECKING:
    from mlflow.entities import Experiment, FileInfo, Run
    from mlflow.tracking import MlflowClient

TAG_ARTIFACT_MD_PREFIX = "torchx.artifact.metadata"
"""Begins the names of the tags that hold the metadata of artifacts."""

TAG_ARTIFACT_URL_PREFIX = "torchx.artifact.url"
"""Begins the names of the tags that hold the URLs of artifacts that are not copied."""

TAG_SOURCE_PREFIX = "torchx.source"
"""Begins the names of the tags that hold what a run was made from."""

ENV_EXPERIMENT_NAME = "TORCHX_TRACKING_EXPERIMENT_NAME"
"""Name of the experiment, set by ``dist.ddp`` and ``dist.spmd``."""

_TAG_PARENT = "mlflow.parentRunId"
_FILE_SIZE = "mlflow.file_size"
_BATCH = 100
_PAGE = 1000


class MLflowTracker(TrackerBase):
    """Keeps what runs tell about themselves in MLflow.

    Args:
        experiment_name: Name of the experiment, created if need be; by default one of this user
            and host.
        tracking_uri: Where MLflow keeps runs: an ``http`` URL, ``sqlite:///path`` or a directory;
            by default a database in the temporary directory.
        artifact_location: Where the artifacts of a new experiment go.

    Attributes:
        tracking_uri: Where MLflow keeps runs.
        experiment: The experiment.
        looks_everywhere: Runs are also found if they are in other experiments; new ones are made in
            this one.

    Raises:
        ImportError: MLflow is not installed.
    """

    def __init__(
        self,
        experiment_name: str | None = None,
        tracking_uri: str | None = None,
        artifact_location: str | None = None,
    ) -> None:
        mlflow = _mlflow()
        self.tracking_uri = tracking_uri or default_tracking_uri()
        prepare(self.tracking_uri)
        mlflow.set_tracking_uri(self.tracking_uri)
        self.looks_everywhere = False
        self._run_ids: dict[str, str] = {}
        with one_at_a_time(self.tracking_uri):
            self._client: MlflowClient = mlflow.tracking.MlflowClient(self.tracking_uri)
            self.experiment: Experiment = self._get_experiment(
                experiment_name or self.default_experiment_name(), artifact_location
            )
        job_id = os.environ.get("TORCHX_JOB_ID")
        if job_id:
            self.get_run(job_id)

    @staticmethod
    def default_experiment_name() -> str:
        """Returns the name of the experiment unless something else is said.

        Returns:
            ``default-experiment/USER/HOST``.
        """
        import getpass

        try:
            user = getpass.getuser()
        except (KeyError, OSError):  # a container may run under an id that has no name
            user = f"uid{os.getuid()}"
        return f"default-experiment/{user}/{socket.getfqdn()}"

    @property
    def experiment_id(self) -> str:
        """Id of the experiment."""
        return str(self.experiment.experiment_id)

    @property
    def experiment_name(self) -> str:
        """Name of the experiment."""
        return str(self.experiment.name)

    @property
    def artifact_location(self) -> str:
        """Where the artifacts of the experiment are."""
        return str(self.experiment.artifact_location)

    def get_run(self, run_name: str) -> Run:
        """Returns a run and makes it the active one of MLflow; it is started if it is missing.

        Args:
            run_name: Name of the run.

        Returns:
            The run. If MLflow has an active run already, that one, whatever its name is.

        Raises:
            RuntimeError: Several runs have that name.
        """
        mlflow = _mlflow()
        if mlflow.active_run() is None:
            # Lets one process of the job start the run, and the others find it.
            with one_at_a_time(self.tracking_uri):
                found = wait_for_rank0(self.tracking_uri, lambda: self._find(run_name))
                active = mlflow.start_run(
                    run_id=found.info.run_id if found else None,
                    run_name=run_name,
                    experiment_id=self.experiment_id,
                )
            self._run_ids[run_name] = active.info.run_id
        return self._client.get_run(mlflow.active_run().info.run_id)

    def get_run_id(self, run_name: str) -> str:
        """Returns the id that MLflow has given to a run, which is started if it is missing.

        Args:
            run_name: Name of the run.

        Returns:
            The id.

        Raises:
            RuntimeError: Several runs have that name.
        """
        return str(self.get_run(run_name).info.run_id)

    def close(self) -> None:
        """Ends the active run of MLflow, as finished."""
        _mlflow().end_run()
        self._run_ids.clear()

    def add_metadata(self, run_id: str, **kwargs: object) -> None:
        """See `TrackerBase.add_metadata`. Values become text."""
        self._tag(self._to_write(run_id), kwargs)

    def metadata(self, run_id: str) -> Mapping[str, object]:
        """See `TrackerBase.metadata`. Parameters and what MLflow itself knows are among it."""
        run = self._to_read(run_id)
        return {**run.data.params, **run.data.tags} if run else {}

    def log_params_flat(self, run_name: str, cfg: object, key: str = "") -> None:
        """Adds the parameters of a run. MLflow lets no parameter change.

        Args:
            run_name: Name of the run.
            cfg: A mapping or a dataclass, which may be nested.
            key: What to put before the names.
        """
        from mlflow.entities import Param

        params = [Param(name, str(value)) for name, value in flatten(cfg, key).items()]
        mlflow_id = self._to_write(run_name)
        for start in range(0, len(params), _BATCH):
            self._client.log_batch(mlflow_id, params=params[start : start + _BATCH])

    def add_metrics(self, run_id: str, metrics: Mapping[str, float], step: int | None) -> None:
        """See `SupportsMetrics.add_metrics`."""
        from mlflow.entities import Metric

        now_ms = time.time_ns() // 1_000_000
        points = [Metric(name, float(value), now_ms, step or 0) for name, value in metrics.items()]
        self._client.log_batch(self._to_write(run_id), metrics=points)

    def metrics(self, run_id: str) -> Mapping[str, Sequence[MetricPoint]]:
        """See `SupportsMetrics.metrics`."""
        run = self._to_read(run_id)
        if run is None:
            return {}
        history = self._client.get_metric_history
        return {
            name: [MetricPoint(each.step, each.value) for each in history(run.info.run_id, name)]
            for name in sorted(run.data.metrics)
        }

    def add_artifact(
        self, run_id: str, name: str, path: str, metadata: Mapping[str, object] | None = None
    ) -> None:
        """See `TrackerBase.add_artifact`. A local file or directory is copied, a URL is kept."""
        mlflow_id = self._to_write(run_id)
        tags = {
            f"{TAG_ARTIFACT_MD_PREFIX}.{name}.{key}": value
            for key, value in (metadata or {}).items()
        }
        local = path.removeprefix("file://")
        if "://" in local:
            tags[f"{TAG_ARTIFACT_URL_PREFIX}.{name}"] = path
        else:
            self._client.log_artifact(mlflow_id, local, artifact_path=name)
        self._tag(mlflow_id, tags)

    def artifacts(self, run_id: str) -> Mapping[str, TrackerArtifact]:
        """See `TrackerBase.artifacts`.

        The paths are published to lack the directory of the run; `artifact_uri` has the right one.
        """
        run = self._to_read(run_id)
        if run is None:
            return {}
        ours = run.info.experiment_id == self.experiment_id
        location = self.artifact_location if ours else run.info.artifact_uri
        prefix = f"{TAG_ARTIFACT_URL_PREFIX}."
        found = {
            tag.removeprefix(prefix): TrackerArtifact(tag.removeprefix(prefix), url, {})
            for tag, url in run.data.tags.items()
            if tag.startswith(prefix)
        }
        for name, files in self._files(run.info.run_id).items():
            path = files[0].path if len(files) == 1 else name
            size = sum(file.file_size or 0 for file in files)
            found[name] = TrackerArtifact(name, f"{location}/{path}", {_FILE_SIZE: size})
        for name, metadata in _artifact_metadata(run.data.tags, found).items():
            found[name].metadata = {**metadata, **(found[name].metadata or {})}
        return found

    def artifact_uri(self, run_id: str, name: str) -> str | None:
        """Returns where an artifact really is.

        Args:
            run_id: The run.
            name: Name of the artifact.

        Returns:
            URL of the directory that holds its files, or the URL that was added; None for an
            unknown run.
        """
        run = self._to_read(run_id)
        if run is None:
            return None
        url = run.data.tags.get(f"{TAG_ARTIFACT_URL_PREFIX}.{name}")
        return url or f"{run.info.artifact_uri}/{name}"

    def add_source(self, run_id: str, source_id: str, artifact_name: str | None = None) -> None:
        """See `TrackerBase.add_source`. A source that is a run becomes the parent in MLflow."""
        link = json.dumps([source_id, artifact_name])
        tags = {f"{TAG_SOURCE_PREFIX}.{hashlib.sha256(link.encode()).hexdigest()[:16]}": link}
        parent = self._find(source_id)
        if parent is not None:
            tags[_TAG_PARENT] = parent.info.run_id
        self._tag(self._to_write(run_id), tags)

    def sources(self, run_id: str, artifact_name: str | None = None) -> Iterable[TrackerSource]:
        """See `TrackerBase.sources`."""
        run = self._to_read(run_id)
        return [
            source
            for source in (_sources(run.data.tags) if run else [])
            if artifact_name is None or source.artifact_name == artifact_name
        ]

    def lineage(self, run_id: str) -> Lineage:
        """See `TrackerBase.lineage`."""
        descendants = [
            TrackerDescendant(str(run.info.run_name), source.artifact_name)
            for run in self._search()
            for source in _sources(run.data.tags)
            if source.source_run_id == run_id
        ]
        return Lineage(list(self.sources(run_id)), descendants)

    def run_ids(self, **kwargs: str) -> Iterable[str]:
        """See `TrackerBase.run_ids`."""
        parent_id = kwargs.get("parent_run_id")
        return [
            str(run.info.run_name)
            for run in self._search()
            if parent_id is None
            or any(source.source_run_id == parent_id for source in _sources(run.data.tags))
        ]

    def _get_experiment(self, name: str, artifact_location: str | None) -> Experiment:
        from mlflow.exceptions import MlflowException

        found = wait_for_rank0(self.tracking_uri, lambda: self._client.get_experiment_by_name(name))
        if found is not None:
            return found
        location = artifact_location or default_artifact_location(self.tracking_uri, name)
        try:
            return self._client.get_experiment(self._client.create_experiment(name, location))
        except MlflowException:
            # Another job of the experiment may have been faster.
            found = self._client.get_experiment_by_name(name)
            if found is None:
                raise
            return found

    def _find(self, run_name: str) -> Run | None:
        # There is no way to write a quote inside of quotes.
        pattern = run_name.replace("'", "_")
        operator = "=" if pattern == run_name else "LIKE"
        found = [
            run
            for run in self._search(f"tags.mlflow.runName {operator} '{pattern}'")
            if run.info.run_name == run_name
        ]
        if len(found) > 1:
            raise RuntimeError(
                f"More than 1 run found for run_name `{run_name}` in experiment"
                f" `{self.experiment_name}`: {', '.join(run.info.run_id for run in found)}; delete"
                " or rename all but one"
            )
        return found[0] if found else None

    def _search(self, condition: str = "") -> Iterator[Run]:
        experiments = [self.experiment_id]
        if self.looks_everywhere:
            found = _all_pages(self._client.search_experiments)
            experiments = [experiment.experiment_id for experiment in found]
        yield from _all_pages(
            partial(self._client.search_runs, experiments, condition, max_results=_PAGE)
        )

    def _to_write(self, run_name: str) -> str:
        """Returns the MLflow id of a run, which is started if it is missing.

        A run that the program has started itself through MLflow is where everything goes.
        """
        active = _mlflow().active_run()
        if active is not None and active.info.run_id not in self._run_ids.values():
            return str(active.info.run_id)
        if run_name not in self._run_ids:
            if active is None:
                return self.get_run_id(run_name)
            found = self._find(run_name) or self._client.create_run(
                self.experiment_id, run_name=run_name
            )
            self._run_ids[run_name] = found.info.run_id
        return self._run_ids[run_name]

    def _to_read(self, run_name: str) -> Run | None:
        if run_name in self._run_ids:
            return self._client.get_run(self._run_ids[run_name])
        active = _mlflow().active_run()
        found = self._find(run_name)
        if (
            found is None
            and active is not None
            and active.info.run_id not in self._run_ids.values()
        ):
            return self._client.get_run(active.info.run_id)
        return found

    def _tag(self, mlflow_id: str, tags: Mapping[str, object]) -> None:
        from mlflow.entities import RunTag

        entities = [RunTag(key, str(value)) for key, value in tags.items()]
        for start in range(0, len(entities), _BATCH):
            self._client.log_batch(mlflow_id, tags=entities[start : start + _BATCH])

    def _files(self, mlflow_id: str, directory: str | None = None) -> dict[str, list[FileInfo]]:
        """Returns the files of each artifact; one that is in no directory is called as its file."""
        found: dict[str, list[FileInfo]] = {}
        for entry in self._client.list_artifacts(mlflow_id, directory):
            if entry.is_dir:
                found.update(self._files(mlflow_id, entry.path))
            else:
                found.setdefault(directory or entry.path, []).append(entry)
        return found


def create_tracker(config: str | None) -> MLflowTracker:
    """Makes the tracker ``mlflow``: its factory.

    Section ``[tracker:mlflow]`` of the ``.torchxconfig`` in a directory holds the arguments of
    `MLflowTracker`. The variable ``TORCHX_TRACKING_EXPERIMENT_NAME`` wins over the experiment of
    that section, and ``MLFLOW_TRACKING_URI`` is used if the section names no ``tracking_uri``. If
    nothing names an experiment, runs are found in all of them.

    Args:
        config: A directory, or a tracking URI such as ``http://mlflow:5000``.

    Returns:
        The tracker.

    Raises:
        ImportError: MLflow is not installed.
        ValueError: The section has an unknown key.
    """
    from torchx.util.config_layers import settings

    is_uri = config is not None and "://" in config
    found = settings("tracker:mlflow", None if is_uri or not config else [config])
    options = {option: setting.value for option, setting in found.items()}
    options.pop("config", None)
    unknown = options.keys() - {"experiment_name", "tracking_uri", "artifact_location"}
    if unknown:
        raise ValueError(f"section [tracker:mlflow] has unknown keys: {', '.join(sorted(unknown))}")
    # A job should not be held up for minutes by a server that is gone.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    uri = config if is_uri else options.get("tracking_uri") or os.environ.get("MLFLOW_TRACKING_URI")
    experiment_name = os.environ.get(ENV_EXPERIMENT_NAME) or options.get("experiment_name")
    tracker = MLflowTracker(experiment_name, uri, options.get("artifact_location"))
    # Jobs are told their experiment; who asks about them from outside is not.
    tracker.looks_everywhere = experiment_name is None
    return tracker


def _mlflow() -> Any:
    try:
        import mlflow
    except ModuleNotFoundError as error:
        raise ImportError(
            "the tracker `mlflow` needs MLflow: pip install 'torchx[mlflow]'", name=error.name
        ) from error
    return mlflow


def _all_pages(search: Callable[..., Any]) -> Iterator[Any]:
    page = search()
    yield from page
    while page.token:
        page = search(page_token=page.token)
        yield from page


def _sources(tags: Mapping[str, str]) -> list[TrackerSource]:
    links = [link for tag, link in tags.items() if tag.startswith(f"{TAG_SOURCE_PREFIX}.")]
    return [TrackerSource(*json.loads(link)) for link in links]


def _artifact_metadata(
    tags: Mapping[str, str], names: Iterable[str]
) -> dict[str, dict[str, object]]:
    """Returns the metadata of artifacts. Names may hold dots, so that the longest one fits."""
    found: dict[str, dict[str, object]] = {}
    longest_first = sorted(names, key=len, reverse=True)
    for tag, value in tags.items():
        if not tag.startswith(f"{TAG_ARTIFACT_MD_PREFIX}."):
            continue
        rest = tag.removeprefix(f"{TAG_ARTIFACT_MD_PREFIX}.")
        name = next((name for name in longest_first if rest.startswith(f"{name}.")), None)
        if name is not None:
            found.setdefault(name, {})[rest.removeprefix(f"{name}.")] = value
    return found
