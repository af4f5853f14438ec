"""Hands a request to sbatch: the files that it needs, the comment, the number of the job."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator, Sequence

from torchx.schedulers.batch.files import write_private
from torchx.schedulers.slurm import client, store
from torchx.schedulers.slurm.batch import BatchRequest
from torchx.schedulers.slurm.mark import Mark
from torchx.schedulers.slurm.script import Submission

SCRIPT_FILE = "torchx-sbatch.sh"
"""Name of the batch script."""

_COMMENT = "--comment="


def submit(request: BatchRequest, submission_id: str | None) -> tuple[str, Mark]:
    """Submits a job.

    Args:
        request: The request, which is not changed.
        submission_id: What to call the submission; ``None`` makes up a name.

    Returns:
        Number of the job, and what its comment says.

    Raises:
        SlurmError: sbatch refused it, or is not there. Nothing is left behind.
        TorchXError: A file that the job needs cannot be written.
    """
    submission_id = submission_id or uuid.uuid4().hex
    is_plain = request.is_plain()
    mark = Mark(
        submission_id=submission_id,
        state_dir="" if is_plain else store.state_dir(submission_id, request.job_dir),
        working_dir=os.path.abspath(request.job_dir or os.getcwd()),
        roles={role.name: role.num_replicas for role in request.own_plan().roles},
        parts=request.parts(),
    )
    cmd = _with_mark(request.cmd, mark)
    in_script = None if any(word.startswith(_COMMENT) for word in cmd) else str(mark)
    script, secrets = request.script(Submission(in_script, mark.state_dir))
    if request.job_dir:
        os.makedirs(request.job_dir, exist_ok=True)
    if mark.state_dir:
        store.make_state_dir(mark.state_dir, secrets, request.roles or [])
    try:
        with _script_file(script, request.job_dir) as path:
            where = [f"--chdir={request.job_dir}"] if request.job_dir else []
            job_id = _sbatch([*cmd, *where, path])
    except BaseException:
        if mark.state_dir:
            shutil.rmtree(mark.state_dir, ignore_errors=True)
        raise
    store.remember(job_id, mark)
    return job_id, mark


def _with_mark(cmd: Sequence[str], mark: Mark) -> list[str]:
    return [f"{word} {mark}" if word.startswith(_COMMENT) else word for word in cmd]


@contextlib.contextmanager
def _script_file(script: str, job_dir: str | None) -> Iterator[str]:
    if job_dir:
        path = os.path.join(job_dir, SCRIPT_FILE)
        write_private(path, script)
        yield path
        return
    # Slurm keeps a copy of its own.
    with tempfile.TemporaryDirectory(prefix="torchx") as directory:
        path = os.path.join(directory, SCRIPT_FILE)
        write_private(path, script)
        yield path


def _sbatch(argv: list[str]) -> str:
    try:
        # Called in exactly this form: packages and tests stand in for it.
        process = subprocess.run(argv, stdout=subprocess.PIPE, check=True)
    except OSError as error:
        raise client.not_installed(argv[0], error) from error
    except subprocess.CalledProcessError as error:
        raise _refusal(argv, error) from error
    out = process.stdout
    text = out.decode("utf-8") if isinstance(out, bytes) else str(out)
    # Behind a semicolon is the name of the cluster, where there are several.
    return text.strip().partition(";")[0]


def _refusal(argv: Sequence[str], error: subprocess.CalledProcessError) -> client.SlurmError:
    """Asks sbatch once more, without submitting, for what it has only told the terminal."""
    try:
        client.run([argv[0], "--test-only", *argv[1:]])
    except client.SlurmError as refusal:
        return refusal
    return client.failure(argv[0], error.returncode, None)
