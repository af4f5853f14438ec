"""Command line arguments that hold two values in one text: ``--name`` and ``-j``."""

import re
import warnings
from dataclasses import dataclass
from pathlib import Path

import torchx.specs as specs

_J = re.compile(r"(?:(?P<nnodes>[0-9]+)x)?(?P<nproc>[0-9]+)")


@dataclass
class StructuredNameArgument:
    """The name of a job: ``{experiment_name}/{run_name}``.

    Attributes:
        experiment_name: What several runs have in common.
        run_name: Name of this one run.
    """

    experiment_name: str
    run_name: str

    def __str__(self) -> str:
        return f"{self.experiment_name}/{self.run_name}"

    @staticmethod
    def parse_from(
        name: str,
        m: str | None = None,
        script: str | None = None,
        default_experiment_name: str = "default-experiment",
    ) -> "StructuredNameArgument":
        """Splits a name at its first ``/`` and fills in what is missing.

        Args:
            name: ``experiment/run``, ``experiment/``, ``/run``, ``run`` or ``/``.
            m: The main module, of which the last part is the default run name.
            script: The main script, of which the file stem is the default run name.
            default_experiment_name: Experiment of a name without one.

        Returns:
            The two parts, neither of them empty.

        Raises:
            ValueError: Not exactly one of ``m`` and ``script`` was given.
        """
        if not m and not script:
            raise ValueError("No main module or script specified: give one of --m and --script")
        if m and script:
            raise ValueError(f"Both main module and script set: --m {m} and --script {script}")
        experiment, slash, run = name.partition("/")
        if not slash:
            experiment, run = "", name
        default_run = m.rpartition(".")[2] if m else Path(script or "").stem
        return StructuredNameArgument(experiment or default_experiment_name, run or default_run)


@dataclass
class StructuredJArgument:
    """The size of a job: ``{nnodes}x{nproc_per_node}``.

    Attributes:
        nnodes: Number of nodes.
        nproc_per_node: Processes on each node.
    """

    nnodes: int
    nproc_per_node: int

    def __str__(self) -> str:
        return f"{self.nnodes}x{self.nproc_per_node}"

    @staticmethod
    def parse_from(h: str, j: str) -> "StructuredJArgument":
        """Reads a size; without a number of processes there is one for each GPU of the host.

        Args:
            h: Name of the resource that a node has.
            j: ``{nnodes}`` or ``{nnodes}x{nproc_per_node}``.

        Returns:
            The size.

        Raises:
            ValueError: ``j`` has another form, or the processes must be counted by GPU and ``h``
                has none.
            KeyError: There is no resource of that name.
        """
        gpus = specs.named_resources[h].gpu
        nnodes, nproc = _split(j)
        if nproc is None:
            if gpus <= 0:
                raise ValueError(
                    f"nproc_per_node cannot be inferred from GPU count. `{h}` is not a GPU"
                    f" instance. Say how many processes each node runs: -j {nnodes}x1"
                )
            return StructuredJArgument(nnodes, gpus)
        if nproc != gpus:
            warnings.warn(
                f"`-j {j}` runs {nproc} processes on each node, but `{h}` has {gpus} GPUs;"
                f" `-j {nnodes}` runs one for each GPU",
                stacklevel=2,
            )
        return StructuredJArgument(nnodes, nproc)


def _split(j: str) -> tuple[int, int | None]:
    found = _J.fullmatch(j)
    if not found or int(found["nproc"]) < 1 or (found["nnodes"] and int(found["nnodes"]) < 1):
        raise ValueError(
            f"Invalid format for `-j`: {j!r}. Expected {{nnodes}} or"
            " {nnodes}x{nproc_per_node}, each at least 1, for example 2 or 2x8"
        )
    if found["nnodes"] is None:
        return int(found["nproc"]), None
    return int(found["nnodes"]), int(found["nproc"])
