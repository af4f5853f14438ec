"""Sends requests to the API server and reads its answers as they are.

The models of the client library cost more time than the network does, and differ from version to
version; its connection, credentials and certificates are used.
"""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from torchx.schedulers.kubernetes.access import (
    CONNECT_TIMEOUT_S,
    READ_TIMEOUT_S,
    load_error,
    set_timeouts,
)
from torchx.schedulers.kubernetes.errors import KubernetesError, answer_error, unreachable

if TYPE_CHECKING:
    from kubernetes.client import ApiClient
    from urllib3 import BaseHTTPResponse

Json = Mapping[str, Any]
"""An object as the API server sends it."""

MERGE_PATCH = "application/merge-patch+json"
"""Content type of a patch that names what shall be different."""

_OK = range(200, 300)
_TRIES = 4
_PIECE_BYTES = 256 << 10
_FIRST_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 5.0


def pieces(response: BaseHTTPResponse) -> Iterator[bytes]:
    """Reads an answer as it comes.

    Args:
        response: The answer.

    Yields:
        What has come, without waiting for more.

    Raises:
        HTTPError: The connection broke, or nothing came for too long.
    """
    if not response.chunked and hasattr(response, "read1"):
        while data := response.read1(_PIECE_BYTES):
            yield data
        return
    yield from response.stream(_PIECE_BYTES, decode_content=True)


def hang_up(response: BaseHTTPResponse) -> None:
    """Closes an answer, also while another thread reads it.

    Args:
        response: The answer.
    """
    connection = getattr(response, "connection", None) or getattr(response, "_connection", None)
    sock = getattr(connection, "sock", None)
    if sock is not None:
        # Only a shutdown wakes a thread that reads. It may have ended by itself.
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
    response.close()


class Wire:
    """Requests to one API server.

    Args:
        api_client: The client whose connection and credentials are used.
    """

    def __init__(self, api_client: ApiClient) -> None:
        self._client = api_client
        set_timeouts(api_client)

    def get(self, path: str, what: str, **query: str | int) -> dict[str, Any]:
        """Reads an object or a list; transient failures are tried again.

        Args:
            path: Path of the object.
            what: What is tried, for the error.
            **query: Parameters of the request.

        Returns:
            The object.

        Raises:
            KubernetesError: The server refuses or does not answer.
        """
        return self._patiently("GET", path, what, None, query)

    def patch(self, path: str, what: str, body: Json) -> dict[str, Any]:
        """Changes an object; doing it twice is doing it once.

        Args:
            path: Path of the object.
            what: What is tried, for the error.
            body: What shall be different.

        Returns:
            The object.

        Raises:
            KubernetesError: The server refuses or does not answer.
        """
        return self._patiently("PATCH", path, what, body, {})

    def delete(self, path: str, what: str, **query: str | int) -> dict[str, Any]:
        """Deletes an object.

        Args:
            path: Path of the object.
            what: What is tried, for the error.
            **query: Parameters of the request.

        Returns:
            What the server answers, of one of three kinds.

        Raises:
            KubernetesError: The server refuses or does not answer.
        """
        return self._patiently("DELETE", path, what, None, query)

    def stream(
        self, path: str, what: str, read_timeout_s: float, **query: str | int
    ) -> BaseHTTPResponse:
        """Opens an answer that comes in pieces, such as a log or a watch.

        Args:
            path: Path of the object.
            what: What is tried, for the error.
            read_timeout_s: Longest silence, in seconds.
            **query: Parameters of the request.

        Returns:
            The answer, to be closed by the caller.

        Raises:
            KubernetesError: The server refuses or does not answer.
        """
        return self._send("GET", path, what, None, query, read_timeout_s)

    def _patiently(
        self, method: str, path: str, what: str, body: Json | None, query: Mapping[str, str | int]
    ) -> dict[str, Any]:
        pause_s = _FIRST_PAUSE_S
        for tries_left in reversed(range(_TRIES)):
            try:
                return self._read(self._send(method, path, what, body, query, READ_TIMEOUT_S), what)
            except KubernetesError as error:
                # A connection that was kept may be dead; that of the next try is new.
                if (
                    not tries_left
                    or not error.transient
                    or (not error.status and pause_s > _FIRST_PAUSE_S)
                ):
                    raise
                time.sleep(min(error.retry_after_s or pause_s, _LONGEST_PAUSE_S))
                pause_s *= 2
        raise AssertionError("the last try returns or raises")

    def _send(
        self,
        method: str,
        path: str,
        what: str,
        body: Json | None,
        query: Mapping[str, str | int],
        read_timeout_s: float,
    ) -> BaseHTTPResponse:
        from urllib3 import Timeout
        from urllib3.exceptions import HTTPError

        url = f"{self._client.configuration.host}{path}"
        if query:
            url = f"{url}?{urlencode(query)}"
        try:
            response: BaseHTTPResponse = self._client.rest_client.pool_manager.request(
                method,
                url,
                body=None if body is None else json.dumps(body).encode(),
                headers=self._headers(body),
                timeout=Timeout(connect=CONNECT_TIMEOUT_S, read=read_timeout_s),
                preload_content=False,
                retries=False,
            )
            if response.status in _OK:
                return response
            text = response.data.decode("utf-8", "replace")
        except HTTPError as error:
            raise self._unreachable(error, what) from error
        raise answer_error(what, response.status, dict(response.headers), text, path)

    def _read(self, response: BaseHTTPResponse, what: str) -> dict[str, Any]:
        from urllib3.exceptions import HTTPError

        try:
            answer: dict[str, Any] = json.loads(response.data or b"{}")
        except HTTPError as error:
            raise self._unreachable(error, what) from error
        except ValueError as error:
            raise KubernetesError(
                f"cannot {what}: {self._client.configuration.host} does not answer as an API"
                " server does",
                hint="check the server of the current context, and your proxy",
            ) from error
        finally:
            response.release_conn()
        return answer

    def _unreachable(self, error: Exception, what: str) -> KubernetesError:
        host = self._client.configuration.host
        return unreachable(error, what, host, load_error(self._client))

    def _headers(self, body: Json | None) -> dict[str, str]:
        headers = {"Accept": "*/*", **self._client.default_headers}
        if body is not None:
            headers["Content-Type"] = MERGE_PATCH
        for setting in self._client.configuration.auth_settings().values():
            if setting.get("in") == "header" and setting.get("value"):
                headers[setting["key"]] = setting["value"]
        return headers
