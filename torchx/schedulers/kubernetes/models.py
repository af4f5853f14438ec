"""The classes of the package ``kubernetes``, which is imported only when it is used.

Its versions differ in what matters here: where the classes get their settings from, and how data
becomes objects.
"""

from __future__ import annotations

import copy
import functools
import json
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from kubernetes.client.models import V1Pod

T = TypeVar("T")

__all__ = ["Models", "filled", "plain_data", "pod_from_data", "sanitize_for_serialization"]


class Models:
    """Creates objects of ``kubernetes.client.models``, each named like its class.

    Without the settings that they share here, each object would make its own, which takes longer
    than all the rest.

    Example:
        >>> Models().V1Volume(name="scratch").name
        'scratch'
    """

    def __init__(self) -> None:
        from kubernetes import client

        self._models = client.models
        self._settings: dict[str, Any] = {}
        if not hasattr(client.models.V1Pod, "model_fields"):
            self._settings["local_vars_configuration"] = client.Configuration()

    def __getattr__(self, name: str) -> Any:
        made = functools.partial(getattr(self._models, name), **self._settings)
        setattr(self, name, made)
        return made


def sanitize_for_serialization(obj: object) -> object:
    """Turns objects of the Kubernetes client into plain data.

    Args:
        obj: An object, or a list or dict that may contain some.

    Returns:
        Data as it is sent: with names in camelCase, and without what is not set.
    """
    return _api_client().sanitize_for_serialization(obj)


def plain_data(obj: Any) -> Any:
    """Does what :func:`sanitize_for_serialization` does, faster for requests of many replicas.

    Args:
        obj: An object, or a list or dict that may contain some.

    Returns:
        The data.
    """
    if obj is None or isinstance(obj, (str, int, float)):
        return obj
    if isinstance(obj, dict):
        return {key: plain_data(value) for key, value in obj.items()}
    if isinstance(obj, (list, tuple)):
        return [plain_data(item) for item in obj]
    if not hasattr(obj, "attribute_map"):
        return sanitize_for_serialization(obj)
    state = vars(obj)
    kind: Any = type(obj)
    fields = _fields(kind)
    return {key: plain_data(state[name]) for name, key in fields if state[name] is not None}


@functools.cache
def _fields(kind: Any) -> list[tuple[str, str]]:
    prefix = "" if hasattr(kind, "model_fields") else "_"
    return [(f"{prefix}{name}", key) for name, key in kind.attribute_map.items()]


def pod_from_data(data: dict[str, Any]) -> V1Pod:
    """Turns plain data into a pod.

    Args:
        data: The pod, with names in camelCase. Unknown fields are dropped.

    Returns:
        The pod.
    """
    client = _api_client()
    # The public method takes a response of the server, of a form that changes between versions.
    deserialize = getattr(client, "_ApiClient__deserialize", None)
    if deserialize is None:
        return client.deserialize(json.dumps(data), "V1Pod", "application/json")
    return deserialize(data, "V1Pod")


def filled(obj: T, slot: str, text: str) -> T:
    """Copies objects of the Kubernetes client, with text put in where a mark stands.

    Args:
        obj: An object, text, a number, or a list or dict of such.
        slot: The mark.
        text: What to put in its place.

    Returns:
        The copy. It shares with the original what nobody changes: the settings of the client.
    """
    copied: Any = obj
    if isinstance(obj, str):
        copied = obj.replace(slot, text)
    elif isinstance(obj, list):
        copied = [filled(item, slot, text) for item in obj]
    elif isinstance(obj, dict):
        copied = {filled(key, slot, text): filled(item, slot, text) for key, item in obj.items()}
    elif hasattr(obj, "attribute_map"):
        copied = copy.copy(obj)
        vars(copied).update(
            (name, filled(value, slot, text))
            for name, value in vars(obj).items()
            if value is not None
        )
    result: T = copied
    return result


def _api_client() -> Any:
    """Returns a client that is never connected."""
    from kubernetes.client import ApiClient

    return _unconnected(ApiClient)


@functools.lru_cache(maxsize=1)
def _unconnected(kind: type) -> Any:
    """Makes a client, once: its settings take long to make. The library may be loaded anew."""
    from kubernetes.client import Configuration

    return kind(Configuration())
