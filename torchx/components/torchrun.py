"""The ``torchrun`` command line of ``dist.ddp``: pure text, no knowledge of any scheduler."""

import re
from collections.abc import Iterable
from pathlib import Path

import torchx.specs as specs
from torchx.util.shell import NoQuote, join

TORCH_DEBUG_FLAGS: dict[str, str] = {
    "CUDA_LAUNCH_BLOCKING": "1",
    "NCCL_DESYNC_DEBUG": "1",
    "TORCH_DISTRIBUTED_DEBUG": "DETAIL",
    "TORCH_SHOW_CPP_STACKTRACES": "1",
}
"""What ``--debug`` adds to the environment of a job."""

_NNODES = re.compile(r"(?:(?:(?P<min>[0-9]+):)?(?P<max>[0-9]+)x)?(?P<nproc>[0-9]+)")


def parse_nnodes(j: str) -> tuple[int, int, int, str]:
    """Reads the size of a distributed job.

    Args:
        j: ``{nproc_per_node}``, ``{nnodes}x{nproc_per_node}`` or
            ``{min_nnodes}:{max_nnodes}x{nproc_per_node}``.

    Returns:
        Least nodes, most nodes, processes on each node, and the nodes in torchrun's notation.

    Raises:
        ValueError: The text has another form, or asks for no process at all.
    """
    found = _NNODES.fullmatch(j)
    if not found:
        raise _invalid_j(j, "it has none of these forms")
    max_nnodes = int(found["max"] or 1)
    min_nnodes = int(found["min"] or max_nnodes)
    nproc = int(found["nproc"])
    if max_nnodes < 1 or nproc < 1:
        raise _invalid_j(j, "there must be at least one node and one process on it")
    if min_nnodes > max_nnodes:
        raise _invalid_j(j, f"the minimum of {min_nnodes} nodes is above the maximum")
    rep = f"{min_nnodes}:{max_nnodes}" if found["min"] else str(max_nnodes)
    return min_nnodes, max_nnodes, nproc, rep


def get_role_name(script: str | None, m: str | None) -> str:
    """Returns the name of the role that runs a script or a module.

    Args:
        script: Path of the main script.
        m: Dotted name of the main module.

    Returns:
        The stem of the script's file name, else the last part of the module's name.

    Raises:
        ValueError: Neither was given.
    """
    if script:
        return Path(script).stem
    if m:
        return m.rpartition(".")[2]
    raise ValueError("a role needs a program: give one of --script and -m")


def get_program(script: str | None, m: str | None) -> list[str]:
    """Returns the words that tell torchrun what to run.

    Args:
        script: Path of the main script.
        m: Dotted name of the main module.

    Returns:
        ``[script]`` or ``["-m", module]``.

    Raises:
        ValueError: Not exactly one of the two was given.
    """
    if script is not None and m is None:
        return [script]
    if m is not None and script is None:
        return ["-m", m]
    raise ValueError("exactly one of --script and -m is required, " + _given(script, m))


def torchrun_command(
    program: Iterable[str],
    j: str,
    rdzv_port: int,
    rdzv_backend: str,
    rdzv_conf: str | None,
    tee: int,
) -> str:
    """Builds the command line that each node of a distributed job gives to its shell.

    Args:
        program: What torchrun runs, and its arguments.
        j: Size of the job, see :func:`parse_nnodes`.
        rdzv_port: Port of the rendezvous on the first node; unused by a job of one node.
        rdzv_backend: Name of torchrun's rendezvous backend.
        rdzv_conf: Further options of the rendezvous, ``k=v,k2=v2``.
        tee: Which streams of the workers torchrun both shows and keeps: 0 none, 1 stdout,
            2 stderr, 3 both.

    Returns:
        One shell command, with macros.

    Raises:
        ValueError: ``j`` is malformed.
    """
    _, max_nnodes, nproc, nnodes = parse_nnodes(j)
    words = ["torchrun", "--rdzv_backend", rdzv_backend]
    if rdzv_conf:
        words += ["--rdzv_conf", rdzv_conf]
    words += ["--rdzv_endpoint", _endpoint(max_nnodes, rdzv_port)]
    words += ["--rdzv_id", specs.macros.app_id]
    words += ["--nnodes", nnodes, "--nproc_per_node", str(nproc), "--tee", str(tee)]
    words += ["--role", ""]  # an empty role keeps the prefix of each log line short
    if rdzv_backend == "static":
        words += ["--node_rank", specs.macros.replica_id]
    return join([*words, *program])


def _endpoint(max_nnodes: int, port: int) -> str:
    if max_nnodes == 1:
        return "localhost:0"
    # "$$" becomes "$" when macros are replaced, so that the shell of the node reads
    # ${NAME:=localhost}: some schedulers do not set the variable on the first node itself.
    return NoQuote(f"$${{{specs.macros.rank0_env}:=localhost}}:{port}")


def _invalid_j(j: str, reason: str) -> ValueError:
    return ValueError(
        f"Invalid format for -j: {j!r}, {reason}. Valid forms: {{nproc_per_node}} (2),"
        " {nnodes}x{nproc_per_node} (1x2), {min_nnodes}:{max_nnodes}x{nproc_per_node} (1:2x4)"
    )


def _given(script: str | None, m: str | None) -> str:
    return "but neither was given" if script is None and m is None else "but both were given"
