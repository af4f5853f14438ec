from __future__ import annotations

import os
from pathlib import Path

from torchx.specs.api import Role, Workspace
from torchx.workspace.preview import WorkspacePreview, look_at, preview_of


def preview(code: Path, sent: int | None = None, image: str = "img") -> WorkspacePreview:
    workspace = Workspace({str(code): ""})
    projects, manifest = look_at(workspace, (), ())
    entries = [entry for project in projects for entry in project.entries]
    role = Role(name="trainer", image="", workspace=workspace)
    return preview_of(role, image, projects, manifest, entries[:sent])


def test_a_preview_reads_well(code: Path) -> None:
    (code / "data").write_bytes(b"x" * 1500)
    os.mkfifo(code / "pipe")
    assert str(preview(code)).splitlines() == [
        f"{code} for trainer: 4 files, 1.5 kB",
        "  to send: 4 files, 1.5 kB, the largest of them:",
        "       1.5 kB  data",
        "         12 B  main.py",
        "         10 B  run.sh",
        "          6 B  lib/a.py",
        "  left out: pipe: it is neither file, directory nor link",
    ]


def test_what_is_there_already_is_named(code: Path) -> None:
    assert str(preview(code, 0, "sha256:abc")).splitlines()[1:] == [
        "  nothing to send: sha256:abc has it already"
    ]


def test_ten_files_are_shown_and_names_of_any_bytes(code: Path) -> None:
    for number in range(12):
        path = os.fsencode(code) + b"/\xff%d" % number
        Path(os.fsdecode(path)).write_bytes(b"x" * (1000 + number))
    shown = preview(code).largest
    assert len(shown) == 10
    assert shown[0] == ("\\xff11", 1011)
