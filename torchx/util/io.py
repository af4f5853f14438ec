"""Component files, wherever they are."""

from __future__ import annotations

from pathlib import Path

from torchx.errors import TorchXError
from torchx.util import entrypoints

COMPONENTS_DIR: Path = Path("torchx/components")
"""Where the built-in components are, relative to what :py:func:`get_abspath` takes."""


class ConfFileNotFoundError(TorchXError, FileNotFoundError):
    """A component file does not exist."""


def get_abspath(relpath: str) -> str:
    """Returns a path next to the package ``torchx``.

    Args:
        relpath: Path relative to the directory that contains the package.

    Returns:
        The absolute path.
    """
    return str(Path(__file__).resolve().parent.parent.parent / relpath)


def _get_file_contents(conf_file: str) -> str | None:
    path = Path(get_abspath(conf_file))
    return path.read_text(encoding="utf-8") if path.is_file() else None


def read_conf_file(conf_file: str) -> str:
    """Reads a component file.

    An existing file wins. Otherwise the path is that of a built-in, relative to the directory that
    contains the package ``torchx``; the entry point ``torchx.file: get_file_contents`` may provide
    those instead.

    Args:
        conf_file: For example ``my_components.py`` or ``torchx/components/utils.py``.

    Returns:
        Its text.

    Raises:
        FileNotFoundError: If it is neither.
    """
    path = Path(conf_file)
    if path.is_file():
        return path.read_text(encoding="utf-8")
    get_contents = entrypoints.load("torchx.file", "get_file_contents", _get_file_contents)
    contents: str | None = get_contents(conf_file)
    if not contents:
        raise ConfFileNotFoundError(
            f"{conf_file} does not exist and is not a builtin."
            " `torchx builtins` lists the available builtins",
            hint="check the path; a relative one starts at the current directory",
        )
    return contents
