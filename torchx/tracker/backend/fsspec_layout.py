"""Where things are below the root of an `FsspecTracker`; published, and read by other programs.

::

    <run>/metadata/<time in ns>         {"metadata": {"lr": 0.1}}
    <run>/artifacts/<time in ns>        {"name": "model", "path": "s3://b/m.pt", "metadata": null}
    <run>/metrics/<time in ns>          {"points": [{"step": 1, "values": {"loss": 0.7}}]}
    <run>/sources/<source>              names of artifacts, one per line, an empty line for none
    <source>/descendants/<run>          likewise: the same link, from the other end

A run or source stands for its id in base 32. One that is too long for the name of a file is cut
into directories, all but the last of which end with ``0``, which is no digit of base 32.
"""

from __future__ import annotations

import base64
import binascii
import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

logger: logging.Logger = logging.getLogger(__name__)

_LONGEST_NAME = 255
_PIECE_LENGTH = 240
_CONTINUED = "0"


def encode_run_id(run_id: str) -> str:
    """Turns a run id into something that may be the name of a file.

    Args:
        run_id: The id.

    Returns:
        Its UTF-8 bytes in base 32.
    """
    return base64.b32encode(run_id.encode()).decode()


def decode_run_id(encoded: str) -> str:
    """Turns the name of a file back into a run id.

    Args:
        encoded: What `encode_run_id` returned.

    Returns:
        The id.

    Raises:
        ValueError: The text is no encoded id.
    """
    return base64.b32decode(encoded).decode()


class PathBuilder:
    """Names the paths of a tracker.

    Args:
        root_dir: Root of the tracker.
        base: The same as a path of its file system, without a protocol, if it has one.

    Attributes:
        root_dir: Root of the tracker, as it was given.
        base: The same as a path of its file system, without a protocol.
    """

    def __init__(self, root_dir: str, base: str | None = None) -> None:
        self.root_dir = root_dir
        self.base = (base or root_dir).rstrip("/")

    def run(self, run_id: str) -> str:
        """Returns the directory of a run.

        Args:
            run_id: The run.
        """
        return f"{self.base}/{_to_path(run_id)}"

    def category(
        self,
        run_id: str,
        name: Literal["metadata", "artifacts", "metrics", "sources", "descendants"],
    ) -> str:
        """Returns a directory within that of a run.

        Args:
            run_id: The run.
            name: Name of the directory.
        """
        return f"{self.run(run_id)}/{name}"

    def link(self, run_id: str, name: Literal["sources", "descendants"], to: str) -> str:
        """Returns the file that links a run to another one.

        Args:
            run_id: The run.
            name: The direction.
            to: The other run.
        """
        return f"{self.category(run_id, name)}/{_to_path(to)}"


def ids_in(
    fs: AbstractFileSystem, directory: str, kind: Literal["directory", "file"], prefix: str = ""
) -> Iterator[str]:
    """Reads ids from the names in a directory, without opening any of what is there.

    Args:
        fs: The file system.
        directory: The directory.
        kind: What carries the ids.
        prefix: What the id begins with, if the directory is a piece of it.

    Yields:
        The ids, in the order of their names. Names that are no ids are passed over.
    """
    for entry in entries_of(fs, directory):
        name = entry["name"].rstrip("/").rpartition("/")[2]
        if name.endswith(_CONTINUED) and entry["type"] == "directory":
            yield from ids_in(fs, entry["name"], kind, prefix + name.removesuffix(_CONTINUED))
        elif entry["type"] == kind and not name.startswith("."):
            try:
                yield decode_run_id(prefix + name)
            except (binascii.Error, ValueError):
                logger.debug("%s is passed over: its name is no run id", entry["name"])


def entries_of(fs: AbstractFileSystem, directory: str) -> list[dict[str, str]]:
    """Lists a directory as it is now.

    Args:
        fs: The file system.
        directory: The directory.

    Returns:
        ``name`` (a path) and ``type`` of what is there, sorted by name; nothing if it is missing.
    """
    fs.invalidate_cache(directory)
    try:
        found: list[dict[str, str]] = fs.ls(directory, detail=True)
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(found, key=lambda entry: entry["name"])


def _to_path(run_id: str) -> str:
    encoded = encode_run_id(run_id)
    if len(encoded) <= _LONGEST_NAME:
        return encoded
    pieces = [
        encoded[start : start + _PIECE_LENGTH] for start in range(0, len(encoded), _PIECE_LENGTH)
    ]
    return f"{_CONTINUED}/".join(pieces)
