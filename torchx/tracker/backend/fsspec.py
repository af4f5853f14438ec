"""Keeps what runs tell about themselves as small files, on any file system that fsspec knows.

The files can be read while runs write, by several programs, and after a run was killed: each file
is whole or not there. `torchx.tracker.backend.fsspec_layout` tells where everything is.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from torchx.errors import TorchXError
from torchx.tracker.backend.fsspec_config import (
    no_config,
    required,
    typed,
)
from torchx.tracker.backend.fsspec_config import put_config as _put_config
from torchx.tracker.backend.fsspec_config import read_config as _read_config
from torchx.tracker.backend.fsspec_files import (
    add_file,
    add_line,
    each,
    has_directories,
    read_in_order,
    read_lines,
    replace_file,
)
from torchx.tracker.backend.fsspec_layout import PathBuilder as _FsspecTrackerPathBuilder
from torchx.tracker.backend.fsspec_layout import decode_run_id as _decode_torchx_run_id
from torchx.tracker.backend.fsspec_layout import encode_run_id as _encode_torchx_run_id
from torchx.tracker.backend.fsspec_layout import ids_in
from torchx.tracker.base import (
    Lineage,
    MetricPoint,
    TrackerArtifact,
    TrackerBase,
    TrackerDescendant,
    TrackerSource,
)

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

__all__ = [
    "FsspecTracker",
    "TrackerRootError",
    "_FsspecTrackerPathBuilder",
    "_decode_torchx_run_id",
    "_encode_torchx_run_id",
    "_put_config",
    "_read_config",
    "create",
    "generate_filename",
]

logger: logging.Logger = logging.getLogger(__name__)

_POINTS_PER_FILE = 256


class TrackerRootError(TorchXError, AssertionError):
    """The root directory of a tracker does not exist."""


def generate_filename() -> str:
    """Returns the name of a new file.

    Returns:
        The time in nanoseconds since 1970.
    """
    return str(time.time_ns())


class FsspecTracker(TrackerBase):
    """Keeps what runs tell about themselves below a directory.

    Args:
        fs: The file system.
        root_dir: A directory of it that exists; on an object store only its bucket has to.

    Raises:
        AssertionError: The directory does not exist.
    """

    def __init__(self, fs: AbstractFileSystem, root_dir: str) -> None:
        if not _exists(fs, root_dir):
            raise TrackerRootError(
                f"directory {root_dir} of the tracker is expected to exist",
                hint="create it, or correct `root_path` in the configuration file of the tracker",
            )
        self._fs = fs
        self._path_builder = _FsspecTrackerPathBuilder(root_dir, fs._strip_protocol(root_dir))
        self._curves: dict[str, _Curves] = {}
        self._curves_lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<FsspecTracker: root_path={self._path_builder.root_dir}>"

    def add_artifact(
        self, run_id: str, name: str, path: str, metadata: Mapping[str, object] | None = None
    ) -> None:
        """See `TrackerBase.add_artifact`. Only the path is kept, nothing is copied."""
        metadata = None if metadata is None else dict(metadata)
        self._add(run_id, "artifacts", {"name": name, "path": path, "metadata": metadata})

    def artifacts(self, run_id: str) -> Mapping[str, TrackerArtifact]:
        """See `TrackerBase.artifacts`."""
        found = self._read(run_id, "artifacts", ("name", "path", "metadata"))
        return {
            entry["name"]: TrackerArtifact(entry["name"], entry["path"], entry["metadata"])
            for entry in found
        }

    def add_metadata(self, run_id: str, **kwargs: object) -> None:
        """See `TrackerBase.add_metadata`. Values keep the types that JSON has."""
        self._add(run_id, "metadata", {"metadata": kwargs})

    def metadata(self, run_id: str) -> Mapping[str, object]:
        """See `TrackerBase.metadata`."""
        merged: dict[str, object] = {}
        for entry in self._read(run_id, "metadata", ("metadata",)):
            merged.update(entry["metadata"])
        return merged

    def add_metrics(self, run_id: str, metrics: Mapping[str, float], step: int | None) -> None:
        """See `SupportsMetrics.add_metrics`."""
        values = {name: _plain(value) for name, value in metrics.items()}
        with self._curves_lock:
            curves = self._curves.get(run_id)
            if curves is None or len(curves.points) == _POINTS_PER_FILE:
                path = f"{self._path_builder.category(run_id, 'metrics')}/{generate_filename()}"
                curves = self._curves[run_id] = _Curves(f"{path}-{os.urandom(4).hex()}")
            # What a full disk refused is written with the next point.
            curves.points.append({"step": step, "values": values})
            content = _to_json({"points": curves.points})
            replace_file(self._fs, self._path_builder.run(run_id), curves.path, content)

    def metrics(self, run_id: str) -> Mapping[str, Sequence[MetricPoint]]:
        """See `SupportsMetrics.metrics`."""
        curves: dict[str, list[MetricPoint]] = {}
        for entry in self._read(run_id, "metrics", ("points",)):
            for point in entry["points"]:
                for name, value in point["values"].items():
                    curves.setdefault(name, []).append(MetricPoint(point["step"], value))
        return curves

    def add_source(self, run_id: str, source_id: str, artifact_name: str | None = None) -> None:
        """See `TrackerBase.add_source`. A link that is there already is not added again."""
        line = artifact_name or ""
        paths = self._path_builder
        add_line(self._fs, paths.run(run_id), paths.link(run_id, "sources", source_id), line)
        source_dir = paths.run(source_id)
        self._fs.invalidate_cache(source_dir)
        if self._fs.exists(source_dir):
            add_line(self._fs, source_dir, paths.link(source_id, "descendants", run_id), line)

    def sources(self, run_id: str, artifact_name: str | None = None) -> Iterable[TrackerSource]:
        """See `TrackerBase.sources`."""
        return [
            TrackerSource(source_id, name)
            for source_id, name in self._links(run_id, "sources")
            if artifact_name is None or name == artifact_name
        ]

    def lineage(self, run_id: str) -> Lineage:
        """See `TrackerBase.lineage`."""
        descendants = {
            (child, name): TrackerDescendant(child, name)
            for child, name in self._links(run_id, "descendants")
        }
        known = {child for child, _ in descendants}
        # Links of earlier releases can only be followed from the descendant's end.
        for child in self.run_ids(parent_run_id=run_id):
            if child not in known:
                for source in self.sources(child):
                    if source.source_run_id == run_id:
                        key = (child, source.artifact_name)
                        descendants[key] = TrackerDescendant(child, source.artifact_name)
        return Lineage(list(self.sources(run_id)), list(descendants.values()))

    def run_ids(self, parent_run_id: str | None = None) -> list[str]:  # type: ignore[override]
        """See `TrackerBase.run_ids`. No run is opened, their names are enough.

        Args:
            parent_run_id: Return only runs that were made from this one.

        Returns:
            The ids.
        """
        # The published interface is narrower here than in the base class: other keywords are
        # errors.
        run_ids = list(ids_in(self._fs, self._path_builder.base, "directory"))
        if parent_run_id is None:
            return run_ids
        links = [self._path_builder.link(run_id, "sources", parent_run_id) for run_id in run_ids]
        self._fs.invalidate_cache()
        is_child = each(self._fs, self._fs.exists, links)
        return [run_id for run_id, found in zip(run_ids, is_child, strict=True) if found]

    def _links(
        self, run_id: str, name: Literal["sources", "descendants"]
    ) -> Iterator[tuple[str, str | None]]:
        others = list(ids_in(self._fs, self._path_builder.category(run_id, name), "file"))
        paths = [self._path_builder.link(run_id, name, other) for other in others]
        all_lines = each(self._fs, lambda path: read_lines(self._fs, path), paths)
        for other, lines in zip(others, all_lines, strict=True):
            for line in lines:
                yield other, line or None

    def _add(
        self, run_id: str, category: Literal["metadata", "artifacts"], entry: Mapping[str, object]
    ) -> None:
        content = _to_json(entry)
        path = f"{self._path_builder.category(run_id, category)}/{generate_filename()}"
        add_file(self._fs, self._path_builder.run(run_id), path, content)

    def _read(
        self,
        run_id: str,
        category: Literal["metadata", "artifacts", "metrics"],
        keys: Sequence[str],
    ) -> Iterator[dict[str, Any]]:
        for path, content in read_in_order(self._fs, self._path_builder.category(run_id, category)):
            try:
                entry = json.loads(content)
                if not all(key in entry for key in keys):
                    raise ValueError(f"it lacks one of {', '.join(keys)}")
            except (ValueError, TypeError) as error:
                logger.warning("%s is passed over, it is damaged: %s", path, error)
                continue
            yield entry


def create(config_file: str | None) -> TrackerBase:
    """Makes the tracker that a file describes: the factory of the tracker ``fsspec``.

    The file has lines ``key=value``. ``protocol`` and ``root_path`` name the file system and the
    directory, other keys are options of the file system; a key with dots is a key in a dict.

    Args:
        config_file: Path or URL of the file.

    Returns:
        The tracker.

    Raises:
        ValueError: There is no file, or it lacks something.
        AssertionError: The directory does not exist.
        OSError: The file cannot be read.
    """
    import fsspec

    if not config_file:
        raise no_config()
    config = _read_config(config_file)
    required(config, config_file)
    protocol, root_path = config.pop("protocol"), config.pop("root_path")
    options = typed(config, fsspec.get_filesystem_class(protocol))
    return FsspecTracker(fsspec.filesystem(protocol, **options), root_path)


class _Curves:
    """The newest points of a run's curves, which are together in one file."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.points: list[dict[str, object]] = []


def _exists(fs: AbstractFileSystem, directory: str) -> bool:
    try:
        if fs.exists(directory):
            return True
        bucket = fs._strip_protocol(directory).partition("/")[0]
        return not has_directories(fs, directory) and bool(fs.exists(bucket))
    except PermissionError:
        return True  # who may write need not be allowed to list


def _to_json(entry: Mapping[str, object]) -> bytes:
    return json.dumps(entry, default=_plain).encode()


def _plain(value: Any) -> Any:
    """Turns what programs hand to trackers, such as a tensor with one number, into JSON."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "item"):
        return value.item()
    if isinstance(value, (int, float, str)):
        return value
    raise TypeError(f"{value!r} cannot be kept: JSON has no {type(value).__name__}")
