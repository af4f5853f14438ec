"""Chooses the host of the first replica. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torchx.specs.api import Role

CAPACITY_QUERY = ("bhosts", "-noheader", "-o", "hname max ng")
"""Asks for name, slots and GPUs of each host."""

LOAD_QUERY = ("bhosts", "-noheader", "-o", "hname status njobs")
"""Asks for name, status and used slots of each host."""


@dataclass(frozen=True)
class Host:
    """One host.

    Attributes:
        name: Its name.
        slots: Number of its slots.
        gpus: Number of its GPUs.
    """

    name: str
    slots: int
    gpus: int

    def fits(self, role: Role) -> bool:
        """Tells whether a replica fits when the host is empty."""
        cpu, gpu = max(role.resource.cpu, 1), max(role.resource.gpu, 0)
        return self.slots >= cpu and self.gpus >= gpu


def read_hosts(text: str) -> list[Host]:
    """Reads the answer to :data:`CAPACITY_QUERY`.

    Args:
        text: What bhosts printed.

    Returns:
        The hosts; rows that are incomplete are left out.
    """
    rows = [line.split() for line in text.split("\n")]
    return [Host(row[0], _number(row[1]), _number(row[2])) for row in rows if len(row) >= 3]


def choose_host(hosts: Sequence[Host], role: Role, load: str = "") -> str:
    """Picks the host of the first replica.

    Args:
        hosts: The hosts.
        role: What is to run there.
        load: The answer to :data:`LOAD_QUERY`, if there is one.

    Returns:
        Of the hosts that are large enough, the one that takes jobs and has most free slots; the
        first one if nothing is known about their load.

    Raises:
        ValueError: None is large enough.
    """
    fitting = [host for host in hosts if host.fits(role)]
    if not fitting:
        raise ValueError(
            f"no host has {max(role.resource.cpu, 1)} CPUs and {max(role.resource.gpu, 0)} GPUs for"
            f" the role `{role.name}`; ask for less, or try again when hosts are up"
        )
    rows = [line.split() for line in load.split("\n")]
    told = {row[0]: (row[1] == "ok", -_number(row[2])) for row in rows if len(row) >= 3}

    def worth(host: Host) -> tuple[bool, int]:
        is_open, minus_used = told.get(host.name, (False, 0))
        return is_open, host.slots + minus_used

    return max(fitting, key=worth).name if told else fitting[0].name


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() else 0
