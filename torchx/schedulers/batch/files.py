"""Writes files that only the user may read."""

from __future__ import annotations

import os


def write_private(path: str, text: str) -> None:
    """Writes a new file that only this user can read.

    Args:
        path: The file; replaced if it is there.
        text: Its content. Newlines and carriage returns stay as they are.
    """
    if os.path.lexists(path):
        os.unlink(path)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(text)


def read_text(path: str) -> str | None:
    """Reads a file.

    Args:
        path: The file.

    Returns:
        Its content, or ``None`` if it cannot be read.
    """
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except OSError:
        return None
