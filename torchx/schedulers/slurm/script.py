"""Writes batch scripts. Pure: what is not known before the submission is passed in."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torchx
from torchx.schedulers.slurm.layout import Step, layout
from torchx.schedulers.slurm.request import (
    Plan,
    ReplicaRequest,
    app_id_word,
    directive,
    file_name,
    option_words,
)
from torchx.schedulers.slurm.shell_code import RUN_STEPS
from torchx.schedulers.slurm.task_code import task_code
from torchx.util.shell import quote

SECRETS_FILE = "secrets.sh"
"""File in the state directory that holds the secret values, readable by the owner only."""

_SEPARATOR = " :\\\n     "
_UNLIMITED = 1_000_000

_PLAIN_END = """\
exitcode=$?
set -e

echo "job exited with code $exitcode"
if [ $exitcode -ne 0 ]; then
    if [ "$TORCHX_MAX_RETRIES" -gt "${SLURM_RESTART_COUNT:-0}" ]; then
        scontrol requeue "$SLURM_JOB_ID"
    fi
    exit $exitcode
fi
"""


@dataclass(frozen=True)
class Submission:
    """What is only known when a request is submitted.

    Attributes:
        comment: Comment to write into the script, or ``None``.
        state_dir: Absolute path of the directory that torchx keeps for the job, or ``""``.
    """

    comment: str | None = None
    state_dir: str = ""


def plain(
    cmd: Sequence[str],
    replicas: Sequence[ReplicaRequest],
    max_retries: int,
    submission: Submission,
) -> str:
    """Writes the script of an app without environment that is always started again as a whole.

    Args:
        cmd: The command that submits the script.
        replicas: The replicas, each of which becomes a component.
        max_retries: How often to start the job again after a failure.
        submission: What is known by now.

    Returns:
        The script, in the published form.
    """
    options = [(replica.name, replica.sbatch_opts) for replica in replicas]
    lines = [
        *_head(cmd, options, submission),
        "set -evx",
        "",
        *_exports(max_retries),
        "",
        "set +e",
        "srun " + _SEPARATOR.join(" ".join(replica.materialize()[1]) for replica in replicas),
    ]
    return "\n".join(lines) + "\n" + _PLAIN_END


def full(
    cmd: Sequence[str],
    replicas: Sequence[ReplicaRequest],
    max_retries: int,
    plan: Plan,
    submission: Submission,
) -> tuple[str, str]:
    """Writes the script of any app.

    Args:
        cmd: The command that submits the script.
        replicas: The replicas, in the order of the roles of the plan.
        max_retries: How often to start the whole app again after a failure.
        plan: What else there is to know.
        submission: What is known by now.

    Returns:
        The script, and the text of the file with the secret values or ``""``.
    """
    most_retries = max((role.max_retries for role in plan.roles), default=0)
    may_requeue = most_retries > 0 if plan.requeue is None else plan.requeue
    requeues = _UNLIMITED if plan.requeue else most_retries if may_requeue else 0
    steps = layout(replicas, plan)
    code = task_code(replicas, plan)
    lines = [
        *_head(cmd, list(_components(steps, may_requeue, plan.signal)), submission),
        "set -e",
        "",
        *_exports(max_retries),
        f"export TORCHX_STATE_DIR={quote(submission.state_dir)}",
        'export TORCHX__APP_ID="$SLURM_JOB_ID"',
        'export TORCHX__RANK0="$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)"',
        "",
        *code.values,
        *([f'. "$TORCHX_STATE_DIR/{SECRETS_FILE}"'] if code.secrets else []),
        f"export TORCHX__START={quote(code.program)}",
        "",
        *(_step_function(number, step, steps) for number, step in enumerate(steps)),
        "",
        f"torchx_own_retries=({' '.join(str(step.own_retries) for step in steps)})",
        f"torchx_app_retries=({' '.join(str(step.app_retries) for step in steps)})",
        f"torchx_requeues={requeues}",
    ]
    return "\n".join(lines) + "\n" + RUN_STEPS, "".join(f"{line}\n" for line in code.secrets)


def needs_full(replicas: Sequence[ReplicaRequest], plan: Plan) -> bool:
    """Tells whether the published form of the script cannot do what an app asks for.

    Args:
        replicas: The replicas.
        plan: What else there is to know.

    Returns:
        True if there is an environment, a policy for roles or replicas, a name that is no file
        name, a signal or a choice about requeueing.
    """
    return (
        any(replica.env or file_name(replica.name) != replica.name for replica in replicas)
        or any(role.retry_policy != "APPLICATION" for role in plan.roles)
        or plan.signal is not None
        or plan.requeue is not None
    )


_Options = Mapping[str, str | None]


def _head(
    cmd: Sequence[str], components: Sequence[tuple[str, _Options]], submission: Submission
) -> Iterator[str]:
    # A newline in an option would end the comment and begin a command.
    how = re.sub(r"([\r\n]+)", r"\1# ", " ".join(map(quote, cmd))).replace("\r", "")
    yield from ("#!/bin/bash", "#", f"# Generated by TorchX {torchx.__version__}")
    yield from (f"# Run with: {how}", "#")
    for number, (name, given) in enumerate(components):
        if number:
            yield "#SBATCH hetjob"
        options = dict(given)
        job_name = options.pop("job-name", None) or file_name(name)
        yield directive([f"--job-name={job_name}", *option_words(options)])
        if not number and submission.comment is not None:
            yield directive([f"--comment={submission.comment}"])
    yield ""


def _components(
    steps: Sequence[Step], may_requeue: bool, signal: str | None
) -> Iterator[tuple[str, _Options]]:
    changes: dict[str, str | None] = {"requeue" if may_requeue else "no-requeue": None}
    if signal is not None:
        changes["signal"] = f"B:USR1@{signal.partition('@')[2] or '60'}"
    for step in steps:
        for component in step.components:
            options = component.sbatch_opts()
            options.pop("requeue", None)
            yield component.replicas[0].name, {**changes, **options}


def _step_function(number: int, step: Step, steps: Sequence[Step]) -> str:
    is_heterogeneous = sum(len(each.components) for each in steps) > 1
    commands = []
    for component in step.components:
        options = component.srun_opts()
        if is_heterogeneous:
            options = {"het-group": str(component.number), **options}
        words = [app_id_word(word) for word in option_words(options)]
        first = step.components[0].first
        words += ["bash", "-c", """'eval "$TORCHX__START"'""", "torchx", str(first)]
        commands.append(" ".join(words))
    return f"torchx_step_{number}() {{\nexec srun {_SEPARATOR.join(commands)}\n}}"


def _exports(max_retries: int) -> list[str]:
    return [
        "export PYTHONUNBUFFERED=1",
        "export SLURM_UNBUFFEREDIO=1",
        f"export TORCHX_MAX_RETRIES={max_retries}",
    ]
