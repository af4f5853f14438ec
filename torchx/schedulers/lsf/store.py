"""What torchx keeps on disk about apps on LSF: a directory for each, and an index by app id."""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torchx.errors import TorchXError
from torchx.schedulers.batch.files import read_text, write_private
from torchx.schedulers.lsf.request import job_stems
from torchx.specs.api import AppDef
from torchx.util.redact import redact_args

log: logging.Logger = logging.getLogger(__name__)

_APP_FILE = "app.json"
_CANCELLED = "cancelled"
_SUBMITTED = "submitted"
_DELETED = "deleted"
_ERRORS, _HOSTS, _NOTES, _ROUNDS = "errors", "hosts", "notes", "rounds"


@dataclass(frozen=True)
class KeptApp:
    """What is kept about an app.

    Attributes:
        app_id: Its id.
        state_dir: The directory of what is kept.
        logs: Directory of its outputs.
        roles: Its roles as plain data, without secrets: their names, the names that stand for
            them in those of jobs (``stem``), and so on.
    """

    app_id: str
    state_dir: str
    logs: str
    roles: Sequence[Mapping[str, Any]] = field(default_factory=list)

    def job_names(self) -> dict[str, tuple[str, int]]:
        """Returns name of each job -> role and number of its replica, in their order."""
        return {
            f"{self.app_id}-{role['stem']}-{number}": (str(role["name"]), number)
            for role in self.roles
            for number in range(int(role["num_replicas"]))
        }

    def is_cancelled(self) -> bool:
        """Tells whether somebody cancelled it through torchx."""
        return os.path.exists(os.path.join(self.state_dir, _CANCELLED))

    def is_submitted(self) -> bool:
        """Tells whether all of its jobs were submitted."""
        return os.path.exists(os.path.join(self.state_dir, _SUBMITTED))

    def notes(self) -> dict[str, list[str]]:
        """Returns name of a job -> what its script has noted, as far as it can be read."""
        return {
            name: text.splitlines() for name, text in self._files(_NOTES, self.job_names()).items()
        }

    def hosts(self) -> dict[str, str]:
        """Returns name of a job -> host that it ran on last."""
        return {name: text.strip() for name, text in self._files(_HOSTS, self.job_names()).items()}

    def error_files(self) -> list[str]:
        """Returns the paths of the error files of its replicas; they need not exist."""
        return [os.path.join(self.state_dir, _ERRORS, name) for name in self.job_names()]

    def _files(self, directory: str, names: Iterable[str]) -> dict[str, str]:
        found = {name: read_text(os.path.join(self.state_dir, directory, name)) for name in names}
        return {name: text for name, text in found.items() if text is not None}


def home() -> str:
    """Returns ``$TORCHX_HOME/lsf`` (by default below ``~/.torchx``); it need not exist."""
    base = os.environ.get("TORCHX_HOME") or os.path.join("~", ".torchx")
    return os.path.join(os.path.abspath(os.path.expanduser(base)), "lsf")


def state_dir(app_id: str, jobdir: str | None) -> str:
    """Names the directory that torchx keeps for an app.

    Args:
        app_id: Its id.
        jobdir: Absolute path of its job directory, in which it is; by default it is in
            :func:`home`.

    Returns:
        Its absolute path. It need not exist.
    """
    base = os.path.join(jobdir, ".torchx") if jobdir else home()
    return os.path.join(base, "jobs", app_id)


def plan(app_id: str, app: AppDef, jobdir: str | None) -> KeptApp:
    """Collects what is to be kept about an app.

    Args:
        app_id: Its id.
        app: The app.
        jobdir: Absolute path of its job directory, or ``None``.

    Returns:
        What :func:`create` writes.
    """
    roles = [
        {
            "name": role.name,
            "stem": stem,
            "num_replicas": role.num_replicas,
            "image": role.image,
            "entrypoint": role.entrypoint,
            "args": redact_args(role.args),
            "max_retries": role.max_retries,
            "retry_policy": role.retry_policy.value,
            "cpu": role.resource.cpu,
            "gpu": role.resource.gpu,
            "memory_mib": role.resource.memMB,
        }
        for role, stem in zip(app.roles, job_stems(app), strict=True)
    ]
    directory = state_dir(app_id, jobdir)
    return KeptApp(app_id, directory, jobdir or directory, roles)


