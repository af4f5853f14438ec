from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import fsspec
import pytest

from torchx.specs.api import Workspace
from torchx.workspace.manifest import manifest_of
from torchx.workspace.provenance import DIFF_LIMIT_BYTES, SourceProvenance, provenance_of


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    process = subprocess.run(
        ["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True
    )
    return process.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repo"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "topic")
    (folder / "a.py").write_text("old = 1\n")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "first")
    return folder


def one(source: Path | str, time_limit_s: float = 60) -> SourceProvenance:
    (found,) = provenance_of(Workspace({str(source): ""}), time_limit_s=time_limit_s)
    return found


def test_a_clean_checkout_is_named_by_its_revision(repository: Path) -> None:
    revision = git(repository, "rev-parse", "HEAD")
    assert one(repository) == SourceProvenance(str(repository), None, revision, "topic")


def test_changes_that_are_not_committed_are_told(repository: Path) -> None:
    (repository / "a.py").write_text("old = 2\n")
    (repository / "new.py").touch()
    found = one(repository)
    assert found.is_dirty
    assert "-old = 1\n+old = 2\n" in found.diff
    assert found.diff.startswith("# untracked: new.py\n")


def test_only_the_project_counts_not_the_whole_repository(repository: Path) -> None:
    (repository / "project").mkdir()
    (repository / "a.py").write_text("old = 2\n")
    found = one(repository / "project")
    assert (found.git_branch, found.is_dirty, found.diff) == ("topic", False, "")
    assert one(repository / "a.py").is_dirty


def test_secrets_do_not_reach_the_diff(repository: Path) -> None:
    (repository / "a.py").write_text('api_key = "s3cr3t"\nurl = "http://me:s3cr3t@host"\n')
    found = one(repository)
    assert "s3cr3t" not in found.diff
    assert "api_key = <redacted>" in found.diff


def test_a_long_diff_is_cut_between_lines(repository: Path) -> None:
    line = "token: " + "7f" * 30 + "\n"
    (repository / "a.py").write_text(line * (2 * DIFF_LIMIT_BYTES // len(line)))
    found = one(repository)
    assert len(found.diff.encode()) < DIFF_LIMIT_BYTES + 100
    assert "7f7f" not in found.diff
    assert found.diff.endswith("# the rest of the diff is left out\n")


def test_a_repository_cannot_have_programs_run(repository: Path, tmp_path: Path) -> None:
    spy = tmp_path / "spy"
    spy.write_text(f"#!/bin/sh\ntouch {tmp_path}/was-run\n")
    spy.chmod(0o755)
    for option in ("core.fsmonitor", "diff.external", "diff.spy.textconv", "core.pager"):
        git(repository, "config", option, str(spy))
    (repository / ".gitattributes").write_text("*.py diff=spy\n")
    (repository / "a.py").write_text("old = 2\n")
    assert "+old = 2" in one(repository).diff
    assert not (tmp_path / "was-run").exists()


def test_variables_of_git_do_not_lead_elsewhere(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_DIR", str(repository / ".git"))
    assert one(tmp_path).git_revision is None


def test_without_commit_there_is_no_revision(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "-b", "main")
    (tmp_path / "a.py").touch()
    git(tmp_path, "add", "a.py")
    found = one(tmp_path)
    assert (found.git_revision, found.git_branch, found.is_dirty) == (None, "main", True)


def test_without_git_nothing_is_known(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert one(repository) == SourceProvenance(str(repository))


def test_git_that_hangs_is_given_up(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = tmp_path / "bin" / "git"
    slow.parent.mkdir()
    slow.write_text("#!/bin/sh\nexec sleep 1000\n")
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", f"{slow.parent}{os.pathsep}{os.environ['PATH']}")
    start_s = time.monotonic()
    assert one(repository, time_limit_s=0.2) == SourceProvenance(str(repository))
    assert time.monotonic() - start_s < 500


def test_what_was_sent_along_is_named_by_its_digest(repository: Path) -> None:
    fsspec.filesystem("memory").pipe("/provenance/a", b"")
    workspace = Workspace({str(repository): "", "memory://provenance": "x"})
    manifest = manifest_of(workspace)
    local, remote = provenance_of(workspace)
    assert local.digest == manifest.project_digests[str(repository)]
    assert (remote.path, remote.git_revision) == ("memory://provenance", None)
