"""Overlays: changes to the request of a scheduler, for what the job model has no field for.

An overlay is a nested dict, kept in the metadata of a role or an app under the namespace of a
scheduler (``kubernetes``) and the kind of object that it changes (``V1Pod``). The scheduler applies
it to its request.
"""

from __future__ import annotations

import copy
import json
import logging
import os
from dataclasses import dataclass
from typing import Any

from torchx.specs.app import AppDef, Role
from torchx.specs.overlay_merge import DEL, JOIN, PUT, apply_overlay, decode

__all__ = [
    "DEL",
    "JOIN",
    "PUT",
    "OverlaySpec",
    "apply_overlay",
    "get_overlay",
    "set_overlay",
    "validate_overlay",
]

logger = logging.getLogger(__name__)

_FORMAT_KEY = "__torchx_overlays__"
_FILE_SUFFIXES = (".json", ".yaml", ".yml")


@dataclass(frozen=True)
class OverlaySpec:
    """Where the overlays of one kind are kept, and which fields they must leave alone.

    Args:
        namespace: Namespace of the scheduler, for example ``kubernetes``.
        kind: Kind of the object that is changed, for example ``V1Pod``.
        blocklist: Fields that are made from the role and must be set there.

    Example:
        >>> POD = OverlaySpec("kubernetes", "V1Pod", blocklist=("env",))
        >>> role = Role("trainer", "image")
        >>> POD.set(role, {"spec": {"hostNetwork": True}})
        >>> POD.get(role)
        {'spec': {'hostNetwork': True}}
    """

    namespace: str
    kind: str
    blocklist: tuple[str, ...] = ()

    def set(self, target: Role | AppDef, overlay: dict[str, Any]) -> None:
        """Checks an overlay and adds it to those of a role or an app.

        Args:
            target: The role or the app.
            overlay: The overlay.

        Raises:
            ValueError: It changes a field of the blocklist; nothing is stored then.
        """
        self._validate(overlay)
        set_overlay(target, self.namespace, self.kind, overlay)

    def get(self, target: Role | AppDef) -> dict[str, Any]:
        """Returns the overlay of a role or an app.

        Args:
            target: The role or the app.

        Returns:
            A copy of the overlay, empty if there is none.

        Raises:
            ValueError: The stored overlay changes a field of the blocklist.
        """
        overlay = get_overlay(target, self.namespace, self.kind, flat_fallback=False)
        self._validate(overlay)
        return overlay

    def _validate(self, overlay: dict[str, Any]) -> None:
        validate_overlay(overlay, blocklist=list(self.blocklist), overlay_name=self.kind)


def set_overlay(target: Role | AppDef, namespace: str, kind: str, overlay: dict[str, Any]) -> None:
    """Adds an overlay to those that a role or an app already has.

    Args:
        target: The role or the app.
        namespace: Namespace of the scheduler.
        kind: Kind of the object that is changed.
        overlay: The overlay; it is copied.

    Raises:
        ValueError: The name of the kind is reserved.
        TypeError: It does not fit to an earlier overlay; nothing is stored then.
    """
    _check_kind(kind)
    metadata = _metadata(target)
    stored = metadata.get(namespace)
    if stored is not None and not isinstance(stored, dict):
        logger.warning("replacing metadata %r, which is no dict, by an overlay", namespace)
    overlays = dict(stored) if isinstance(stored, dict) else {}
    previous = overlays.get(kind)
    combined = dict(previous) if isinstance(previous, dict) else {}
    apply_overlay(combined, overlay, _resolve=False)
    metadata[namespace] = {**overlays, kind: combined, _FORMAT_KEY: True}


