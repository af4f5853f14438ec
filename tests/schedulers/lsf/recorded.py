"""Reads what the commands of an LSF-compatible system have printed, from tests/fixtures/lsf."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures" / "lsf"


@dataclass(frozen=True)
class Recorded:
    """One command and its answer."""

    command: str
    out: str
    err: str
    code: int


def recorded(name: str) -> list[Recorded]:
    """Reads one file."""
    found = []
    for entry in (FIXTURES / f"{name}.txt").read_text().split("\n$ "):
        body, _, status = entry.rpartition("[exit status ")
        command, *lines = re.sub(r"^\$ ", "", body).split("\n")
        err = [line.removeprefix("[stderr] ") for line in lines if line.startswith("[stderr] ")]
        out = [line for line in lines if not line.startswith("[stderr] ")]
        found.append(Recorded(command, "\n".join(out), "\n".join(err), int(status.rstrip("]\n "))))
    return found
