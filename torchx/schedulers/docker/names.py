"""Names of containers: legal for Docker, usable as host names, and telling whose they are."""

from __future__ import annotations

import re
from collections.abc import Sequence

_ILLEGAL = re.compile(r"[^A-Za-z0-9_-]")
_PART_CHARACTERS = 30
_LONGEST_HOST_NAME = 63
_LONGEST_APP_NAME = 150


def app_id_stem(name: str) -> str:
    """Turns the name of an app into one that can stand in its id.

    Args:
        name: Name of the app.

    Returns:
        The name with ``_`` for all that cannot stand in the name of a Docker object, shortened to
        150 characters.
    """
    kept = re.sub(r"[^A-Za-z0-9_.-]", "_", name)[:_LONGEST_APP_NAME]
    return kept if re.search(r"[A-Za-z0-9]", kept) else f"app{kept.replace('.', '_')}"


def role_parts(app_id: str, roles: Sequence[tuple[str, int]]) -> list[str]:
    """Shortens the names of roles to what stands in the names of their containers.

    Args:
        app_id: Id of the app.
        roles: Name and number of replicas of each role.

    Returns:
        For each role its part, different from all others. Together with the id of the app and the
        number of a replica it is no longer than a host name may be.
    """
    parts: list[str] = []
    for position, (name, num_replicas) in enumerate(roles):
        digits = len(str(max(0, num_replicas - 1)))
        room = _LONGEST_HOST_NAME - len(_app_part(app_id)) - digits - len("--")
        room = min(room, _PART_CHARACTERS)
        part = _ILLEGAL.sub("-", name[:room])
        if part in parts:
            suffix = f"-r{position}"
            part = part[: room - len(suffix)] + suffix
        parts.append(part)
    return parts


def container_name(app_id: str, role_part: str, replica_id: int) -> str:
    """Names a container, which is also its host name.

    Args:
        app_id: Id of the app.
        role_part: What :func:`role_parts` made of the name of the role.
        replica_id: Number of the replica within the role.

    Returns:
        The name.
    """
    name = f"{_app_part(app_id)}-{role_part}-{replica_id}"
    return name.lstrip("-_")


def _app_part(app_id: str) -> str:
    return _ILLEGAL.sub("-", app_id[-_PART_CHARACTERS:])
