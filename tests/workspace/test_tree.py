from __future__ import annotations

import os
import socket
from pathlib import Path

import fsspec
import pytest

from torchx.specs.api import Workspace
from torchx.util import secret_files
from torchx.workspace.tree import (
    DIR_IGNORES,
    DOCKER_IGNORES,
    Entry,
    Project,
    WorkspaceError,
    leads_outside,
    walk_workspace_projects,
)


def walk(
    source: Path | str, target: str = "", ignore_names: tuple[str, ...] = DOCKER_IGNORES
) -> Project:
    (project,) = walk_workspace_projects(Workspace({str(source): target}), ignore_names)
    return project


def paths(project: Project) -> list[str]:
    return [entry.path for entry in project.entries]


def entry_of(project: Project, path: str) -> Entry:
    return next(entry for entry in project.entries if entry.path == path)


def test_files_are_found_with_size_mode_and_times(code: Path) -> None:
    project = walk(code)
    info = (code / "run.sh").stat()
    assert paths(project) == ["lib/a.py", "main.py", "run.sh"]
    assert entry_of(project, "run.sh") == (
        *("run.sh", info.st_size, 0o755, info.st_mtime_ns, info.st_ctime_ns, ""),
    )


def test_version_control_caches_and_virtual_environments_stay_behind(code: Path) -> None:
    for path in (
        *(".git/HEAD", "lib/.git", "__pycache__/x.pyc", "lib/__pycache__/y.pyc", ".venv/bin/x"),
        *(".mypy_cache/x", "env/pyvenv.cfg", "env/bin/python", "lib/other/pyvenv.cfg"),
    ):
        (code / path).parent.mkdir(parents=True, exist_ok=True)
        (code / path).touch()
    assert paths(walk(code)) == ["lib/a.py", "main.py", "run.sh"]


def test_what_stays_behind_by_default_can_be_brought_back(code: Path) -> None:
    for path in (".git/HEAD", "env/pyvenv.cfg", "env/bin/x", "other/pyvenv.cfg"):
        (code / path).parent.mkdir(parents=True, exist_ok=True)
        (code / path).touch()
    (code / ".torchxignore").write_text("!.git\n!env\n*.*\nlib\n")
    assert paths(walk(code)) == ["env/bin/x", "env/pyvenv.cfg"]
    (code / ".torchxignore").write_text("*.py\nlib\n*.sh\n.torchxignore\n!.git\n!env\n")
    assert paths(walk(code)) == [".git/HEAD", "env/bin/x", "env/pyvenv.cfg"]


def test_a_virtual_environment_as_workspace_is_meant_as_such(code: Path) -> None:
    (code / "pyvenv.cfg").touch()
    assert "main.py" in paths(walk(code))


def test_images_obey_both_ignore_files_and_directories_only_their_own(code: Path) -> None:
    (code / ".dockerignore").write_text("*.sh\n.dockerignore\n")
    (code / ".torchxignore").write_text("lib\n.torchxignore\n!run.sh\n")
    assert paths(walk(code)) == ["main.py", "run.sh"]
    assert paths(walk(code, ignore_names=DIR_IGNORES)) == [".dockerignore", "main.py", "run.sh"]


