"""Packs files of a manifest into a tar archive, the way image builders expect their context."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import IO

from torchx.workspace.manifest import BLOCK_BYTES, FileChanged, Item, content_of
from torchx.workspace.progress import Progress, no_progress


def pack(
    items: Mapping[str, Item], archive: tarfile.TarFile, progress: Progress = no_progress
) -> None:
    """Adds files and links to an archive. Owner and times are 0: equal content is equal bytes.

    Args:
        items: What to add, by its path in the archive.
        archive: An archive that is open for writing.
        progress: Told what is going on.

    Raises:
        FileChanged: The content of a file is not what the manifest says any more.
        WorkspaceError: A file cannot be read.
    """
    total_bytes = sum(item.entry.size for item in items.values())
    done_bytes = 0
    for path, item in items.items():
        info = tarfile.TarInfo(path)
        if item.entry.link:
            info.type, info.linkname, info.mode = tarfile.SYMTYPE, item.entry.link, 0o777
            archive.addfile(info)
            continue
        info.mode, info.size = item.entry.mode, item.entry.size
        archive.addfile(info, _VerifiedReader(item))
        done_bytes += item.entry.size
        progress("packing the workspace", done_bytes, total_bytes)


@contextmanager
def open_archive(file: IO[bytes]) -> Iterator[tarfile.TarFile]:
    """Writes an archive that takes file names of any bytes and any length.

    Args:
        file: Where to write it.

    Yields:
        The archive.
    """
    with tarfile.open(
        fileobj=file,
        mode="w",
        format=tarfile.GNU_FORMAT,
        encoding="utf-8",
        errors="surrogateescape",
    ) as archive:
        archive.copybufsize = BLOCK_BYTES  # type: ignore[attr-defined]  # the type stubs lack it
        yield archive


class _VerifiedReader(io.RawIOBase):
    """Reads a file and checks at its end that it is the one that the manifest names."""

    def __init__(self, item: Item) -> None:
        self._item = item
        self._blocks = content_of(item.project, item.entry)
        self._rest = b""
        self._digest = hashlib.sha256()
        self._left_bytes = item.entry.size

    def read(self, size: int = -1) -> bytes:
        while len(self._rest) < size and (block := next(self._blocks, b"")):
            self._digest.update(block)
            self._rest += block
        taken, self._rest = self._rest[:size], self._rest[size:]
        self._left_bytes -= len(taken)
        if not self._left_bytes and self._digest.hexdigest() != self._item.digest:
            raise FileChanged(self._item.project.path_of(self._item.entry))
        return taken


class SentFile(io.FileIO):
    """A file that tells how much of it has been read.

    Args:
        path: Path of the file.
        progress: What it tells that to.
    """

    def __init__(self, path: str, progress: Progress) -> None:
        super().__init__(path)
        self._size_bytes = os.path.getsize(path)
        self._progress = progress

    def read(self, size: int | None = -1, /) -> bytes:
        """Reads, see :meth:`io.FileIO.read`."""
        block = super().read(-1 if size is None else size)
        self._progress("sending the workspace", self.tell(), self._size_bytes)
        return block
