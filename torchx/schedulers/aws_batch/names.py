"""Names of jobs, of job definitions and of apps."""

from __future__ import annotations

import re

_ILLEGAL = re.compile(r"[^A-Za-z0-9_-]+")
_LONGEST_STEM = 100
_LONGEST_SHARED_STEM = 60
_SHARED = re.compile(r"torchx-.+-[0-9a-f]{16}")


def job_name_stem(app_name: str, share_id: str | None) -> str:
    """Makes the legal beginning of a job name; a unique ending still fits behind it.

    Args:
        app_name: Name of the app.
        share_id: Share identifier, which becomes a part of the name.

    Returns:
        At most 100 letters, digits, dashes and underscores that begin with a letter or a digit.

    Example:
        >>> job_name_stem("exp/run 1", None)
        'exp-run-1'
    """
    text = app_name if share_id is None else f"{app_name}-{share_id}"
    stem = _ILLEGAL.sub("-", text).strip("-_")[:_LONGEST_STEM].rstrip("-_")
    return stem or "app"


def shared_definition_name(job_name: str, digest: str) -> str:
    """Names a job definition that all jobs of the same content use.

    Args:
        job_name: Name of the job that first uses it.
        digest: Hexadecimal digest of its content.

    Returns:
        The name.
    """
    stem = job_name.rpartition("-")[0][:_LONGEST_SHARED_STEM] or "app"
    return f"torchx-{stem}-{digest[:16]}"


def is_shared_definition(definition_name: str) -> bool:
    """Tells whether :func:`shared_definition_name` made a name.

    Args:
        definition_name: The name.

    Returns:
        True if several jobs may use the definition.
    """
    return _SHARED.fullmatch(definition_name) is not None


def queue_name(queue: str) -> str:
    """Shortens a queue that is given as ARN: ids of apps hold no slashes.

    Args:
        queue: Name or ARN.

    Returns:
        Its name.
    """
    return queue.rpartition("/")[2]


def make_app_id(queue: str, job_name: str) -> str:
    """Makes the id of an app.

    Args:
        queue: Name or ARN of the queue.
        job_name: Name of the job.

    Returns:
        ``queue:name``.
    """
    return f"{queue_name(queue)}:{job_name}"


def split_app_id(app_id: str) -> tuple[str, str] | None:
    """Takes the id of an app apart.

    Args:
        app_id: The id.

    Returns:
        Name or ARN of the queue, and name of the job; ``None`` if the text is no such id.
    """
    queue, _, name = app_id.rpartition(":")
    return (queue, name) if queue and name and "*" not in name else None


def name_of_arn(arn: str) -> str:
    """Reads the name of a queue or a job definition from its ARN.

    Args:
        arn: For example ``arn:aws:batch:us-east-1:1:job-definition/train:3``.

    Returns:
        The name, without revision.
    """
    return arn.rpartition("/")[2].partition(":")[0]
