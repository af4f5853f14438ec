"""Submits apps: the files that they need, the script, and what became of it."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torchx.schedulers.batch.files import write_private
from torchx.schedulers.lsf import client, queries, store
from torchx.schedulers.lsf.client import LsfError, UnknownProjectError
from torchx.schedulers.lsf.options import checked_jobdir
from torchx.schedulers.lsf.request import Cfg
from torchx.schedulers.lsf.script import Placement, submit_script
from torchx.specs.api import AppDef
from torchx.util.redact import REDACTED

log: logging.Logger = logging.getLogger(__name__)

_RULE = "#" + "-" * 12
_REFUSED = re.compile(
    r"^torchx: refused (?P<who>.*?): exit code (?P<code>\d+): (?P<reason>.*?)"
    r"(?:\ntorchx: killed:|\Z)",
    re.DOTALL | re.MULTILINE,
)
HARMLESS = re.compile(
    r"already finished|no matching job found|operation is in progress|being terminated"
    r"|no unfinished job found|not found",
    re.IGNORECASE,
)
"""What bkill says of jobs that need no killing."""


@dataclass
class LsfBsub:
    """An app as it is submitted: a script that calls bsub for each replica.

    Attributes:
        jobdir: Directory for the outputs, or ``None``.
        app_id: Id of the app, which is the project of its jobs.
        app: The app.
        cfg: Run options.
        cmd: Command that runs the script, without the path of the script.
    """

    jobdir: str | None
    app_id: str
    app: AppDef
    cfg: Cfg
    cmd: list[str]

    def materialize(self, rank0_host: str = "RANK0_HOST") -> str:
        """Writes the script.

        Args:
            rank0_host: Host of the first replica of the first role.

        Returns:
            The script. Secret values are in files of their own.
        """
        placement = Placement(rank0_host, self._state_dir())
        return submit_script(self.app_id, self.cmd, self.app, self.cfg, placement).text

    def _state_dir(self) -> str:
        return store.state_dir(self.app_id, checked_jobdir(self.cfg))

    def __repr__(self) -> str:
        placement = Placement("RANK0_HOST", self._state_dir())
        script = submit_script(self.app_id, self.cmd, self.app, self.cfg, placement)
        secrets = "".join(
            f"# {name}={REDACTED} (from a file that only you can read)\n"
            for name in script.secret_names
        )
        return (
            f"{' '.join([*self.cmd, '$BSUB_SCRIPT'])}\n"
            f"{_RULE}\n# BSUB_SCRIPT\n{_RULE}\n{secrets}{script.text}"
        )


def submit(request: LsfBsub, rank0_host: str, *, avoids_rank0: bool) -> str:
    """Submits all jobs of an app, or none.

    Args:
        request: The app, which is not changed.
        rank0_host: Host of the first replica of the first role.
        avoids_rank0: Whether the other replicas keep off that host.

    Returns:
        Id of the app.

    Raises:
        LsfError: bsub refused a replica, or is not there. Nothing is left behind.
        TorchXError: A file that the jobs need cannot be written.
    """
    _check_is_new(request.app_id)
    jobdir = checked_jobdir(request.cfg)
    kept = store.plan(request.app_id, request.app, jobdir)
    placement = Placement(rank0_host, kept.state_dir, avoids_rank0)
    with _script_path(request.app_id, jobdir) as path:
        words = [*request.cmd, path]
        script = submit_script(request.app_id, words, request.app, request.cfg, placement)
        store.create(kept, script.secrets)
        write_private(path, script.text)
        try:
            # Called in exactly this form: packages and tests stand in for it.
            subprocess.run(words, stdout=subprocess.PIPE, check=True)
        except subprocess.CalledProcessError as error:
            store.discard(kept)
            raise _refusal(request.app_id, error) from error
        except BaseException:
            _undo(request.app_id)
            raise
    return request.app_id


def kill(job_ids: Sequence[str]) -> None:
    """Ends jobs.

    Args:
        job_ids: Their numbers. Those that have ended do no harm.

    Raises:
        LsfError: One could not be ended.
    """
    words = ["bkill", *job_ids]
    try:
        # Called in exactly this form: packages and tests stand in for it.
        subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
    except OSError as error:
        raise client.not_installed("bkill", error) from error
    except subprocess.CalledProcessError:
        _kill_again(words)


def _kill_again(words: Sequence[str]) -> None:
    """Asks once more for the reasons: bkill fails if only one of the jobs has ended."""
    answer = client.ask(words)
    serious = [
        line for line in answer.err.splitlines() if line.strip() and not HARMLESS.search(line)
    ]
    if answer.code and serious:
        raise client.failure("bkill", answer.code, "; ".join(serious))


def _undo(app_id: str) -> None:
    # From now on no job of it begins, whatever is still being submitted.
    store.note_cancelled(app_id)
    try:
        kill(client.run(queries.ids_of(app_id)).split())
    except UnknownProjectError:
        log.debug("nothing of the app %s had been submitted", app_id)
    except LsfError as error:
        log.warning("jobs of the app %s may be left: %s", app_id, error)


def _check_is_new(app_id: str) -> None:
    if store.recall(app_id) is None:
        return
    try:
        client.run(queries.ids_of(app_id))
    except LsfError as error:
        log.debug("no jobs of an earlier app %s are known: %s", app_id, error)
        return
    raise LsfError(
        f"the app {app_id} was submitted already",
        hint="make a new dry run: each has an id of its own",
    )


@contextlib.contextmanager
def _script_path(app_id: str, jobdir: str | None) -> Iterator[str]:
    if jobdir:
        os.makedirs(jobdir, exist_ok=True)
        yield os.path.join(jobdir, f"{app_id}.sh")
        return
    with tempfile.TemporaryDirectory(prefix="torchx") as directory:
        yield os.path.join(directory, f"{app_id}.sh")


def _refusal(app_id: str, error: subprocess.CalledProcessError) -> LsfError:
    said = client.text_of(error.stdout or b"")
    found = _REFUSED.search(said)
    if found is None:
        return client.failure("bsub", error.returncode, said)
    if found["code"] == "127":
        return client.not_installed("bsub", FileNotFoundError(2, "No such file or directory"))
    cause = client.failure("bsub", int(found["code"]), found["reason"])
    return LsfError(
        f"bsub refused the replica {found['who']} of the app {app_id}, so none was submitted:"
        f" {cause}",
        hint=cause.hint,
        transient=cause.transient,
    )
