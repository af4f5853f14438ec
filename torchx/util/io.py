"""Component files, wherever they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torchx.errors import TorchXError
from torchx.util import entrypoints

if TYPE_CHECKING:
    from pathlib import Path

COMPONENTS_DIR: Path
"""Where the built-in components are, relative to what :py:func:`get_abspath` takes."""


def __getattr__(name: str) -> Any:
    if name != "COMPONENTS_DIR":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from pathlib import Path

    return Path("torchx/components")


class ConfFileNotFoundError(TorchXError, FileNotFoundError):
    """A component file does not exist."""


def get_abspath(relpath: str) -> str:
    """Returns a path next to the package ``torchx``.

    Args:
        relpath: Path relative to the directory that contains the package.

    Returns:
        The absolute path.
    """
    from pathlib import Path

    return str(Path(__file__).resolve().parent.parent.parent / relpath)


def _get_file_contents(conf_file: str) -> str | None:
    from pathlib import Path

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
    from pathlib import Path

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
