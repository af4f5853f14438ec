"""Writes submit scripts. Pure: what is not known before the submission is passed in.

The text of the user is quoted once, in here-documents that no shell expands, so that it arrives
byte for byte. Secret values are in files of their own, which only the user can read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torchx
from torchx.schedulers.lsf.options import checked_jobdir
from torchx.schedulers.lsf.request import (
    AppFormError,
    Cfg,
    ReplicaJob,
    body_line,
    bsub_line,
    docker_words,
    published_bsub,
    published_jobs,
    replica_jobs,
    reserved_gpus,
)
from torchx.schedulers.lsf.shell_code import BEGIN_JOB, END_JOB, END_OF_JOB, SUBMIT
from torchx.specs.api import AppDef, RetryPolicy
from torchx.util.redact import is_secret_name, redact_args, redact_text
from torchx.util.shell import NoQuote, join, quote

STATE_DIR = "STATE_DIR"
"""What stands for the directory that torchx keeps for an app before that is known."""

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True)
class Placement:
    """What is only known when an app is submitted.

    Attributes:
        rank0_host: Host of the first replica of the first role.
        state_dir: Absolute path of the directory that torchx keeps for the app.
        avoids_rank0: Whether the other replicas keep off that host.
    """

    rank0_host: str
    state_dir: str = STATE_DIR
    avoids_rank0: bool = True


@dataclass(frozen=True)
class SubmitScript:
    """A script that submits an app, and the files that its jobs need.

    Attributes:
        text: The script.
        secrets: File name -> text of the files with secret values.
        secret_names: Names of the variables that are secret.
        jobs: The jobs.
    """

    text: str
    secrets: Mapping[str, str]
    secret_names: Sequence[str]
    jobs: Sequence[ReplicaJob]


def published_script(app_id: str, cmd: Sequence[str], app: AppDef, cfg: Cfg, host: str) -> str:
    """Writes the published form of the script, which a shell expands when it runs it.

    Args:
        app_id: Id of the app.
        cmd: The command that runs the script.
        app: The app.
        cfg: Run options.
        host: Host of the first replica of the first role.

    Returns:
        The script.
    """
    blocks: list[str] = []
    head = ""
    for name, role in published_jobs(app, app_id, host):
        blocks.append(published_bsub(app_id, name, role, cfg, head, host))
        head = head or name
    return "\n".join([*_head(cmd), *blocks]) + "\n"


def submit_script(
    app_id: str, cmd: Sequence[str], app: AppDef, cfg: Cfg, placement: Placement
) -> SubmitScript:
    """Writes the script that submits an app.

    Args:
        app_id: Id of the app.
        cmd: The command that runs the script.
        app: The app, which is not changed.
        cfg: Run options.
        placement: What is known by now.

    Returns:
        The script.

    Raises:
        ValueError: The app cannot be made into jobs.
    """
    jobs = list(replica_jobs(app, app_id, placement.rank0_host))
    if not jobs:
        raise AppFormError(
            f"the app `{app.name}` has no replica to run", hint="give it a role with replicas"
        )
    writer = _Writer(app_id, app, cfg, placement, head=jobs[0].name)
    blocks = [writer.block(job) for job in jobs]
    lines = [
        *_head(cmd),
        f"torchx_state={quote(placement.state_dir)}",
        _read_into("torchx_begin", BEGIN_JOB),
        _read_into("torchx_end", END_JOB),
        SUBMIT,
        *blocks,
        f": >{join([f'{placement.state_dir}/submitted'])}",
        """printf 'torchx: submitted %s\\n' "${torchx_ids[*]}\"""",
    ]
    secrets = {name: text for text, name in writer.secret_files.items()}
    return SubmitScript("\n".join(lines) + "\n", secrets, list(writer.secret_names), jobs)


