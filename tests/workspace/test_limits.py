from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from torchx.specs.api import Role, Workspace
from torchx.workspace.dir_workspace import DirWorkspaceMixin
from torchx.workspace.limits import (
    SizeLimit,
    WorkspaceTooLargeError,
    limit_bytes,
    warn_of_contents,
)
from torchx.workspace.manifest import manifest_of
from torchx.workspace.tree import Entry, WorkspaceError


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def entry(path: str, size: int) -> Entry:
    return Entry(path, size, 0o644, 0, 0)


LARGE = [entry("small.py", 1_000), entry("data/x.bin", 400_000_000), entry("y.bin", 200_000_000)]


def terminal(monkeypatch: pytest.MonkeyPatch, said: str) -> Terminal:
    """Puts a person at the terminal, and returns what is asked."""
    asked = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stdin", Terminal(said))
    monkeypatch.setattr(sys, "stderr", asked)
    return asked


def test_half_a_gigabyte_is_sent_without_asking() -> None:
    SizeLimit().check("send along", [entry("x", 500_000_000)])


def test_more_is_refused_with_the_largest_files_and_a_way_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    with pytest.raises(WorkspaceTooLargeError) as caught:
        SizeLimit().check("send along", LARGE)
    assert "600.0 MB" in str(caught.value)
    assert "data/x.bin (400.0 MB), y.bin (200.0 MB), small.py (1.0 kB)" in str(caught.value)
    assert "TORCHX_WORKSPACE_LIMIT_MB" in caught.value.hint


def test_a_person_on_a_terminal_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    answer, limit = terminal(monkeypatch, "y\n"), SizeLimit()
    limit.check("read", LARGE)
    limit.check("send along", LARGE)
    assert answer.getvalue().count("Go on? [y/N]") == 1


def test_no_answer_is_no(monkeypatch: pytest.MonkeyPatch) -> None:
    for said in ("\n", "n\n", ""):
        terminal(monkeypatch, said)
        with pytest.raises(WorkspaceTooLargeError):
            SizeLimit().check("send along", LARGE)


def test_a_preview_never_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = terminal(monkeypatch, "y\n")
    with pytest.raises(WorkspaceTooLargeError):
        SizeLimit(asks=False).check("read", LARGE)
    assert answer.getvalue() == ""


@pytest.mark.parametrize(
    ("value", "limit"),
    [("", 500_000_000), ("2000", 2_000_000_000), ("0.5", 500_000), ("off", None), ("0", 0)],
)
def test_the_limit_can_be_moved(
    monkeypatch: pytest.MonkeyPatch, value: str, limit: int | None
) -> None:
    monkeypatch.setenv("TORCHX_WORKSPACE_LIMIT_MB", value)
    assert limit_bytes() == limit


def test_a_limit_that_is_no_number_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHX_WORKSPACE_LIMIT_MB", "much")
    with pytest.raises(WorkspaceError, match="TORCHX_WORKSPACE_LIMIT_MB=much"):
        limit_bytes()


def test_nothing_is_read_or_copied_beyond_the_limit(
    code: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    monkeypatch.setenv("TORCHX_WORKSPACE_LIMIT_MB", "0.00001")
    role = Role(name="r", image="img", workspace=Workspace({str(code): ""}))
    mixin, cfg = DirWorkspaceMixin(), {"job_dir": str(tmp_path / "job")}
    with pytest.raises(WorkspaceTooLargeError, match=r"main\.py"):
        mixin.build_workspaces([role], cfg)
    assert not (tmp_path / "job").exists()
    (preview,) = mixin.preview_workspaces([role], cfg) or []
    assert (preview.digest, preview.sent_files) == (None, 3)
    assert "has to be confirmed" in str(preview)


def test_credentials_and_links_to_elsewhere_are_warned_about(
    code: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (code / "lib" / ".env").touch()
    (code / "away").symlink_to("/etc/passwd")
    (code / "here").symlink_to("main.py")
    warn_of_contents(manifest_of(Workspace({str(code): ""})).items)
    first, second = (record.getMessage() for record in caplog.records)
    assert "credentials are sent along: lib/.env." in first
    assert "what they lead to: away." in second
