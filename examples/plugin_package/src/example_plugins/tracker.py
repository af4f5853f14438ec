"""A tracker that keeps everything in one JSON file per run."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote


class FileTracker:
    """Keeps what runs report in a directory.

    Args:
        directory: The directory; it is created when something is reported.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def add_metadata(self, run_id: str, **kwargs: object) -> None:
        """Adds to what is known about a run.

        Args:
            run_id: Id of the run.
            kwargs: What to add; it replaces what had the same name.
        """
        self._directory.mkdir(parents=True, exist_ok=True)
        self._file(run_id).write_text(json.dumps({**self.metadata(run_id), **kwargs}))

    def metadata(self, run_id: str) -> Mapping[str, object]:
        """Returns what is known about a run.

        Args:
            run_id: Id of the run.

        Returns:
            All that was added.
        """
        file = self._file(run_id)
        found: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
        return found

    def run_ids(self, **kwargs: str) -> Iterable[str]:
        """Returns the runs that have reported something.

        Args:
            kwargs: Not used.

        Returns:
            Their ids.
        """
        return [unquote(file.stem) for file in sorted(self._directory.glob("*.json"))]

    def _file(self, run_id: str) -> Path:
        return self._directory / f"{quote(run_id, safe='')}.json"


def create(config: str | None) -> FileTracker:
    """Creates the tracker.

    Args:
        config: The directory, from ``[tracker:example]`` of ``.torchxconfig``.

    Returns:
        The tracker.
    """
    return FileTracker(Path(config or "example-runs"))
