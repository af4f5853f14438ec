"""Result trackers: small results of a job by key, written by one program and read by another."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING

from torchx.util.files import write_bytes

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

KeyType = int | str
"""Identifies the results of one run, for example the number of a trial."""

ResultType = int | float | str
"""One result; a string should stay below 1 kB."""


class ResultTracker(ABC):
    """Stores named results under a key.

    A metric that was measured several times is stored as two results, ``"name/mean"`` and
    ``"name/sem"`` (the standard error of the mean).
    """

    def __getitem__(self, key: KeyType) -> dict[str, ResultType]:
        return self.get(key)

    def __setitem__(self, key: KeyType, results: Mapping[str, ResultType]) -> None:
        self.put(key, **results)

    @abstractmethod
    def put(self, key: KeyType, **results: ResultType) -> None:
        """Replaces the results of a key.

        Args:
            key: The key; 1 and ``"1"`` are the same.
            results: The results by name.
        """

    @abstractmethod
    def get(self, key: KeyType) -> dict[str, ResultType]:
        """Returns the results of a key.

        Args:
            key: The key; 1 and ``"1"`` are the same.

        Returns:
            The results by name; nothing if there are none.
        """


class FsspecResultTracker(ResultTracker):
    """Stores results as one JSON file for each key, on any file system that fsspec knows.

    A slash in a key makes a directory. Where the file system can, files are replaced in one step.

    Args:
        tracker_base: Path or URL of a directory; it is created when it is first needed.
    """

    def __init__(self, tracker_base: str) -> None:
        self._tracker_base = tracker_base

    def __setitem__(self, key: KeyType, results: Mapping[str, ResultType]) -> None:
        if results.keys() & {"key", "self"}:
            self._write(key, results)  # put() cannot take these names as keywords
        else:
            super().__setitem__(key, results)

    def put(self, key: KeyType, **results: ResultType) -> None:
        """Replaces the results of a key.

        Args:
            key: The key; 1 and ``"1"`` are the same.
            results: The results by name.

        Raises:
            ValueError: The key is empty or leads out of the tracker's directory.
            TypeError: A result is of a type that JSON does not have.
        """
        self._write(key, results)

    def get(self, key: KeyType) -> dict[str, ResultType]:
        """Returns the results of a key.

        Args:
            key: The key; 1 and ``"1"`` are the same.

        Returns:
            The results by name; nothing if there are none.

        Raises:
            ValueError: The key is empty or leads out of the tracker's directory, or its file holds
                something else than results.
        """
        fs, path = self._locate(key)
        try:
            content: bytes = fs.cat_file(path)
        except (FileNotFoundError, NotADirectoryError):
            return {}
        results = json.loads(content)
        if not isinstance(results, dict):
            raise ValueError(f"{path} holds no results but a {type(results).__name__}")
        return results

    def _write(self, key: KeyType, results: Mapping[str, ResultType]) -> None:
        content = json.dumps(dict(results), indent=2).encode()
        fs, path = self._locate(key)
        write_bytes(fs, path, content)

    def _locate(self, key: KeyType) -> tuple[AbstractFileSystem, str]:
        from fsspec.core import url_to_fs

        name = str(key)
        if not name.strip("/") or ".." in name.split("/"):
            raise ValueError(f"{key!r} is no key: it must name something below the tracker's base")
        fs, base = url_to_fs(self._tracker_base)
        return fs, f"{base.rstrip('/')}/{name.lstrip('/')}"
