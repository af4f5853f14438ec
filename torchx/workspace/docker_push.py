"""Tags and pushes images, unless the registry has them already."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, TextIO

from torchx.errors import TorchXError
from torchx.util.colors import is_terminal

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.images import Image

log: logging.Logger = logging.getLogger(__name__)

_REFUSALS = ("denied", "unauthorized", "authentication")
_PREFIX = "\x1b[34mdocker push \x1b[0m"


class ImagePushError(TorchXError, RuntimeError):
    """An image could not be pushed."""


def print_push_events(events: Iterable[Mapping[str, Any]], stream: TextIO | None = None) -> None:
    """Shows how a push goes on, with one line for each layer.

    Args:
        events: What the engine reports.
        stream: Where to show it; by default standard error if it is a terminal, else nowhere.

    Raises:
        ImagePushError: The push failed; a ``RuntimeError``.
    """
    shown = (sys.stderr if is_terminal(sys.stderr) else None) if stream is None else stream
    lines = _LayerLines(shown)
    for event in events:
        if "error" in event:
            raise _push_error(str(event["error"]), lines.last)
        if event.get("status"):
            lines.show(event.get("id"), event["status"], event.get("progress") or "")


def push_image(client: DockerClient, image: str, repo: str, tag: str) -> bool:
    """Pushes a local image under another name, unless the registry has it.

    Args:
        client: A client of the engine.
        image: Id of the local image.
        repo: Repository to push to.
        tag: Tag that it gets there.

    Returns:
        False if the registry had it.

    Raises:
        ImagePushError: The push failed.
    """
    local = client.images.get(image)
    local.tag(repo, tag=tag)
    if _is_in_registry(client, local, repo, tag):
        return False
    print_push_events(client.images.push(repo, tag=tag, stream=True, decode=True))
    return True


def _is_in_registry(client: DockerClient, image: Image, repo: str, tag: str) -> bool:
    """Tells whether the registry has under that name what was pushed from this very image."""
    from docker.errors import DockerException

    pushed = image.attrs.get("RepoDigests")
    if not isinstance(pushed, list) or not any(name.startswith(f"{repo}@") for name in pushed):
        return False
    try:
        digest = client.images.get_registry_data(f"{repo}:{tag}").id
    except DockerException as error:
        log.debug("%s:%s is to be pushed: %s", repo, tag, error)
        return False
    return f"{repo}@{digest}" in pushed


class _LayerLines:
    """Lines on a terminal that are rewritten in place, one for each layer.

    Args:
        stream: Where; ``None`` shows nothing.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self._ids: list[str] = []
        self.last: dict[str, str] = {}

    def show(self, layer: str | None, status: str, progress: str) -> None:
        if layer is None:
            self._write(f"{_PREFIX}{status}\n")
            return
        text = f"{_PREFIX}{layer}: {status} {progress}"
        self.last[layer] = status
        if layer not in self._ids:
            self._ids.append(layer)
            self._write(text + "\n")
            return
        lines_up = len(self._ids) - self._ids.index(layer)
        self._write(f"\x1b[{lines_up}F\x1b[2K{text}\x1b[{lines_up}E")

    def _write(self, text: str) -> None:
        if self._stream is not None:
            self._stream.write(text)
            self._stream.flush()


def _push_error(reason: str, layers: Mapping[str, str]) -> ImagePushError:
    states = ", ".join(f"{layer}: {status}" for layer, status in layers.items())
    is_refused = any(
        word in reason.lower() for word in ("denied", "unauthorized", "authentication")
    )
    return ImagePushError(
        f"failed to push docker image: {reason}" + (f" (layers: {states})" if states else ""),
        hint="log in to the registry with `docker login`, and check that you may push there"
        if is_refused
        else "check that the registry of `image_repo` can be reached from the Docker engine",
        transient=not is_refused,
    )
