"""Talks to the Docker engine: the only code of this scheduler that does.

A call that finds the engine gone waits for it to come back for a while: an engine that is upgraded
or restarted is away for some seconds. Every call may be repeated without doing its work twice.
"""

from __future__ import annotations

import io
import logging
import tarfile
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar, cast

from torchx.errors import TorchXError
from torchx.schedulers.docker.request import LABEL_APP_ID, DockerContainer
from torchx.util.docker_client import (
    DockerEngineError,
    engine_error,
    is_connection_lost,
    status_of,
)

if TYPE_CHECKING:
    from docker import DockerClient
    from requests import Response

log: logging.Logger = logging.getLogger(__name__)

T = TypeVar("T")
R = TypeVar("R")

PATIENCE_S = 30.0
"""How long a call waits for an engine that does not answer any more, in seconds."""

CALLS_AT_ONCE = 16
"""How many calls are made at the same time, where the engine does the work."""

WAITS_AT_ONCE = 256
"""How many calls are made at the same time, where the engine only waits."""

_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 1.0
_CONNECT_TIMEOUT_S = 10.0
_LONGEST_FILE_BYTES = 1 << 20
_NOT_FOUND = 404
_CONFLICT = 409


class Engine:
    """The Docker engine, as far as this scheduler needs it.

    Args:
        client: Gives the client; called when it is needed.
        patience_s: How long a call waits for an engine that does not answer any more, in seconds.
    """

    def __init__(self, client: Callable[[], DockerClient], patience_s: float = PATIENCE_S) -> None:
        self._client = client
        self.patience_s = patience_s

    @property
    def client(self) -> DockerClient:
        """The client of the ``docker`` package."""
        return self._client()

    def containers(self, app_id: str | None = None) -> list[dict[str, Any]]:
        """Lists containers, running or not, with one call.

        Args:
            app_id: Only those of this app; ``None`` for those of all apps.

        Returns:
            What the engine says about each.
        """
        label = LABEL_APP_ID if app_id is None else f"{LABEL_APP_ID}={app_id}"
        return self.call(
            "list containers",
            lambda: self.client.api.containers(all=True, filters={"label": [label]}),
        )

    def inspect(self, container_id: str) -> dict[str, Any] | None:
        """Asks for all about a container.

        Args:
            container_id: Its id.

        Returns:
            What the engine says; ``None`` if there is no such container.
        """
        return self._find(
            f"inspect the container {container_id}",
            lambda: self.client.api.inspect_container(container_id),
        )

    def create(self, container: DockerContainer) -> str:
        """Creates a container.

        Args:
            container: The container.

        Returns:
            Its id.

        Raises:
            DockerEngineError: The engine refuses.
        """
        name, labels = container.kwargs.get("name"), container.kwargs.get("labels")

        def create() -> str:
            made = self.client.containers.create(
                container.image, container.command, **cast("Any", container.kwargs)
            )
            return str(made.id)

        try:
            return self.call(f"create the container {name}", create)
        except DockerEngineError as error:
            # The answer to an earlier try may have been lost.
            found = self.inspect(str(name)) if error.status == _CONFLICT else None
            if found is None or found["Config"]["Labels"] != labels:
                raise
            return str(found["Id"])

    def start(self, container_id: str) -> None:
        """Starts a container.

        Args:
            container_id: Its id.

        Raises:
            DockerEngineError: The engine refuses.
        """
        self.call(
            f"start the container {container_id}",
            lambda: self.client.api.start(container_id),
        )

    def stop(self, container_id: str, grace_period_s: int) -> None:
        """Ends a container: SIGTERM, then SIGKILL. Does nothing if it has ended or is gone.

        Args:
            container_id: Its id.
            grace_period_s: Seconds between the two.
        """
        self._find(
            f"stop the container {container_id}",
            lambda: self.client.api.stop(container_id, timeout=grace_period_s),
        )

    def rename(self, container_id: str, name: str) -> None:
        """Renames a container, if it is there.

        Args:
            container_id: Its id.
            name: The new name.
        """
        self._find(
            f"rename the container {container_id}",
            lambda: self.client.api.rename(container_id, name),
        )

    def remove(self, container_id: str) -> None:
        """Removes a container and its anonymous volumes, if it is there.

        Args:
            container_id: Its id.
        """
        # There is a conflict if somebody else removes it just now.
        self._find(
            f"remove the container {container_id}",
            lambda: self.client.api.remove_container(container_id, v=True, force=True),
            done=(_NOT_FOUND, _CONFLICT),
        )

    def create_network(self, name: str, app_id: str) -> None:
        """Creates the network of an app, unless it is there.

        Args:
            name: Name of the network.
            app_id: Id of the app.

        Raises:
            DockerEngineError: The engine refuses.
        """
        self._find(
            f"create the network {name}",
            lambda: self.client.api.create_network(
                name, driver="bridge", labels={LABEL_APP_ID: app_id}, check_duplicate=True
            ),
            done=(_CONFLICT,),
        )

    def networks(self, app_id: str | None = None) -> list[dict[str, Any]]:
        """Lists private networks.

        Args:
            app_id: Only those of this app; ``None`` for those of all apps.

        Returns:
            What the engine says about each.
        """
        label = LABEL_APP_ID if app_id is None else f"{LABEL_APP_ID}={app_id}"
        return self.call(
            "list networks", lambda: self.client.api.networks(filters={"label": [label]})
        )

    def remove_network(self, network_id: str) -> None:
        """Removes a network, if it is there.

        Args:
            network_id: Its id.
        """
        self._find(
            f"remove the network {network_id}",
            lambda: self.client.api.remove_network(network_id),
        )

    def image(self, image: str) -> dict[str, Any] | None:
        """Looks for an image on this machine.

        Args:
            image: The image.

        Returns:
            What the engine says about it; ``None`` if it is not here.
        """
        return self._find(
            f"look for the image {image}", lambda: self.client.images.get(image).attrs
        )

    def pull(self, image: str) -> None:
        """Fetches an image from its registry.

        Args:
            image: The image; without a tag ``latest`` is meant.

        Raises:
            DockerEngineError: The registry or the engine refuses.
        """
        self.call(f"pull the image {image}", lambda: self.client.images.pull(image))

    def image_tags(self) -> list[str]:
        """Lists the tags of all images of this machine.

        Returns:
            The tags.
        """
        images: list[dict[str, Any]] = self.call("list images", lambda: self.client.api.images())
        return [tag for image in images for tag in image.get("RepoTags") or ()]

    def read_file(self, container_id: str, path: str) -> bytes | None:
        """Reads a small file of a container, which may have ended.

        Args:
            container_id: Id of the container.
            path: The file.

        Returns:
            Its content, at most 1 MiB; ``None`` if there is no such file.
        """

        def read() -> bytes | None:
            chunks, stat = self.client.api.get_archive(container_id, path)
            if stat["size"] > _LONGEST_FILE_BYTES:
                return None
            with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as archive:
                member = archive.next()
                file = archive.extractfile(member) if member and member.isfile() else None
                return file.read() if file else None

        return self._find(f"read {path} of the container {container_id}", read)

    def stream(self, path: str, params: Mapping[str, str], read_timeout_s: float) -> Response:
        """Opens a stream, without waiting for an engine that is away.

        Args:
            path: Path below the version of the API, for example ``/events``.
            params: Query.
            read_timeout_s: How long to wait for the next piece, in seconds.

        Returns:
            The response; to be closed by the caller.

        Raises:
            APIError: The engine refuses.
            RequestException: It cannot be reached.
        """
        api = self.client.api
        from docker.errors import create_api_error_from_http_exception
        from requests.exceptions import HTTPError

        response = api.get(
            f"{api.base_url}/v{api.api_version}{path}",
            params=dict(params),
            stream=True,
            timeout=(_CONNECT_TIMEOUT_S, read_timeout_s),
        )
        try:
            response.raise_for_status()
        except HTTPError as error:
            response.close()
            create_api_error_from_http_exception(error)
        return response

    def each(
        self, function: Callable[[T], R], items: Sequence[T], at_once: int = CALLS_AT_ONCE
    ) -> list[R]:
        """Calls a function for each item, several at a time.

        Args:
            function: The function.
            items: The items.
            at_once: How many calls at a time.

        Returns:
            The results, in order.

        Raises:
            Exception: What the first failing call raised, after all calls that had begun ended.
        """
        if len(items) < 2:
            return [function(item) for item in items]
        with ThreadPoolExecutor(min(at_once, len(items)), "docker") as pool:
            futures = [pool.submit(function, item) for item in items]
            try:
                return [future.result() for future in futures]
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def call(self, doing: str, call: Callable[[], T]) -> T:
        """Makes a call, waiting for an engine that is away.

        Args:
            doing: What is done, for errors.
            call: The call.

        Returns:
            What it returned.

        Raises:
            DockerEngineError: The engine refuses, or is away for too long.
        """
        deadline_s: float | None = None
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                return call()
            except Exception as error:
                if isinstance(error, TorchXError):
                    raise
                if status_of(error) is not None:
                    raise engine_error(error, doing) from error
                if not is_connection_lost(error):
                    raise
                now_s = time.monotonic()
                if deadline_s is None:
                    deadline_s = now_s + self.patience_s
                    # As text: the error would keep the broken connection alive in the record.
                    log.warning("the Docker engine does not answer, trying again: %s", str(error))
                if now_s >= deadline_s:
                    raise engine_error(error, doing) from error
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def _find(
        self, doing: str, call: Callable[[], T], done: Collection[int] = (_NOT_FOUND,)
    ) -> T | None:
        try:
            return self.call(doing, call)
        except DockerEngineError as error:
            if error.status in done:
                return None
            raise
