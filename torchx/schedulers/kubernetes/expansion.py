"""Keeps Kubernetes from changing ``$(NAME)`` and ``$$`` in commands and variables.

https://kubernetes.io/docs/tasks/inject-data-application/define-interdependent-environment-variables
"""

from __future__ import annotations

import re
from collections.abc import Collection

SLOT = "\ufdd0"
"""Stands in text for the number of a replica, which is put in later."""

# One `$` alone is kept as it is; but before other than ASCII the kubelet reads half a character.
_DOLLARS = r"\$\$+|\$(?=[^\x00-\x7f])"
_CHANGED = re.compile(rf"{_DOLLARS}|\$\((?P<name>[^)]*)\)")
# The number of a replica may be put in as `$(INDEX)`, whose `)` would close any `$(` before it.
_CHANGED_AROUND_SLOT = re.compile(rf"{_DOLLARS}|\$\((?:(?P<name>[\w.-]+)\))?")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")


def literal(text: str, env: Collection[str] = (), references: Collection[str] = ()) -> str:
    """Writes text so that a container gets it unchanged.

    Args:
        text: A word of a command, or the value of a variable.
        env: Names of the variables of the container.
        references: Those of them that the text may refer to, since only Kubernetes knows their
            values.

    Returns:
        The text, with ``$$`` for each ``$`` that Kubernetes would take for its own.

    Example:
        >>> literal("cost: $5 $(HOME) $$ $(ls -l)")
        'cost: $5 $$(HOME) $$$$ $(ls -l)'
    """
    if "$" not in text:
        return text
    has_slot = SLOT in text

    def escaped(found: re.Match[str]) -> str:
        name = found["name"]
        if not found[0].startswith("$("):
            return found[0] * 2
        if name in references or not (has_slot or name in env or _NAME.fullmatch(name)):
            return found[0]
        return f"${found[0]}"

    return (_CHANGED_AROUND_SLOT if has_slot else _CHANGED).sub(escaped, text)
