"""The run options of the ``slurm`` scheduler."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import cast

from torchx.schedulers.structured_opts import CFG_KEY, StructuredOpts
from torchx.specs.api import CfgVal

JOB_OPTIONS = ("comment", "mail-user", "mail-type", "account")
"""Options of the whole job, given to sbatch on its command line, in this order."""

GROUP_OPTIONS = ("partition", "time", "constraint", "qos")
"""Options of each replica, written into the script, in this order."""

MORE_GROUP_OPTIONS = ("reservation", "nodelist", "exclude", "gres")
"""Further options of each replica."""


@dataclass
class SlurmOpts(StructuredOpts):
    """Run options; each field is documented by the text below it, which is also the help."""

    account: str | None = None
    """account to charge the job to"""

    partition: str | None = None
    """partition to run in; by default that of the cluster"""

    time: str | None = None
    """longest time that the job may run, as minutes, minutes:seconds, hours:minutes:seconds,
    days-hours, days-hours:minutes or days-hours:minutes:seconds"""

    comment: str | None = None
    """comment to put on the job"""

    constraint: str | None = None
    """features that the nodes must have"""

    mail_user: str | None = field(default=None, metadata={CFG_KEY: "mail-user"})
    """who gets mail about the job"""

    mail_type: str | None = field(default=None, metadata={CFG_KEY: "mail-type"})
    """which events send mail, such as BEGIN,END,FAIL"""

    job_dir: str | None = None
    """directory for the copy of the workspace and for the outputs, on a file system that all nodes
    share; created if it does not exist. By default a job runs in the current directory, without
    copying the workspace"""

    qos: str | None = None
    """Quality of Service to ask for"""

    reservation: str | None = None
    """reservation to take nodes from"""

    dependency: str | None = None
    """jobs to wait for, such as afterok:123"""

    nodelist: str | None = None
    """nodes to run on, such as node[1-4]"""

    exclude: str | None = None
    """nodes not to run on"""

    exclusive: bool = False
    """share no node with other jobs"""

    gres: str | None = None
    """generic resources of each replica, such as gpu:a100:2, in place of what its role says"""

    job_name: str | None = None
    """name that squeue shows, in place of <role>-<replica>"""

    requeue: bool | None = None
    """whether Slurm starts the job again after a node failure or preemption; by default if the app
    has retries left. True ignores their number"""

    share_nodes: bool | None = None
    """whether several replicas may run on one node; by default only if the app has more replicas
    than the partition has nodes"""

    signal: str | None = None
    """signal to send to the replicas before the time limit, as NAME@seconds (USR1@120), so that
    they can save a checkpoint. If they then end with a failure, the job is requeued as long as it
    has retries left"""

    sbatch_opts: dict[str, str] | None = None
    """further options of sbatch for each replica, by their long names without dashes"""

    srun_opts: dict[str, str] | None = None
    """further options of srun for each replica, by their long names without dashes"""

    def __post_init__(self) -> None:
        # Also accepts one mapping; then it holds its keys only, as the earlier option type did.
        given = cast(object, self.account)
        self._given: tuple[str, ...] | None = None
        if isinstance(given, Mapping):
            self.__dict__.update(vars(type(self).from_cfg({"account": None, **given})))
            self._given = tuple(given)

    def __iter__(self) -> Iterator[str]:
        return super().__iter__() if self._given is None else iter(self._given)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def options_of(cfg: Mapping[str, CfgVal]) -> SlurmOpts:
    """Reads a run config of any form.

    Args:
        cfg: The options, or a mapping of their keys. Unknown keys are ignored.

    Returns:
        The options.

    Raises:
        ValueError: A value cannot be what it should.
    """
    if isinstance(cfg, SlurmOpts):
        return cfg
    opts = SlurmOpts.from_cfg(cfg)
    for key in (*JOB_OPTIONS, *GROUP_OPTIONS, *MORE_GROUP_OPTIONS, "job_dir", "dependency"):
        value = opts.get(key)
        if value is not None and not isinstance(value, str):
            raise ValueError(f"the run option `{key}` must be text, not {value!r}")
        if value is not None and ("\n" in value or "\0" in value) and key != "comment":
            raise ValueError(f"the run option `{key}` must be one line, not {value!r}")
    return opts
