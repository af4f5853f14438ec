"""Where torchx keeps what it remembers on this machine."""

from __future__ import annotations

import os
import stat


def home_dirs() -> list[str]:
    """Returns the directories that may hold what torchx keeps, the preferred one first.

    They are ``$TORCHX_HOME`` (by default ``~/.torchx``) and, for users whose home cannot be
    written, one below the directory for temporary files. Neither has to exist.

    Returns:
        Absolute paths.
    """
    configured = os.environ.get("TORCHX_HOME") or os.path.join("~", ".torchx")
    preferred = os.path.abspath(os.path.expanduser(configured))
    return [preferred, os.path.join(_temporary_directory(), f"torchx-{os.getuid()}")]


def is_private(directory: str) -> bool:
    """Tells whether a directory is this user's and nobody else can write to it.

    Args:
        directory: The directory; a link to one is not trusted.

    Returns:
        False also if there is no such directory.
    """
    try:
        found = os.lstat(directory)
    except OSError:
        return False
    is_ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()
    return is_ours and not found.st_mode & 0o022


def _temporary_directory() -> str:
    """Does what ``tempfile`` does, whose import takes longer than any question about an app."""
    wanted = [os.environ.get(name) for name in ("TMPDIR", "TEMP", "TMP")]
    usable = (path for path in wanted if path and os.access(path, os.W_OK | os.X_OK))
    return os.path.abspath(next(usable, "/tmp"))
