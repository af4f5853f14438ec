from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import fsspec
import nbclient
import nbformat
import pytest
from IPython.core.interactiveshell import InteractiveShell

from torchx import notebook
from torchx.notebook import WorkspaceFileError, get_workspace, workspacefile


def content(path: str) -> str:
    with fsspec.open(f"{get_workspace()}{path}", "r") as file:
        return str(file.read())


def test_a_cell_becomes_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    workspacefile(" pkg/é main.py  ", "print('ü')\n")
    assert content("pkg/é main.py") == "print('ü')\n"
    assert capsys.readouterr().out == (
        "Added pkg/é main.py to workspace memory://torchx-workspace/\n"
    )
    workspacefile("pkg/é main.py", "again")
    assert content("pkg/é main.py") == "again"


@pytest.mark.parametrize("line", ["", "  ", "/etc/passwd", "../x", "a/../../x", "."])
def test_a_path_that_leads_out_of_the_workspace_is_refused(line: str) -> None:
    with pytest.raises(WorkspaceFileError, match="no path inside of the workspace"):
        workspacefile(line, "")


def test_it_is_a_cell_magic_of_a_shell(capsys: pytest.CaptureFixture[str]) -> None:
    shell = InteractiveShell()  # type: ignore[no-untyped-call]  # IPython has few types
    notebook.load_ipython_extension(shell)
    ran = shell.run_cell("%%workspacefile from_cell.py\nx = 1\n")  # type: ignore[no-untyped-call]  # likewise
    assert ran.success
    assert content("from_cell.py") == "x = 1\n"


@pytest.mark.parametrize(
    ("before", "is_registered"),
    [
        ("", None),
        ("import IPython", None),
        ("import IPython\nIPython.core.interactiveshell.InteractiveShell.instance()", True),
    ],
    ids=["without IPython", "outside of a shell", "in a shell"],
)
def test_importing_it_registers_the_magic_where_there_is_a_shell(
    before: str, is_registered: bool | None
) -> None:
    code = (
        f"import sys\n{before}\nimport torchx.notebook\n"
        "shell = 'IPython' in sys.modules and sys.modules['IPython'].get_ipython()\n"
        "print('workspacefile' in shell.magics_manager.magics['cell'] if shell else None)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == f"{is_registered}\n"


def _cell(source: str) -> dict[str, object]:
    cell = {"cell_type": "code", "source": source, "id": str(abs(hash(source)))}
    return {**cell, "metadata": {}, "outputs": [], "execution_count": None}


def test_cells_of_a_real_kernel_become_files(tmp_path: Path) -> None:
    use = f"with fsspec.open('{get_workspace()}pkg/main.py') as file: exec(file.read())"
    cells = [
        "import fsspec, torchx.notebook",
        "%%workspacefile pkg/main.py\nprint('from a cell')",
        "%%workspacefile ../outside.py\nx = 1",
        use,
    ]
    document = {"cells": [_cell(source) for source in cells], "metadata": {}, "nbformat": 4}
    document["nbformat_minor"] = 5
    notebook = nbformat.from_dict(document)  # type: ignore[no-untyped-call]  # it has few types
    client = nbclient.NotebookClient(
        notebook, timeout=120, allow_errors=True, resources={"metadata": {"path": str(tmp_path)}}
    )
    asyncio.run(client.async_execute())
    _, added, refused, ran = (cell["outputs"] for cell in notebook.cells)
    assert added[0]["text"] == f"Added pkg/main.py to workspace {get_workspace()}\n"
    assert refused[0]["ename"] == "WorkspaceFileError"
    assert ran[0]["text"] == "from a cell\n"
