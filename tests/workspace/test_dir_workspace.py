from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

import fsspec
import pytest

from torchx.schedulers.abilities import PreviewsWorkspaces
from torchx.specs.api import CfgVal, Role, Workspace
from torchx.workspace import copying
from torchx.workspace.dir_workspace import (
    DirWorkspaceMixin,
    JobDirExistsError,
    TmpDirWorkspaceMixin,
    _copy_to_dir,
)
from torchx.workspace.manifest import Item
from torchx.workspace.tree import WorkspaceError


def role(*sources: Path | str, name: str = "r") -> Role:
    return Role(name=name, image="img", workspace=Workspace({str(each): "" for each in sources}))


def files(root: Path | str) -> set[str]:
    return {
        str(path.relative_to(root))
        for path in Path(root).rglob("*")
        if path.is_symlink() or not path.is_dir()
    }


def build(*roles: Role, **cfg: CfgVal) -> None:
    DirWorkspaceMixin().build_workspaces(list(roles), cfg)


@pytest.fixture
def copied(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Paths that are copied."""
    paths: list[str] = []
    original = copying._copy_item

    def recorded(item: Item, path: str) -> int:
        paths.append(item.entry.path)
        return original(item, path)

    monkeypatch.setattr(copying, "_copy_item", recorded)
    return paths


def test_the_code_is_copied_with_modes_times_and_links(code: Path, tmp_path: Path) -> None:
    (code / "inner").symlink_to("lib")
    (code / "dangling").symlink_to("nowhere")
    os.utime(code / "main.py", ns=(5, 1_234_567_890_123_456_789))
    first = role(code)
    build(first, job_dir=str(tmp_path / "job"))
    job = tmp_path / "job"
    assert first.image == str(job)
    assert files(job) == {"main.py", "run.sh", "lib/a.py", "inner", "dangling"}
    assert os.access(job / "run.sh", os.X_OK)
    assert (job / "run.sh").stat().st_mode == (code / "run.sh").stat().st_mode
    assert (job / "main.py").stat().st_mtime_ns == 1_234_567_890_123_456_789
    assert (os.readlink(job / "inner"), os.readlink(job / "dangling")) == ("lib", "nowhere")


def test_without_job_dir_nothing_happens() -> None:
    first = role("invalid")
    build(first)
    DirWorkspaceMixin().build_workspace_and_update_role(first, "invalid", {})
    assert first.image == "img"


def test_a_workspace_that_does_not_exist_gives_an_empty_directory(tmp_path: Path) -> None:
    first = role()
    job = tmp_path / "job"
    DirWorkspaceMixin().build_workspace_and_update_role(first, "invalid", {"job_dir": str(job)})
    assert first.image == str(job)
    assert files(job) == set()


def test_files_of_the_ignore_table_stay_behind(tmp_path: Path) -> None:
    fs = fsspec.filesystem("memory")
    kept = {".torchxignore", "dir/file", "dir/ignorefile", "foo.sh", "ignorefilesuffix", "unignore"}
    ignored = [
        *("ignoredir/bar", "ignoredir/recursive/bar", "three/part/ignore/foo/bar", "dir1/bar"),
        *("dir/ignorefileglob1", "dir/recursive/ignorefileglob2", "ignorefile"),
    ]
    fs.pipe({f"/table/{path}": b"x" for path in [*kept, *ignored]})
    fs.pipe(
        "/table/.torchxignore",
        b"# comment\nignoredir\n  ignorefile  # another\n\nthree/part/ignore\n"
        b"*/ignorefileglo*1\n**/ignorefileglob2\ndir?\nunignore\n!unignore\n.\n",
    )
    _copy_to_dir("memory://table", "memory://copied")
    assert {path.removeprefix("/copied/") for path in fs.find("/copied")} == kept
    _copy_to_dir("memory://table", str(tmp_path / "local"))
    assert files(tmp_path / "local") == kept


def test_roles_with_one_workspace_share_one_copy(
    code: Path, tmp_path: Path, copied: list[str]
) -> None:
    first, second = role(code), role(code, name="s")
    build(first, second, job_dir=str(tmp_path / "job"))
    assert (first.image, second.image) == (str(tmp_path / "job"),) * 2
    assert len(copied) == 3


def test_roles_with_different_workspaces_are_merged(code: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "b.py").touch()
    (other / "main.py").hardlink_to(code / "main.py")
    build(role(code), role(other, name="s"), job_dir=str(tmp_path / "job"))
    build(role(code), role(other, name="s"), job_dir=str(tmp_path / "job"))
    assert files(tmp_path / "job") == {"main.py", "run.sh", "lib/a.py", "b.py"}


def test_roles_that_need_different_files_at_one_place_are_refused(
    code: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "main.py").write_text("another")
    with pytest.raises(WorkspaceError, match=r"different files main\.py"):
        build(role(code), role(other, name="s"), job_dir=str(tmp_path / "job"))


def test_unchanged_code_is_not_copied_again(code: Path, tmp_path: Path, copied: list[str]) -> None:
    for _ in range(2):
        again = role(code)
        build(again, job_dir=str(tmp_path / "job"))
        assert again.image == str(tmp_path / "job")
    assert len(copied) == 3


def test_a_job_directory_of_other_code_is_not_touched(code: Path, tmp_path: Path) -> None:
    job = tmp_path / "job"
    build(role(code), job_dir=str(job))
    (code / "main.py").write_text("new")
    with pytest.raises(FileExistsError, match="is not a copy of") as caught:
        build(role(code), job_dir=str(job))
    assert isinstance(caught.value, JobDirExistsError)
    with pytest.raises(JobDirExistsError):
        DirWorkspaceMixin().preview_workspaces([role(code)], {"job_dir": str(job)})
    assert (job / "main.py").read_text() == "print('hi')\n"


def test_a_job_directory_that_a_job_changed_is_not_used_again(code: Path, tmp_path: Path) -> None:
    build(role(code), job_dir=str(tmp_path / "job"))
    (tmp_path / "job" / "lib" / "a.py").unlink()
    with pytest.raises(FileExistsError):
        build(role(code), job_dir=str(tmp_path / "job"))


def test_a_directory_of_somebody_else_is_not_touched(code: Path, tmp_path: Path) -> None:
    (tmp_path / "job").mkdir()
    with pytest.raises(FileExistsError):
        build(role(code), job_dir=str(tmp_path / "job"))
    assert files(tmp_path / "job") == set()


def test_a_missing_parent_is_named(code: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=f"{tmp_path}/none does not exist"):
        build(role(code), job_dir=str(tmp_path / "none" / "job"))


def test_a_job_directory_must_be_text(code: Path) -> None:
    with pytest.raises(AssertionError, match="job_dir must be str"):
        build(role(code), job_dir=3)


def test_job_directories_in_the_workspace_are_not_copied(
    code: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(code)
    expected = {"main.py", "run.sh", "lib/a.py"}
    for name in ("job1", "job2", "lib/job3"):
        build(role("."), job_dir=name)
        assert files(code / name) == expected


def test_the_home_of_torchx_in_the_workspace_is_not_copied(
    code: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHX_HOME", str(code / ".torchx"))
    for _ in range(2):
        build(role(code), job_dir=str(tmp_path / "job"))
    assert files(tmp_path / "job") == {"main.py", "run.sh", "lib/a.py"}


def test_a_copy_that_fails_leaves_nothing(
    code: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(item: Item, path: str) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(copying, "_copy_item", fail)
    (tmp_path / "place").mkdir()
    with pytest.raises(OSError, match="No space left"):
        build(role(code), job_dir=str(tmp_path / "place" / "job"))
    assert list((tmp_path / "place").iterdir()) == []


def test_a_file_that_changes_while_it_is_copied_is_copied_as_it_is_then(
    code: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, changes = copying._copy_item, iter([True])

    def changing(item: Item, path: str) -> int:
        if item.entry.path == "main.py" and next(changes, False):
            (code / "main.py").write_text("print('ho')\n")
        return original(item, path)

    monkeypatch.setattr(copying, "_copy_item", changing)
    build(role(code), job_dir=str(tmp_path / "job"))
    assert (tmp_path / "job" / "main.py").read_text() == "print('ho')\n"


def test_several_projects_are_copied_to_their_targets(code: Path, tmp_path: Path) -> None:
    workspace = Workspace({str(code / "lib"): "", str(code): "app", str(code / "run.sh"): "go.sh"})
    first = Role(name="r", image="img", workspace=workspace)
    build(first, job_dir=str(tmp_path / "job"))
    assert files(tmp_path / "job") == {
        *("a.py", "app/main.py", "app/run.sh", "app/lib/a.py", "go.sh")
    }


def test_a_subclass_may_name_another_option(code: Path, tmp_path: Path) -> None:
    class Other(DirWorkspaceMixin):
        JOB_DIR_OPTION = "jobdir"

    first = role(code)
    Other().build_workspaces([first], {"jobdir": str(tmp_path / "job"), "job_dir": "none"})
    assert first.image == str(tmp_path / "job")


def test_a_subclass_with_the_older_hook_is_asked(code: Path) -> None:
    class Older(DirWorkspaceMixin):
        def build_workspace_and_update_role(
            self, role: Role, workspace: str, cfg: Mapping[str, CfgVal]
        ) -> None:
            role.image = f"older {workspace}"

    first = role(code)
    Older().build_workspaces([first], {"job_dir": "x"})
    assert first.image == f"older {code}"
    assert Older().preview_workspaces([first], {"job_dir": "x"}) is None


def test_a_preview_copies_nothing(code: Path, tmp_path: Path, copied: list[str]) -> None:
    mixin, job = DirWorkspaceMixin(), str(tmp_path / "job")
    assert isinstance(mixin, PreviewsWorkspaces)
    roles = [role(code), role(code, name="s"), Role(name="t", image="img")]
    found = mixin.preview_workspaces(roles, {"job_dir": job})
    assert found is not None
    (preview,) = found
    assert (preview.roles, preview.sent_files, preview.image) == (["r", "s"], 3, job)
    assert [each.image for each in roles] == [job, job, "img"]
    assert (copied, os.path.exists(job)) == ([], False)
    build(role(code), job_dir=job)
    found = mixin.preview_workspaces([role(code)], {"job_dir": job})
    assert found is not None
    assert found[0].sent_files == 0
    assert mixin.preview_workspaces([role(code)], {}) == []


def test_a_temporary_copy_is_made_for_each_role(code: Path) -> None:
    roles = [role(code), role(code, name="s")]
    TmpDirWorkspaceMixin().build_workspaces(roles, {})
    assert roles[0].image != roles[1].image
    for each in roles:
        assert each.image.startswith(os.path.join(tempfile.gettempdir(), "torchx_workspace"))
        assert files(each.image) == {"main.py", "run.sh", "lib/a.py"}
