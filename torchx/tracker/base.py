"""What a tracker is: the interface of back ends and the data they exchange."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable


@dataclass
class TrackerSource:
    """Something that a run was made from.

    Attributes:
        source_run_id: Id of the run, or of something outside of torchx.
        artifact_name: The artifact of the source that was used; None for the source as a whole.
    """

    source_run_id: str
    artifact_name: str | None


@dataclass
class TrackerDescendant:
    """A run that was made from another one.

    Attributes:
        run_id: Id of the descendant.
        artifact_name: The artifact that it used; None for the run as a whole.
    """

    run_id: str
    artifact_name: str | None


@dataclass
class TrackerArtifact:
    """Something that a run has made.

    Attributes:
        name: Name within the run.
        path: Path or URL.
        metadata: What is known about it.
    """

    name: str
    path: str
    metadata: Mapping[str, object] | None


@dataclass
class Lineage:
    """The neighbours of a run.

    Attributes:
        sources: What it was made from.
        descendants: What was made from it.
    """

    sources: Sequence[TrackerSource] = ()
    descendants: Sequence[TrackerDescendant] = ()


@dataclass(frozen=True)
class MetricPoint:
    """One point of a curve.

    Attributes:
        step: Position on the curve, such as the number of the epoch; None if there is none.
        value: The value.
    """

    step: int | None
    value: float


class TrackerBase(ABC):
    """A back end that keeps what runs tell about themselves.

    A run id is normally the handle of an app, ``scheduler://session/app_id``. Back ends may do more
    than this, see `SupportsMetrics` and `SupportsParams`.
    """

    @abstractmethod
    def add_artifact(
        self, run_id: str, name: str, path: str, metadata: Mapping[str, object] | None = None
    ) -> None:
        """Adds an artifact; a later one of the same name replaces it.

        Args:
            run_id: The run.
            name: Name within the run.
            path: Path or URL.
            metadata: What is known about it.
        """

    @abstractmethod
    def artifacts(self, run_id: str) -> Mapping[str, TrackerArtifact]:
        """Returns the artifacts of a run.

        Args:
            run_id: The run.

        Returns:
            The artifacts by name; nothing for an unknown run.
        """

    @abstractmethod
    def add_metadata(self, run_id: str, **kwargs: object) -> None:
        """Adds to what is known about a run; a later value of a key replaces the earlier one.

        Args:
            run_id: The run.
            kwargs: Values by key.
        """

    @abstractmethod
    def metadata(self, run_id: str) -> Mapping[str, object]:
        """Returns what is known about a run.

        Args:
            run_id: The run.

        Returns:
            The values by key; nothing for an unknown run.
        """

    @abstractmethod
    def add_source(self, run_id: str, source_id: str, artifact_name: str | None = None) -> None:
        """Says that a run was made from something.

        Args:
            run_id: The run.
            source_id: Another run, or the id of something outside of torchx.
            artifact_name: The artifact of it that was used.
        """

    @abstractmethod
    def sources(self, run_id: str, artifact_name: str | None = None) -> Iterable[TrackerSource]:
        """Returns what a run was made from.

        Args:
            run_id: The run.
            artifact_name: Return only sources by this artifact.

        Returns:
            The sources.
        """

    @abstractmethod
    def lineage(self, run_id: str) -> Lineage:
        """Returns the neighbours of a run.

        Args:
            run_id: The run.

        Returns:
            What it was made from, and what was made from it.
        """

    @abstractmethod
    def run_ids(self, **kwargs: str) -> Iterable[str]:
        """Returns the ids of runs.

        Args:
            kwargs: Conditions; ``parent_run_id`` asks for the runs made from that one.

        Returns:
            The ids.
        """


@runtime_checkable
class SupportsMetrics(Protocol):
    """A tracker that keeps curves. Others get the newest values as metadata."""

    def add_metrics(self, run_id: str, metrics: Mapping[str, float], step: int | None) -> None:
        """Adds a point to curves.

        Args:
            run_id: The run.
            metrics: Values by the name of the curve.
            step: Position on the curves; None if there is none.
        """

    def metrics(self, run_id: str) -> Mapping[str, Sequence[MetricPoint]]:
        """Returns the curves of a run.

        Args:
            run_id: The run.

        Returns:
            The points by the name of the curve, oldest first.
        """


@runtime_checkable
class SupportsParams(Protocol):
    """A tracker that tells parameters from other metadata. Others get them as metadata."""

    def log_params_flat(self, run_name: str, cfg: object, key: str = "") -> None:
        """Adds the parameters of a run.

        Args:
            run_name: The run.
            cfg: A mapping or a dataclass, which may be nested.
            key: What to put before the names.
        """
