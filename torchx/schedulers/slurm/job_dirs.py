"""The published registry of job directories, a file in the working directory of the submitter."""

from __future__ import annotations

import logging
from collections.abc import Mapping

log: logging.Logger = logging.getLogger(__name__)

SLURM_JOB_DIRS = ".torchxslurmjobdirs"
"""Name of the file."""


def save_job_dir(job_id: str, job_dir: str) -> None:
    """Adds a job to the registry of the working directory.

    Args:
        job_id: Number of the job.
        job_dir: Its directory, as the user gave it.
    """
    with open(SLURM_JOB_DIRS, "a", encoding="utf-8") as file:
        file.write(f"{job_id} = {job_dir}\n")


def note_job_dir(job_id: str, job_dir: str) -> None:
    """Adds a job to the registry if it can be written; the comment of the job tells the same.

    Args:
        job_id: Number of the job.
        job_dir: Its directory, as the user gave it.
    """
    try:
        save_job_dir(job_id, job_dir)
    except OSError as error:
        log.warning("cannot note the job directory in %s: %s", SLURM_JOB_DIRS, error)


def get_job_dirs() -> Mapping[str, str]:
    """Reads the registry of the working directory.

    Returns:
        Number of a job -> its directory; of several lines for one job the last counts.
    """
    try:
        with open(SLURM_JOB_DIRS, encoding="utf-8") as file:
            lines = file.readlines()
    except OSError:
        return {}
    pairs = [(key.strip(), value.strip()) for key, _, value in (x.partition("=") for x in lines)]
    return {job_id: job_dir for job_id, job_dir in pairs if job_id and job_dir}
