"""The questions to bjobs. No I/O here."""

from __future__ import annotations

from torchx.schedulers.lsf.parse import (
    DELIMITER,
    DESCRIBE_FIELDS,
    DETAIL_FIELDS,
    LIST_FIELDS,
    LOG_FIELDS,
)


def jobs_of(app_id: str) -> list[str]:
    """Asks for the states of the jobs of an app.

    Args:
        app_id: Its id.

    Returns:
        The command.
    """
    return _of(app_id, " ".join(DESCRIBE_FIELDS))


def ids_of(app_id: str) -> list[str]:
    """Asks for the numbers of the jobs of an app.

    Args:
        app_id: Its id.

    Returns:
        The command.
    """
    return _of(app_id, "id")


def directories_of(app_id: str) -> list[str]:
    """Asks where the jobs of an app write to.

    Args:
        app_id: Its id.

    Returns:
        The command.
    """
    return _of(app_id, " ".join(LOG_FIELDS))


def details(app_id: str | None = None) -> list[str]:
    """Asks for states and reasons of jobs.

    Args:
        app_id: Only of this app.

    Returns:
        The command.
    """
    fields = f"{' '.join(DETAIL_FIELDS)} delimiter='{DELIMITER}'"
    return _all(fields) if app_id is None else _of(app_id, fields)


def all_states(*, by_job: bool = False) -> list[str]:
    """Asks for the states of all jobs of the user.

    Args:
        by_job: Asks for the names of the jobs, too.

    Returns:
        The command.
    """
    return _all(" ".join(DESCRIBE_FIELDS if by_job else LIST_FIELDS))


def history_of(app_id: str) -> list[str]:
    """Asks for the history of the jobs of an app, which LSF keeps longer than the jobs.

    Args:
        app_id: Its id.

    Returns:
        The command.
    """
    return ["bhist", "-a", "-l", "-P", app_id]


def _of(app_id: str, fields: str) -> list[str]:
    return ["bjobs", "-noheader", "-a", "-P", app_id, "-o", fields]


def _all(fields: str) -> list[str]:
    return ["bjobs", "-noheader", "-a", "-o", fields]
