"""Overlays of pods: changes for what the job model has no field for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from torchx.schedulers.kubernetes.expansion import SLOT
from torchx.schedulers.kubernetes.models import pod_from_data, sanitize_for_serialization
from torchx.specs.api import Role
from torchx.specs.overlay_merge import apply_overlay, decode
from torchx.specs.overlays import get_overlay
from torchx.util.strings import normalize_str

if TYPE_CHECKING:
    from kubernetes.client.models import V1Pod

_IGNORED = ("apiVersion", "kind", "status")

MAIN_CONTAINER = "main"
"""Name by which an overlay joins the container of any replica."""


def overlay_of(role: Role) -> dict[str, Any]:
    """Reads the overlay of a role, which may be kept in a file.

    Args:
        role: The role.

    Returns:
        A copy; empty if there is none.

    Raises:
        ValueError: The file is malformed.
        FileNotFoundError: There is no such file.
    """
    return get_overlay(role, "kubernetes", "V1Pod")


def addressed_to(overlay: dict[str, Any], role: Role, container: str) -> dict[str, Any]:
    """Lets what an overlay joins to the container of any replica meet that of one.

    Args:
        overlay: The overlay; it is not changed.
        role: The role. Its name, ``main``, and the names of its replicas (``trainer-0``) all mean
            the container of each replica: an overlay applies to all of them.
        container: Name of the container of the replica.

    Returns:
        The overlay to apply.
    """
    spec = overlay.get("spec")
    if not isinstance(spec, dict):
        return overlay
    names = _names_of_main(role)

    def renamed(item: Any) -> Any:
        is_main = isinstance(item, dict) and names.fullmatch(str(item.get("name")))
        return {**item, "name": container} if is_main else item

    def readdressed(key: Any, items: Any) -> Any:
        joins = decode(key)[1:] == ("containers", "name") and isinstance(items, list)
        return [renamed(item) for item in items] if joins else items

    return {**overlay, "spec": {key: readdressed(key, items) for key, items in spec.items()}}


def _names_of_main(role: Role) -> re.Pattern[str]:
    names = {re.escape(name) for name in (role.name, normalize_str(role.name))}
    return re.compile(rf"{MAIN_CONTAINER}|(?:{'|'.join(names)})(?:-(?:\d+|{SLOT}))?")


def _apply_pod_overlay(pod: V1Pod, overlay: dict[str, Any]) -> None:
    """Changes a pod as an overlay says, see :func:`apply_to_pod`."""
    apply_to_pod(pod, overlay)


def apply_to_pod(pod: V1Pod, overlay: dict[str, Any]) -> list[str]:
    """Changes a pod as an overlay says.

    Args:
        pod: The pod; its spec and its metadata are replaced.
        overlay: The overlay; it is not changed.

    Returns:
        Paths of the fields that the installed package ``kubernetes`` does not know; they are
        ignored.

    Raises:
        TypeError: A container meets a value of another kind.
        ValueError: A key is malformed.
    """
    data: Any = sanitize_for_serialization(pod)
    apply_overlay(data, overlay)
    changed = pod_from_data(data)
    pod.spec = changed.spec
    pod.metadata = changed.metadata
    return list(_dropped(data, sanitize_for_serialization(changed), ""))


def _dropped(given: Any, kept: Any, path: str) -> Iterator[str]:
    """Finds the fields that one version of some data has beyond another."""
    if isinstance(given, dict) and isinstance(kept, dict):
        for key, value in given.items():
            here = f"{path}.{key}" if path else str(key)
            if key in kept:
                yield from _dropped(value, kept[key], here)
            elif value is not None and key not in _IGNORED:
                yield here
    elif isinstance(given, list) and isinstance(kept, list):
        for number, (one, other) in enumerate(zip(given, kept, strict=False)):
            yield from _dropped(one, other, f"{path}[{number}]")
