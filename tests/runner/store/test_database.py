from __future__ import annotations

import errno
import io
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from torchx.runner.store import JobStore, RememberedJob, schema
from torchx.runner.store.database import Database, StoreError

MakeJob = Callable[..., RememberedJob]
Places = tuple[Path, Path]

WRITER = """
import sys
from torchx.runner.store import JobStore
from torchx.runner.store.records import from_row
import sqlite3
from tests.runner.store.test_database import bare_job
store = JobStore()
for number in range(int(sys.argv[2])):
    store.add(bare_job(f"{sys.argv[1]}-{number}"))
"""


def bare_job(submission_id: str) -> RememberedJob:
    from torchx.runner.store import Launch
    from torchx.specs import AppState

    return RememberedJob(
        submission_id=submission_id,
        scheduler="memory",
        session="test",
        app_id=submission_id,
        name="job",
        is_confirmed=True,
        submitted_at_s=time.time(),
        launch=Launch(),
        cfg={},
        app={"filler": "x" * 200},
        sources=[],
        log_location=None,
        cwd="/",
        user="ada",
        host="laptop",
        launcher={},
        torchx_version="1",
        state=AppState.RUNNING,
        reason="",
        state_seen_at_s=None,
        is_over=False,
    )


def test_launchers_that_write_at_once_lose_nothing() -> None:
    root = str(Path(__file__).parents[3])
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, f"w{number}", "20"], cwd=root)
        for number in range(10)
    ]
    assert [writer.wait() for writer in writers] == [0] * 10
    found = [job.submission_id for job in JobStore().newest()]
    assert sorted(found) == sorted(f"w{w}-{number}" for w in range(10) for number in range(20))


def test_only_its_owner_can_read_it(store: JobStore) -> None:
    store.add(bare_job("a"))
    for path in Path(store.path).parent.iterdir():
        assert path.stat().st_mode & 0o077 == 0


