"""What Kubernetes does with ``$(NAME)``, written anew from its rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Expands byte by byte: ``$$`` is a dollar sign, ``$(NAME)`` a variable if there is one."""
    data, out, position = text.encode(), bytearray(), 0
    while position < len(data):
        rest = data[position:]
        if rest[:1] != b"$" or len(rest) == 1:
            out += rest[:1]
            position += 1
        elif rest[1:2] == b"$":
            out += b"$"
            position += 2
        elif rest[1:2] == b"(" and b")" in rest:
            name = rest[2 : rest.index(b")")]
            out += variables.get(name.decode(), f"$({name.decode()})").encode()
            position += len(name) + 3
        else:
            # It takes the byte behind the sign for a character.
            out += b"$" + chr(rest[1]).encode()
            position += 2
    return out.decode(errors="replace")


def seen_by(
    container: Mapping[str, Any], fields: Mapping[str, str], index: int | None = None
) -> tuple[list[str], dict[str, str]]:
    """Returns the command and the environment that a container starts with.

    Args:
        container: The container, as it is sent.
        fields: Values of fields of its pod.
        index: Number of the pod in an Indexed Job.
    """
    given = list(container.get("env", []))
    if index is not None:
        fields = {**fields, _INDEX: str(index)}
        if all(variable["name"] != "JOB_COMPLETION_INDEX" for variable in given):
            own = {"valueFrom": {"fieldRef": {"fieldPath": _INDEX}}}
            given.append({"name": "JOB_COMPLETION_INDEX", **own})
    env: dict[str, str] = {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}
    for variable in given:
        if "valueFrom" in variable:
            env[variable["name"]] = fields[variable["valueFrom"]["fieldRef"]["fieldPath"]]
        else:
            env[variable["name"]] = expand(variable.get("value", ""), env)
    words = [*container.get("command", ()), *container.get("args", ())]
    return [expand(word, env) for word in words], env


_INDEX = "metadata.annotations['batch.kubernetes.io/job-completion-index']"