def create(kept: KeptApp, secrets: Mapping[str, str]) -> None:
    """Creates the directory that torchx keeps for an app; only this user can read it.

    Args:
        kept: What is kept.
        secrets: File name -> text of the files with secret values.

    Raises:
        TorchXError: It cannot be created.
    """
    directory = kept.state_dir
    try:
        shutil.rmtree(directory, ignore_errors=True)
        os.makedirs(kept.logs, exist_ok=True)
        os.makedirs(directory, mode=0o700, exist_ok=True)
        os.chmod(directory, 0o700)
        for name in (_ERRORS, _HOSTS, _NOTES, _ROUNDS):
            os.mkdir(os.path.join(directory, name), mode=0o700)
        # Containers may run as any user. Nobody else gets through the directory above.
        os.chmod(os.path.join(directory, _ERRORS), 0o777)
        for name, text in secrets.items():
            write_private(os.path.join(directory, name), text)
        app = {"logs": kept.logs, "roles": list(kept.roles)}
        write_private(os.path.join(directory, _APP_FILE), json.dumps(app))
        os.makedirs(os.path.join(home(), "index"), mode=0o700, exist_ok=True)
        write_private(_index_path(kept.app_id), directory)
    except OSError as error:
        raise TorchXError(
            f"cannot keep the state of the app in {directory}: {error}",
            hint="set TORCHX_HOME, or the run option jobdir, to a directory that you can write and"
            " that the hosts of the cluster share",
        ) from error


def recall(app_id: str) -> KeptApp | None:
    """Looks up an app.

    Args:
        app_id: Its id.

    Returns:
        What is kept about it; ``None`` if nothing is, or it cannot be read.
    """
    directory = read_text(_index_path(app_id)) or state_dir(app_id, None)
    if directory == _DELETED:
        return None
    text = read_text(os.path.join(directory, _APP_FILE))
    if text is None:
        return None
    try:
        kept = json.loads(text)
        return KeptApp(app_id, directory, str(kept["logs"]), list(kept["roles"]))
    except (ValueError, KeyError, TypeError) as error:
        log.warning("what is kept about the app %s in %s is broken: %s", app_id, directory, error)
        return None


def is_deleted(app_id: str) -> bool:
    """Tells whether this user deleted an app.

    Args:
        app_id: Its id.

    Returns:
        True if it was deleted.
    """
    return read_text(_index_path(app_id)) == _DELETED


def note_cancelled(app_id: str) -> None:
    """Notes that an app is cancelled, so that no job of it begins any more.

    Args:
        app_id: Its id. A failure to write is ignored: the app may be another user's.
    """
    kept = recall(app_id)
    if kept is None:
        return
    try:
        write_private(os.path.join(kept.state_dir, _CANCELLED), "")
    except OSError as error:
        log.debug("cannot note that %s is cancelled: %s", app_id, error)


def forget(app_id: str) -> None:
    """Removes what is kept about an app, and notes that it was deleted.

    Args:
        app_id: Its id.

    Raises:
        TorchXError: The note cannot be written.
    """
    kept = recall(app_id)
    if kept is not None:
        shutil.rmtree(kept.state_dir, ignore_errors=True)
    try:
        os.makedirs(os.path.join(home(), "index"), mode=0o700, exist_ok=True)
        write_private(_index_path(app_id), _DELETED)
    except OSError as error:
        raise TorchXError(
            f"cannot note that the app {app_id} was deleted: {error}",
            hint="set TORCHX_HOME to a directory that you can write",
        ) from error


def discard(kept: KeptApp) -> None:
    """Removes what was created for an app that could not be submitted.

    Args:
        kept: What is kept.
    """
    shutil.rmtree(kept.state_dir, ignore_errors=True)
    if os.path.lexists(_index_path(kept.app_id)):
        os.unlink(_index_path(kept.app_id))


def _index_path(app_id: str) -> str:
    return os.path.join(home(), "index", app_id.replace(os.sep, "_").lstrip(".") or "_")
