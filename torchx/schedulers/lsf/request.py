"""Turns roles into the words of docker and bsub. No I/O."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256

from torchx.errors import TorchXError
from torchx.schedulers.lsf.options import bsub_words, checked_jobdir, text_option
from torchx.specs.api import (
    AppDef,
    BindMount,
    CfgVal,
    DeviceMount,
    Role,
    VolumeMount,
    macros,
)
from torchx.util.shell import NoQuote, join

RANK0_ENV = "TORCHX_RANK0_HOST"
"""Name of the variable that holds the host of the first replica of the first role."""

_MOUNTS = (BindMount, DeviceMount, VolumeMount)

Cfg = Mapping[str, CfgVal]

# LSF keeps at most 59 characters of a project, and file systems 255 of a file name.
_LONGEST_ID = 59
_LONGEST_ROLE = 100


class AppFormError(TorchXError, ValueError):
    """An app cannot be made into jobs."""


@dataclass(frozen=True)
class ReplicaJob:
    """One replica: a job of its own.

    Attributes:
        name: Name of the job.
        role: The role, with macros replaced.
        role_number: Number of the role within the app.
        number: Number of the replica within the role.
    """

    name: str
    role: Role
    role_number: int
    number: int


def cleanup_str(data: str) -> str:
    """Turns text into a name that LSF and docker take.

    Args:
        data: Any text.

    Returns:
        The text in lower case, without one leading dash and without all that is neither an ASCII
        letter, a digit, a dash nor an underscore.
    """
    return re.sub(r"[^a-z0-9\-_]", "", data.removeprefix("-").lower())


def make_app_id(unique_name: str) -> str:
    """Turns a unique name into the id of an app, which is the name of an LSF project.

    Args:
        unique_name: Name of the app with a random ending.

    Returns:
        A name that no command takes for an option, and that LSF keeps whole.
    """
    name, dash, ending = cleanup_str(unique_name).rpartition("-")
    name = name.lstrip("-_") or ("app" if dash else "")
    return f"{name[: _LONGEST_ID - len(ending) - 1]}{dash}{ending}"


def job_stems(app: AppDef) -> list[str]:
    """Names the roles of an app as its jobs do.

    Args:
        app: The app.

    Returns:
        A name for each role, without the app id; no two are the same.

    Raises:
        AppFormError: Two roles have the same name.
    """
    names = [role.name for role in app.roles]
    for name in names:
        if names.count(name) > 1:
            raise AppFormError(
                f"the app `{app.name}` has two roles named `{name}`",
                hint="give its roles different names",
            )
    cleaned = [cleanup_str(name) for name in names]
    return [
        stem
        if cleaned.count(stem) == 1 and stem.strip("-_") and len(stem) <= _LONGEST_ROLE
        else f"{stem[:_LONGEST_ROLE]}-{_digest(name)}".lstrip("-_")
        for name, stem in zip(names, cleaned, strict=True)
    ]


def replica_jobs(app: AppDef, app_id: str, rank0_host: str) -> Iterator[ReplicaJob]:
    """Lists the jobs of an app.

    Args:
        app: The app, which is not changed.
        app_id: Its id.
        rank0_host: Host of the first replica of the first role.

    Yields:
        The jobs, in the order of roles and replicas.
    """
    for role_number, (role, stem) in enumerate(zip(app.roles, job_stems(app), strict=True)):
        for number in range(role.num_replicas):
            replica = _with_macros(role, app_id, number)
            replica.env[RANK0_ENV] = rank0_host
            yield ReplicaJob(f"{app_id}-{stem}-{number}", replica, role_number, number)


def published_jobs(app: AppDef, app_id: str, rank0_host: str) -> Iterator[tuple[str, Role]]:
    """Lists the jobs of an app under the names that :func:`get_submit_script` gives them.

    Args:
        app: The app, which is not changed.
        app_id: Its id.
        rank0_host: Host of the first replica of the first role.

    Yields:
        Name of the job, and the role with macros replaced.
    """
    for role in app.roles:
        for number in range(role.num_replicas):
            replica = _with_macros(role, app_id, number)
            replica.env[RANK0_ENV] = rank0_host
            yield f"{app_id}-{cleanup_str(f'{role.name}-{number}')}", replica


def docker_words(
    job_name: str,
    role: Role,
    cfg: Cfg,
    *,
    env: Mapping[str, str | None],
    gpus: str,
    mounted: str | None = None,
) -> list[str]:
    """Makes the command that runs a replica, without its arguments.

    Args:
        job_name: Name of the container.
        role: The role, with macros replaced.
        cfg: Run options.
        env: Its variables; ``None`` takes the value from the environment of docker.
        gpus: Which GPUs it gets, if it asks for any.
        mounted: Directory of the workspace, which is mounted.

    Returns:
        The words.
    """
    words = ["docker", "run", f"--name={job_name}"]
    for mount in [*role.mounts, *([BindMount(mounted, mounted)] if mounted else [])]:
        # Whoever makes a role may have added what only another scheduler knows.
        words += _mount_words(mount) if isinstance(mount, _MOUNTS) else []
    workdir = text_option(cfg, "container_workdir") or mounted
    words += ["-w", workdir] if workdir is not None else []
    if cfg.get("host_network"):
        words += ["--net=host", "--ipc=host"]
    else:
        words += [word for port in role.port_map.values() for word in ("-p", str(port))]
    if cfg.get("shm_size"):
        words.append(f"--shm-size={cfg.get('shm_size')}")
    for name, value in env.items():
        words += ["-e", name if value is None else f"{name}={value}"]
    resource = role.resource
    words += [f"--cpus={resource.cpu}"] if resource.cpu > 0 else []
    words += [f"--memory={resource.memMB * 1024 * 1024}"] if resource.memMB > 0 else []
    words += ["--gpus", gpus] if resource.gpu > 0 else []
    return [*words, "--entrypoint", role.entrypoint, "--rm", role.image]


def bsub_line(
    app_id: str,
    job_name: str,
    role: Role,
    cfg: Cfg,
    head: tuple[str, str] | None,
    head_host: str | None,
    outputs: str | None,
) -> str:
    """Makes the options of bsub for one job.

    Args:
        app_id: Name of the project.
        job_name: Name of the job.
        role: The role.
        cfg: Run options.
        head: Name of the first job and a host to avoid (or ``""``); ``None`` for that job itself.
        head_host: Host that the first job is bound to.
        outputs: Directory for LSF's own report, or ``None``.

    Returns:
        The options, quoted for a shell.
    """
    jobdir = checked_jobdir(cfg)
    words = ["-P", app_id, "-J", job_name]
    select = ""
    if head is None:
        words += ["-m", head_host] if head_host else []
    else:
        words += ["-w", f"started({head[0]})"]
        select = f"select[hname!='{head[1]}'] " if head[1] else ""
    words += ["-cwd", jobdir] if jobdir else []
    if outputs:
        stem = f"{outputs}/{job_name}.submit"
        words += ["-outdir", outputs, "-oo", f"{stem}.out", "-eo", f"{stem}.err"]
    queue = text_option(cfg, "lsf_queue")
    words += ["-q", queue] if queue is not None else []
    resource = role.resource
    words += ["-n", str(resource.cpu)] if resource.cpu > 0 else []
    memory = f" rusage[mem={resource.memMB}]" if resource.memMB > 0 else ""
    # One -R only: not every version takes several.
    words += ["-R", f"{select}span[hosts=1]{memory}"]
    if resource.gpu > 0:
        words += ["-gpu", f"num={resource.gpu}:mode=shared:j_exclusive=yes"]
    return join([*words, *bsub_words(cfg)])


def published_docker_command(job_name: str, role: Role, cfg: Cfg) -> str:
    r"""Makes the command of a replica as an unquoted here-document needs it.

    Args:
        job_name: Name of the container.
        role: The role, with macros replaced.
        cfg: Run options.

    Returns:
        The command; each ``$`` of the arguments is ``\$``.
    """
    words = docker_words(job_name, role, cfg, env=role.env, gpus="all")
    return join([*words, *(arg.replace("$", "\\$") for arg in role.args)])


def published_bsub(
    app_id: str,
    job_name: str,
    role: Role,
    cfg: Cfg,
    head_job_name: str,
    head_job_host: str,
) -> str:
    """Makes the published form of a submission, which a shell expands when it runs it.

    Its resource string without memory has a bracket too many, as published.

    Args:
        app_id: Name of the project.
        job_name: Name of the job.
        role: The role, with macros replaced.
        cfg: Run options.
        head_job_name: Name of the first job; ``""`` if this is it.
        head_job_host: Host of the first job.

    Returns:
        The command with its here-document.
    """
    words = ["bsub", "-P", app_id, "-J", job_name]
    if head_job_name:
        words += ["-w", f'"started({head_job_name})"']
        words += ["-R", f"\"select[hname!='{head_job_host}']\""]
    else:
        words += ["-m", head_job_host]
    command = published_docker_command(job_name, role, cfg)
    jobdir = text_option(cfg, "jobdir")
    if jobdir is not None:
        stem = f"{jobdir}/{job_name}"
        words += ["-cwd", jobdir, "-outdir", jobdir]
        words += ["-oo", f"{stem}.submit.out", "-eo", f"{stem}.submit.err"]
        command = f"{command} > {stem}.out 2> {stem}.err"
    queue = text_option(cfg, "lsf_queue")
    words += ["-q", queue] if queue is not None else []
    resource = role.resource
    words += ["-n", str(resource.cpu)] if resource.cpu > 0 else []
    if resource.memMB > 0:
        words += ["-R", f'"span[hosts=1] rusage[mem={resource.memMB}]"']
    else:
        words += ["-R", '"span[hosts=1]]"']
    if resource.gpu > 0:
        words += ["-gpu", f'"num={resource.gpu}:mode=shared:j_exclusive=yes"']
    return f"{' '.join(words)} << EOF\n{command}\nEOF"


def body_line(words: list[str]) -> str:
    """Joins words for the text of a job, in which no line may look like an option of bsub.

    Args:
        words: The words.

    Returns:
        A command line.
    """
    # Inside of single quotes, which is where every newline of a quoted word is.
    return re.sub(r"\n(\s*#)", r"\n''\1", join(words))


def reserved_gpus() -> NoQuote:
    """Returns the word for the GPUs that LSF has reserved."""
    return NoQuote('"$torchx_gpus"')


def _with_macros(role: Role, app_id: str, number: int) -> Role:
    return macros.Values(
        img_root="", app_id=app_id, replica_id=str(number), rank0_env=RANK0_ENV
    ).apply(role)


def _mount_words(mount: BindMount | VolumeMount | DeviceMount) -> list[str]:
    if isinstance(mount, BindMount):
        mode = "ro" if mount.read_only else "rw"
        return ["-v", f"{mount.src_path}:{mount.dst_path}:{mode}"]
    if isinstance(mount, VolumeMount):
        mode = ",ro" if mount.read_only else ""
        return ["--mount", f"type=volume,src={mount.src},dst={mount.dst_path}{mode}"]
    return [f"--device={mount.src_path}:{mount.dst_path}:{mount.permissions}"]


def _digest(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:10]
