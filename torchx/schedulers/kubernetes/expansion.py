"""Keeps Kubernetes from changing ``$(NAME)`` and ``$$`` in commands and variables.

https://kubernetes.io/docs/tasks/inject-data-application/define-interdependent-environment-variables
"""

from __future__ import annotations

import re
from collections.abc import Collection

SLOT = "\ufdd0"
"""Stands in text for the number of a replica, which is put in later."""

# One `$` alone is kept as it is; but before other than ASCII the kubelet reads half a character.
_CHANGED = re.compile(r"\$\$+|\$(?=[^\x00-\x7f])|\$\((?:(?P<name>[^)]*)\))?")
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
    # What is put in may be a reference, whose `)` would close any `$(` before it.
    has_slot = SLOT in text

    def escaped(found: re.Match[str]) -> str:
        name = found["name"]
        if not found[0].startswith("$("):
            return found[0] * 2
        is_changed = has_slot or (name is not None and (name in env or _NAME.fullmatch(name)))
        return f"${found[0]}" if is_changed and name not in references else found[0]

    return _CHANGED.sub(escaped, text)
