"""Help texts of command lines, at a lower price."""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any


class HelpFormatter(argparse.HelpFormatter):
    """Formats help for the width of the terminal.

    ``argparse`` makes a formatter for each argument that is declared, and asks ``shutil`` for the
    width, which takes longer to import than ``argparse`` itself.

    Args:
        prog: Name of the program.
        options: As in ``argparse``.
    """

    def __init__(self, prog: str, **options: Any) -> None:
        super().__init__(prog, **{"width": _terminal_columns() - 2, **options})


def _terminal_columns() -> int:
    """Does what ``shutil.get_terminal_size`` does, for the width alone."""
    configured = os.environ.get("COLUMNS", "")
    if configured.isdecimal() and int(configured) > 0:
        return int(configured)
    try:
        return os.get_terminal_size(sys.__stdout__.fileno()).columns or 80  # type: ignore[union-attr]
    except (AttributeError, ValueError, OSError):
        # There is no output, or it was closed, or is no terminal.
        return 80
