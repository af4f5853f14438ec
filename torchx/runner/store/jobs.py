"""The store of remembered jobs: what can be asked of it and told to it."""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from torchx.runner.store.database import Database, StoreError
from torchx.runner.store.records import RememberedJob, from_row, to_row
from torchx.specs import AppState
from torchx.util.home import home_dirs, is_private

log: logging.Logger = logging.getLogger(__name__)

ENV_TORCHX_JOB_STORE = "TORCHX_JOB_STORE"
"""Set to ``off`` to remember nothing."""

_FILE = "jobs.db"
_MOST_ROWS_PER_PAGE = 500


class JobStore:
    """All jobs that were submitted by this user, on this machine or a shared home directory.

    If the preferred file cannot be written, jobs go to one in the directory for temporary files;
    reading reads both.

    Args:
        directories: Where files may be, the preferred directory first.
    """

    def __init__(self, directories: Sequence[str] | None = None) -> None:
        preferred, *others = home_dirs() if directories is None else directories
        trusted = [path for path in others if is_private(path) or not os.path.lexists(path)]
        self._databases = [
            Database(os.path.join(directory, _FILE)) for directory in (preferred, *trusted)
        ]
        # The file that holds a submission of this process, if it is not the preferred one.
        self._places: dict[str, Database] = {}
        self._warned: set[str] = set()

    @staticmethod
    def is_enabled() -> bool:
        """Tells whether jobs shall be remembered.

        Returns:
            False if ``TORCHX_JOB_STORE`` is ``off``.
        """
        return os.environ.get(ENV_TORCHX_JOB_STORE, "").lower() not in ("off", "0", "false", "no")

    @property
    def path(self) -> str:
        """The preferred file."""
        return self._databases[0].path

    def add(self, job: RememberedJob) -> None:
        """Remembers a job.

        Args:
            job: The job.

        Raises:
            StoreError: It could be written nowhere.
        """
        row = to_row(job)
        sql = f"INSERT INTO jobs ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})"
        failures: list[str] = []
        for database in self._databases:
            try:
                database.write([(sql, list(row.values()))])
            except StoreError as error:
                failures.append(str(error))
                continue
            if failures:
                self._places[job.submission_id] = database
                self._warn_once(f"jobs are remembered in {database.path}: {failures[0]}")
            return
        raise StoreError("; ".join(failures), hint=f"free or repair {self.path}")

    def change(self, submission_id: str, values: Mapping[str, object]) -> None:
        """Changes what is known of one job.

        Args:
            submission_id: Identifies it.
            values: New values of columns.

        Raises:
            StoreError: It could not be written.
        """
        self.change_all([(submission_id, values)])

    def change_all(self, changes: Sequence[tuple[str, Mapping[str, object]]]) -> None:
        """Changes what is known of jobs, in one transaction per file.

        Args:
            changes: Submission ids with new values of columns.

        Raises:
            StoreError: They could not be written.
        """
        for database in self._existing():
            statements = [
                _update(submission_id, values)
                for submission_id, values in changes
                if self._places.get(submission_id, database) is database
            ]
            if statements:
                database.write(statements)

    def forget(self, submission_ids: Collection[str]) -> None:
        """Removes jobs from the memory.

        Args:
            submission_ids: Identify them.

        Raises:
            StoreError: They could not be removed.
        """
        statements: list[tuple[str, Sequence[object]]] = [
            ("DELETE FROM jobs WHERE submission_id = ?", [submission_id])
            for submission_id in submission_ids
        ]
        for database in self._existing():
            database.write(statements)

    def count(self) -> int:
        """Counts the remembered jobs.

        Returns:
            Their number.

        Raises:
            StoreError: A file cannot be read.
        """
        counted = (db.read("SELECT count(*) FROM jobs")[0][0] for db in self._existing())
        return sum(counted)

    def newest(
        self,
        *,
        name: str | None = None,
        since_s: float | None = None,
        until_s: float | None = None,
        states: Collection[AppState] | None = None,
        wanted: int | None = None,
    ) -> Iterator[RememberedJob]:
        """Yields remembered jobs, the newest first, reading them in pages.

        Args:
            name: Keep only jobs whose name matches this pattern of the shell; without one of
                ``*?[`` a part of the name will do.
            since_s: Keep only jobs submitted from then on, in seconds since 1970.
            until_s: Keep only jobs submitted before, in seconds since 1970.
            states: Keep only jobs whose last known state is one of these, and all that may have
                changed since.
            wanted: How many are likely to be taken, which is how many are read at once.

        Yields:
            The jobs.

        Raises:
            StoreError: A file cannot be read.
        """
        import heapq

        where, values = _conditions(name, since_s, until_s, states)
        page = min(wanted or _MOST_ROWS_PER_PAGE, _MOST_ROWS_PER_PAGE)
        pages = [_pages(database, where, values, page) for database in self._existing()]
        yield from heapq.merge(*pages, key=lambda job: -job.submitted_at_s)

    def with_id_prefix(self, prefix: str) -> list[RememberedJob]:
        """Finds jobs by the beginning of their id.

        Args:
            prefix: How the id begins.

        Returns:
            The jobs, the newest first. If one has exactly this id, only those that do.

        Raises:
            StoreError: A file cannot be read.
        """
        sql = "SELECT * FROM jobs WHERE app_id >= ? AND app_id < ?"
        jobs = self._select(sql, [prefix, prefix + "\U0010ffff"])
        exact = [job for job in jobs if job.app_id == prefix]
        return sorted(exact or jobs, key=lambda job: -job.submitted_at_s)

    def of_handle(self, scheduler: str, app_id: str) -> RememberedJob | None:
        """Finds the job of an app.

        Args:
            scheduler: Name of the scheduler.
            app_id: Id of the app.

        Returns:
            The job submitted last under that id; None if none is remembered.

        Raises:
            StoreError: A file cannot be read.
        """
        sql = "SELECT * FROM jobs WHERE app_id = ? AND scheduler = ?"
        found = self._select(sql, [app_id, scheduler])
        return max(found, key=lambda job: job.submitted_at_s, default=None)

    def close(self) -> None:
        """Closes the files."""
        for database in self._databases:
            database.close()

    def _select(self, sql: str, values: Sequence[object]) -> list[RememberedJob]:
        return [from_row(row) for db in self._existing() for row in db.read(sql, values)]

    def _existing(self) -> list[Database]:
        return [database for database in self._databases if database.exists()]

    def _warn_once(self, message: str) -> None:
        if message not in self._warned:
            self._warned.add(message)
            log.warning("%s", message)


