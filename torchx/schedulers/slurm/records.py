"""What Slurm tells about one job, whichever command and version told it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from torchx.schedulers.slurm.mark import Mark, read_mark
from torchx.schedulers.slurm.states import SLURM_STATES, state_word
from torchx.specs.api import AppState

_NODES_COMMA = re.compile(r",(?![^\[]*\])")
_NODES_RANGE = re.compile(r"(?P<head>[^\[\]]*)\[(?P<ranges>[^\[\]]*)\](?P<tail>.*)")


@dataclass(frozen=True)
class JobRecord:
    """One job, or one component of a heterogeneous job, or one task of a job array.

    Attributes:
        app_id: Id by which torchx knows it: that of the leader, without a component.
        offset: Number of the component, 0 for the first or only one.
        name: Name of the job.
        state: Word of Slurm for its state, possibly with more words behind it.
        reason: Word of Slurm why it waits or has ended, or ``""``.
        nodes: Nodes as Slurm lists them, or ``""``.
        comment: Comment of the job.
        exit_code: Exit code and signal of the batch script, as ``code:signal``, or ``""``.
        restarts: How often Slurm started it again; -1 if it does not say.
        expected_start: When Slurm expects to start it, or ``""``.
        user: Name of the owner, or ``""``.
        working_dir: Directory that it runs in, or ``""``.
        command: Path of its script, or ``""``.
        cpu: Number of its CPUs, -1 if it is not told.
        memory_mib: Its memory in MiB, -1 if it is not told.
    """

    app_id: str
    offset: int = 0
    name: str = ""
    state: str = ""
    reason: str = ""
    nodes: str = ""
    comment: str = ""
    exit_code: str = ""
    restarts: int = -1
    expected_start: str = ""
    user: str = ""
    working_dir: str = ""
    command: str = ""
    cpu: int = -1
    memory_mib: int = -1

    @property
    def app_state(self) -> AppState:
        """State of this component."""
        return SLURM_STATES.get(state_word(self.state), AppState.UNKNOWN)

    @property
    def mark(self) -> Mark | None:
        """What torchx wrote into its comment, if it made the job."""
        return read_mark(self.comment)


def group_by_app(records: Iterable[JobRecord]) -> dict[str, list[JobRecord]]:
    """Sorts the components of many jobs.

    Args:
        records: Components of any jobs, in any order.

    Returns:
        App id -> its components by their numbers.
    """
    apps: dict[str, list[JobRecord]] = {}
    for record in records:
        apps.setdefault(record.app_id, []).append(record)
    for components in apps.values():
        components.sort(key=lambda record: record.offset)
    return apps


def split_replica_name(name: str) -> tuple[str, int] | None:
    """Reads the name of a job as torchx gives it.

    Args:
        name: Name of a job.

    Returns:
        Role and number of the replica; ``None`` if the name is not of that form.
    """
    role, _, replica_id = name.rpartition("-")
    if not role or not (replica_id.isascii() and replica_id.isdigit()):
        return None
    return role, int(replica_id)


def expand_nodes(nodes: str) -> list[str]:
    """Writes out a list of nodes.

    Args:
        nodes: As Slurm has it, such as ``gpu[01-03,7],login1``.

    Returns:
        The names of the nodes.
    """
    return [name for item in _NODES_COMMA.split(nodes) if item for name in _expand(item)]


def _expand(item: str) -> list[str]:
    found = _NODES_RANGE.fullmatch(item)
    if found is None:
        return [item]
    numbers: list[str] = []
    for part in found["ranges"].split(","):
        first, _, last = part.partition("-")
        if not (first.isdigit() and (last or first).isdigit()):
            return [item]
        width = len(first)
        numbers += [f"{n:0{width}d}" for n in range(int(first), int(last or first) + 1)]
    tails = _expand(found["tail"]) if found["tail"] else [""]
    return [f"{found['head']}{n}{tail}" for n in numbers for tail in tails]