class _Writer:
    """Writes the submission of each job, and collects the secret values."""

    def __init__(self, app_id: str, app: AppDef, cfg: Cfg, placement: Placement, head: str) -> None:
        self._app_id = app_id
        self._cfg = cfg
        self._placement = placement
        self._head = head
        together = [role for role in app.roles if role.retry_policy == RetryPolicy.APPLICATION]
        self._app_members = sum(role.num_replicas for role in together)
        self._app_retries = max((role.max_retries for role in together), default=0)
        self._logs = checked_jobdir(cfg) or placement.state_dir
        self.secret_files: dict[str, str] = {}
        self.secret_names: dict[str, None] = {}

    def block(self, job: ReplicaJob) -> str:
        """Returns the commands that submit one job."""
        is_head = job.name == self._head
        avoided = self._placement.rank0_host if self._placement.avoids_rank0 else ""
        options = bsub_line(
            self._app_id,
            job.name,
            job.role,
            self._cfg,
            None if is_head else (self._head, avoided),
            self._placement.rank0_host,
            self._logs,
        )
        who = join([job.role.name, str(job.number)])
        body = "\n".join(self._body(job))
        end = END_OF_JOB
        while f"\n{end}\n" in f"\n{body}\n":
            end += "_"
        return f"torchx_submit {who} {options} <<'{end}'\n{body}\n{end}"

    def _body(self, job: ReplicaJob) -> Iterator[str]:
        role = job.role
        group, members, most_retries = self._group(job)
        yield f"torchx_job={job.name}"
        yield f"torchx_state={body_line([self._placement.state_dir])}"
        yield f"torchx_logs={body_line([self._logs])}"
        yield f"torchx_group={group} torchx_members={members}"
        yield f"torchx_retries={role.max_retries} torchx_most_retries={most_retries}"
        plain, secret = _split_env(role.env)
        self.secret_names.update(dict.fromkeys(secret))
        secret_words = [f"export {name}={quote(value)}" for name, value in secret.items()]
        args: list[str] = []
        for number, (arg, shown) in enumerate(zip(role.args, redact_args(role.args), strict=True)):
            if arg == shown:
                args.append(arg)
            else:
                secret_words.append(f"torchx_arg_{number}={quote(arg)}")
                args.append(NoQuote(f'"$torchx_arg_{number}"'))
        mounted = checked_jobdir(self._cfg) if role.workspace else None
        words = docker_words(
            job.name, role, self._cfg, env=plain, gpus=reserved_gpus(), mounted=mounted
        )
        yield "torchx_run() {"
        if secret_words:
            path = f"{self._placement.state_dir}/{self._secrets_file(secret_words)}"
            yield f". {body_line([path])}"
        # What is told to the job comes first: a variable that the role sets itself wins.
        words.insert(3, NoQuote('"$@"'))
        yield f"exec {body_line([*words, *args])}"
        yield "}"

    def _group(self, job: ReplicaJob) -> tuple[str, int, int]:
        """Tells which replicas are started again together: name, number, most retries of any."""
        policy, retries = job.role.retry_policy, job.role.max_retries
        if policy == RetryPolicy.ROLE:
            return f"role-{job.role_number}", job.role.num_replicas, retries
        if policy == RetryPolicy.REPLICA:
            return f"replica-{job.role_number}-{job.number}", 1, retries
        return "app", self._app_members, self._app_retries

    def _secrets_file(self, words: Sequence[str]) -> str:
        text = "".join(f"{word}\n" for word in words)
        return self.secret_files.setdefault(text, f"secrets-{len(self.secret_files)}.sh")


def _split_env(env: Mapping[str, str]) -> tuple[dict[str, str | None], dict[str, str]]:
    """Splits an environment into what may be seen, and what is secret."""
    plain: dict[str, str | None] = {}
    secret: dict[str, str] = {}
    for name, value in env.items():
        if not is_secret_name(name) and redact_text(value) == value:
            plain[name] = value
        elif _VARIABLE.fullmatch(name):
            plain[name], secret[name] = None, value
        else:
            raise AppFormError(
                f"the variable {name!r} is secret, and no shell can hold it",
                hint="give it a name of letters, digits and underscores",
            )
    return plain, secret


def _head(cmd: Sequence[str]) -> list[str]:
    # A newline would end the comment and begin a command.
    how = re.sub(r"([\r\n]+)", r"\1# ", join(cmd))
    return [
        "#!/bin/bash",
        "#",
        f"# Generated by TorchX {torchx.__version__}",
        f"# Run with: {how}",
        "#",
    ]


def _read_into(name: str, text: str) -> str:
    return f"IFS= read -r -d '' {name} <<'{END_OF_JOB}'\n{text}\n{END_OF_JOB}"
