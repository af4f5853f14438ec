"""The whole request: the command, the components and how they are run. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torchx.errors import TorchXError
from torchx.schedulers.cluster_mounts import refuse_cluster_mounts
from torchx.schedulers.slurm import script
from torchx.schedulers.slurm.layout import layout
from torchx.schedulers.slurm.options import JOB_OPTIONS, SlurmOpts
from torchx.schedulers.slurm.records import split_replica_name
from torchx.schedulers.slurm.request import RANK0_ENV, Plan, ReplicaRequest, RolePlan
from torchx.specs.api import AppDef, Role, macros
from torchx.util.redact import redact_args, redact_env

_RULE = "#" + "-" * 16


@dataclass
class BatchRequest:
    """One job.

    Attributes:
        cmd: Command that submits it, without the path of the script.
        replicas: Its components by their names, in order.
        job_dir: Directory that it runs in; ``None`` is the working directory.
        max_retries: How often to start the whole app again after a failure.
        plan: How its roles are run; ``None`` starts all again together.
        roles: What is kept about its roles, without secrets.
    """

    cmd: list[str]
    replicas: Mapping[str, ReplicaRequest]
    job_dir: str | None
    max_retries: int
    plan: Plan | None = None
    roles: list[dict[str, Any]] | None = None

    def materialize(self) -> str:
        """Returns the batch script, as it is known before the submission.

        Returns:
            The script.
        """
        return self.script(script.Submission())[0]

    def script(self, submission: script.Submission) -> tuple[str, str]:
        """Writes the batch script.

        Args:
            submission: What is only known when it is submitted.

        Returns:
            The script, and the text of the file with the secret values or ``""``.
        """
        replicas = list(self.replicas.values())
        if self.is_plain():
            return script.plain(self.cmd, replicas, self.max_retries, submission), ""
        return script.full(self.cmd, replicas, self.max_retries, self.own_plan(), submission)

    def is_plain(self) -> bool:
        """Tells whether the script has the published form, which needs no state directory."""
        return not script.needs_full(list(self.replicas.values()), self.own_plan())

    def parts(self) -> list[int]:
        """Tells how many replicas each component of the job has."""
        if self.is_plain():
            return [1] * len(self.replicas)
        steps = layout(list(self.replicas.values()), self.own_plan())
        return [len(part.replicas) for step in steps for part in step.components]

    def own_plan(self) -> Plan:
        """Returns the plan; one is made up for a request that was made without."""
        return self.plan if self.plan is not None else self._derived_plan()

    def __repr__(self) -> str:
        shown = self._without_secrets()
        secrets = "".join(
            f"# {name}={value} (from a file that only you can read)\n"
            for name, value in sorted(self._secret_names().items())
        )
        return (
            f"{' '.join([*shown.cmd, '$SBATCH_SCRIPT'])}\n\n"
            f"{_RULE}\n# SBATCH_SCRIPT\n{_RULE}\n{secrets}{shown.materialize()}"
        )

    def _without_secrets(self) -> BatchRequest:
        shown = {
            name: replace(replica, args=redact_args(replica.args))
            for name, replica in self.replicas.items()
        }
        return replace(self, cmd=redact_args(self.cmd), replicas=shown)

    def _secret_names(self) -> dict[str, str]:
        found = {}
        for replica in self.replicas.values():
            for name, value in redact_env(replica.env).items():
                if value != replica.env[name]:
                    found[name] = value
        return found

    def _derived_plan(self) -> Plan:
        counts: dict[str, int] = {}
        for name in self.replicas:
            role, _ = split_replica_name(name) or (name, 0)
            counts[role] = counts.get(role, 0) + 1
        roles = [
            RolePlan(role, count, self.max_retries, "APPLICATION") for role, count in counts.items()
        ]
        return Plan(roles)


def make_cmd(opts: SlurmOpts) -> list[str]:
    """Makes the command that submits a job, without the path of the script.

    Args:
        opts: Run options.

    Returns:
        The command.
    """
    given = [(key, opts.get(key)) for key in (*JOB_OPTIONS, "dependency")]
    options = [f"--{key}={value}" for key, value in given if value is not None]
    return ["sbatch", "--parsable", *options]


def make_plan(app: AppDef, opts: SlurmOpts, num_nodes: int | None) -> Plan:
    """Tells how the roles of an app are run.

    Args:
        app: The app.
        opts: Run options.
        num_nodes: Number of nodes in the partition, if that is known.

    Returns:
        The plan.
    """
    roles = [
        RolePlan(role.name, role.num_replicas, role.max_retries, role.retry_policy.value)
        for role in app.roles
    ]
    shares_nodes = opts.share_nodes
    if shares_nodes is None:
        total = sum(role.num_replicas for role in app.roles)
        shares_nodes = num_nodes is not None and total > num_nodes
    return Plan(roles, signal=opts.signal, requeue=opts.requeue, shares_nodes=shares_nodes)


def make_replicas(
    app: AppDef, from_role: Callable[[str, Role], ReplicaRequest]
) -> dict[str, ReplicaRequest]:
    """Makes the components of all replicas.

    Args:
        app: The app, which is not changed.
        from_role: Makes one component of its name and its role with macros replaced.

    Returns:
        Components by name, in order.

    Raises:
        TorchXError: The app has no replicas, or two roles have the same name.
    """
    refuse_cluster_mounts("Slurm", app.roles)
    replicas: dict[str, ReplicaRequest] = {}
    for role in app.roles:
        for replica_id in range(role.num_replicas):
            name = f"{role.name}-{replica_id}"
            if name in replicas:
                raise AppFormError(
                    f"the app `{app.name}` has two replicas named `{name}`",
                    hint="give its roles different names",
                )
            values = macros.Values(
                img_root=role.image,
                app_id=macros.app_id,
                replica_id=str(replica_id),
                rank0_env=RANK0_ENV,
            )
            replicas[name] = from_role(name, values.apply(role))
    if not replicas:
        raise AppFormError(
            f"the app `{app.name}` has no replica to run", hint="give it a role with replicas"
        )
    return replicas


def ignored(app: AppDef) -> list[str]:
    """Lists what an app asks for and Slurm cannot give.

    Args:
        app: The app.

    Returns:
        A sentence for each thing.
    """
    found = []
    for role in app.roles:
        if role.mounts:
            found.append(f"the mounts of `{role.name}`: replicas see the file system of their node")
        if role.resource.devices:
            names = ", ".join(role.resource.devices)
            found.append(f"the devices of `{role.name}` ({names}): ask for them by the option gres")
    return found


class AppFormError(TorchXError, ValueError):
    """An app cannot be made into a job."""


def kept_roles(roles: Sequence[Role]) -> list[dict[str, Any]]:
    """Collects what other processes are told about the roles of an app.

    Args:
        roles: The roles.

    Returns:
        Plain data, without the environment and without secrets.
    """
    return [
        {
            "name": role.name,
            "image": role.image,
            "entrypoint": role.entrypoint,
            "args": redact_args(role.args),
            "max_retries": role.max_retries,
            "retry_policy": role.retry_policy.value,
            "cpu": role.resource.cpu,
            "gpu": role.resource.gpu,
            "memory_mib": role.resource.memMB,
        }
        for role in roles
    ]
