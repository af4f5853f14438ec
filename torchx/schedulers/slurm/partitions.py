"""What a cluster allows, asked once, and whether an app fits into it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from torchx.errors import TorchXError
from torchx.schedulers.slurm.options import SlurmOpts
from torchx.schedulers.slurm.parse import number, table_rows
from torchx.schedulers.slurm.queries import FIELD_END
from torchx.specs.api import AppDef, Role

NO_MEMORY_MIB = 1000
"""Partitions whose nodes have no more, in MiB, are those where nobody configured the memory."""

_TIME = re.compile(r"(?:(?P<days>\d+)-)?(?P<clock>\d+(?::\d+){0,2})")
_GRES = re.compile(r"(?P<name>[^:(]+)(?::[^:(]*)*?(?::(?P<count>\d+)[KMG]?)?(?:\([^)]*\))?")
_LIMITLESS = frozenset(("infinite", "UNLIMITED", "n/a", ""))


class SlurmLimitError(TorchXError, ValueError):
    """A cluster would never run an app, because of a limit that the message names."""


@dataclass(frozen=True)
class NodeGroup:
    """Nodes of a partition that are alike.

    Attributes:
        partition: Name of the partition.
        is_default: Whether jobs go there that name no partition.
        is_up: Whether the partition takes jobs.
        max_time_s: Its time limit in seconds, or ``None``.
        nodes: Number of the nodes.
        cpus: CPUs of each.
        memory_mib: Memory of each, in MiB.
        gres: Name of a generic resource -> how many each has.
        features: What each is said to have.
    """

    partition: str
    is_default: bool
    is_up: bool
    max_time_s: int | None
    nodes: int
    cpus: int
    memory_mib: int
    gres: Mapping[str, int]
    features: frozenset[str]


_COLUMNS = ("%P", "%a", "%l", "%D", "%c", "%m", "%G", "%f")
QUERY = ["sinfo", "--noheader", f"--format={FIELD_END.join(_COLUMNS)}"]
"""The command that tells about all partitions."""


def read_partitions(text: str) -> list[NodeGroup]:
    """Reads the answer to :data:`QUERY`.

    Args:
        text: What sinfo printed.

    Returns:
        One entry for each group of nodes; rows that are incomplete are left out.
    """
    groups = []
    for line in text.splitlines():
        values = line.split(FIELD_END)
        if len(values) != len(_COLUMNS):
            continue
        name, up, limit, nodes, cpus, memory, gres, features = values
        groups.append(
            NodeGroup(
                partition=name.rstrip("*"),
                is_default=name.endswith("*"),
                is_up=up == "up",
                max_time_s=time_s(limit),
                nodes=number(nodes, 0),
                cpus=number(cpus.rstrip("+"), 0),
                memory_mib=number(memory.rstrip("+"), 0),
                gres=_read_gres(gres),
                features=frozenset(features.split(",")),
            )
        )
    return groups


def read_memory(table: str, partition: str | None) -> int | None:
    """Reads the memory of a partition from ``sinfo --format %P,%m --noconvert``.

    Args:
        table: What sinfo printed.
        partition: Name of the partition; ``None`` is the default one.

    Returns:
        The memory of its nodes in MiB; ``None`` if it is not told.
    """
    for row in table_rows(table.strip(), ","):
        name = row.get("PARTITION", "")
        if (partition is None and "*" in name) or name.strip("*") == partition:
            memory = number(row.get("MEMORY", "").strip("M+"))
            return None if memory < 0 else memory
    return None


def time_s(text: str) -> int | None:
    """Reads a time limit.

    Args:
        text: As the option ``time`` has it.

    Returns:
        Seconds; ``None`` if there is no limit, or the text is none.
    """
    found = _TIME.fullmatch(text.strip())
    if text in _LIMITLESS or found is None:
        return None
    parts = [int(part) for part in found["clock"].split(":")]
    if found["days"] is not None:
        hours, minutes, seconds = (*parts, 0, 0)[:3]
        return ((int(found["days"]) * 24 + hours) * 60 + minutes) * 60 + seconds
    if len(parts) == 3:
        return (parts[0] * 60 + parts[1]) * 60 + parts[2]
    return parts[0] * 60 + (parts[1] if len(parts) == 2 else 0)


def chosen(groups: Iterable[NodeGroup], partition: str | None) -> list[NodeGroup]:
    """Selects the nodes that a job may run on.

    Args:
        groups: All partitions.
        partition: Names of partitions, separated by commas; ``None`` is the default one.

    Returns:
        Their groups of nodes.
    """
    if partition is None:
        return [group for group in groups if group.is_default]
    names = partition.split(",")
    return [group for group in groups if group.partition in names]


def has_no_memory(groups: Sequence[NodeGroup]) -> bool:
    """Tells whether nobody configured the memory of some nodes, so that none may be asked for.

    Args:
        groups: The nodes that a job may run on.

    Returns:
        True if a job must not ask for memory.
    """
    return bool(groups) and max(group.memory_mib for group in groups) <= NO_MEMORY_MIB


def check(app: AppDef, opts: SlurmOpts, groups: Sequence[NodeGroup]) -> None:
    """Checks that a cluster can ever run an app.

    Args:
        app: The app.
        opts: Run options.
        groups: All partitions of the cluster; none checks nothing.

    Raises:
        SlurmLimitError: It cannot; all reasons at once.
    """
    if not groups:
        return
    nodes = chosen(groups, opts.partition)
    faults = list(_partition_faults(opts, groups))
    if nodes and not faults:
        faults += _time_faults(opts, nodes)
        for role in app.roles:
            faults += _role_faults(role, opts, nodes)
    if faults:
        raise SlurmLimitError(
            f"the cluster would never run `{app.name}`: {'; '.join(faults)}",
            hint="`sinfo -o '%P %l %D %c %m %G %f'` shows what each partition allows",
        )


def _partition_faults(opts: SlurmOpts, groups: Sequence[NodeGroup]) -> Iterable[str]:
    known = {group.partition: group for group in groups}
    for name in opts.partition.split(",") if opts.partition else ():
        if name not in known:
            yield f"there is no partition `{name}`, there are {', '.join(known)}"
        elif not known[name].is_up:
            yield f"the partition `{name}` is down"


def _time_faults(opts: SlurmOpts, nodes: Sequence[NodeGroup]) -> Iterable[str]:
    if opts.time is None:
        return
    wanted_s = time_s(opts.time)
    if wanted_s is None and opts.time not in _LIMITLESS and opts.time != "0":
        yield f"`{opts.time}` is no time, such as 90 (minutes), 1:30:00 or 2-12 (days-hours)"
    limits = [group.max_time_s for group in nodes]
    longest_s = max((limit for limit in limits if limit is not None), default=0)
    if wanted_s is not None and None not in limits and wanted_s > longest_s:
        yield (
            f"the time `{opts.time}` is above the limit of {longest_s // 60} minutes of the"
            f" partition `{nodes[0].partition}`"
        )


def _role_faults(role: Role, opts: SlurmOpts, nodes: Sequence[NodeGroup]) -> Iterable[str]:
    resource = role.resource
    asked = {
        "CPUs": (resource.cpu, max(group.cpus for group in nodes)),
        "MiB of memory": (
            0 if has_no_memory(nodes) else resource.memMB,
            max(group.memory_mib for group in nodes),
        ),
        "GPUs": (
            0 if opts.gres is not None else resource.gpu,
            max(group.gres.get("gpu", 0) for group in nodes),
        ),
    }
    for what, (wanted, most) in asked.items():
        if wanted > most:
            yield (
                f"a replica of `{role.name}` asks for {wanted} {what}, a node of the partition"
                f" `{nodes[0].partition}` has at most {most}"
            )
    if opts.constraint and re.fullmatch(r"[\w.-]+", opts.constraint):
        features = frozenset().union(*(group.features for group in nodes))
        if opts.constraint not in features:
            yield f"no node has the feature `{opts.constraint}`, nodes have {sorted(features)}"


def _read_gres(text: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for item in re.split(r",(?![^(]*\))", text):
        match = _GRES.fullmatch(item.strip())
        if match is not None and item not in ("(null)", ""):
            found[match["name"]] = found.get(match["name"], 0) + int(match["count"] or 1)
    return found