def _update(submission_id: str, values: Mapping[str, object]) -> tuple[str, list[object]]:
    assignments = ", ".join(f"{name} = ?" for name in values)
    sql = f"UPDATE jobs SET {assignments} WHERE submission_id = ?"
    return sql, [*values.values(), submission_id]


def _conditions(
    name: str | None,
    since_s: float | None,
    until_s: float | None,
    states: Collection[AppState] | None,
) -> tuple[str, list[object]]:
    parts: list[str] = []
    values: list[object] = []
    if name is not None:
        parts.append("name GLOB ?")
        values.append(name if set("*?[") & set(name) else f"*{name}*")
    if since_s is not None:
        parts.append("submitted_at_s >= ?")
        values.append(since_s)
    if until_s is not None:
        parts.append("submitted_at_s < ?")
        values.append(until_s)
    if states is not None:
        parts.append(f"(is_over = 0 OR state IN ({', '.join('?' * len(states))}))")
        values.extend(state.name for state in states)
    return " AND ".join(parts) or "1", values


def _pages(
    database: Database, where: str, values: Iterable[object], page: int
) -> Iterator[RememberedJob]:
    """Reads page by page, each behind the last row of the one before."""
    last: tuple[float, str] | None = None
    while True:
        behind, position = "", list[object]()
        if last is not None:
            behind, position = " AND (submitted_at_s, submission_id) < (?, ?)", list(last)
        rows = database.read(
            f"SELECT * FROM jobs WHERE {where}{behind}"
            " ORDER BY submitted_at_s DESC, submission_id DESC LIMIT ?",
            [*values, *position, page],
        )
        yield from map(from_row, rows)
        if len(rows) < page:
            return
        last = (rows[-1]["submitted_at_s"], rows[-1]["submission_id"])
