"""Builds an image out of a context with the Docker engine."""

from __future__ import annotations

import collections
import contextlib
import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from torchx.errors import TorchXError

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.images import Image

log: logging.Logger = logging.getLogger(__name__)

WORKSPACE_REPO = "torchx-workspace"
"""Local repository in which built images are named by what they were built from."""

_KEPT_LINES = 200
_SHOWN_LINES = 15
_BARE_ID = re.compile(r"[0-9a-f]{64}")


def image_id_of(
    events: Iterable[Mapping[str, Any]], on_line: Callable[[str], None], base: str
) -> str:
    """Follows a build to its end.

    Args:
        events: What the engine reports.
        on_line: Called with each line of output that is not empty.
        base: Name of the base image, for messages.

    Returns:
        Id of the image, ``sha256:...``.

    Raises:
        docker.errors.BuildError: The build failed. It is a `TorchXError` as well.
        AssertionError: The engine reported no image.
    """
    image_id, error = None, None
    lines: collections.deque[str] = collections.deque(maxlen=_KEPT_LINES)
    for event in events:
        if message := event.get("stream", "").strip("\r\n"):
            lines.append(message)
            on_line(message)
        if aux := event.get("aux"):
            image_id = aux["ID"]
        # The stream ends then, but has to be read to its end or its connection stays open.
        error = error or event.get("error")
    if error:
        raise build_error(base, str(error), lines)
    assert image_id, "the Docker engine built an image without an id"
    return with_algorithm(image_id)


def with_algorithm(image_id: str) -> str:
    """Completes the id of an image, which some engines report without its algorithm.

    Args:
        image_id: The id.

    Returns:
        The id, with ``sha256:`` in front of bare digits.
    """
    return f"sha256:{image_id}" if _BARE_ID.fullmatch(image_id) else image_id


def build_error(base: str, reason: str, lines: Iterable[str]) -> Exception:
    """Makes the error for a build that failed.

    Args:
        base: Name of the base image.
        reason: What the engine says.
        lines: The last lines of output.

    Returns:
        A ``docker.errors.BuildError`` that is a `TorchXError` too.
    """
    from docker.errors import BuildError

    class WorkspaceBuildError(BuildError, TorchXError):
        """The image of a workspace could not be built."""

    kept = list(lines)
    tail = "".join(f"\n  {line}" for line in kept[-_SHOWN_LINES:])
    text = f"cannot build the workspace on image {base}: {reason}"
    error = WorkspaceBuildError(
        text + (f"\nlast output:{tail}" if tail else ""),
        iter([{"stream": f"{line}\n"} for line in kept]),
    )
    error.hint = (
        "check that the image of the role exists (`docker pull` it), and correct Dockerfile.torchx"
        " if the workspace has one"
    )
    return error


@contextlib.contextmanager
def engine_errors(doing: str) -> Iterator[None]:
    """Puts failures of the engine, or of the way to it, into words.

    Args:
        doing: What could not be done, to follow "cannot".

    Yields:
        Nothing.

    Raises:
        DockerEngineError: The engine failed or went away.
    """
    from docker.errors import DockerException
    from requests.exceptions import RequestException
    from urllib3.exceptions import HTTPError

    from torchx.util.docker_client import engine_error

    try:
        yield
    except TorchXError:
        raise
    except (DockerException, RequestException, HTTPError) as error:
        raise engine_error(error, doing) from error


def pull_base(client: DockerClient, image: str) -> Image | None:
    """Brings the base image up to date and returns it.

    What was never in a registry (built here), or is named by its content, is not asked for.

    Args:
        client: A client of the engine.
        image: Name or id of the image.

    Returns:
        The image; ``None`` if neither the engine nor a registry has it.
    """
    from docker.errors import DockerException

    local = find_image(client, image)
    if image.startswith("sha256:"):
        return local
    if local is not None and ("@sha256:" in image or not local.attrs.get("RepoDigests")):
        return local
    try:
        client.images.pull(image)
    except (DockerException, OSError) as error:  # OSError: the connection to the engine
        log.warning("cannot pull image %s, the local one is used: %s", image, error)
        return local
    return find_image(client, image)


def find_image(client: DockerClient, image: str) -> Image | None:
    """Looks for an image that the engine has.

    Args:
        client: A client of the engine.
        image: Name or id.

    Returns:
        The image, or ``None``.
    """
    from docker.errors import ImageNotFound, NullResource

    try:
        return client.images.get(image)
    except (ImageNotFound, NullResource):
        return None
