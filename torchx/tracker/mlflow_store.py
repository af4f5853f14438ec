"""Where MLflow keeps runs, and how several processes of a job come to share one run there."""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar
from urllib.parse import quote, urlsplit

T = TypeVar("T")

_LONGEST_WAIT_S = 60.0
_LONGEST_PAUSE_S = 2.0


def default_tracking_uri() -> str:
    """Returns where runs are kept unless something else is said.

    Returns:
        A database in the temporary directory.
    """
    return f"sqlite:///{tempfile.gettempdir()}/torchx/mlruns.db"


def is_local(tracking_uri: str) -> bool:
    """Tells whether runs are kept on a disk of this machine.

    Args:
        tracking_uri: Where runs are kept.

    Returns:
        True for SQLite databases and directories, False for servers.
    """
    scheme = urlsplit(tracking_uri).scheme
    return scheme in ("", "file") or scheme.startswith("sqlite")


def prepare(tracking_uri: str) -> None:
    """Makes what MLflow expects to exist, and allows what it would refuse.

    Args:
        tracking_uri: Where runs are kept.
    """
    if is_local(tracking_uri):
        os.makedirs(os.path.dirname(_local_path(tracking_uri)) or ".", exist_ok=True)
    if urlsplit(tracking_uri).scheme in ("", "file"):
        # Newer releases keep runs in directories only if they are told that this is meant.
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")


def default_artifact_location(tracking_uri: str, experiment_name: str) -> str | None:
    """Returns where the artifacts of a new experiment go unless something else is said.

    Args:
        tracking_uri: Where runs are kept.
        experiment_name: Name of the experiment.

    Returns:
        A directory beside an SQLite database, for which MLflow would take the working directory of
        whoever creates the experiment; None if MLflow has a better default.
    """
    if not urlsplit(tracking_uri).scheme.startswith("sqlite"):
        return None
    root = os.path.splitext(os.path.abspath(_local_path(tracking_uri)))[0]
    return f"file://{root}/{quote(experiment_name, safe='')}"


@contextmanager
def one_at_a_time(tracking_uri: str) -> Iterator[None]:
    """Lets one process of this machine after the other into the body, if runs are kept here.

    Args:
        tracking_uri: Where runs are kept.
    """
    if not is_local(tracking_uri):
        yield
        return
    descriptor = os.open(f"{_local_path(tracking_uri)}.torchx-lock", os.O_CREAT | os.O_RDWR, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def wait_for_rank0(tracking_uri: str, look: Callable[[], T | None]) -> T | None:
    """Waits until the first process of the job has made something on a server.

    Args:
        tracking_uri: Where runs are kept. On this machine processes take turns instead, see
            `one_at_a_time`.
        look: Returns what the first process makes; None if it is not there yet.

    Returns:
        What was found; None if this process has to make it, since it is the first one or the first
        one does not.
    """
    found = look()
    waits = not is_local(tracking_uri) and os.environ.get("RANK", "0") != "0"
    deadline_s = time.monotonic() + _LONGEST_WAIT_S
    pause_s = 0.1
    while found is None and waits and time.monotonic() < deadline_s:
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
        found = look()
    return found


def _local_path(tracking_uri: str) -> str:
    scheme, separator, rest = tracking_uri.partition("://")
    if not separator:
        return tracking_uri.removeprefix("file:").rstrip("/")
    # sqlite:///relative and sqlite:////absolute, but file:///absolute
    path = rest.removeprefix("/") if scheme.startswith("sqlite") else rest
    return path.partition("?")[0].rstrip("/")
