"""The tables of ``jobs.db``, and which versions of torchx can use which file.

``PRAGMA user_version`` is ``100 * generation + revision``. A higher revision only adds columns with
defaults and indexes, so that releases of the same generation read and write each other's files. A
release never touches a file of a generation that it does not know.

All times are seconds since 1970, all values are redacted before they are written.
"""

from __future__ import annotations

from collections.abc import Collection

GENERATION = 1
"""Files of another generation are left alone."""

REVISION = 0
"""How many times columns or indexes were added within the generation."""

VERSION = 100 * GENERATION + REVISION

COLUMNS: dict[str, str] = {
    "submission_id": "TEXT PRIMARY KEY",  # random, chosen by the launcher
    "scheduler": "TEXT NOT NULL",
    "session": "TEXT NOT NULL",
    "app_id": "TEXT",  # NULL until known
    "name": "TEXT NOT NULL",
    "is_confirmed": "INTEGER NOT NULL DEFAULT 0",  # the scheduler has accepted the job
    "submitted_at_s": "REAL NOT NULL",
    "component": "TEXT",
    "component_args": "TEXT",  # JSON: list of words, or object of values
    "component_defaults": "TEXT",  # JSON: object of texts, from config files
    "secrets": "TEXT NOT NULL DEFAULT '[]'",  # JSON: names of variables that are shown nowhere
    "given_cfg": "TEXT NOT NULL DEFAULT '{}'",  # JSON: run options that were asked for
    "cfg": "TEXT NOT NULL DEFAULT '{}'",  # JSON: resolved run options
    "workspace": "TEXT",
    "parent_run_id": "TEXT",
    "app": "TEXT",  # JSON: the AppDef
    "sources": "TEXT NOT NULL DEFAULT '[]'",  # JSON: what the workspaces were built from
    "log_location": "TEXT",  # absolute
    "cwd": "TEXT",
    "user": "TEXT NOT NULL DEFAULT ''",
    "host": "TEXT NOT NULL DEFAULT ''",
    "launcher": "TEXT NOT NULL DEFAULT '{}'",  # JSON: the process, by id, start time and boot
    "torchx_version": "TEXT NOT NULL DEFAULT ''",
    "state": "TEXT NOT NULL DEFAULT 'SUBMITTED'",
    "reason": "TEXT NOT NULL DEFAULT ''",
    "state_seen_at_s": "REAL",
    "is_over": "INTEGER NOT NULL DEFAULT 0",  # ended, or gone from its scheduler
}
"""Name -> type of the columns of ``jobs``."""

INDEXES: dict[str, str] = {
    "jobs_by_time": "submitted_at_s, submission_id",
    "jobs_by_app_id": "app_id",
}
"""Name -> columns of the indexes of ``jobs``."""


def upgrade_statements(present: Collection[str]) -> list[str]:
    """Lists what brings a file to this version.

    Args:
        present: Names of the columns that its table has, empty if there is no table.

    Returns:
        SQL statements.
    """
    if present:
        missing = [name for name in COLUMNS if name not in present]
        tables = [f"ALTER TABLE jobs ADD COLUMN {name} {COLUMNS[name]}" for name in missing]
    else:
        columns = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
        tables = [f"CREATE TABLE jobs ({columns})"]
    indexes = [
        f"CREATE INDEX IF NOT EXISTS {name} ON jobs ({columns})"
        for name, columns in INDEXES.items()
    ]
    return [*tables, *indexes, f"PRAGMA user_version = {VERSION}"]
