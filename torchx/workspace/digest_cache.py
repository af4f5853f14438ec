"""Remembers the digests of files below ``TORCHX_HOME``, so that only what changed is read again."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torchx.specs.api import TORCHX_HOME
from torchx.util.files import replacing
from torchx.workspace.tree import Entry, Project

log: logging.Logger = logging.getLogger(__name__)

_VERSION = 1
# A file that changed this recently may change again without getting another time stamp.
_SETTLED_AFTER_NS = 2_000_000_000

_Row = list[Any]


class DigestCache:
    """The digests of the files of one project.

    Args:
        project: The project; only those of a local one are remembered.
        ignore_names: Names of the ignore files that hold; each set of files is remembered apart.

    Attributes:
        project: The project.
        digests: The digests that are known, in hex, by the path of the file; ``""`` for links.
        unread: Files that are new or have changed since they were read.
    """

    def __init__(self, project: Project, ignore_names: Sequence[str]) -> None:
        self.project = project
        self.digests: dict[str, str] = {}
        self.unread: list[Entry] = []
        self._path = _path_of(project, ignore_names) if project.is_local else None
        self._old = _load(self._path) if self._path else {}
        self._new: dict[str, _Row] = {}
        for entry in project.entries:
            path, size, mode, mtime_ns, ctime_ns, link = entry
            row = self._old.get(path)
            if link:
                self.digests[path] = ""
            elif row is not None and row[:4] == [size, mode, mtime_ns, ctime_ns]:
                self.digests[path] = row[4]
                self._new[path] = row
            else:
                self.unread.append(entry)

    def remember(self, entry: Entry, digest: str) -> None:
        """Takes in the digest of a file that has been read.

        Args:
            entry: The file as it was before it was read.
            digest: Its digest in hex.
        """
        self.digests[entry.path] = digest
        if entry.ctime_ns + _SETTLED_AFTER_NS < time.time_ns():
            self._new[entry.path] = [*entry[1:5], digest]

    def save(self) -> None:
        """Writes down what is new. A failure is not one of the caller."""
        if self._path is None or self._new == self._old:
            return
        content = {"version": _VERSION, "root": self.project.root, "files": self._new}
        try:
            with replacing(self._path) as temporary, open(temporary, "w", encoding="ascii") as file:
                json.dump(content, file, separators=(",", ":"))
        except OSError as error:
            log.debug("cannot remember digests in %s: %s", self._path, error)


def digests_dir() -> Path:
    """Returns the directory that digests are remembered in."""
    return TORCHX_HOME("workspaces", "digests")


def _path_of(project: Project, ignore_names: Sequence[str]) -> Path:
    key = "\0".join([os.path.realpath(project.root), *ignore_names])
    name = hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()[:32]
    return digests_dir() / f"{name}.json"


def _load(path: Path) -> dict[str, _Row]:
    try:
        content = json.loads(path.read_bytes())
        rows = content["files"] if content["version"] == _VERSION else {}
        is_sound = isinstance(rows, dict) and set(map(len, rows.values())) <= {5}
    except (OSError, ValueError, KeyError, TypeError) as error:
        log.debug("no digests are remembered in %s: %s", path, error)
        return {}
    return rows if is_sound else {}
