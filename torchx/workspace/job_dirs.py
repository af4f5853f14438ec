"""Remembers below ``TORCHX_HOME`` which directories are copies of which state of the code."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path

from torchx.specs.api import TORCHX_HOME
from torchx.util.files import replacing

log: logging.Logger = logging.getLogger(__name__)


def remember_job_dir(job_dir: str, digest: str) -> None:
    """Writes down what a directory is a copy of. A failure is not one of the caller.

    Args:
        job_dir: The directory.
        digest: Digest of the code in it.
    """
    info = os.stat(job_dir)
    record = {
        "path": os.path.realpath(job_dir),
        "device": info.st_dev,
        "inode": info.st_ino,
        "digest": digest,
    }
    path = _record_of(job_dir)
    try:
        with replacing(path) as temporary:
            Path(temporary).write_text(json.dumps(record), "ascii")
    except OSError as error:
        log.debug("cannot remember %s in %s: %s", job_dir, path, error)


def digest_of_job_dir(job_dir: str) -> str | None:
    """Returns what a directory was made as a copy of.

    Args:
        job_dir: The directory.

    Returns:
        Digest of the code; ``None`` if another directory is there now, or it is not known.
    """
    record = _read(_record_of(job_dir))
    return str(record["digest"]) if record and _is_still_there(record) else None


def known_job_dirs() -> list[str]:
    """Returns the directories that are copies of code, wherever they are.

    Returns:
        Their real paths.
    """
    return [str(record["path"]) for _, record in _records() if _is_still_there(record)]


def forget_gone_job_dirs() -> list[Path]:
    """Removes the records of directories that are not there any more.

    Returns:
        The records that were removed.
    """
    gone = [path for path, record in _records() if not _is_still_there(record)]
    for path in gone:
        path.unlink(missing_ok=True)
    return gone


def _records() -> Iterator[tuple[Path, dict[str, object]]]:
    for path in sorted(TORCHX_HOME("workspaces", "dirs").glob("*.json")):
        record = _read(path)
        if record is not None:
            yield path, record


def _record_of(job_dir: str) -> Path:
    real = os.path.realpath(job_dir).encode("utf-8", "surrogateescape")
    return TORCHX_HOME("workspaces", "dirs") / f"{hashlib.sha256(real).hexdigest()[:32]}.json"


def _read(path: Path) -> dict[str, object] | None:
    try:
        record = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    wanted = {"path", "device", "inode", "digest"}
    return record if isinstance(record, dict) and wanted <= record.keys() else None


def _is_still_there(record: dict[str, object]) -> bool:
    try:
        info = os.stat(str(record["path"]))
    except OSError:
        return False
    return (info.st_dev, info.st_ino) == (record["device"], record["inode"])
