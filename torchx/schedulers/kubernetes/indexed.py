"""The template of an Indexed Job, which all replicas of a role are made from.

What differs between replicas is filled in by Kubernetes: it puts the number of the replica into a
variable of each container, which commands and later variables can refer to as ``$(NAME)``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from torchx.schedulers.kubernetes.expansion import SLOT
from torchx.schedulers.kubernetes.labels import LABEL_COMPLETION_INDEX
from torchx.schedulers.kubernetes.models import Models, plain_data
from torchx.schedulers.kubernetes.names import has_peers, host_name, job_name
from torchx.schedulers.kubernetes.overlay import overlay_of
from torchx.schedulers.kubernetes.refusals import KubernetesAppError
from torchx.schedulers.kubernetes.replicas import ENV_RANK0_HOST, PodSettings, Replica, make_pod
from torchx.specs.api import AppDef, Role, macros
from torchx.util.strings import normalize_str

INDEX_VARIABLE = "JOB_COMPLETION_INDEX"
"""Kubernetes adds it to all containers, behind all others, unless they have it already."""

_REFERENCE = f"$({INDEX_VARIABLE})"
_FROM_POD = {
    "name": INDEX_VARIABLE,
    "valueFrom": {"fieldRef": {"fieldPath": f"metadata.annotations['{LABEL_COMPLETION_INDEX}']"}},
}
_EXPANDED = ("command", "args")


def make_indexed(
    app: AppDef, app_id: str, role: Role, settings: PodSettings, models: Models
) -> dict[str, Any]:
    """Makes the template of the Job of a role.

    Args:
        app: The app.
        app_id: Its unique name.
        role: The role.
        settings: What the run options say about pods.
        models: Makes the objects.

    Returns:
        The template, as it is sent.

    Raises:
        TypeError: A mount is of an unknown type, or the overlay does not fit to the pod.
        ValueError: The number of the replica stands where Kubernetes does not fill it in.
    """
    rank0 = host_name(job_name(app_id, app.roles, app.roles[0]), 0)
    values = macros.Values(
        img_root="",
        app_id=app_id,
        replica_id=SLOT if role.num_replicas > 1 else "0",
        rank0_env=ENV_RANK0_HOST,
    )
    env = {ENV_RANK0_HOST: rank0 if has_peers(app) else "localhost"}
    replica = Replica(role, normalize_str(role.name), values, env, overlay_of(role))
    template: dict[str, Any] = plain_data(make_pod(replica, settings, models))
    _drop_empty(template["spec"], ("nodeSelector",))
    for container in _containers(template["spec"]):
        _drop_empty(container.get("resources", {}), ("limits", "requests"))
        _drop_empty(container, ("env", "ports", "resources", "securityContext"))
        _refer_to_index(container)
    _check_no_slot(template, role)
    return template


def _drop_empty(data: dict[str, Any], names: Iterable[str]) -> None:
    for name in names:
        if not data.get(name, True):
            del data[name]


def _containers(spec: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from spec.get("initContainers", ())
    yield from spec["containers"]


def _refer_to_index(container: dict[str, Any]) -> None:
    for field in _EXPANDED:
        if field in container:
            container[field] = [word.replace(SLOT, _REFERENCE) for word in container[field]]
    for mount in container.get("volumeMounts", ()):
        if SLOT in mount.get("subPathExpr", ""):
            mount["subPathExpr"] = mount["subPathExpr"].replace(SLOT, _REFERENCE)
    env: list[dict[str, Any]] = container.get("env", [])
    users = [variable for variable in env if SLOT in variable.get("value", "")]
    for variable in users:
        variable["value"] = variable["value"].replace(SLOT, _REFERENCE)
    if users and all(variable["name"] != INDEX_VARIABLE for variable in env):
        # A variable can refer only to those before it.
        container["env"] = [_FROM_POD, *env]


def _check_no_slot(template: dict[str, Any], role: Role) -> None:
    for path, text in _texts(template, ""):
        if SLOT in text:
            shown = text.replace(SLOT, macros.replica_id)
            raise KubernetesAppError(
                f"role `{role.name}`: `{shown}` at {path} of the pod has the number of the replica"
                " where plain Kubernetes cannot fill it in; there it can be in the command, in"
                " variables, and in the subPathExpr of a mount. Or set the run option `queue` to"
                " use Volcano"
            )


def _texts(data: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(data, str):
        yield path, data
    elif isinstance(data, dict):
        for key, item in data.items():
            yield from _texts(item, f"{path}.{key}" if path else key)
            yield path, str(key)
    elif isinstance(data, list):
        for number, item in enumerate(data):
            yield from _texts(item, f"{path}[{number}]")
