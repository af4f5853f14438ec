from __future__ import annotations

from torchx.cli.tables import format_table


def test_columns_are_as_wide_as_their_widest_cell_and_cells_stay_as_they_are() -> None:
    rows = [["slurm://torchx/14", "007", "FAILED"], ["slurm://torchx/15", "1e3", "RUNNING"]]
    assert format_table(["APP HANDLE", "APP NAME", "APP STATUS"], rows).splitlines() == [
        "APP HANDLE         APP NAME    APP STATUS",
        "-----------------  ----------  ------------",
        "slurm://torchx/14  007         FAILED",
        "slurm://torchx/15  1e3         RUNNING",
    ]


def test_a_table_without_rows_still_has_its_titles() -> None:
    assert format_table(["ID", "VALUE"], []) == "ID    VALUE\n----  -------"
