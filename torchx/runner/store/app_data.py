"""An ``AppDef`` as nested data, and back."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, get_args

from torchx.specs import AppDef, Resource, RetryPolicy, Role, Workspace
from torchx.specs.mounts import Mount

_MOUNTS: Mapping[str, type[Mount]] = {kind.__name__: kind for kind in get_args(Mount)}


def app_to_data(app: AppDef) -> dict[str, Any]:
    """Turns an app into nested data. Lazy values of roles that nobody has read stay unread.

    Args:
        app: The app.

    Returns:
        Its fields as dicts, lists and plain values.
    """
    return {
        "name": app.name,
        "metadata": dict(app.metadata or {}),
        "roles": [_role_to_data(role) for role in app.roles],
    }


def app_from_data(data: Mapping[str, Any]) -> AppDef:
    """The inverse of :func:`app_to_data`.

    Args:
        data: The nested data. What this release does not know is left out.

    Returns:
        The app.
    """
    return AppDef(
        name=data["name"],
        metadata=dict(data.get("metadata") or {}),
        roles=[_role_from_data(role) for role in data.get("roles") or ()],
    )


def _role_to_data(role: Role) -> dict[str, Any]:
    fields = {
        field.name: vars(role).get(field.name)
        for field in dataclasses.fields(role)
        if field.name != "overrides"
    }
    workspace = fields["workspace"]
    return {
        **fields,
        "retry_policy": RetryPolicy(fields["retry_policy"]).name,
        "resource": dataclasses.asdict(role.resource)
        if isinstance(fields["resource"], Resource)
        else None,
        "mounts": [
            {"type": type(mount).__name__, **dataclasses.asdict(mount)}
            for mount in fields["mounts"] or ()
        ],
        "workspace": workspace.projects if isinstance(workspace, Workspace) else workspace,
    }


def _role_from_data(data: Mapping[str, Any]) -> Role:
    known = {field.name for field in dataclasses.fields(Role)}
    fields = {name: value for name, value in data.items() if name in known}
    resource, workspace = fields.get("resource"), fields.get("workspace")
    if isinstance(resource, Mapping):
        fields["resource"] = Resource(**resource)
    fields["retry_policy"] = RetryPolicy[fields.get("retry_policy") or "APPLICATION"]
    fields["mounts"] = [_mount_from_data(mount) for mount in fields.get("mounts") or ()]
    fields["workspace"] = Workspace(dict(workspace)) if isinstance(workspace, Mapping) else None
    return Role(**fields)


def _mount_from_data(data: Mapping[str, Any]) -> Mount:
    fields = dict(data)
    return _MOUNTS[fields.pop("type")](**fields)
