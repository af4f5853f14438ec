"""Answers recorded requests with what a real cluster answered, and refuses all others."""

from __future__ import annotations

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.servers.kubernetes.playback import FIXTURES

Exchange = dict[str, Any]


def exchanges_of(name: str) -> list[Exchange]:
    """Reads the exchanges of a recording."""
    found: list[Exchange] = json.loads((FIXTURES / "exchanges" / f"{name}.json").read_text())
    return found


def body_of(exchange: Exchange) -> bytes:
    """Returns the bytes that the cluster sent."""
    response = exchange["response"]
    if "body" in response:
        return json.dumps(response["body"]).encode()
    if "events" in response:
        return b"".join(json.dumps(item["event"]).encode() + b"\n" for item in response["events"])
    if "chunks" in response:
        return b"".join(map(_bytes, response["chunks"]))
    return _bytes(response)


def pieces_of(exchange: Exchange) -> list[bytes]:
    """Returns the bytes in the pieces in which they came."""
    response = exchange["response"]
    if "chunks" in response:
        return list(map(_bytes, response["chunks"]))
    if "events" in response:
        return body_of(exchange).splitlines(keepends=True)
    return [body_of(exchange)]


class Replay(ThreadingHTTPServer):
    """A server that knows these exchanges only. A context manager.

    A request has to have the method, the path, the query and the body of a recorded one. Of the
    query, the name of the only container may be there in addition.

    Args:
        exchanges: The exchanges; of several to the same request the first comes first, and the
            last one stays.

    Attributes:
        refused: Requests that were not in the recording.
    """

    daemon_threads = True
    token = "a-token"

    def __init__(self, exchanges: list[Exchange]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.refused: list[str] = []
        self._left = list(exchanges)
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> Replay:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.shutdown()
        self.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def take(self, method: str, path: str, body: Any) -> Exchange | None:
        """Finds the answer to a request, and notes it if there is none."""
        with self._lock:
            fitting = [item for item in self._left if _fits(item["request"], method, path, body)]
            if not fitting:
                self.refused.append(f"{method} {path}")
                return None
            if len(fitting) > 1:
                self._left.remove(fitting[0])
            return fitting[0]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Replay

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is printed."""

    def do_GET(self) -> None:
        self._answer("GET")

    def do_POST(self) -> None:
        self._answer("POST")

    def do_PUT(self) -> None:
        self._answer("PUT")

    def do_PATCH(self) -> None:
        self._answer("PATCH")

    def do_DELETE(self) -> None:
        self._answer("DELETE")

    def _answer(self, method: str) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        raw = self.rfile.read(length)
        exchange = self.server.take(method, self.path, json.loads(raw) if raw else None)
        if exchange is None:
            self.send_response(501)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        response = exchange["response"]
        self.send_response(response["status"])
        for name in ("Content-Type", "Retry-After", "Warning"):
            if name in response["headers"]:
                self.send_header(name, response["headers"][name])
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for piece in filter(None, pieces_of(exchange)):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")


def _fits(request: Exchange, method: str, path: str, body: Any) -> bool:
    if request["method"] != method or request.get("body") != body:
        return False
    recorded, asked = urlsplit(request["path"]), urlsplit(path)
    query = dict(parse_qsl(asked.query, keep_blank_values=True))
    wanted = dict(parse_qsl(recorded.query, keep_blank_values=True))
    if query.get("container") == "main" and "container" not in wanted:
        del query["container"]
    return recorded.path == asked.path and query == wanted


def _bytes(item: Exchange) -> bytes:
    if "base64" in item:
        return base64.b64decode(item["base64"])
    return str(item.get("text", "")).encode()
