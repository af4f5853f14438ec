"""Names of apps, and of the objects that are wrapped in an AppWrapper. No I/O."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable

from torchx.schedulers.kubernetes.names import LONGEST_NAME
from torchx.specs.api import AppDef

_LONGEST_RANDOM = 14
_SHORTEST_RANDOM = 3


def cleanup_str(data: str) -> str:
    """Reduces text to what names consist of: it begins with a letter, unless nothing is left.

    Args:
        data: Any text.

    Returns:
        Letters a to z, digits and inner dashes.

    Example:
        >>> cleanup_str("1234-/_a/b/CD!123!")
        'abcd123'
    """
    return re.sub("[^a-z0-9-]", "", data.lower()).lstrip("-0123456789")


def unique_app_name(app: AppDef, make_unique: Callable[[str, int], str]) -> str:
    """Names an app so that the names of all of its objects are short enough.

    Args:
        app: The app, which is not changed.
        make_unique: Appends to a name an id of at most so many characters.

    Returns:
        The name. It ends with an id that may be as short as three characters.
    """
    room = LONGEST_NAME - 1 - _SHORTEST_RANDOM - _longest_suffix(app)
    random_length = min(_LONGEST_RANDOM, room - len(app.name))
    name = app.name
    if random_length <= _SHORTEST_RANDOM:
        name, random_length = name[:room], _SHORTEST_RANDOM
        if name != app.name:
            warnings.warn(
                f"the name of the app `{app.name}` is too long for Kubernetes and was cut to"
                f" `{name}`; give it a shorter one",
                stacklevel=3,
            )
    return cleanup_str(make_unique(name, random_length))


def pod_name(app_id: str, role_idx: int, replica_id: int | str) -> str:
    """Names the pod of a replica, which is its host and its container as well.

    Args:
        app_id: Unique name of the app.
        role_idx: Position of the role in the app.
        replica_id: Number of the replica within the role, or what stands for it.

    Returns:
        For example ``demo-x1-0``, for the second role ``demo-x1-r1-0``.
    """
    role = f"r{role_idx}-" if role_idx else ""
    return f"{app_id}-{role}{replica_id}"


def pod_group_name(app_id: str, role_idx: int) -> str:
    """Names the PodGroup of a role.

    Args:
        app_id: Unique name of the app.
        role_idx: Position of the role in the app.

    Returns:
        For example ``demo-x1-pg0``.
    """
    return f"{app_id}-pg{role_idx}"


def hosts_variable(role_name: str) -> str:
    """Names the variable that holds the host of the first replica of a role.

    Args:
        role_name: Name of the role.

    Returns:
        For example ``TORCHX_MCAD_TRAINERFOO_0_HOSTS``.
    """
    return f"TORCHX_MCAD_{cleanup_str(role_name).upper().replace('-', '')}_0_HOSTS"


def _longest_suffix(app: AppDef) -> int:
    """Returns the length of what is put behind the name of an app."""
    # What earlier releases left free, which decides how long names of short apps are.
    lengths = [len("-pg") + len(app.roles)]
    for role_idx, role in enumerate(app.roles):
        lengths.append(len(pod_group_name("", role_idx)))
        lengths.append(len(pod_name("", role_idx, max(role.num_replicas - 1, 0))))
    return max(lengths)
