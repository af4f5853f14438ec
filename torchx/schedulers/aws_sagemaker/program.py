"""What a role runs: a Python program that is launched by torchrun, or a command as it stands.

A role without entrypoint, or with ``python`` and a script or a module, names a Python program.
Since such a program has one process for each GPU of the instance on SageMaker, torchrun starts it.
Any other role is a command of its own.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from torchx.schedulers.aws_sagemaker.errors import TrainingJobError
from torchx.specs.api import MISSING, Role

_PYTHONS = frozenset(("python", "python3"))


@dataclass(frozen=True)
class Program:
    """What runs on each instance.

    Attributes:
        entry: The script, or ``-m module``; for a command its first word.
        words: All words to run, behind torchrun if that launches them.
        hyperparameters: Arguments of the form ``--key value``, as far as they have it.
        is_python: True if torchrun launches it.
    """

    entry: str
    words: list[str]
    hyperparameters: dict[str, str]
    is_python: bool


def parse_args(args: Sequence[str]) -> tuple[str, OrderedDict[str, str]]:
    """Splits the arguments of a role into a program and its hyperparameters.

    Args:
        args: ``script --key value --key2=value2``, or ``-m`` and a module in place of the script.

    Returns:
        The script or ``-m module``, and the hyperparameters in their order.

    Raises:
        TrainingJobError: They have another form.
    """
    size = _entry_size(args)
    hyperparameters: OrderedDict[str, str] = OrderedDict()
    rest = iter(args[size:])
    for word in rest:
        key, equals, value = word.partition("=")
        if not equals:
            following = next(rest, None)
            if following is None:
                raise TrainingJobError(
                    f"a hyperparameter only supports named arguments, --key value or --key=value:"
                    f" {word!r} has no value"
                )
            value = following
        if not key.startswith("--"):
            raise TrainingJobError(
                f"a hyperparameter only supports arguments that start with --, not {word!r}"
            )
        hyperparameters[key.removeprefix("--")] = value
    return " ".join(args[:size]), hyperparameters


def program_of(role: Role, more: Mapping[str, str]) -> Program:
    """Finds out what a role runs.

    Args:
        role: The role, macros substituted.
        more: Hyperparameters of the run options.

    Returns:
        The program.

    Raises:
        TrainingJobError: The role runs nothing.
    """
    if not runs_python(role):
        words = [role.entrypoint, *role.args]
        return Program(role.entrypoint, words, dict(more), is_python=False)
    size = _entry_size(role.args)
    entry, own = role.args[:size], role.args[size:]
    given = _hyperparameters_of(role.args)
    added = [
        word for key, value in more.items() if key not in given for word in (f"--{key}", value)
    ]
    return Program(" ".join(entry), [*entry, *added, *own], {**more, **given}, is_python=True)


def runs_python(role: Role) -> bool:
    """Tells whether a role runs a script or a module, so that torchrun launches it.

    Args:
        role: The role.

    Returns:
        True if it does.
    """
    if role.entrypoint in ("", MISSING):
        return True
    if role.entrypoint not in _PYTHONS or not role.args:
        return False
    return role.args[0] == "-m" or not role.args[0].startswith("-")


def _entry_size(args: Sequence[str]) -> int:
    if not args:
        raise TrainingJobError(
            "not enough args: the role names neither a script nor a module to run"
        )
    if args[0] != "-m":
        return 1
    if len(args) < 2:
        raise TrainingJobError("Missing module name after -m")
    return 2


def _hyperparameters_of(args: Sequence[str]) -> dict[str, str]:
    """Flags and positional arguments reach the program all the same; they only have no name."""
    try:
        return dict(parse_args(args)[1])
    except ValueError:
        return {}


def run_name(app_name: str, role: Role) -> str:
    """Names a run, for the beginning of the name of its job.

    Args:
        app_name: ``experiment/run``, ``experiment/``, ``/run``, ``run`` or ``/``.
        role: The role, after whose script or module a run without a name is called.

    Returns:
        The name.
    """
    experiment, slash, run = app_name.partition("/")
    name = run if slash else experiment
    if name:
        return name
    if not runs_python(role) or not role.args:
        return role.name
    if role.args[0] == "-m":
        return role.args[-1 if len(role.args) < 2 else 1].rpartition(".")[2]
    return PurePosixPath(role.args[0]).stem
