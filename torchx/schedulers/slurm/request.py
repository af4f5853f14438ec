"""Turns an app into what is submitted: options of sbatch and srun, and the batch script. No I/O."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TypeVar

from torchx.schedulers.slurm.options import GROUP_OPTIONS, MORE_GROUP_OPTIONS, SlurmOpts
from torchx.specs.api import Role, macros
from torchx.util.shell import quote

RANK0_ENV = "SLURM_JOB_NODELIST_HET_GROUP_0"
"""Name of the variable that holds the host of the first replica of the first role."""

_SAFE_NAME = re.compile(r"[A-Za-z0-9_.+@,:=][A-Za-z0-9_.+@,:=-]*")
_SAFE_VALUE = re.compile(r"[^\s\"'\\#]*")
_LONGEST_NAME = 100

R = TypeVar("R", bound="ReplicaRequest")


@dataclass
class ReplicaRequest:
    """One replica: a component of the job.

    Attributes:
        name: Name of the component, ``<role>-<replica>``.
        entrypoint: The program.
        args: Its arguments.
        srun_opts: Options of srun.
        sbatch_opts: Options of sbatch; ``None`` stands for a flag.
        env: Environment variables of the role.
    """

    name: str
    entrypoint: str
    args: list[str]
    srun_opts: dict[str, str]
    sbatch_opts: dict[str, str | None]
    env: dict[str, str]

    def materialize(self) -> tuple[list[str], list[str]]:
        """Returns the words for sbatch and for srun, as one replica alone would have them.

        Returns:
            Options of sbatch, and the words of an srun command line, quoted for a shell.
        """
        sbatch = [f"--job-name={self.name}", *option_words(self.sbatch_opts)]
        srun = option_words(self.srun_opts)
        if self.env:
            pairs = ",".join(f"{name}={value}" for name, value in self.env.items())
            srun.append(f"--export=ALL,{pairs}")
        return sbatch, [app_id_word(word) for word in (*srun, self.entrypoint, *self.args)]

    def srun_keys(self) -> dict[str, str]:
        """Returns the options of srun that replicas of one step have in common."""
        own = ("output", "error")
        return {key: value for key, value in self.srun_opts.items() if key not in own}


@dataclass
class RolePlan:
    """How a role is run.

    Attributes:
        name: Name of the role.
        num_replicas: Number of its replicas.
        max_retries: How often to try again.
        retry_policy: What to start again.
    """

    name: str
    num_replicas: int
    max_retries: int
    retry_policy: str


@dataclass
class Plan:
    """What a job needs beyond its replicas.

    Attributes:
        roles: Its roles, in the order of their replicas.
        signal: Signal to send before the time limit, as ``NAME@seconds``, or ``None``.
        requeue: Whether Slurm may start the job again; ``None`` leaves it to the retries.
        shares_nodes: Whether several replicas may run on one node.
    """

    roles: list[RolePlan] = field(default_factory=list)
    signal: str | None = None
    requeue: bool | None = None
    shares_nodes: bool = False


def replica_from_role(
    cls: type[R],
    name: str,
    role: Role,
    opts: SlurmOpts,
    *,
    nomem: bool,
    uses_gpus_per_node: Callable[[], bool],
) -> R:
    """Makes the component of one replica.

    Args:
        cls: What to make.
        name: Name of the component.
        role: The role, with macros replaced.
        opts: Run options.
        nomem: Whether the partition has no memory to ask for.
        uses_gpus_per_node: Whether this Slurm takes GPUs by the node; asked only if there are any.

    Returns:
        The component.
    """
    sbatch_opts: dict[str, str | None] = {"requeue": None}
    for key in (*GROUP_OPTIONS, *MORE_GROUP_OPTIONS):
        value = getattr(opts, key)
        if value is not None:
            sbatch_opts[key] = str(value)
    if opts.exclusive:
        sbatch_opts["exclusive"] = None
    sbatch_opts["ntasks-per-node"] = "1"
    resource = role.resource
    if resource.cpu > 0:
        sbatch_opts["cpus-per-task"] = str(resource.cpu)
    if not nomem and resource.memMB > 0:
        sbatch_opts["mem"] = str(resource.memMB)
    if resource.gpu > 0 and opts.gres is None:
        if uses_gpus_per_node():
            sbatch_opts["gpus-per-node"] = str(resource.gpu)
        else:
            # Versions before 24.11 refuse GPUs by the task without a number of tasks.
            sbatch_opts["gpus-per-task"] = str(resource.gpu)
            sbatch_opts["ntasks"] = "1"
    if opts.job_name is not None:
        sbatch_opts["job-name"] = opts.job_name
    sbatch_opts.update(opts.sbatch_opts or {})
    return cls(
        name=name,
        entrypoint=role.entrypoint,
        args=list(role.args),
        srun_opts={
            "output": f"{log_stem(macros.app_id, name)}.out",
            "error": f"{log_stem(macros.app_id, name)}.err",
            "wait": "60",
            "kill-on-bad-exit": "1",
            **(opts.srun_opts or {}),
        },
        sbatch_opts=sbatch_opts,
        env=dict(role.env),
    )


def log_stem(app_id: str, name: str) -> str:
    """Names the log files of a replica, without their endings.

    Args:
        app_id: Id of the app.
        name: Name of the component.

    Returns:
        A file name.
    """
    return f"slurm-{app_id}-{file_name(name)}"


def file_name(name: str) -> str:
    """Turns a name into one that is safe in a path, for srun and for sbatch.

    Args:
        name: Name of a role, or of a component (``<role>-<replica>``).

    Returns:
        The name itself where it is safe; else a shortened form of it that no other role has.
    """
    role, dash, number = name.rpartition("-")
    if not (dash and role and number.isascii() and number.isdigit()):
        role, dash, number = name, "", ""
    if _SAFE_NAME.fullmatch(role) and len(role) <= _LONGEST_NAME and role.strip("."):
        return name
    digest = sha256(role.encode("utf-8", "surrogatepass")).hexdigest()[:10]
    kept = re.sub(r"[^A-Za-z0-9_.+-]+", "_", role)[:_LONGEST_NAME].lstrip("-.")
    return f"{kept or 'role'}-{digest}{dash}{number}"


def option_words(options: Mapping[str, str | None]) -> list[str]:
    """Writes options as words.

    Args:
        options: Long name -> value; ``None`` stands for a flag.

    Returns:
        The words, not quoted.
    """
    return [f"--{key}" if value is None else f"--{key}={value}" for key, value in options.items()]


def app_id_word(text: str) -> str:
    """Quotes text for the batch script, in which the app id is the number of the job.

    Args:
        text: The text; ``${app_id}`` in it stands for the id.

    Returns:
        Text that the shell of the batch script reads as one word.
    """
    return '"$SLURM_JOB_ID"'.join(map(script_word, text.split(macros.app_id)))


def script_word(text: str) -> str:
    r"""Quotes text for the batch script, which must not hold ``\r\n``: sbatch refuses that.

    Args:
        text: The text.

    Returns:
        Text that a bash reads as one word.
    """
    return r"$'\r'".join(map(quote, text.split("\r")))


def directive(words: Iterable[str]) -> str:
    """Writes one line of options for sbatch at the head of the script.

    Args:
        words: The options.

    Returns:
        The line.

    Raises:
        ValueError: A value has more than one line.
    """
    return f"#SBATCH {' '.join(map(_directive_word, words))}"


def _directive_word(word: str) -> str:
    if "\n" in word or "\0" in word:
        raise ValueError(f"an option of sbatch must be one line, not {word!r}")
    if _SAFE_VALUE.fullmatch(word):
        return word
    name, equals, value = word.partition("=")
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'{name}{equals}"{escaped}"'
