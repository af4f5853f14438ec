"""Files that this process read secrets from. They are never sent along with code."""

from __future__ import annotations

import os


class _Remembered:
    identities: set[tuple[int, int]] = set()


def remember_secret_file(path: str | os.PathLike[str]) -> None:
    """Notes that a file holds secrets.

    Args:
        path: The file, which exists.

    Raises:
        OSError: It does not.
    """
    info = os.stat(os.path.expanduser(path))
    _Remembered.identities.add((info.st_dev, info.st_ino))


def holds_secrets(info: os.stat_result) -> bool:
    """Tells whether a file is known to hold secrets, by whichever path it is reached.

    Args:
        info: What ``os.stat`` says about it.

    Returns:
        True if :func:`remember_secret_file` was told so in this process.
    """
    return (info.st_dev, info.st_ino) in _Remembered.identities