def test_a_damaged_file_is_kept_aside_and_what_can_be_read_is_saved(
    store: JobStore, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(300):
        store.add(bare_job(f"old-{number:03}"))
    store.close()
    path = Path(store.path)
    content = bytearray(path.read_bytes())
    first_page = 4096
    middle = len(content) // 2
    content[middle : middle + first_page] = b"\xff" * first_page
    path.write_bytes(content)

    damaged = JobStore()
    damaged.add(bare_job("new"))
    list(damaged.newest())
    found = {job.submission_id for job in damaged.newest()}
    assert "new" in found
    assert len(found) > 200
    assert "the memory of jobs was damaged" in caplog.text
    assert [name for name in os.listdir(path.parent) if ".corrupt-" in name]


def test_a_file_that_is_no_database_does_not_hinder_anybody(
    store: JobStore, caplog: pytest.LogCaptureFixture
) -> None:
    Path(store.path).parent.mkdir(parents=True)
    Path(store.path).write_bytes(b"not a database, but somebody's notes" * 100)
    store.add(bare_job("a"))
    assert [job.submission_id for job in store.newest()] == ["a"]
    (aside,) = Path(store.path).parent.glob("*.corrupt-*")
    assert aside.read_bytes().startswith(b"not a database")
    assert str(aside) in caplog.text


def test_a_newer_file_is_left_alone_and_jobs_go_elsewhere(
    store: JobStore, places: Places, caplog: pytest.LogCaptureFixture
) -> None:
    path = Path(store.path)
    path.parent.mkdir(parents=True)
    with sqlite3.connect(path) as newer:
        newer.execute("CREATE TABLE things (x)")
        newer.execute(f"PRAGMA user_version = {100 * (schema.GENERATION + 1)}")
    newer.close()
    before = path.read_bytes()
    store.add(bare_job("a"))
    store.change("a", {"reason": "changed"})
    assert path.read_bytes() == before
    assert "newer version" in caplog.text
    assert (places[1] / f"torchx-{os.getuid()}" / "jobs.db").exists()


def test_a_file_of_an_earlier_revision_gains_the_missing_columns(store: JobStore) -> None:
    path = Path(store.path)
    path.parent.mkdir(parents=True)
    columns = {k: v for k, v in schema.COLUMNS.items() if k not in ("sources", "parent_run_id")}
    with sqlite3.connect(path) as older:
        older.execute(f"CREATE TABLE jobs ({', '.join(f'{n} {t}' for n, t in columns.items())})")
        older.execute(
            "INSERT INTO jobs (submission_id, scheduler, session, name, submitted_at_s)"
            " VALUES ('old', 'memory', 'test', 'job', 1)"
        )
    older.close()
    store.add(bare_job("new"))
    assert [job.submission_id for job in store.newest()] == ["new", "old"]
    assert [job.sources for job in store.newest()] == [[], []]


def test_a_file_of_a_later_revision_is_used(store: JobStore) -> None:
    store.add(bare_job("a"))
    store.close()
    with sqlite3.connect(store.path) as later:
        later.execute("ALTER TABLE jobs ADD COLUMN later TEXT NOT NULL DEFAULT 'x'")
        later.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
    later.close()
    store.add(bare_job("b"))
    assert {job.submission_id for job in store.newest()} == {"a", "b"}


def test_a_home_that_cannot_be_written_is_told_once(
    places: Places, caplog: pytest.LogCaptureFixture
) -> None:
    places[0].write_text("a file where the directory should be")
    store = JobStore()
    store.add(bare_job("a"))
    store.add(bare_job("b"))
    store.change("b", {"reason": "changed"})
    assert {job.submission_id: job.reason for job in JobStore().newest()} == {
        "a": "",
        "b": "changed",
    }
    assert caplog.text.count("jobs are remembered in") == 1


def test_it_is_an_error_if_there_is_no_place_at_all(places: Places) -> None:
    places[0].write_text("")
    (places[1] / f"torchx-{os.getuid()}").write_text("")
    with pytest.raises(StoreError, match=r"jobs\.db"):
        JobStore().add(bare_job("a"))


def test_a_directory_of_somebody_else_is_not_trusted(places: Places) -> None:
    places[0].write_text("")
    foreign = places[1] / f"torchx-{os.getuid()}"
    foreign.mkdir(mode=0o777)
    foreign.chmod(0o777)
    with pytest.raises(StoreError):
        JobStore().add(bare_job("a"))
    assert not list(foreign.iterdir())


def test_a_launcher_that_is_stopped_in_a_write_does_not_hang_the_others(
    store: JobStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("torchx.runner.store.database._BUSY_TIMEOUT_S", 0.05)
    store.add(bare_job("a"))
    other = sqlite3.connect(store.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    busy = JobStore()
    busy.add(bare_job("b"))
    assert "locked" in caplog.text
    assert {job.submission_id for job in busy.newest()} == {"a", "b"}
    other.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, so small that it fills up."""
    mount = tmp_path / "disk"
    mount.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(mount)],
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode != 0:
        pytest.skip(f"no file system can be mounted here: {made.stderr.strip()}")
    yield mount
    subprocess.run(["umount", "-l", str(mount)], check=True)


def is_full(file: io.FileIO) -> bool:
    try:
        file.write(bytes(4096))
    except OSError as error:
        return error.errno == errno.ENOSPC
    return False


def test_on_a_full_disk_jobs_are_remembered_elsewhere(
    small_disk: Path, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHX_HOME", str(small_disk / "home"))
    store = JobStore()
    store.add(bare_job("first"))
    with (small_disk / "filler").open("wb", buffering=0) as filler:
        while not is_full(filler):
            pass
    for number in range(50):
        store.add(bare_job(f"later-{number}"))
    found = {job.submission_id for job in JobStore().newest()}
    assert found == {"first", *(f"later-{number}" for number in range(50))}


def test_a_full_disk_hides_no_job(small_disk: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = JobStore([str(small_disk / "home")])
    store.add(bare_job("first"))
    store.close()
    with (small_disk / "filler").open("wb", buffering=0) as filler:
        while not is_full(filler):
            pass
    assert [job.submission_id for job in store.newest()] == ["first"]
    assert store.count() == 1
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_a_file_for_which_there_was_no_room_holds_no_job(small_disk: Path) -> None:
    (small_disk / "jobs.db").touch()
    with (small_disk / "filler").open("wb", buffering=0) as filler:
        while not is_full(filler):
            pass
    assert list(JobStore([str(small_disk)]).newest()) == []


def test_a_read_only_file_can_still_be_read(
    small_disk: Path, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHX_HOME", str(small_disk / "home"))
    store = JobStore()
    store.add(bare_job("a"))
    store.close()
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    late = JobStore()
    late.add(bare_job("b"))
    assert {job.submission_id for job in JobStore().newest()} == {"a", "b"}


def test_a_forked_process_uses_a_connection_of_its_own(store: JobStore) -> None:
    store.add(bare_job("parent"))
    pid = os.fork()
    if pid == 0:
        try:
            store.add(bare_job("child"))
        except BaseException:
            os._exit(1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    store.add(bare_job("parent again"))
    assert {job.submission_id for job in store.newest()} == {"parent", "child", "parent again"}


def test_a_failed_statement_leaves_nothing_of_its_transaction(tmp_path: Path) -> None:
    database = Database(str(tmp_path / "jobs.db"))
    sql = "INSERT INTO jobs (submission_id, scheduler, session, name, submitted_at_s)"
    values = ["a", "memory", "test", "job", 1]
    with pytest.raises(StoreError):
        database.write([(f"{sql} VALUES (?, ?, ?, ?, ?)", values), ("nonsense", [])])
    assert database.read("SELECT * FROM jobs") == []
