"""What runs on the nodes of a role: macros, and the shell that the number of a node needs.

All nodes of a role share one command, so the number of a replica is a variable of the environment,
which only a shell puts in. Where the program of the role is none, one is put in front of it. The
same is done for variables that are empty, which AWS Batch would drop.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torchx.schedulers.aws_batch.resources import AppRefusedError
from torchx.settings import ENV_TORCHX_JOB_ID
from torchx.specs.api import Role, macros
from torchx.util import shell

ENV_NODE_INDEX = "AWS_BATCH_JOB_NODE_INDEX"
"""Number of a node within its job, in multi-node jobs."""

ENV_MAIN_NODE = "AWS_BATCH_JOB_MAIN_NODE_PRIVATE_IPV4_ADDRESS"
"""Address of node 0, set on all nodes but that one."""

ENV_RANK0_HOST = "TORCHX_RANK0_HOST"
"""What stands for :data:`ENV_MAIN_NODE` in jobs of one container, which have no such variable."""

_MARK = "\ue000torchx-replica-id\ue000"
_SHELLS = frozenset(("ash", "bash", "dash", "ksh", "sh", "zsh"))
_RUNS_TEXT = re.compile(r"-[a-z]*c")
_VARIABLE = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_PARAMETER = re.compile(r"Ref::([\w-]+)", re.ASCII)


def with_macros(role: Role, name: str, start_idx: int) -> Role:
    """Substitutes the macros of a role.

    Args:
        role: The role, which is not changed.
        name: Name of the job.
        start_idx: Number of the first node of the role.

    Returns:
        A copy, whose command tells each replica its number if it asks for that.

    Raises:
        AppRefusedError: A variable can be set only by a shell, and has no name for that.
    """
    index = _index(role.num_replicas, start_idx)
    plain = _values(name, index).apply(role)
    marked = plain if role.num_replicas == 1 else _values(name, _MARK).apply(role)
    # AWS Batch drops variables that are empty.
    exported = {key: text for key, text in marked.env.items() if not text or _MARK in text}
    has_shell = _is_shell(role)
    asks = any(_MARK in word for word in (marked.entrypoint, *marked.args))
    if exported or (asks and not has_shell):
        words = (plain if has_shell else marked).args
        plain.args = ["-c", _script(marked.entrypoint, words, exported, index)]
        plain.entrypoint = "/bin/sh"
        plain.env = {key: text for key, text in plain.env.items() if key not in exported}
    return plain


def with_usable_handle(env: Mapping[str, str], queue: str, name: str) -> dict[str, str]:
    """Completes the handle of the job that trackers record, which lacks the queue.

    Args:
        env: Environment of a role.
        queue: Name of the queue.
        name: Name of the job.

    Returns:
        A copy.
    """
    handle = env.get(ENV_TORCHX_JOB_ID, "")
    session, slash, app_id = handle.rpartition("/")
    if not slash or app_id != name:
        return dict(env)
    return {**env, ENV_TORCHX_JOB_ID: f"{session}/{queue}:{name}"}


def without_nodes(container: Mapping[str, Any]) -> dict[str, Any]:
    """Rewrites the command and the environment of the only node for a job of one container.

    AWS Batch sets no variables about nodes there, and forbids to set them.

    Args:
        container: Container properties of a node group.

    Returns:
        A copy.
    """
    environment = [
        {**pair, "value": _as_only_node(pair["value"])} for pair in container["environment"]
    ]
    command = [_as_only_node(word) for word in container["command"]]
    if any(ENV_RANK0_HOST in text for text in (*command, *(p["value"] for p in environment))):
        environment.append({"name": ENV_RANK0_HOST, "value": "localhost"})
    return {**container, "command": command, "environment": environment}


def literal_parameters(command: list[str]) -> dict[str, str]:
    """Keeps AWS Batch from replacing ``Ref::name`` in the words of a command.

    Args:
        command: The words.

    Returns:
        Parameters that stand for themselves; usually none.
    """
    names = [name for word in command for name in _PARAMETER.findall(word)]
    return {name: f"Ref::{name}" for name in names}


def _index(num_replicas: int, start_idx: int) -> str:
    if num_replicas == 1:
        return "0"
    return f"${ENV_NODE_INDEX}" if start_idx == 0 else f"$(({ENV_NODE_INDEX}-{start_idx}))"


def _values(name: str, replica_id: str) -> macros.Values:
    return macros.Values(img_root="", app_id=name, replica_id=replica_id, rank0_env=ENV_MAIN_NODE)


def _is_shell(role: Role) -> bool:
    name = role.entrypoint.rpartition("/")[2]
    return name in _SHELLS and any(_RUNS_TEXT.fullmatch(arg) for arg in role.args)


def _script(entrypoint: str, args: list[str], exported: Mapping[str, str], index: str) -> str:
    lines = []
    for name, value in exported.items():
        if _VARIABLE.fullmatch(name) is None:
            raise AppRefusedError(
                f"the variable {name!r} cannot be empty or hold the number of a replica: only a"
                " shell can set it so, and shells have no such names",
                hint="name it with letters, digits and underscores only",
            )
        lines.append(f"export {name}={_expanded(value, index)}; ")
    words = " ".join(_expanded(word, index) for word in (entrypoint, *args))
    return f"{''.join(lines)}exec {words}"


def _expanded(word: str, index: str) -> str:
    """Quotes a word for a shell, which puts the number in where the mark is."""
    pieces = [shell.quote(piece) if piece else "" for piece in word.split(_MARK)]
    return f'"{index}"'.join(pieces) or "''"


def _as_only_node(text: str) -> str:
    return text.replace(ENV_MAIN_NODE, ENV_RANK0_HOST)
