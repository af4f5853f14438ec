"""The handle by which an app knows itself. No I/O."""

from __future__ import annotations

from torchx.schedulers.kubernetes.names import app_id_of
from torchx.settings import ENV_TORCHX_JOB_ID
from torchx.specs.api import Role, macros


def with_own_handle(role: Role, namespace: str) -> dict[str, str]:
    """Completes the handle that a runner has put into the environment of a role.

    The macro for the id of an app stands for its name in its namespace, but the id in its handle
    begins with the namespace.

    Args:
        role: The role, which is not changed.
        namespace: Namespace of the app.

    Returns:
        The environment of the role with the whole handle.
    """
    handle = role.env.get(ENV_TORCHX_JOB_ID)
    if not isinstance(handle, str) or not handle.endswith(f"/{macros.app_id}"):
        return role.env
    whole = handle.removesuffix(macros.app_id) + app_id_of(namespace, macros.app_id)
    return {**role.env, ENV_TORCHX_JOB_ID: whole}
