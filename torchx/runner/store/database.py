"""One SQLite file: opened when first used, shared by processes, repaired when it is corrupt."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from torchx.errors import TorchXError
from torchx.runner.store import schema

log: logging.Logger = logging.getLogger(__name__)

_T = TypeVar("_T")

_BUSY_TIMEOUT_S = 5.0
# Python 3.10 does not tell the code of an error.
_NOT_WRITABLE = ("disk is full", "disk I/O error", "unable to open", "readonly database")
# SQLite needs shared memory for its write-ahead log, which only local file systems have.
_NETWORK_FILE_SYSTEMS = frozenset(
    (
        "9p",
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "fuse.glusterfs",
        "fuse.s3fs",
        "fuse.sshfs",
        "gfs2",
        "glusterfs",
        "gpfs",
        "lustre",
        "nfs",
        "nfs4",
        "ocfs2",
        "orangefs",
        "smb3",
        "smbfs",
        "wekafs",
    )
)


class StoreError(TorchXError):
    """The memory of jobs cannot be read or written. Jobs themselves do not depend on it."""


class Database:
    """A file of jobs. Its methods may be called from several threads, and after a fork.

    Args:
        path: The file; it and its directory are created when something is written.

    Attributes:
        path: The file.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._owner_pid = 0
        # SQLite forbids to use, or even to close, a connection that was carried through a fork.
        self._inherited: list[sqlite3.Connection] = []
        self._has_told = False

    def exists(self) -> bool:
        """Tells whether there is anything to read.

        Returns:
            True if the file exists.
        """
        return os.path.exists(self.path)

    def read(self, sql: str, values: Sequence[object] = ()) -> list[sqlite3.Row]:
        """Runs a query, also where there is no room or right to write.

        Args:
            sql: The query.
            values: Its parameters.

        Returns:
            All rows.

        Raises:
            StoreError: The file cannot be read.
        """
        try:
            return self._run(lambda connection: connection.execute(sql, values).fetchall())
        except StoreError as error:
            if not _cannot_write(error.__cause__):
                raise
            self._tell_once(error)
            return self._read_as_it_is(sql, values)

    def write(self, statements: Sequence[tuple[str, Sequence[object]]]) -> int:
        """Runs statements as one transaction, all or none of them.

        Args:
            statements: SQL and its parameters.

        Returns:
            How many rows were changed.

        Raises:
            StoreError: The file cannot be written. Nothing of it was.
        """

        def run(connection: sqlite3.Connection) -> int:
            with _transaction(connection):
                return sum(connection.execute(sql, values).rowcount for sql, values in statements)

        return self._run(run)

    def close(self) -> None:
        """Closes the file; the next use opens it again."""
        with self._lock:
            if self._connection is not None and self._owner_pid == os.getpid():
                self._connection.close()
                self._connection = None

    def _run(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        with self._lock:
            try:
                try:
                    return work(self._open())
                except sqlite3.DatabaseError as error:
                    if not _is_corruption(error):
                        raise
                    self.close()
                    self._set_aside(error)
                    return work(self._open())
            except (sqlite3.Error, OSError) as error:
                self.close()
                raise self._error(error) from error

    def _read_as_it_is(self, sql: str, values: Sequence[object]) -> list[sqlite3.Row]:
        """Reads without the shared memory beside the file, for which a full disk has no room."""
        try:
            uri = _read_only_uri(self.path)
            with contextlib.closing(sqlite3.connect(uri, uri=True)) as connection:
                connection.row_factory = sqlite3.Row
                (version,) = connection.execute("PRAGMA user_version").fetchone()
                return connection.execute(sql, values).fetchall() if version else []
        except sqlite3.Error as error:
            raise self._error(error) from error

    def _tell_once(self, error: StoreError) -> None:
        if not self._has_told:
            self._has_told = True
            log.warning("%s; what is shown of it may not be the latest", error)

    def _error(self, error: Exception) -> StoreError:
        return StoreError(f"{self.path}: {error}", hint=f"free or repair {self.path}")

    def _open(self) -> sqlite3.Connection:
        if self._connection is not None and self._owner_pid != os.getpid():
            self._inherited.append(self._connection)
            self._connection = None
        if self._connection is None:
            self._connection = _connect(self.path)
            self._owner_pid = os.getpid()
        return self._connection

    def _set_aside(self, error: sqlite3.DatabaseError) -> None:
        """Renames a corrupt file and copies what can still be read of it into a new one."""
        with open(f"{self.path}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if _is_sound(self.path):
                return  # another process was faster
            aside = f"{self.path}.corrupt-{time.time_ns()}"
            for suffix in ("", "-wal", "-shm"):
                with contextlib.suppress(FileNotFoundError):
                    os.rename(self.path + suffix, aside + suffix)
            saved = _salvage(aside, self.path)
        log.warning(
            "the memory of jobs was damaged (%s): %d jobs were saved, the damaged file is kept as"
            " %s; jobs themselves are not affected",
            error,
            saved,
            aside,
        )


@contextlib.contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # A failed COMMIT may already have ended the transaction.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _connect(path: str) -> sqlite3.Connection:
    directory = os.path.dirname(path)
    is_new = not os.path.exists(path)
    if is_new:
        os.makedirs(directory, mode=0o700, exist_ok=True)
        # SQLite gives its further files the permissions of this one.
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    is_writable = os.access(path, os.W_OK) and os.access(directory, os.W_OK)
    connection = sqlite3.connect(
        path if is_writable else _read_only_uri(path),
        uri=not is_writable,
        timeout=_BUSY_TIMEOUT_S,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        connection.row_factory = sqlite3.Row
        _prepare(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection, path: str) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version // 100 > schema.GENERATION:
        raise StoreError(
            f"{path} was written by a newer version of torchx (format {version},"
            f" this one knows {schema.VERSION})"
        )
    connection.execute("PRAGMA synchronous = NORMAL")
    if version >= schema.VERSION:
        return
    if _file_system_of(path) not in _NETWORK_FILE_SYSTEMS:
        connection.execute("PRAGMA journal_mode = WAL")
    with _transaction(connection):
        # Read within the transaction: another process may have been faster.
        present = [row["name"] for row in connection.execute("PRAGMA table_info(jobs)")]
        for statement in schema.upgrade_statements(present):
            connection.execute(statement)


def _read_only_uri(path: str) -> str:
    from urllib.parse import quote

    return f"file:{quote(os.fsencode(path))}?immutable=1"


def _is_corruption(error: sqlite3.DatabaseError) -> bool:
    text = str(error)
    return "malformed" in text or "not a database" in text


def _cannot_write(error: BaseException | None) -> bool:
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    text = str(error)
    return any(reason in text for reason in _NOT_WRITABLE)


def _is_sound(path: str) -> bool:
    if not os.path.exists(path):
        return False
    try:
        connection = _connect(path)
        try:
            (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        finally:
            connection.close()
    except (sqlite3.Error, OSError, StoreError):
        return False
    return bool(verdict == "ok")


def _salvage(damaged: str, path: str) -> int:
    """Copies the rows before the first and behind the last unreadable page."""
    names = ", ".join(schema.COLUMNS)
    insert = f"INSERT OR IGNORE INTO jobs ({names}) VALUES ({', '.join('?' * len(schema.COLUMNS))})"
    source, target = sqlite3.connect(damaged), _connect(path)
    saved = 0
    try:
        for direction in ("ASC", "DESC"):
            rows = _readable(source, f"SELECT {names} FROM jobs ORDER BY rowid {direction}")
            with _transaction(target):
                saved += sum(target.execute(insert, row).rowcount for row in rows)
    finally:
        source.close()
        target.close()
    return saved


def _readable(connection: sqlite3.Connection, sql: str) -> Iterator[tuple[object, ...]]:
    try:
        yield from connection.execute(sql)
    except sqlite3.DatabaseError as error:
        log.debug("not readable any further: %s", error)


def _file_system_of(path: str) -> str:
    """Returns the type of the file system that holds a file, ``""`` if it cannot be told."""
    real = os.path.realpath(path)
    best, found = "", ""
    try:
        with open("/proc/self/mounts", encoding="utf-8", errors="replace") as mounts:
            for line in mounts:
                _, mount_point, kind, *_ = line.split(" ")
                inside = real == mount_point or real.startswith(mount_point.rstrip("/") + "/")
                if inside and len(mount_point) >= len(best):
                    best, found = mount_point, kind
    except (OSError, ValueError):
        return ""
    return found
