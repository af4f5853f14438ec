"""Where the state and the logs of apps lie on this machine, and names that are safe as paths."""

from __future__ import annotations

import errno
import functools
import logging
import os
from collections.abc import Iterator

from torchx.schedulers.local.record import RECORD_FILE
from torchx.util.home import home_dirs, is_private

log = logging.getLogger(__name__)

_LOGS = "logs"
_LONGEST_COMPONENT_BYTES = 200
# What the scheduler itself puts next to the directories of the roles.
_TAKEN_NAMES = frozenset(("torchelastic", "SUCCESS", "SUCCESS.tmp", "", ".", ".."))
_NOT_WRITABLE = frozenset((errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.ENOENT))


def path_component(name: str) -> str:
    """Turns any text into the name of one directory entry; two texts never get the same one.

    Args:
        name: Name of an app, role or session.

    Returns:
        The name itself where it is safe; otherwise with ``%2F`` in place of ``/`` and so on.
    """
    if name in _TAKEN_NAMES:
        return "".join(f"%{ord(char):02X}" for char in name) or "%"
    safe = "".join(
        f"%{ord(char):02X}" if char in "/%" or ord(char) < 32 or ord(char) == 127 else char
        for char in name
    )
    encoded = os.fsencode(safe.encode("utf-8", "backslashreplace"))
    if len(encoded) <= _LONGEST_COMPONENT_BYTES:
        return encoded.decode("utf-8")
    import hashlib

    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
    return encoded[:100].decode("utf-8", "ignore") + "%" + digest[:32]


def homes() -> list[str]:
    """Returns the directories that may hold state, the preferred one first.

    They are ``$TORCHX_HOME/local`` (by default below ``~/.torchx``) and, for users whose home
    cannot be written, one below the directory for temporary files.
    """
    return [os.path.join(directory, "local") for directory in home_dirs()]


def state_dirs() -> Iterator[str]:
    """Yields the state directories of all apps of this user that have a record."""
    for home in _readable_homes():
        try:
            names = os.listdir(home)
        except OSError:
            continue
        for name in names:
            directory = os.path.join(home, name)
            if os.path.exists(os.path.join(directory, RECORD_FILE)):
                yield directory


def find_state_dir(app_id: str) -> str | None:
    """Finds the state directory of an app.

    Args:
        app_id: Id of the app.

    Returns:
        The directory, or ``None`` if there is no record of such an app.
    """
    for home in _readable_homes():
        directory = os.path.join(home, path_component(app_id))
        if os.path.exists(os.path.join(directory, RECORD_FILE)):
            return directory
    return None


def kept_log_dir(app_id: str) -> str:
    """Returns where logs go that the user gave no directory for, without touching the disk.

    Args:
        app_id: Id of the app.

    Returns:
        A directory inside the state directory of the app.
    """
    return os.path.join(writable_home(), path_component(app_id), _LOGS)


def is_kept_log_dir(log_dir: str) -> bool:
    """Tells whether logs are kept with the state of their app.

    Args:
        log_dir: Directory of the logs of an app.

    Returns:
        True if it is a :func:`kept_log_dir`.
    """
    app_dir, name = os.path.split(log_dir)
    return name == _LOGS and os.path.dirname(app_dir) in homes()


def writable_home() -> str:
    """Returns the one of the :func:`homes` that new apps go to."""
    preferred, fallback = homes()
    return preferred if _is_writable(preferred) else fallback


def make_state_dir(app_id: str) -> str:
    """Creates the state directory of a new app, readable for its owner only.

    Args:
        app_id: Id of the app.

    Returns:
        The directory.

    Raises:
        FileExistsError: There is one of that name already.
        OSError: Neither of the :func:`homes` can be written.
    """
    preferred, fallback = homes()
    try:
        return _make(preferred, app_id)
    except OSError as error:
        if error.errno not in _NOT_WRITABLE:
            raise
        _warn_once(preferred, fallback, error.strerror)
    os.makedirs(fallback, mode=0o700, exist_ok=True)
    if not is_private(os.path.dirname(fallback)):
        raise PermissionError(
            errno.EPERM,
            "refusing to keep the state of jobs in a directory that others can write;"
            " set TORCHX_HOME to a directory of your own",
            os.path.dirname(fallback),
        )
    return _make(fallback, app_id)


def _make(home: str, app_id: str) -> str:
    os.makedirs(home, mode=0o700, exist_ok=True)
    directory = os.path.join(home, path_component(app_id))
    os.mkdir(directory, mode=0o700)
    return directory


def _readable_homes() -> list[str]:
    preferred, fallback = homes()
    return [preferred, fallback] if is_private(os.path.dirname(fallback)) else [preferred]


def _is_writable(directory: str) -> bool:
    while not os.path.exists(directory):
        parent = os.path.dirname(directory)
        if parent == directory:
            return False
        directory = parent
    return os.path.isdir(directory) and os.access(directory, os.W_OK | os.X_OK)


@functools.cache
def _warn_once(preferred: str, fallback: str, reason: str) -> None:
    log.warning(
        "cannot write %s (%s); jobs are remembered in %s instead, until it is cleaned up."
        " Set TORCHX_HOME to a directory that you can write",
        preferred,
        reason,
        fallback,
    )
