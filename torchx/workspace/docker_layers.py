"""Decides what has to be sent to the engine: all of a workspace, or what changed since an image.

An image that was built before from the same base and the same directories is a truthful parent if
nothing has to be taken away from it again and no instructions of the user were run to make it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torchx.specs.api import TORCHX_HOME
from torchx.util.files import replacing
from torchx.workspace.docker_build import find_image
from torchx.workspace.ignore import DOCKER_IGNORE
from torchx.workspace.manifest import Item, Manifest

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.images import Image

log: logging.Logger = logging.getLogger(__name__)

TORCHX_DOCKERFILE = "Dockerfile.torchx"
"""Name of the file at the root of a workspace that tells how to build its image."""

_VERSION = 1
# An image can have some 120 layers.
_MAX_DEPTH = 20

_Files = Mapping[str, list[Any]]


@dataclass(frozen=True)
class Source:
    """What determines an image.

    Attributes:
        manifest: The code.
        base: The image that it is laid over; ``None`` if the engine does not have it.
        workspace: The workspace, as text.
    """

    manifest: Manifest
    base: Image | None
    workspace: str

    @property
    def base_id(self) -> str:
        """Id of the base image; ``""`` if it is not known."""
        found = getattr(self.base, "id", None)
        return found if isinstance(found, str) else ""

    @property
    def key(self) -> str:
        """Digest of all of it, in hex."""
        parts = [self.base_id, self.manifest.digest]
        if TORCHX_DOCKERFILE in self.manifest.items:
            parts.append(self.workspace)  # it may use the build argument
        return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()


@dataclass(frozen=True)
class Layer:
    """What to send, and what to put it on.

    Attributes:
        parent: Name or id of the image to put it on.
        items: The files to send.
        depth: How many such layers are below.
    """

    parent: str
    items: Mapping[str, Item]
    depth: int = 0


def plan_layer(client: DockerClient, source: Source, image: str) -> Layer:
    """Finds the least that has to be sent.

    Args:
        client: A client of the engine.
        source: What the image is made from.
        image: Name of the base image.

    Returns:
        The layer.
    """
    items = source.manifest.items
    whole = Layer(image, items)
    if not source.base_id or TORCHX_DOCKERFILE in items or _has_triggers(source.base):
        return whole
    record = _load(_record_of(source))
    if record is None or record["depth"] >= _MAX_DEPTH:
        return whole
    changed = _changed(items, record["files"])
    if changed is None or find_image(client, record["image"]) is None:
        return whole
    changed_bytes = sum(item.entry.size for item in changed.values())
    if 2 * changed_bytes > source.manifest.size_bytes:
        return whole
    if DOCKER_IGNORE in items:
        changed[DOCKER_IGNORE] = items[DOCKER_IGNORE]  # the engine reads it, too
    return Layer(record["image"], changed, record["depth"] + 1)


def remember_layer(source: Source, layer: Layer, image_id: str) -> None:
    """Writes down what an image holds. A failure is not one of the caller.

    Args:
        source: What the image was made from.
        layer: How it was made.
        image_id: Its id.
    """
    if not source.base_id:
        return
    files = {path: list(item.kind) for path, item in source.manifest.items.items()}
    record = {"version": _VERSION, "image": image_id, "depth": layer.depth, "files": files}
    path = _record_of(source)
    try:
        with replacing(path) as temporary:
            Path(temporary).write_text(json.dumps(record, separators=(",", ":")), "ascii")
    except OSError as error:
        log.debug("cannot remember what is in %s: %s", image_id, error)


def mark_used(source: Source) -> None:
    """Notes that the image of a workspace is in use, so that it is not pruned.

    Args:
        source: What the image was made from.
    """
    with contextlib.suppress(OSError):
        os.utime(_record_of(source))


def images_used_since(time_s: float) -> set[str]:
    """Returns the images that were built or used again since a moment.

    Args:
        time_s: The moment, in seconds since the epoch.

    Returns:
        Their ids, as far as they are known on this machine.
    """
    found = set()
    for path in TORCHX_HOME("workspaces", "images").glob("*.json"):
        with contextlib.suppress(OSError):
            if path.stat().st_mtime < time_s:
                continue
        record = _load(path)
        if record is not None:
            found.add(str(record["image"]))
    return found


def _changed(items: Mapping[str, Item], old: _Files) -> dict[str, Item] | None:
    """Returns what is new or different; ``None`` if something has to be taken away."""
    if not old.keys() <= items.keys():
        return None
    changed = {}
    for path, item in items.items():
        kind = list(item.kind)
        before = old.get(path)
        if before == kind:
            continue
        if before is not None and bool(before[1]) != bool(kind[1]):
            return None  # a link in place of a file, or the other way round
        changed[path] = item
    return changed


def _has_triggers(base: Image | None) -> bool:
    config = base.attrs.get("Config") if base is not None else None
    return bool(isinstance(config, dict) and config.get("OnBuild"))


def _record_of(source: Source) -> Path:
    roots = [f"{project.root}\0{project.target}" for project in source.manifest.projects]
    name = "\0".join([source.base_id, *roots]).encode("utf-8", "surrogateescape")
    return TORCHX_HOME("workspaces", "images") / f"{hashlib.sha256(name).hexdigest()[:32]}.json"


def _load(path: Path) -> dict[str, Any] | None:
    try:
        record = json.loads(path.read_bytes())
        is_sound = (
            record["version"] == _VERSION
            and isinstance(record["image"], str)
            and isinstance(record["depth"], int)
            and all(len(kind) == 3 for kind in record["files"].values())
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        log.debug("no earlier image is known from %s: %s", path, error)
        return None
    return record if is_sound else None
