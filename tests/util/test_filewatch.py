from __future__ import annotations

import os
import shutil
import sys
import threading
from pathlib import Path

import pytest

from torchx.util.filewatch import FileWatch


@pytest.fixture(params=["reported", "polled"])
def _both_ways(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs a test with the kernel's reports and, as on other systems, without."""
    if request.param == "polled":
        monkeypatch.setattr(sys, "platform", "other")


both_ways = pytest.mark.usefixtures("_both_ways")


def test_nothing_changed(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with FileWatch([str(tmp_path / "file")]) as watch:
        assert not watch.wait(0)


@both_ways
def test_changes_between_construction_and_wait_are_seen(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    with FileWatch([str(path)]) as watch:
        path.write_text("x")
        assert watch.wait(30)
        assert not watch.wait(0)


@both_ways
def test_a_file_that_appears_grows_is_replaced_and_vanishes(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with FileWatch([str(path)]) as watch:
        path.write_text("a")
        assert watch.wait(30)
        with path.open("a") as file:
            file.write("b")
        assert watch.wait(30)
        (tmp_path / "new").write_text("ab")
        (tmp_path / "new").replace(path)
        assert watch.wait(30)
        path.unlink()
        assert watch.wait(30)


@both_ways
def test_a_waiting_thread_is_woken(tmp_path: Path) -> None:
    path = tmp_path / "file"
    found: list[bool] = []
    with FileWatch([str(path)]) as watch:
        waiter = threading.Thread(target=lambda: found.append(watch.wait(30)))
        waiter.start()
        path.touch()
        waiter.join()
    assert found == [True]


@both_ways
def test_a_directory_that_appears_is_watched_from_then_on(tmp_path: Path) -> None:
    path = tmp_path / "role" / "0" / "log"
    with FileWatch([str(path)]) as watch:
        path.parent.mkdir(parents=True)
        path.write_text("a")
        assert watch.wait(30)
        path.write_text("ab")
        assert watch.wait(30)


@both_ways
def test_a_directory_that_is_made_anew_is_watched_again(tmp_path: Path) -> None:
    path = tmp_path / "directory" / "log"
    path.parent.mkdir()
    path.touch()
    with FileWatch([str(path)]) as watch:
        shutil.rmtree(path.parent)
        assert watch.wait(30)
        path.parent.mkdir()
        path.write_text("a")
        assert watch.wait(30)


@both_ways
def test_changes_are_named_as_the_paths_were_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    paths = ["one", "./one", "two", str(tmp_path / "three")]
    with FileWatch(paths) as watch:
        Path("one").touch()
        changed: set[str] = set()
        while "one" not in changed or "./one" not in changed:
            changed |= watch.changes(30)
        assert changed == {"one", "./one"}


@both_ways
def test_a_change_of_the_file_behind_a_link_is_seen(tmp_path: Path) -> None:
    target = tmp_path / "elsewhere" / "file"
    target.parent.mkdir()
    target.touch()
    link = tmp_path / "link"
    link.symlink_to(target)
    with FileWatch([str(link)]) as watch:
        target.write_text("x")
        assert watch.wait(30)


def test_other_files_in_the_directory_do_not_count(tmp_path: Path) -> None:
    with FileWatch([str(tmp_path / "file")]) as watch:
        (tmp_path / "other").touch()
        assert not watch.wait(0)


@both_ways
def test_close_wakes_a_waiting_thread_and_is_repeatable(tmp_path: Path) -> None:
    watch = FileWatch([str(tmp_path / "file")])
    found: list[bool] = []
    waiter = threading.Thread(target=lambda: found.append(watch.wait(60)))
    waiter.start()
    watch.close()
    watch.close()
    waiter.join()
    assert found == [False]
    assert not watch.wait(60)


def test_nothing_to_watch_waits_for_the_timeout() -> None:
    with FileWatch([]) as watch:
        assert not watch.wait(0.01)


@pytest.mark.skipif(sys.platform != "linux", reason="counts descriptors in /proc")
def test_a_watch_that_is_dropped_leaves_no_descriptor(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(10):
        FileWatch([str(tmp_path / "file")]).wait(0)
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.skipif(sys.platform != "linux", reason="counts descriptors in /proc")
def test_watches_go_on_when_the_kernel_has_no_queue_left(tmp_path: Path) -> None:
    path = tmp_path / "file"
    watches = [FileWatch([str(path)]) for _ in range(200)]
    path.touch()
    assert all(watch.wait(30) for watch in watches)
    for watch in watches:
        watch.close()
