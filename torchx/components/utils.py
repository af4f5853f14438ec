"""Small components for checks, glue and examples: run a command, copy a file, say hello.

Macros such as ``${app_id}`` are replaced in every argument, so a ``$`` that starts one must be
doubled to stay: ``torchx run utils.sh 'echo $${app_id}'`` prints the shell variable ``app_id``.
A ``$`` before any other name needs no escape, but ``$$`` always becomes ``$``.
"""

import os
from typing import Annotated

import torchx
import torchx.specs as specs
from torchx.util.shell import join


def echo(
    msg: str = "hello world", image: str = torchx.IMAGE, num_replicas: int = 1
) -> specs.AppDef:
    """Echos a message to stdout (calls echo)

    Args:
        msg: message to echo
        image: image to use
        num_replicas: number of replicas to run

    Returns:
        The job.
    """  # noqa: D415  (the first line is part of the published interface)
    return specs.AppDef(
        name="echo",
        roles=[
            specs.Role(
                name="echo",
                image=image,
                entrypoint="echo",
                args=[msg],
                num_replicas=num_replicas,
                resource=specs.Resource(cpu=1, gpu=0, memMB=1024),
            )
        ],
    )


def touch(file: str, image: str = torchx.IMAGE) -> specs.AppDef:
    """Touches a file (calls touch).

    Args:
        file: file to create
        image: image to use

    Returns:
        The job.
    """
    return specs.AppDef(
        name="touch",
        roles=[
            specs.Role(
                name="touch",
                image=image,
                entrypoint="touch",
                args=[file],
                num_replicas=1,
                resource=specs.Resource(cpu=1, gpu=0, memMB=1024),
            )
        ],
    )


def sh(
    *args: str,
    image: str = torchx.IMAGE,
    num_replicas: int = 1,
    cpu: int = 1,
    gpu: int = 0,
    memMB: int = 1024,
    h: str | None = None,
    env: dict[str, str] | None = None,
    max_retries: int = 0,
    mounts: list[str] | None = None,
    entrypoint: str | None = None,
) -> specs.AppDef:
    """Runs a command or a line of shell.

    One word is a line of shell: utils.sh 'make && ./run > out'. Several words are one command and
    its arguments, which arrive as they are: utils.sh ls 'a b'.

    Args:
        args: a command and its arguments, or one line of shell
        image: image to use
        num_replicas: number of replicas to run
        cpu: CPUs of each replica
        gpu: GPUs of each replica
        memMB: memory of each replica in MiB
        h: a registered named resource of each replica; wins over cpu, gpu and memMB
        env: environment variables of the command, A=1,B=2
        max_retries: how often the scheduler may start the job again after a failure
        mounts: mounts, e.g. type=bind,src=/host,dst=/job[,readonly],[type=bind,src=...]
        entrypoint: program to run with args as its arguments, instead of a shell

    Returns:
        The job.
    """
    if entrypoint is None:
        command = args[0] if len(args) == 1 else join(args)
        entrypoint, words = "sh", ["-c", command]
    else:
        words = list(args)
    return specs.AppDef(
        name="sh",
        roles=[
            specs.Role(
                name="sh",
                image=image,
                entrypoint=entrypoint,
                args=words,
                num_replicas=num_replicas,
                resource=specs.resource(cpu=cpu, gpu=gpu, memMB=memMB, h=h),
                env={"LOGLEVEL": os.getenv("LOGLEVEL", "WARNING"), **(env or {})},
                max_retries=max_retries,
                mounts=specs.parse_mounts(mounts) if mounts else [],
            )
        ],
    )


def python(
    *args: str,
    m: str | None = None,
    c: str | None = None,
    script: str | None = None,
    image: str = torchx.IMAGE,
    name: str = "torchx_utils_python",
    cpu: int = 1,
    gpu: int = 0,
    memMB: int = 1024,
    h: str | None = None,
    num_replicas: int = 1,
    mounts: list[str] | None = None,
) -> specs.AppDef:
    """Runs python with a module, a command or a script.

    Args:
        args: arguments of the program, in sys.argv[1:]
        m: module to run, as in python -m
        c: code to run, as in python -c; a line with ";" may need quotes
        script: path of the script to run
        image: image to use
        name: name of the job
        cpu: CPUs of each replica
        gpu: GPUs of each replica
        memMB: memory of each replica in MiB
        h: a registered named resource of each replica; wins over cpu, gpu and memMB
        num_replicas: number of replicas to run
        mounts: mounts, e.g. type=bind,src=/host,dst=/job[,readonly],[type=bind,src=...]

    Returns:
        The job.

    Raises:
        ValueError: Not exactly one of m, c and script, or it is empty.
    """
    given = [program for program in (m, c, script) if program is not None]
    if len(given) != 1:
        raise ValueError(f"exactly one of -m, -c and --script is required, got {len(given)}")
    if not given[0]:
        raise ValueError("no program specified: -m, -c or --script is empty")
    program = ["-m", m] if m else ["-c", c] if c else given
    return specs.AppDef(
        name=name,
        roles=[
            specs.Role(
                name="python",
                image=image,
                entrypoint="python",
                args=[*(word for word in program if word), *args],
                num_replicas=num_replicas,
                resource=specs.resource(cpu=cpu, gpu=gpu, memMB=memMB, h=h),
                env={"HYDRA_MAIN_MODULE": m} if m else {},
                mounts=specs.parse_mounts(mounts) if mounts else [],
            )
        ],
    )