def test_links_stay_links_and_are_not_followed(code: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").touch()
    (code / "inner").symlink_to("lib")
    (code / "lib" / "absolute").symlink_to(code / "main.py")
    (code / "up").symlink_to("../outside")
    (code / "away").symlink_to("/etc")
    (code / "dangling").symlink_to("nowhere")
    (code / "loop").symlink_to(".")
    project = walk(code)
    links = {entry.path: entry.link for entry in project.entries if entry.link}
    assert links == {
        "inner": "lib",
        "lib/absolute": "../main.py",
        "up": "../outside",
        "away": "/etc",
        "dangling": "nowhere",
        "loop": ".",
    }
    assert {entry.path for entry in project.entries if leads_outside(entry)} == {"up", "away"}
    assert not any("secret" in path for path in paths(project))


def test_what_is_neither_file_nor_link_is_left_out_and_told(code: Path) -> None:
    os.mkfifo(code / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        folder = os.open(code, os.O_RDONLY)
        server.bind(f"/proc/self/fd/{folder}/socket")
        os.close(folder)
    project = walk(code)
    assert paths(project) == ["lib/a.py", "main.py", "run.sh"]
    assert sorted(path for path, _ in project.left_out) == ["pipe", "socket"]


def test_files_with_secrets_are_left_out_by_whatever_path_and_told(
    code: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(secret_files._Remembered, "identities", set())
    (code / "job.env").write_text("PIN=1234567")
    os.link(code / "job.env", code / "copy.env")
    secret_files.remember_secret_file(code / "job.env")
    project = walk(code)
    assert not [entry.path for entry in project.entries if entry.path.endswith(".env")]
    assert sorted(path for path, _ in project.left_out) == ["copy.env", "job.env"]


def test_directories_without_files_are_left_out(code: Path) -> None:
    (code / "empty" / "inner").mkdir(parents=True)
    assert paths(walk(code)) == ["lib/a.py", "main.py", "run.sh"]


def test_names_may_be_any_bytes(code: Path) -> None:
    Path(os.fsdecode(os.fsencode(code) + b"/\xff\n")).touch()
    assert paths(walk(code))[-1] == "\udcff\n"


def test_directories_are_excluded_by_what_they_are_not_by_their_name(
    code: Path, tmp_path: Path
) -> None:
    (tmp_path / "alias").symlink_to(code / "lib")
    (project,) = walk_workspace_projects(
        Workspace({str(code): ""}), (), [str(tmp_path / "alias"), str(tmp_path / "none")]
    )
    assert paths(project) == ["main.py", "run.sh"]


def test_a_directory_that_cannot_be_read_is_an_error_with_a_way_out(unprivileged: Path) -> None:
    (unprivileged / "closed").mkdir(mode=0)
    with pytest.raises(WorkspaceError, match="closed") as caught:
        walk(unprivileged)
    assert ".torchxignore" in caught.value.hint
    (unprivileged / ".torchxignore").write_text("closed\n")
    assert paths(walk(unprivileged)) == [".torchxignore"]


def test_a_workspace_that_does_not_exist_is_empty_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert paths(walk(tmp_path / "none")) == []
    assert f"{tmp_path}/none does not exist" in caplog.text


def test_one_of_several_projects_that_does_not_exist_is_an_error(
    code: Path, tmp_path: Path
) -> None:
    for workspace in (
        Workspace({str(code): "", str(tmp_path / "none"): "x"}),
        Workspace({str(tmp_path / "none"): "x"}),
    ):
        with pytest.raises(
            FileNotFoundError, match="none of the workspace does not exist"
        ) as error:
            walk_workspace_projects(workspace)
        assert isinstance(error.value, WorkspaceError)


def test_a_workspace_may_be_a_url(code: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(code)
    assert paths(walk("file://.")) == ["lib/a.py", "main.py", "run.sh"]
    fsspec.filesystem("memory").pipe({"/tree/a.py": b"12", "/tree/b/c": b"", "/tree/.git/x": b""})
    assert walk("memory://tree").entries == [
        Entry("a.py", 2, 0o644, 0, 0),
        Entry("b/c", 0, 0o644, 0, 0),
    ]


def test_the_home_directory_may_be_abbreviated(code: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(code))
    assert paths(walk("~/lib")) == ["a.py"]


@pytest.mark.parametrize(
    ("target", "where"),
    [
        ("", "main.py"),
        ("x/", "x/main.py"),
        ("x/y.py", "x/y.py"),
        ("y.py", "y.py"),
        (".", "main.py"),
    ],
)
def test_a_project_may_be_a_single_file(code: Path, target: str, where: str) -> None:
    project = walk(code / "main.py", target)
    (entry,) = project.entries
    assert os.path.join(project.target, entry.path) == where
    assert project.path_of(entry) == str(code / "main.py")


@pytest.mark.parametrize("target", ["..", "../x", "a/../../x", "/abs"])
def test_a_target_outside_of_the_job_is_refused(code: Path, target: str) -> None:
    with pytest.raises(ValueError, match="outside of the remote root"):
        walk(code, target)


def test_each_project_obeys_its_own_ignore_file(code: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "b.py").touch()
    (other / "data").touch()
    (other / ".torchxignore").write_text("data\n.torchxignore\n")
    first, second = walk_workspace_projects(Workspace({str(code): "", str(other): "sub/"}))
    assert paths(first) == ["lib/a.py", "main.py", "run.sh"]
    assert (second.target, paths(second)) == ("sub", ["b.py"])
