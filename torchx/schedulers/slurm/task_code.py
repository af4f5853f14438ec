"""Writes what each replica runs: its program, its arguments, its environment. Pure.

Texts of the user are handed on as values of exported variables, each quoted once, so that they
arrive byte for byte and appear in the command line of no process but the replica's own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torchx.schedulers.slurm.request import (
    RANK0_ENV,
    Plan,
    ReplicaRequest,
    RolePlan,
    app_id_word,
    file_name,
)
from torchx.schedulers.slurm.shell_code import BEGIN_REPLICA, END_REPLICA, VALUE_PREFIX
from torchx.util.redact import is_secret_name, redact_text
from torchx.util.shell import quote

_EXPORTABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_FIXED_IN_BASH = frozenset(
    ("BASHOPTS", "BASH_VERSINFO", "EUID", "FUNCNAME", "GROUPS", "PPID", "SHELLOPTS", "UID")
)


@dataclass(frozen=True)
class TaskCode:
    """What the batch script has to export for the replicas.

    Attributes:
        values: Lines that export the values that are not secret.
        secrets: Lines that export those that are.
        program: What each replica runs.
    """

    values: Sequence[str]
    secrets: Sequence[str]
    program: str


def task_code(replicas: Sequence[ReplicaRequest], plan: Plan) -> TaskCode:
    """Writes what the replicas of an app run.

    Args:
        replicas: The replicas, in the order of the roles of the plan.
        plan: The roles.

    Returns:
        The code.

    Raises:
        ValueError: A text holds a NUL character, which no program can be given.
    """
    values = _Values()
    blocks = []
    first = 0
    for role in plan.roles:
        members = replicas[first : first + role.num_replicas]
        if members:
            blocks.append("\n".join(_role_block(role, first, members, values)))
        first += role.num_replicas
    program = "".join((BEGIN_REPLICA, "\n".join(blocks), END_REPLICA))
    return TaskCode(values.lines, values.secret_lines, program)


def _role_block(
    role: RolePlan, first: int, members: Sequence[ReplicaRequest], values: _Values
) -> Iterator[str]:
    retries = role.max_retries if role.retry_policy == "REPLICA" else 0
    stem = quote(f"-{file_name(role.name)}-")
    last = first + len(members) - 1
    yield f'if [ "$torchx__n" -ge {first} ] && [ "$torchx__n" -le {last} ]; then'
    yield f"torchx__k=$((torchx__n - {first})) torchx__retries={retries}"
    yield f'torchx__log=slurm-"$TORCHX__APP_ID"{stem}"$torchx__k"'
    yield "set --"
    programs = [(member.entrypoint, *member.args) for member in members]
    for words in zip(*programs, strict=False):
        yield values.hand_on(words, is_secret=False) + '; set -- "$@" "$torchx__value"'
    if len({len(program) for program in programs}) > 1:
        raise ValueError(f"replicas of the role {role.name!r} have different numbers of arguments")
    yield "torchx__env() {"
    yield f"export {RANK0_ENV}=$TORCHX__RANK0"
    names = dict.fromkeys(name for member in members for name in member.env)
    for name in names:
        texts = [member.env.get(name, "") for member in members]
        is_secret = is_secret_name(name) or any(redact_text(text) != text for text in texts)
        if _EXPORTABLE.fullmatch(name) and name not in _FIXED_IN_BASH:
            use = f"export {name}=$torchx__value"
        else:
            use = f'torchx__odd+=({quote(name)}="$torchx__value")'
        yield f"{values.hand_on(texts, is_secret=is_secret)}; {use}"
    yield "}"
    yield "fi"


class _Values:
    """Gives each value a variable, equal ones the same."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.secret_lines: list[str] = []
        self._names: dict[tuple[tuple[str, ...], bool], str] = {}

    def hand_on(self, texts: Sequence[str], *, is_secret: bool) -> str:
        """Returns code that sets ``torchx__value`` to the text of this replica."""
        distinct = tuple(texts) if len(set(texts)) > 1 else (texts[0],)
        name = self._names.get((distinct, is_secret))
        if name is None:
            name = self._names[(distinct, is_secret)] = f"{VALUE_PREFIX}{len(self._names)}"
            lines = self.secret_lines if is_secret else self.lines
            if len(distinct) == 1:
                lines.append(f"export {name}={app_id_word(distinct[0])}")
            else:
                lines += [
                    f"export {name}_{number}={app_id_word(text)}"
                    for number, text in enumerate(distinct)
                ]
        return f"torchx__value=${name}" if len(distinct) == 1 else f"torchx__at {name}"
