"""Components that run distributed PyTorch programs.

``dist.ddp`` starts ``torchrun`` on each node, so any script that runs under ``torchrun`` runs
unchanged on every scheduler::

    torchx run -s local_cwd dist.ddp -j 2x2 --script train.py -- --lr 0.1

``-j 2x2`` means two nodes with two worker processes each. The image needs ``bash`` and ``torchrun``
on its ``PATH``. Two jobs with more than one node that share hosts need different ``--rdzv_port``.
"""

import os

import torchx
import torchx.specs as specs
from torchx.components.structured_arg import StructuredJArgument, StructuredNameArgument
from torchx.components.torchrun import TORCH_DEBUG_FLAGS as _TORCH_DEBUG_FLAGS
from torchx.components.torchrun import get_program, get_role_name, parse_nnodes, torchrun_command
from torchx.util.shell import NoQuote as _noquote
from torchx.util.shell import join as _args_join

# Launchers built on torchx import the helpers, underscored or not, from this module.
__all__ = [
    "_TORCH_DEBUG_FLAGS",
    "_args_join",
    "_noquote",
    "ddp",
    "get_role_name",
    "parse_nnodes",
    "spmd",
]


def spmd(
    *args: str,
    script: str | None = None,
    m: str | None = None,
    image: str = torchx.IMAGE,
    name: str = "/",
    h: str = "gpu.small",
    j: str = "1x1",
    env: dict[str, str] | None = None,
    metadata: dict[str, str] | None = None,
    max_retries: int = 0,
    mounts: list[str] | None = None,
    debug: bool = False,
) -> specs.AppDef:
    """Runs the same program on all nodes, by default one process for each GPU of a named host.

    Uses torchrun, like ``dist.ddp``, with fewer knobs.

    Args:
        args: arguments of the program
        script: path of the script to run; give either this or m
        m: module to run, as in python -m
        image: image (docker image, or directory, by scheduler)
        name: name of the job as experiment/run; both parts may be empty
        h: a registered named resource that each node has
        j: nodes, as {nnodes} (one process for each GPU) or {nnodes}x{nproc_per_node}
        env: environment variables of the program, A=1,B=2
        metadata: metadata passed to the scheduler
        max_retries: how often the scheduler may start the job again after a failure
        mounts: mounts, e.g. type=bind,src=/host,dst=/job[,readonly],[type=bind,src=...]
        debug: set the debugging variables of PyTorch

    Returns:
        The job.

    Raises:
        ValueError: Not exactly one of script and m, or a malformed j.
        KeyError: There is no named resource h.
    """
    return ddp(
        *args,
        script=script,
        m=m,
        image=image,
        name=name,
        h=h,
        j=str(StructuredJArgument.parse_from(h, j)),
        env=env,
        metadata=metadata,
        max_retries=max_retries,
        mounts=mounts,
        debug=debug,
    )


def ddp(
    *script_args: str,
    script: str | None = None,
    m: str | None = None,
    image: str = torchx.IMAGE,
    name: str = "/",
    h: str | None = None,
    cpu: int = 2,
    gpu: int = 0,
    memMB: int = 1024,
    j: str = "1x2",
    env: dict[str, str] | None = None,
    metadata: dict[str, str] | None = None,
    max_retries: int = 0,
    rdzv_port: int = 29500,
    rdzv_backend: str = "c10d",
    rdzv_conf: str | None = None,
    mounts: list[str] | None = None,
    debug: bool = False,
    tee: int = 3,
) -> specs.AppDef:
    """Runs a program with torchrun on one or more nodes (distributed data parallel).

    Args:
        script_args: arguments of the program
        script: path of the script to run; give either this or m
        m: module to run, as in python -m
        image: image (docker image, or directory, by scheduler)
        name: name of the job as experiment/run; both parts may be empty
        h: a registered named resource that each node has; wins over cpu, gpu and memMB
        cpu: CPUs of each node
        gpu: GPUs of each node
        memMB: memory of each node in MiB
        j: {nproc_per_node}, {nnodes}x{nproc_per_node} or {min_nnodes}:{max_nnodes}x{nproc_per_node}
        env: environment variables of the program, A=1,B=2
        metadata: metadata passed to the scheduler
        max_retries: how often the scheduler may start the job again after a failure
        rdzv_port: port of the meeting point; two jobs on shared hosts need different ones
        rdzv_backend: rendezvous backend of torchrun
        rdzv_conf: further options of the rendezvous, k=v,k2=v2
        mounts: mounts, e.g. type=bind,src=/host,dst=/job[,readonly],[type=bind,src=...]
        debug: set the debugging variables of PyTorch
        tee: streams of the workers that are both shown and kept (0 none, 1 out, 2 err, 3 both)

    Returns:
        The job: one role, with as many replicas as there are nodes.

    Raises:
        ValueError: Not exactly one of script and m, or a malformed j.
    """
    program = [*get_program(script, m), *script_args]
    run = StructuredNameArgument.parse_from(name, m, script)
    command = torchrun_command(program, j, rdzv_port, rdzv_backend, rdzv_conf, tee)
    role = _node_role(get_role_name(script, m), image, j, command)
    role.env = _job_env(env or {}, run, debug)
    role.port_map = {"c10d": rdzv_port}
    role.max_retries = max_retries
    role.resource = specs.resource(cpu=cpu, gpu=gpu, memMB=memMB, h=h)
    role.mounts = specs.parse_mounts(mounts or [])
    return specs.AppDef(name=run.run_name, roles=[role], metadata=dict(metadata or {}))


def _node_role(name: str, image: str, j: str, command: str) -> specs.Role:
    min_nnodes, max_nnodes, _, _ = parse_nnodes(j)
    return specs.Role(
        name=name,
        image=image,
        min_replicas=min_nnodes,
        num_replicas=max_nnodes,
        entrypoint="bash",
        args=["-c", command],
    )


def _job_env(env: dict[str, str], run: StructuredNameArgument, debug: bool) -> dict[str, str]:
    return {
        "LOGLEVEL": os.getenv("LOGLEVEL", "WARNING"),
        **env,
        "TORCHX_TRACKING_EXPERIMENT_NAME": run.experiment_name,
        "TORCHX_TRACKING_RUN_NAME": run.run_name,
        **(_TORCH_DEBUG_FLAGS if debug else {}),
    }
