"""What torchx keeps on disk about Slurm jobs: a directory for each, and an index by job number.

The index is a help, not the truth: whatever it holds is also in the comment of the job, where
other users and machines find it. Clusters without accounting forget comments, though.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Iterable
from typing import Any

from torchx.errors import TorchXError
from torchx.schedulers.batch.files import read_text, write_private
from torchx.schedulers.slurm.mark import Mark, read_mark
from torchx.schedulers.slurm.script import SECRETS_FILE

log: logging.Logger = logging.getLogger(__name__)

EVENTS_FILE = "events"
"""File in a state directory in which the batch script notes restarts and the end, one a line."""

_ERRORS = "errors"
_HOSTS = "hosts"
_ROLES_FILE = "roles.json"


def home() -> str:
    """Returns ``$TORCHX_HOME/slurm`` (by default below ``~/.torchx``); it need not exist."""
    base = os.environ.get("TORCHX_HOME") or os.path.join("~", ".torchx")
    return os.path.join(os.path.abspath(os.path.expanduser(base)), "slurm")


def state_dir(submission_id: str, job_dir: str | None) -> str:
    """Names the directory that torchx keeps for a job.

    Args:
        submission_id: What the submission is called.
        job_dir: Directory of the job, in which it is; by default it is in :func:`home`.

    Returns:
        Its absolute path. It need not exist.
    """
    base = os.path.join(os.path.abspath(job_dir), ".torchx") if job_dir else home()
    return os.path.join(base, "jobs", submission_id)


def make_state_dir(directory: str, secrets: str, roles: list[dict[str, Any]]) -> None:
    """Creates the directory that torchx keeps for a job; only this user can read it.

    Args:
        directory: The :func:`state_dir`.
        secrets: Text of the file with the secret values, or ``""``.
        roles: What is kept about the roles.

    Raises:
        TorchXError: It cannot be created.
    """
    try:
        os.makedirs(os.path.join(directory, _ERRORS), mode=0o700)
        os.mkdir(os.path.join(directory, _HOSTS), mode=0o700)
        os.chmod(directory, 0o700)
        if secrets:
            write_private(os.path.join(directory, SECRETS_FILE), secrets)
        write_private(os.path.join(directory, _ROLES_FILE), json.dumps(roles))
    except OSError as error:
        raise TorchXError(
            f"cannot keep the state of the job in {directory}: {error}",
            hint="set TORCHX_HOME, or the run option job_dir, to a directory that you can write and"
            " that the nodes of the cluster share",
        ) from error


def remember(job_id: str, mark: Mark) -> None:
    """Notes which submission a job came from.

    Args:
        job_id: Number of the job.
        mark: What its comment says. A failure to write it is only logged.
    """
    try:
        os.makedirs(os.path.join(home(), "index"), mode=0o700, exist_ok=True)
        write_private(_index_path(job_id), str(mark))
    except OSError as error:
        log.warning("cannot remember where the logs of job %s are: %s", job_id, error)


def recall(job_id: str) -> Mark | None:
    """Looks up a job.

    Args:
        job_id: Number of the job.

    Returns:
        What was remembered, or ``None``.
    """
    text = read_text(_index_path(job_id))
    return None if text is None or text.startswith(_DELETED) else read_mark(text)


def is_deleted(job_id: str, submission_id: str | None) -> bool:
    """Tells whether this user deleted a job.

    Args:
        job_id: Number of the job.
        submission_id: What its comment says, if it says something: numbers may be used again.

    Returns:
        True if it was deleted.
    """
    text = read_text(_index_path(job_id))
    if text is None or not text.startswith(_DELETED):
        return False
    deleted = text[len(_DELETED) :]
    return not submission_id or not deleted or deleted == submission_id


def forget(job_id: str, mark: Mark | None) -> None:
    """Removes what is kept about a job, and notes that it was deleted.

    Args:
        job_id: Number of the job.
        mark: What its comment says.

    Raises:
        TorchXError: The note cannot be written.
    """
    if mark is not None and _is_our_state_dir(mark):
        shutil.rmtree(mark.state_dir, ignore_errors=True)
    try:
        os.makedirs(os.path.join(home(), "index"), mode=0o700, exist_ok=True)
        write_private(_index_path(job_id), _DELETED + (mark.submission_id if mark else ""))
    except OSError as error:
        raise TorchXError(
            f"cannot note that job {job_id} was deleted: {error}",
            hint="set TORCHX_HOME to a directory that you can write",
        ) from error


def events(mark: Mark | None) -> list[str]:
    """Reads what the batch script has noted.

    Args:
        mark: What the comment of the job says.

    Returns:
        The notes in order; none if they cannot be read from here.
    """
    text = read_text(os.path.join(mark.state_dir, EVENTS_FILE)) if mark and mark.state_dir else None
    return (text or "").splitlines()


def stamp(mark: Mark | None) -> object:
    """Tells cheaply whether the batch script has noted anything more.

    Args:
        mark: What the comment of the job says.

    Returns:
        A value that changes with each note; ``None`` as long as there is none.
    """
    if mark is None or not mark.state_dir:
        return None
    try:
        found = os.stat(os.path.join(mark.state_dir, EVENTS_FILE))
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns


def note(mark: Mark, event: str) -> None:
    """Adds a note, as the batch script does.

    Args:
        mark: What the comment of the job says.
        event: The note. A failure to write it is ignored, and so are jobs of other users.
    """
    if not _is_our_state_dir(mark):
        return
    try:
        with open(os.path.join(mark.state_dir, EVENTS_FILE), "a", encoding="utf-8") as file:
            file.write(f"{event}\n")
    except OSError as error:
        log.debug("cannot note `%s`: %s", event, error)


def kept_roles(mark: Mark | None) -> list[dict[str, Any]]:
    """Reads what is kept about the roles of a job.

    Args:
        mark: What the comment of the job says.

    Returns:
        What :func:`make_state_dir` was given; nothing if it cannot be read from here.
    """
    text = read_text(os.path.join(mark.state_dir, _ROLES_FILE)) if mark and mark.state_dir else None
    try:
        roles = json.loads(text) if text else []
    except ValueError:
        return []
    return [role for role in roles if isinstance(role, dict)] if isinstance(roles, list) else []


def error_files(mark: Mark | None) -> Iterable[str]:
    """Names the error files that replicas of a job have written.

    Args:
        mark: What the comment of the job says.

    Returns:
        Their paths.
    """
    if mark is None or not mark.state_dir:
        return ()
    try:
        with os.scandir(os.path.join(mark.state_dir, _ERRORS)) as entries:
            return [entry.path for entry in entries]
    except OSError:
        return ()


def hosts(mark: Mark | None) -> dict[int, str]:
    """Tells where the replicas of a job ran last.

    Args:
        mark: What the comment of the job says.

    Returns:
        Number of a replica within the app -> name of its host, as far as it can be read from here.
    """
    if mark is None or not mark.state_dir:
        return {}
    directory = os.path.join(mark.state_dir, _HOSTS)
    count = len(mark.replicas())
    found = ((number, read_text(os.path.join(directory, str(number)))) for number in range(count))
    return {number: text.strip() for number, text in found if text is not None}


_DELETED = "deleted:"


def _index_path(job_id: str) -> str:
    return os.path.join(home(), "index", job_id.replace(os.sep, "_") or "_")


def _is_our_state_dir(mark: Mark) -> bool:
    # The comment of a job is text that its owner can change: nothing else is written or removed.
    parent, name = os.path.split(mark.state_dir)
    if name != mark.submission_id or os.path.basename(parent) != "jobs":
        return False
    try:
        found = os.lstat(mark.state_dir)
        return (
            found.st_uid
            == os.lstat(os.path.join(mark.state_dir, _ROLES_FILE)).st_uid
            == (os.getuid())
        )
    except OSError:
        return False
