"""Copies one file, local or remote: the program of ``utils.copy``.

The destination appears whole or not at all wherever its file system allows that: on a local disk by
a rename, on an object store because an upload that was not completed does not show.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from typing import TYPE_CHECKING

from torchx.util.files import is_local, make_parent, replacing

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem


def parse_args(argv: list[str]) -> argparse.Namespace:
    """Reads the command line.

    Args:
        argv: Arguments without the program's name.

    Returns:
        ``src``, ``dst`` and ``bufsize`` (bytes).
    """
    parser = argparse.ArgumentParser(description="Copies a file from one place to another.")
    parser.add_argument("--src", required=True, help="path or URL of the file to copy")
    parser.add_argument("--dst", required=True, help="path or URL of the copy")
    parser.add_argument("--bufsize", type=int, default=64 * 1024, help="bytes read at once")
    return parser.parse_args(argv)


def main(argv: list[str]) -> None:
    """Copies the file.

    Args:
        argv: Arguments without the program's name.

    Raises:
        FileNotFoundError: There is no file to copy; nothing was created.
        IsADirectoryError: The source is a directory.
        OSError: Reading or writing failed.
    """
    from fsspec.core import url_to_fs

    args = parse_args(argv)
    print(f"copying from {args.src} to {args.dst}")
    src_fs, src = url_to_fs(args.src)
    dst_fs, dst = url_to_fs(args.dst)
    if src_fs.isdir(src):
        raise IsADirectoryError(f"{args.src} is a directory; give the path of one file")
    if not src_fs.exists(src):
        raise FileNotFoundError(f"{args.src} does not exist, so there is nothing to copy")
    make_parent(dst_fs, dst)
    if src_fs is not dst_fs:
        print("source and destination are on different file systems, streaming...")
        _stream(src_fs, src, dst_fs, dst, args.bufsize)
        return
    print("source and destination are on the same file system, copying there...")
    if is_local(dst_fs):
        with replacing(dst) as temporary:
            src_fs.copy(src, temporary)
    else:
        src_fs.copy(src, dst)


def _stream(
    src_fs: AbstractFileSystem, src: str, dst_fs: AbstractFileSystem, dst: str, bufsize: int
) -> None:
    if is_local(dst_fs):
        with (
            src_fs.open(src, "rb") as source,
            replacing(dst) as temporary,
            open(temporary, "wb") as target,
        ):
            shutil.copyfileobj(source, target, bufsize)
        return
    # A file that is closed by an exception would otherwise be completed, although it is not whole.
    with dst_fs.transaction, src_fs.open(src, "rb") as source, dst_fs.open(dst, "wb") as target:
        shutil.copyfileobj(source, target, bufsize)


if __name__ == "__main__":
    main(sys.argv[1:])
