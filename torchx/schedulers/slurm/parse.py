"""Reads the answers of squeue and sacct in the form that torchx asks for. Pure, and total."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from torchx.schedulers.slurm.queries import FIELD_END, RECORD_END, SACCT_COLUMNS, SQUEUE_COLUMNS
from torchx.schedulers.slurm.records import JobRecord

_NOT_TOLD = frozenset(("", "N/A", "(null)", "None assigned", "Unknown"))
_MEMORY = re.compile(r"(?P<number>[0-9.]+)(?P<unit>[KMGTP]?)")
_MIB = {"K": 1 / 1024, "": 1.0, "M": 1.0, "G": 1024.0, "T": 1024.0**2, "P": 1024.0**3}


def read_squeue(text: str) -> list[JobRecord]:
    """Reads the answer to :func:`torchx.schedulers.slurm.queries.squeue`.

    Args:
        text: What squeue printed.

    Returns:
        One record for each component; rows that are incomplete are left out.
    """
    records = []
    for row in text.split(RECORD_END):
        values = [value.strip() for value in row.split(FIELD_END)]
        if len(values) == len(SQUEUE_COLUMNS):
            records.append(_squeue_record(dict(zip(SQUEUE_COLUMNS, values, strict=True))))
    return records


def read_sacct(text: str) -> list[JobRecord]:
    """Reads the answer to :func:`torchx.schedulers.slurm.queries.sacct`.

    Args:
        text: What sacct printed, with its header.

    Returns:
        One record for each component; rows that are incomplete are left out.
    """
    return [_sacct_record(row) for row in _rows(text)]


def exit_status(text: str) -> str:
    """Brings an exit code into the form that sacct has.

    Args:
        text: ``code:signal``, or the status of ``wait`` as some versions of squeue print it.

    Returns:
        ``code:signal``; ``""`` if it is neither.
    """
    if re.fullmatch(r"[0-9]+:[0-9]+", text):
        return text
    if not (text.isascii() and text.isdigit()):
        return ""
    status = int(text)
    return f"{(status >> 8) & 0xFF}:{status & 0x7F}"


def memory_mib(text: str) -> int:
    """Reads an amount of memory.

    Args:
        text: Such as ``4G`` or ``100M``.

    Returns:
        The amount in MiB; -1 if it is none.
    """
    found = _MEMORY.match(text)
    if found is None or found["number"].count(".") > 1 or found["number"] == ".":
        return -1
    return int(float(found["number"]) * _MIB[found["unit"]])


def told(text: str) -> str:
    """Drops the words by which Slurm says that it has no value.

    Args:
        text: A value.

    Returns:
        The value, or ``""``.
    """
    return "" if text in _NOT_TOLD else text


def leader_of(job_id: str) -> tuple[str, int]:
    """Reads the id of a job as sacct writes it.

    Args:
        job_id: ``1853``, ``1853+2`` (a component), ``1853_7`` or ``1853_[7-9%2]`` (of an array).

    Returns:
        Id of the app, and the number of the component or of the task of the array.
    """
    found = re.match(r"([^+_]*)(?:[+_]([0-9]+))?", job_id)
    return (found[1], int(found[2] or 0)) if found is not None else (job_id, 0)


def number(text: str, default: int = -1) -> int:
    """Reads a whole number.

    Args:
        text: Its digits.
        default: What to return for any other text.

    Returns:
        The number.
    """
    return int(text) if text.isascii() and text.isdigit() else default


def table_rows(table: str, separator: str) -> Iterator[dict[str, str]]:
    """Reads a table whose first line names its columns.

    Args:
        table: The table; rows may lack their last values.
        separator: What stands between two values.

    Yields:
        Each row, its values by the names of their columns.
    """
    header, *lines = table.split("\n")
    names = header.split(separator)
    for line in lines:
        yield dict(zip(names, line.split(separator), strict=False))


def _squeue_record(row: Mapping[str, str]) -> JobRecord:
    app_id, offset = row["JobID"], 0
    if number(row["HetJobID"], 0) > 0:
        app_id, offset = row["HetJobID"], number(row["HetJobOffset"], 0)
    elif told(row["ArrayTaskID"]) and number(row["ArrayJobID"], 0) > 0:
        app_id, offset = row["ArrayJobID"], number(row["ArrayTaskID"], 0)
    return JobRecord(
        app_id=app_id,
        offset=offset,
        name=row["Name"],
        state=row["State"],
        reason=row["Reason"],
        nodes=told(row["NodeList"]),
        comment=told(row["Comment"]),
        exit_code=exit_status(row["exit_code"]),
        restarts=number(row["RestartCnt"]),
        expected_start=told(row["StartTime"]),
        user=row["UserName"],
        working_dir=row["WorkDir"],
        command=told(row["Command"]),
        cpu=number(row["NumCPUs"]),
        memory_mib=memory_mib(row["MinMemory"]),
    )


def _sacct_record(row: Mapping[str, str]) -> JobRecord:
    app_id, offset = leader_of(row["JobID"])
    return JobRecord(
        app_id=app_id,
        offset=offset,
        name=row["JobName"],
        state=row["State"],
        reason=row["Reason"],
        nodes=told(row["NodeList"]),
        comment=row["Comment"],
        exit_code=exit_status(row["ExitCode"]),
        user=row["User"],
        working_dir=row["WorkDir"],
        cpu=number(row["AllocCPUS"]),
    )


def _rows(text: str) -> Iterator[dict[str, str]]:
    # A comment may hold newlines; it is the last column, so its lines lack the others.
    row: Sequence[str] = ()
    for line in text.split("\n")[1:]:
        values = line.split(FIELD_END)
        if len(values) >= len(SACCT_COLUMNS):
            if row:
                yield dict(zip(SACCT_COLUMNS, row, strict=True))
            row = [*values[: len(SACCT_COLUMNS) - 1], FIELD_END.join(values[-1:])]
        elif row:
            row = [*row[:-1], f"{row[-1]}\n{line}"]
    if row:
        yield {**dict(zip(SACCT_COLUMNS, row, strict=True)), "Comment": row[-1].rstrip("\n")}
