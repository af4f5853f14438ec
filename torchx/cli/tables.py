"""Tables: in colour for a person, plain for a pipe."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from torchx.cli.state_colors import paint_state
from torchx.util.colors import is_terminal, use_color

_LEAST_PADDING = 2


def print_table(
    headers: Sequence[str], rows: Sequence[Sequence[str]], state_column: int | None = None
) -> None:
    """Prints a table on standard output.

    Args:
        headers: Titles of the columns.
        rows: The cells of each row.
        state_column: Index of the column that holds states, if there is one.
    """
    if is_terminal(sys.stdout) and use_color(sys.stdout):
        _print_rich(headers, rows, state_column)
    else:
        print(format_table(headers, rows))


def format_table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lays a table out as plain text; cells are shown as they are.

    Args:
        headers: Titles of the columns.
        rows: The cells of each row.

    Returns:
        A line with the titles, a line of dashes and a line per row.
    """
    widths = [
        max([len(header) + _LEAST_PADDING, *(len(row[index]) for row in rows)])
        for index, header in enumerate(headers)
    ]
    lines = [headers, ["-" * width for width in widths], *rows]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def _print_rich(
    headers: Sequence[str], rows: Sequence[Sequence[str]], state_column: int | None
) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for header in headers:
        # A handle that is cut or broken by an ellipsis cannot be copied.
        table.add_column(header, overflow="fold")
    for row in rows:
        cells = [Text(cell) for cell in row]
        if state_column is not None:
            cells[state_column] = Text.from_ansi(paint_state(row[state_column], sys.stdout))
        table.add_row(*cells)
    Console(file=sys.stdout).print(table)