def binary(
    *args: str,
    entrypoint: str,
    name: str = "torchx_utils_binary",
    num_replicas: int = 1,
    cpu: int = 1,
    gpu: int = 0,
    memMB: int = 1024,
    h: str | None = None,
) -> specs.AppDef:
    """Runs a program that is on the host already.

    It names no image, so it is for schedulers that run programs of the host (local_cwd, slurm).

    Args:
        args: arguments of the program
        entrypoint: the program
        name: name of the job
        num_replicas: number of replicas to run
        cpu: CPUs of each replica
        gpu: GPUs of each replica
        memMB: memory of each replica in MiB
        h: a registered named resource of each replica; wins over cpu, gpu and memMB

    Returns:
        The job.
    """
    return specs.AppDef(
        name=name,
        roles=[
            specs.Role(
                name="binary",
                image=specs.NONE,
                entrypoint=entrypoint,
                args=list(args),
                num_replicas=num_replicas,
                resource=specs.resource(cpu=cpu, gpu=gpu, memMB=memMB, h=h),
            )
        ],
    )


def copy(
    src: str, dst: str, image: str = torchx.IMAGE, mounts: list[str] | None = None
) -> specs.AppDef:
    """Copies a file from one place to another, local or remote.

    The places are paths or URLs of any file system that fsspec knows.

    Args:
        src: where the file is
        dst: where it goes
        image: image with torchx installed
        mounts: mounts, e.g. type=bind,src=/host,dst=/job[,readonly],[type=bind,src=...]

    Returns:
        The job.
    """
    return specs.AppDef(
        name="torchx-utils-copy",
        roles=[
            specs.Role(
                name="torchx-utils-copy",
                image=image,
                entrypoint="python",
                args=["-m", "torchx.apps.utils.copy_main", "--src", src, "--dst", dst],
                resource=specs.Resource(cpu=1, gpu=0, memMB=1024),
                mounts=specs.parse_mounts(mounts) if mounts else [],
            )
        ],
    )


def booth(
    x1: float,
    x2: float,
    trial_idx: int = 0,
    tracker_base: str = "/tmp/torchx-util-booth",
    image: str = torchx.IMAGE,
) -> specs.AppDef:
    """Evaluates the booth function, f(x1, x2) = (x1 + 2*x2 - 7)^2 + (2*x1 + x2 - 5)^2.

    A stand-in for a training job in a parameter search; the result is stored with
    torchx.runtime.tracking. The minimum is f(1, 3) = 0.

    Args:
        x1: first coordinate
        x2: second coordinate
        trial_idx: key of the result, for searches
        tracker_base: URI of the directory of the results
        image: image with torchx installed

    Returns:
        The job.
    """
    words = ["-m", "torchx.apps.utils.booth_main", "--x1", str(x1), "--x2", str(x2)]
    words += ["--trial_idx", str(trial_idx), "--tracker_base", tracker_base]
    return specs.AppDef(
        name="torchx-utils-booth",
        roles=[
            specs.Role(
                name="torchx-utils-booth",
                image=image,
                entrypoint="python",
                args=words,
                resource=specs.Resource(cpu=1, gpu=0, memMB=1024),
            )
        ],
    )


def hydra(
    *overrides: str,
    config_name: Annotated[str, "-cn"],
    config_dir: Annotated[str, "-cd"] = ".torchx",
) -> specs.AppDef:
    """Builds a job from a hydra config (needs hydra-core).

    The config has a key "app" with "_target_: torchx.specs.AppDef". Macros are written as
    resolvers: ${torchx.app_id:}, ${torchx.replica_id:}, ${torchx.rank0_env:}, ${torchx.img_root:}.

    Args:
        overrides: hydra overrides, after "--" if the first begins with a dash
        config_name: name of the config, without suffix
        config_dir: directory of the configs, relative to the current one or absolute

    Returns:
        The job.

    Raises:
        ImportError: hydra-core is not installed.
        ValueError: The config has no "app", or it is no AppDef.
    """
    from torchx.components.hydra_config import load_app

    return load_app(config_name, config_dir, overrides)
