"""The handle by which an app knows itself. No I/O."""

from __future__ import annotations

import copy

from torchx.schedulers.kubernetes.names import app_id_of
from torchx.settings import ENV_TORCHX_JOB_ID
from torchx.specs.api import AppDef, Role, macros


def own_roles(app: AppDef, namespace: str) -> AppDef:
    """Copies an app as far as a request changes it: the names of its images, and its handle.

    Args:
        app: The app, which is not changed.
        namespace: Namespace to run in.

    Returns:
        The copy, whose roles know their whole handle.
    """
    own = copy.copy(app)
    own.roles = [copy.copy(role) for role in app.roles]
    for role in own.roles:
        role.env = _with_own_handle(role, namespace)
    return own


def _with_own_handle(role: Role, namespace: str) -> dict[str, str]:
    """Completes the handle that a runner has put into the environment of a role.

    The macro for the id of an app stands for its name in its namespace, but the id in its handle
    begins with the namespace.
    """
    handle = role.env.get(ENV_TORCHX_JOB_ID)
    if not isinstance(handle, str) or not handle.endswith(f"/{macros.app_id}"):
        return role.env
    whole = handle.removesuffix(macros.app_id) + app_id_of(namespace, macros.app_id)
    return {**role.env, ENV_TORCHX_JOB_ID: whole}
