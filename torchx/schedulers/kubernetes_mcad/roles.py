"""Reads roles from the items of an AppWrapper. Pure, and total.

What comes from an API server is turned into what the role was made of. Anything else is handed on
as it is, which programs written for earlier releases count on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from torchx.schedulers.kubernetes.labels import ANNOTATION_ROLE_NAME, LABEL_ROLE_NAME
from torchx.schedulers.kubernetes.pod import PLACEHOLDER_FIELD_PATH
from torchx.specs.api import BindMount, DeviceMount, Resource, Role, VolumeMount
from torchx.specs.mounts import ConfigMapMount, Mount, SecretMount

_QUANTITY = re.compile(r"(?P<number>[0-9.]+)(?P<unit>[A-Za-z]*)")
_UNITS = {
    "": 1,
    "m": 1e-3,
    "k": 1e3,
    "M": 1e6,
    "G": 1e9,
    "T": 1e12,
    "Ki": 2**10,
    "Mi": 2**20,
    "Gi": 2**30,
    "Ti": 2**40,
}
_NO_DEVICES = ("cpu", "memory", "ephemeral-storage")
_SHM = "dshm"


def get_role_information(generic_items: Iterable[Mapping[str, Any]]) -> dict[str, Role]:
    """Reads the roles of an app.

    Args:
        generic_items: The items of its AppWrapper. Those without a label for the role, such as
            its service, are left out.

    Returns:
        Role by name. What an item does not tell has its default.
    """
    roles: dict[str, Role] = {}
    for item in generic_items:
        template = item.get("generictemplate")
        name = role_name_of(template)
        if name is None or not isinstance(template, Mapping):
            continue
        if name not in roles:
            roles[name] = Role(name, image="", num_replicas=0)
            container = _first_container(template)
            _fill(roles[name], container)
            # Other shapes come from programs that count on getting values as they are.
            if isinstance(container.get("env"), list):
                _convert(roles[name], container, template)
        roles[name].num_replicas += 1
    return roles


def role_name_of(template: Any) -> str | None:
    """Names the role that a pod is a replica of.

    Args:
        template: The pod, or any other object.

    Returns:
        The name; ``None`` if it is no replica.
    """
    metadata = template.get("metadata") if isinstance(template, Mapping) else None
    labels = metadata.get("labels") if isinstance(metadata, Mapping) else None
    if not isinstance(labels, Mapping) or LABEL_ROLE_NAME not in labels:
        return None
    annotations: Any = metadata.get("annotations") if isinstance(metadata, Mapping) else None
    name: str = (annotations or {}).get(ANNOTATION_ROLE_NAME) or labels[LABEL_ROLE_NAME]
    return name


def _first_container(template: Any) -> Mapping[str, Any]:
    containers = (template.get("spec") or {}).get("containers") or [{}]
    first: Mapping[str, Any] = containers[0]
    return first


def _fill(role: Role, container: Mapping[str, Any]) -> None:
    """Fills in fields in a fixed order, up to the first that is not there."""
    if "image" not in container:
        return
    role.image = container["image"]
    if "command" not in container:
        return
    role.args = container["command"]
    if "env" not in container:
        return
    role.env = container["env"]
    if "resources" not in container:
        return
    vars(role)["resources"] = container["resources"]
    requests = container["resources"].get("requests") or {}
    if "cpu" not in requests or "memory" not in requests:
        return
    gpus = [count for name, count in requests.items() if "gpu" in name]
    role.resource = Resource(requests["cpu"], gpus[0] if gpus else -1, requests["memory"])
    if "ports" not in container:
        return
    role.port_map = container["ports"]
    if "volumeMounts" in container:
        role.mounts = container["volumeMounts"]


def _convert(role: Role, container: Mapping[str, Any], template: Mapping[str, Any]) -> None:
    """Turns what an API server told into what the role was made of."""
    if role.args:
        role.entrypoint, *role.args = role.args
    role.env = {item.get("name", ""): _value(item) for item in container["env"]}
    resources = container.get("resources") or {}
    # Less is requested than the role asked for: the limit is what it asked for.
    asked = {**(resources.get("requests") or {}), **(resources.get("limits") or {})}
    role.resource = _resource(asked)
    ports = container.get("ports") or ()
    role.port_map = {str(port.get("name", "")): port.get("containerPort", 0) for port in ports}
    role.mounts = list(_mounts(container.get("volumeMounts") or (), template))


def _resource(asked: Mapping[str, Any]) -> Resource:
    gpu = next((name for name in asked if "gpu" in name), "")
    cpus = quantity(asked.get("cpu"))
    return Resource(
        cpu=int(cpus) if cpus == int(cpus) else cpus,  # type: ignore[arg-type]  # half a CPU
        gpu=int(quantity(asked.get(gpu))),
        memMB=round(quantity(asked["memory"]) / 1e6) if "memory" in asked else -1,
        devices={
            name: int(quantity(count))
            for name, count in asked.items()
            if name not in (*_NO_DEVICES, gpu)
        },
    )


def quantity(text: Any) -> float:
    """Reads a quantity of Kubernetes.

    Args:
        text: The quantity, such as ``900m``, ``1976M`` or ``2``.

    Returns:
        The number, in units of one; -1 if it is no quantity.
    """
    found = _QUANTITY.fullmatch(str(text))
    if found is None or found["unit"] not in _UNITS:
        return -1
    try:
        return float(found["number"]) * _UNITS[found["unit"]]
    except ValueError:
        return -1


def _value(variable: Mapping[str, Any]) -> str:
    field = (variable.get("valueFrom") or {}).get("fieldRef") or {}
    path = field.get("fieldPath")
    return f"{PLACEHOLDER_FIELD_PATH}{path}" if path else str(variable.get("value") or "")


def _mounts(mounts: Iterable[Mapping[str, Any]], template: Mapping[str, Any]) -> Iterator[Mount]:
    listed = (template.get("spec") or {}).get("volumes") or ()
    volumes = {volume.get("name"): volume for volume in listed}
    for mount in mounts:
        volume = volumes.get(mount.get("name")) or {}
        if mount.get("name") == _SHM:
            continue
        made = _mount(volume, str(mount.get("mountPath") or ""), bool(mount.get("readOnly")))
        if made is not None:
            yield made


def _mount(volume: Mapping[str, Any], path: str, read_only: bool) -> Mount | None:
    host_path = (volume.get("hostPath") or {}).get("path")
    if host_path and host_path.startswith("/dev/"):
        return DeviceMount(host_path, path, permissions="r" if read_only else "rwm")
    if host_path:
        return BindMount(host_path, path, read_only)
    if "persistentVolumeClaim" in volume:
        return VolumeMount(volume["persistentVolumeClaim"].get("claimName", ""), path, read_only)
    if "secret" in volume:
        return SecretMount(volume["secret"].get("secretName", ""), path)
    if "configMap" in volume:
        return ConfigMapMount(volume["configMap"].get("name", ""), path)
    return None
