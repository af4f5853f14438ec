from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import fsspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchx.specs.api import Workspace
from torchx.workspace import manifest as module
from torchx.workspace.manifest import Manifest, manifest_of
from torchx.workspace.tree import Entry, Project, WorkspaceError


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Paths of the files that are read, in order."""
    paths: list[str] = []
    original = module.content_of

    def recorded(project: Project, entry: Entry) -> Iterator[bytes]:
        paths.append(entry.path)
        return original(project, entry)

    monkeypatch.setattr(module, "content_of", recorded)
    return paths


def of(*sources: Path | str) -> Manifest:
    return manifest_of(Workspace({str(source): "" for source in sources}))


def test_an_unchanged_tree_is_walked_but_not_read(
    code: Path, read: list[str], later: Callable[[], None]
) -> None:
    later()
    first = of(code)
    assert read == ["lib/a.py", "main.py", "run.sh"]
    read.clear()
    assert of(code) == first
    assert read == []


def test_only_what_changed_is_read(code: Path, read: list[str], later: Callable[[], None]) -> None:
    later()
    first = of(code)
    read.clear()
    (code / "lib" / "a.py").write_text("A = 2\n")
    (code / "new.py").touch()
    assert of(code).digest != first.digest
    assert read == ["lib/a.py", "new.py"]


def test_a_file_that_changed_just_now_is_not_trusted(code: Path, read: list[str]) -> None:
    of(code)
    read.clear()
    of(code)
    assert read == ["lib/a.py", "main.py", "run.sh"]


def test_a_change_that_restores_size_and_time_is_noticed(
    code: Path, read: list[str], later: Callable[[], None]
) -> None:
    path = code / "main.py"
    later()
    first = of(code)
    info = path.stat()
    path.write_text("print('ho')\n")
    os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns))
    assert path.stat().st_size == info.st_size
    assert of(code).digest != first.digest


@pytest.mark.parametrize(
    "change",
    [
        lambda code: (code / "main.py").write_text("print('hO')\n"),
        lambda code: (code / "main.py").chmod(0o600),
        lambda code: (code / "main.py").rename(code / "main2.py"),
        lambda code: (code / "main.py").unlink(),
        lambda code: (code / "link").symlink_to("main.py"),
        lambda code: (code / "empty").touch(),
    ],
)
def test_every_change_that_a_job_could_see_has_its_own_digest(
    code: Path, change: Callable[[Path], object]
) -> None:
    first = of(code)
    change(code)
    assert of(code).digest != first.digest


def test_times_and_places_do_not_count(code: Path, tmp_path: Path) -> None:
    first = of(code)
    os.utime(code / "main.py", (1, 1))
    assert of(code).digest == first.digest
    code.rename(tmp_path / "elsewhere")
    assert of(tmp_path / "elsewhere").digest == first.digest


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"not json",
        b"[]",
        b'{"version": 1, "root": "", "files": {"main.py": [1]}}',
        b'{"version": 1, "root": "", "files": []}',
        b'{"version": 999, "files": {}}',
        b"\xff\xff",
    ],
)
def test_a_damaged_cache_costs_only_time(
    code: Path, torchx_home: Path, later: Callable[[], None], read: list[str], damage: bytes
) -> None:
    later()
    first = of(code)
    (cache,) = torchx_home.glob("workspaces/digests/*.json")
    cache.write_bytes(damage)
    read.clear()
    assert of(code) == first
    assert len(read) == 3
    read.clear()
    assert of(code) == first
    assert read == []


def test_a_cache_that_cannot_be_written_costs_only_time(
    code: Path, torchx_home: Path, later: Callable[[], None]
) -> None:
    torchx_home.write_text("no directory")
    later()
    assert of(code) == of(code)


def test_a_log_that_grows_can_be_sent_along(code: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = module.content_of

    def growing(project: Project, entry: Entry) -> Iterator[bytes]:
        with open(project.path_of(entry), "ab") as file:
            file.write(b"more\n")
        return original(project, entry)

    first = of(code)
    monkeypatch.setattr(module, "content_of", growing)
    assert of(code).digest == first.digest


def test_a_file_that_shrinks_once_is_read_again(
    code: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = module.content_of

    def shrinking(project: Project, entry: Entry) -> Iterator[bytes]:
        if entry.path == "main.py":
            (code / "main.py").write_text("")
        return original(project, entry)

    monkeypatch.setattr(module, "content_of", shrinking)
    assert of(code).items["main.py"].entry.size == 0


def test_a_file_that_keeps_changing_is_an_error_that_names_it(
    code: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = module.content_of
    sizes = iter([100, 50, 20, 5])

    def shrinking(project: Project, entry: Entry) -> Iterator[bytes]:
        if entry.path == "main.py":
            (code / "main.py").write_text("x" * next(sizes))
        return original(project, entry)

    (code / "main.py").write_text("x" * 200)
    monkeypatch.setattr(module, "content_of", shrinking)
    with pytest.raises(WorkspaceError, match=r"main\.py .*keeps changing") as caught:
        of(code)
    assert caught.value.transient


def test_a_file_that_became_a_link_or_a_pipe_is_not_opened(
    code: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret").write_text("secret")
    original = module.content_of

    def replaced(project: Project, entry: Entry) -> Iterator[bytes]:
        if entry.path == "main.py":
            (code / "main.py").unlink()
            (code / "main.py").symlink_to(tmp_path / "secret")
        if entry.path == "run.sh" and entry.size:
            (code / "run.sh").unlink()
            os.mkfifo(code / "run.sh")
        return original(project, entry)

    monkeypatch.setattr(module, "content_of", replaced)
    found = of(code)
    assert found.items["main.py"].entry.link == str(tmp_path / "secret")
    assert "run.sh" not in found.items


def test_a_file_that_cannot_be_read_is_an_error_with_a_way_out(
    unprivileged: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHX_HOME", str(unprivileged / "home"))
    (unprivileged / "closed").touch(mode=0)
    with pytest.raises(WorkspaceError, match="closed") as caught:
        of(unprivileged)
    assert ".torchxignore" in caught.value.hint


def test_of_two_projects_the_later_one_wins(code: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    (other / "lib").mkdir(parents=True)
    (other / "lib" / "a.py").write_text("other\n")
    merged = of(code, other)
    assert list(merged.items) == ["lib/a.py", "main.py", "run.sh"]
    assert merged.items["lib/a.py"].project.source == str(other)
    assert merged.digest != of(code).digest
    assert merged.project_digests == {
        str(code): of(code).digest,
        str(other): of(other).digest,
    }


def test_no_project_can_go_into_a_file_or_through_a_link_of_another_one(
    code: Path, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "x").touch()
    (code / "away").symlink_to("/etc")
    for target in ("main.py", "away", "away/deeper"):
        workspace = Workspace({str(code): "", str(tmp_path / "other"): target})
        with pytest.raises(WorkspaceError, match="as a file or link"):
            manifest_of(workspace)


def test_a_target_is_part_of_the_digest(code: Path) -> None:
    moved = manifest_of(Workspace({str(code): "sub"}))
    assert list(moved.items) == ["sub/lib/a.py", "sub/main.py", "sub/run.sh"]
    assert moved.digest != of(code).digest
    assert moved.project_digests[str(code)] == of(code).digest


def test_what_has_to_be_read_is_told_before(code: Path, later: Callable[[], None]) -> None:
    later()
    of(code)
    (code / "main.py").write_text("new\n")
    told: list[list[str]] = []
    manifest_of(
        Workspace({str(code): ""}),
        before_reading=lambda unread: told.append([entry.path for entry in unread]),
    )
    assert told == [["main.py"]]


def test_progress_is_told_in_bytes(code: Path) -> None:
    told: list[tuple[str, int, int]] = []
    found = manifest_of(Workspace({str(code): ""}), progress=lambda *step: told.append(step))
    assert told[-1] == ("reading the workspace", found.size_bytes, found.size_bytes)


def test_a_workspace_in_memory_has_the_digest_of_its_content() -> None:
    fs = fsspec.filesystem("memory")
    fs.pipe({"/m1/a": b"1", "/m1/b/c": b"2", "/m2/a": b"1", "/m2/b/c": b"3"})
    assert list(of("memory://m1").items) == ["a", "b/c"]
    assert of("memory://m1").digest != of("memory://m2").digest
    fs.pipe({"/m2/b/c": b"2"})
    assert of("memory://m1").digest == of("memory://m2").digest


@given(
    st.dictionaries(
        st.text("ab\udcff\n ", min_size=1, max_size=3), st.binary(max_size=3), max_size=4
    ),
    st.dictionaries(
        st.text("ab\udcff\n ", min_size=1, max_size=3), st.binary(max_size=3), max_size=4
    ),
)
def test_two_trees_have_one_digest_only_if_they_are_equal(
    tmp_path_factory: pytest.TempPathFactory, first: dict[str, bytes], second: dict[str, bytes]
) -> None:
    digests = []
    for content in (first, second):
        root = tmp_path_factory.mktemp("tree")
        for name, data in content.items():
            (root / name).write_bytes(data)
        digests.append(of(root).digest)
    assert (digests[0] == digests[1]) == (first == second)
