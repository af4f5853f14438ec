"""Jobs from notebooks: cells become files of a workspace, which schedulers can build into images.

In a notebook::

    import torchx.notebook  # or: %load_ext torchx.notebook

    %%workspacefile main.py
    print("hello from a job")

Then hand ``get_workspace()`` to ``Runner.run`` as ``workspace``. The files live in the memory of
the notebook's process, so only that process can build the workspace.
"""

from __future__ import annotations

import sys
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from torchx.errors import TorchXError

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

_WORKSPACE = "memory://torchx-workspace/"


class WorkspaceFileError(TorchXError, ValueError):
    """The first line of a ``%%workspacefile`` cell names no file of the workspace."""


def get_workspace() -> str:
    """Returns the workspace that the cells of this notebook are written to.

    Returns:
        Its URL.
    """
    return _WORKSPACE


def workspacefile(line: str, cell: str) -> None:
    """Writes a cell into the workspace; the cell magic ``%%workspacefile PATH``.

    Args:
        line: Path of the file, relative to the workspace.
        cell: Its content.

    Raises:
        WorkspaceFileError: The path is empty or leads out of the workspace.
    """
    from torchx.util.files import write_bytes

    path = _checked(line.strip())
    fs, root = _file_system()
    write_bytes(fs, f"{root.rstrip('/')}/{path}", cell.encode())
    print(f"Added {path} to workspace {get_workspace()}")


def load_ipython_extension(ipython: Any) -> None:
    """Registers the cell magic, for ``%load_ext torchx.notebook``.

    Args:
        ipython: The interactive shell.
    """
    ipython.register_magic_function(workspacefile, magic_kind="cell")


def _checked(path: str) -> str:
    parts = PurePosixPath(path).parts
    if not parts or ".." in parts or path.startswith("/"):
        raise WorkspaceFileError(
            f"`{path}` is no path inside of the workspace",
            hint="write `%%workspacefile PATH` with a relative path, such as `pkg/main.py`",
        )
    return path


def _file_system() -> tuple[AbstractFileSystem, str]:
    from fsspec.core import url_to_fs

    fs, root = url_to_fs(get_workspace())
    return fs, str(root)


def _register_if_interactive() -> None:
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if shell is not None:
        load_ipython_extension(shell)


# Importing the module has always been all that a notebook needs to do.
_register_if_interactive()
