from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchx.specs.workspace import Workspace


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with a program, a package and an empty directory."""
    project = tmp_path / "project"
    (project / "package" / "empty").mkdir(parents=True)
    (project / "run.sh").write_text("#!/bin/sh\n")
    (project / "run.sh").chmod(0o755)
    (project / "package" / "code.py").write_text("x = 1\n")
    return project


@pytest.fixture
def outdir(tmp_path: Path) -> Path:
    """Where workspaces go; does not exist yet."""
    return tmp_path / "not" / "yet" / "there"


def files_in(directory: Path) -> dict[str, str]:
    return {
        str(path.relative_to(directory)): path.read_text()
        for path in directory.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize(
    ("text", "projects"),
    [
        (None, {}),
        ("", {}),
        (" \n", {}),
        ("/a/b", {"/a/b": ""}),
        ("/a: b", {"/a": "b"}),
        ("/a:", {"/a": ""}),
        ("a:b", {"a:b": ""}),
        ("file://.", {"file://.": ""}),
        ("memory://foo", {"memory://foo": ""}),
        ("# comment\n/a:\n/b: x # comment\n", {"/a": "", "/b": "x"}),
        ("/a: null\n/b: ~\n", {"/a": "", "/b": ""}),
        ("{/a: b, /c: d}", {"/a": "b", "/c": "d"}),
        ("{/a: 1, no: ''}", {"/a": "1", "no": ""}),
        ("'/a b'", {"/a b": ""}),
        ("~", {"~": ""}),
        ("~/app", {"~/app": ""}),
        ("@x", {"@x": ""}),
        ("*", {"*": ""}),
        ("!x", {"!x": ""}),
        ("&x", {"&x": ""}),
        ("12", {"12": ""}),
        ("no", {"no": ""}),
        ("/a #b", {"/a #b": ""}),
        ("[a]", {"[a]": ""}),
    ],
)
def test_text_is_a_path_or_a_mapping(text: str | None, projects: dict[str, str]) -> None:
    assert Workspace.from_str(text) == Workspace(projects)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{/a", "while parsing"),
        ("- /a\n- /b", "this is a list"),
        ("{/a: [b]}", "are not two strings"),
        ("{/a: {b: c}}", "are not two strings"),
        ("/a: b: c", "mapping values are not allowed"),
        ("/a: *x", "undefined alias"),
        ("{[a]: b}", "unhashable"),
        ("''", "this is a str"),
    ],
)
def test_malformed_mapping_is_refused_with_reason_and_example(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match="malformed workspace") as caught:
        Workspace.from_str(text)
    assert repr(text) in str(caught.value)
    assert reason in str(caught.value)
    assert "{/path/to/app: '', /path/to/lib: lib}" in str(caught.value)


@given(st.text())
def test_any_text_is_parsed_or_refused_with_one_kind_of_error(text: str) -> None:
    try:
        workspace = Workspace.from_str(text)
    except ValueError:
        return
    assert all(isinstance(part, str) for item in workspace.projects.items() for part in item)


def test_truth_equality_and_hash_follow_the_projects() -> None:
    workspace = Workspace({"/a": "", "/b": "c"})
    same = Workspace({"/b": "c", "/a": ""})
    assert workspace == same
    assert hash(workspace) == hash(same)
    assert workspace != Workspace({"/a": ""})
    assert workspace != {"/a": "", "/b": "c"}
    assert (bool(workspace), bool(Workspace({}))) == (True, False)


@pytest.mark.parametrize(
    ("projects", "is_single", "text"),
    [
        ({}, False, ""),
        ({"/a": ""}, True, "/a"),
        ({"/a": "b"}, False, "/a:b"),
        ({"/a": "", "/b": "c"}, False, "/a;/b:c"),
    ],
)
def test_single_project_and_text(projects: dict[str, str], is_single: bool, text: str) -> None:
    workspace = Workspace(projects)
    assert (workspace.is_unmapped_single_project(), str(workspace)) == (is_single, text)


def test_directories_are_copied_with_modes_and_empty_ones(project: Path, outdir: Path) -> None:
    Workspace({str(project): "sub/dir"}).merge_into(outdir)
    assert files_in(outdir) == {
        "sub/dir/run.sh": "#!/bin/sh\n",
        "sub/dir/package/code.py": "x = 1\n",
    }
    assert (outdir / "sub/dir/package/empty").is_dir()
    assert os.access(outdir / "sub/dir/run.sh", os.X_OK)


def test_later_projects_overwrite_earlier_ones_even_if_read_only(
    project: Path, tmp_path: Path, outdir: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "run.sh").write_text("other")
    (project / "run.sh").chmod(0o444)
    Workspace({str(project): "", str(other): ""}).merge_into(outdir)
    assert files_in(outdir) == {"run.sh": "other", "package/code.py": "x = 1\n"}


@pytest.mark.parametrize(
    ("target", "copy"),
    [("", "run.sh"), ("bin/start", "bin/start"), ("bin/", "bin/run.sh"), ("package", "package")],
)
def test_file_goes_to_its_target(project: Path, outdir: Path, target: str, copy: str) -> None:
    Workspace({str(project / "run.sh"): target}).merge_into(str(outdir))
    assert files_in(outdir) == {copy: "#!/bin/sh\n"}
    assert stat.S_IMODE((outdir / copy).stat().st_mode) == 0o755


def test_file_goes_into_an_existing_directory(project: Path, outdir: Path) -> None:
    Workspace({str(project): "", str(project / "run.sh"): "package"}).merge_into(outdir)
    assert "package/run.sh" in files_in(outdir)


def test_home_is_expanded(project: Path, outdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(project.parent))
    Workspace({"~/project": ""}).merge_into(outdir)
    assert "run.sh" in files_in(outdir)


@pytest.mark.parametrize("target", ["..", "../x", "a/../../x", "/x"])
def test_target_outside_of_the_directory_is_refused_before_anything_is_copied(
    project: Path, outdir: Path, target: str
) -> None:
    workspace = Workspace({str(project): "", str(project / "run.sh"): target})
    with pytest.raises(ValueError, match="lies outside of the remote root"):
        workspace.merge_into(outdir)
    assert not outdir.exists()


def test_missing_project_is_refused_before_anything_is_copied(project: Path, outdir: Path) -> None:
    workspace = Workspace({str(project): "", "/no/such/project": ""})
    with pytest.raises(FileNotFoundError, match="'/no/such/project' does not exist"):
        workspace.merge_into(outdir)
    assert not outdir.exists()


def test_links_are_followed(project: Path, tmp_path: Path, outdir: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "file").write_text("data")
    (project / "data").symlink_to(tmp_path / "data")
    (project / "file").symlink_to(tmp_path / "data" / "file")
    Workspace({str(project): ""}).merge_into(outdir)
    assert files_in(outdir).items() >= {"data/file": "data", "file": "data"}.items()
    assert not any(path.is_symlink() for path in outdir.rglob("*"))


def test_what_cannot_be_copied_is_left_out_with_a_warning(
    project: Path, outdir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    expected = files_in(project)
    (project / "dangling").symlink_to("nowhere")
    (project / "itself").symlink_to("itself")
    (project / "package" / "up").symlink_to("..")
    os.mkfifo(project / "pipe")
    Workspace({str(project): ""}).merge_into(outdir)
    assert files_in(outdir) == expected
    assert sorted(record.getMessage() for record in caplog.records) == [
        f"left out {project}/dangling: it is a link to nothing",
        f"left out {project}/itself: it is a link to nothing",
        f"left out {project}/package/up: it leads back to {project.resolve()}",
        f"left out {project}/pipe: it is neither file nor directory",
    ]


def test_directory_inside_of_the_project_is_not_copied_into_itself(project: Path) -> None:
    expected = files_in(project)
    for _ in range(2):
        Workspace({str(project): ""}).merge_into(project / "jobs" / "1")
        assert files_in(project / "jobs" / "1") == expected


def test_project_that_is_the_directory_itself_is_kept(project: Path) -> None:
    (project / "link").symlink_to("package")
    expected = files_in(project)
    Workspace({str(project): "", str(project / "run.sh"): ""}).merge_into(project)
    assert files_in(project) == expected
    assert (project / "link").is_symlink()


def test_links_that_are_in_the_way_are_not_written_through(
    project: Path, tmp_path: Path, outdir: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "file").write_text("mine")
    outdir.mkdir(parents=True)
    (outdir / "package").symlink_to(elsewhere)
    (outdir / "run.sh").symlink_to(elsewhere / "file")
    Workspace({str(project): ""}).merge_into(outdir)
    assert files_in(elsewhere) == {"file": "mine"}
    assert files_in(outdir) == files_in(project)


def test_file_does_not_replace_a_directory(project: Path, outdir: Path) -> None:
    (outdir / "run.sh").mkdir(parents=True)
    with pytest.raises(IsADirectoryError, match="over the directory"):
        Workspace({str(project): ""}).merge_into(outdir)