def get_overlay(
    target: Role | AppDef, namespace: str, kind: str, *, flat_fallback: bool = True
) -> dict[str, Any]:
    """Returns an overlay of a role or an app.

    Args:
        target: The role or the app.
        namespace: Namespace of the scheduler. If the metadata has the path or the URI of a JSON or
            YAML file there, the content of the file is used.
        kind: Kind of the object that is changed.
        flat_fallback: Whether a namespace in the old format, without kinds, counts as the overlay.

    Returns:
        A copy of the overlay, empty if there is none.

    Raises:
        ValueError: The name of the kind is reserved, or the file is malformed.
        FileNotFoundError: The file does not exist.
    """
    _check_kind(kind)
    stored = _metadata(target).get(namespace)
    if isinstance(stored, str):
        stored = _from_file(namespace, stored)
    if not isinstance(stored, dict):
        return {}
    overlay = stored.get(kind)
    if isinstance(overlay, dict):
        return copy.deepcopy(overlay)
    if _FORMAT_KEY in stored:
        kinds = [name for name in stored if name != _FORMAT_KEY]
        logger.debug("no overlay of kind %s in %s, only of %s", kind, namespace, kinds)
        return {}
    if not flat_fallback or not stored or _is_nested(stored):
        return {}
    logger.warning(
        "metadata %r is in the deprecated flat format: it is used as overlay of %s,"
        " use set_overlay() to say of what kind it is",
        namespace,
        kind,
    )
    return copy.deepcopy(stored)


def validate_overlay(
    overlay: dict[str, Any],
    *,
    blocklist: list[str] | None = None,
    forbidden_keys: set[str] | None = None,
    overlay_name: str = "overlay",
    suggestion: str = "",
) -> None:
    """Checks the top-level fields of an overlay.

    Args:
        overlay: The overlay.
        blocklist: Fields that are made from the role.
        forbidden_keys: Fields that belong somewhere else.
        overlay_name: What to call the overlay in messages.
        suggestion: Where forbidden keys belong.

    Raises:
        ValueError: The overlay changes one of these fields.
    """
    fields = [decode(key).field for key in overlay]
    blocked = [f"`{overlay_name}.{field}`" for field in fields if field in (blocklist or ())]
    if blocked:
        raise ValueError(
            f"an overlay must not set {', '.join(blocked)}:"
            " use the attributes of the role (image, args, env, resource, mounts, ...) instead"
        )
    misplaced = [str(field) for field in fields if field in (forbidden_keys or ())]
    if misplaced:
        raise ValueError(f"misplaced keys in {overlay_name}: {misplaced}. {suggestion}".strip())


def _check_kind(kind: str) -> None:
    if kind == _FORMAT_KEY:
        raise ValueError(f"`{kind}` is reserved and cannot be the kind of an overlay")


def _metadata(target: Role | AppDef) -> dict[str, Any]:
    metadata: dict[str, Any] | None = target.metadata
    if metadata is None:
        metadata = target.metadata = {}
    return metadata


def _is_nested(stored: dict[str, Any]) -> bool:
    return len(stored) > 1 and all(isinstance(value, dict) for value in stored.values())


def _from_file(namespace: str, text: str) -> dict[str, Any]:
    is_file = "://" in text or text.endswith(_FILE_SUFFIXES) or os.path.isfile(text)
    if is_file:
        return _load_overlay_file(text)
    logger.warning("metadata %r is neither an overlay nor the path of one: %r", namespace, text)
    return {}


def _load_overlay_file(uri: str) -> dict[str, Any]:
    """Reads an overlay from a JSON or YAML file, wherever fsspec can find it."""
    import fsspec

    with fsspec.open(uri if "://" in uri else f"file://{uri}", "r", encoding="utf-8") as file:
        content = file.read()
    try:
        overlay = json.loads(content)
    except ValueError:
        overlay = _load_yaml(content, uri)
    if not isinstance(overlay, dict):
        raise ValueError(f"overlay {uri} must hold a mapping, not a {type(overlay).__name__}")
    return overlay


def _load_yaml(content: str, uri: str) -> object:
    import yaml

    class Loader(yaml.SafeLoader):
        """Also knows tuples: in overlays they replace lists."""

    def construct_tuple(loader: Loader, node: yaml.SequenceNode) -> tuple[object, ...]:
        return tuple(loader.construct_sequence(node, deep=True))

    Loader.add_constructor("tag:yaml.org,2002:python/tuple", construct_tuple)
    try:
        return yaml.load(content, Loader)
    except yaml.YAMLError as error:
        raise ValueError(f"overlay {uri} is neither JSON nor YAML: {error}") from error
