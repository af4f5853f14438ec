"""Divides an app among the components of a job and the steps that srun starts. Pure.

Slurm's backfill scheduler never puts two components of a job on one node, so replicas become a
component of their own only where they must: replicas that ask for the same make one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from torchx.schedulers.slurm.request import Plan, ReplicaRequest, RolePlan

_BY_NODE = ("gres", "gpus-per-node", "nodes", "exclusive")


@dataclass(frozen=True)
class Component:
    """Replicas that ask for the same.

    Attributes:
        number: Number of the component within the job.
        first: Number of its first replica within the app.
        replicas: The replicas.
        shares_nodes: Whether several of them may run on one node.
    """

    number: int
    first: int
    replicas: Sequence[ReplicaRequest]
    shares_nodes: bool

    def sbatch_opts(self) -> dict[str, str | None]:
        """Returns what to ask Slurm for."""
        options = dict(self.replicas[0].sbatch_opts)
        count = len(self.replicas)
        if count == 1:
            return options
        if "ntasks" in options:
            options["ntasks"] = str(count)
        # What is asked for by the node is meant for one replica.
        if not self.shares_nodes or any(key in options for key in _BY_NODE):
            return {**options, "nodes": options.get("nodes", str(count))}
        if options.get("ntasks-per-node") == "1":
            del options["ntasks-per-node"]
        options["ntasks"] = str(count)
        memory_mib = options.pop("mem", None)
        if memory_mib is not None:
            cpus = int(options.get("cpus-per-task") or 1)
            options["mem-per-cpu"] = str(math.ceil(int(memory_mib) / cpus))
        return options

    def srun_opts(self) -> dict[str, str]:
        """Returns how srun starts the replicas."""
        options = {
            "ntasks": str(len(self.replicas)),
            "export": "ALL",
            **self.replicas[0].srun_keys(),
        }
        if options.get("wait") == "60":
            # A replica that has ended must not be the end of those that go on.
            options["wait"] = "0"
        cpus = self.replicas[0].sbatch_opts.get("cpus-per-task")
        if cpus is not None:
            # Since 22.05 srun does not take it from the job.
            options.setdefault("cpus-per-task", cpus)
        return options


@dataclass(frozen=True)
class Step:
    """What one srun runs.

    Attributes:
        components: Its components.
        own_retries: How often it alone is started again.
        app_retries: How often the whole app is started again after it has failed.
    """

    components: Sequence[Component]
    own_retries: int
    app_retries: int


def layout(replicas: Sequence[ReplicaRequest], plan: Plan) -> list[Step]:
    """Divides the replicas of an app.

    Args:
        replicas: The replicas, in the order of the roles of the plan.
        plan: The roles.

    Returns:
        The steps. Roles share one if their failures have the same consequence.
    """
    steps = []
    first = number = 0
    roles = [role for role in plan.roles if role.num_replicas]
    for (policy, retries, _), group in groupby(roles, _consequence):
        count = sum(role.num_replicas for role in group)
        components = list(_components(replicas[first : first + count], first, number, plan))
        steps.append(
            Step(
                components,
                own_retries=retries if policy == "ROLE" else 0,
                app_retries=retries if policy == "APPLICATION" else 0,
            )
        )
        first += count
        number += len(components)
    return steps


def _consequence(role: RolePlan) -> tuple[str, int, str]:
    if role.retry_policy == "REPLICA":
        return "REPLICA", 0, ""
    return role.retry_policy, role.max_retries, role.name if role.retry_policy == "ROLE" else ""


def _components(
    replicas: Sequence[ReplicaRequest], first: int, number: int, plan: Plan
) -> Iterator[Component]:
    for _, group in groupby(replicas, lambda replica: (replica.sbatch_opts, replica.srun_keys())):
        members = list(group)
        yield Component(number, first, members, plan.shares_nodes)
        first += len(members)
        number += 1
