"""An API server that answers what it is told to, over HTTP, and keeps what it was asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from kubernetes.client import ApiClient, Configuration

JOBS = "/apis/batch/v1/namespaces/default/jobs"
SERVICES = "/api/v1/namespaces/default/services"
VOLCANO = "/apis/batch.volcano.sh/v1alpha1/namespaces/default/jobs"


class Asked(NamedTuple):
    method: str
    path: str
    body: dict[str, Any]


class ApiServer:
    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.refusals: dict[int, tuple[int, str]] = {}
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                number = len(server.asked)
                size = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(size) or "{}")
                server.asked.append(Asked(self.command, self.path, body))
                made = {**body, "metadata": {**body.get("metadata", {}), "uid": f"uid-{number}"}}
                status, text = server.refusals.get(number, (201, json.dumps(made)))
                self.send_response(status)
                is_json = text.startswith("{")
                self.send_header("Content-Type", "application/json" if is_json else "text/plain")
                self.send_header("Content-Length", str(len(text.encode())))
                self.end_headers()
                self.wfile.write(text.encode())

            do_DELETE = do_POST

            def log_message(self, format: str, *args: Any) -> None:
                """Prints nothing."""

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def refuse(self, number: int, status: int, message: str, **details: Any) -> None:
        """Answers a request, counted from 0, with a Status."""
        body = {
            "kind": "Status",
            "status": "Failure",
            "code": status,
            "message": message,
            **details,
        }
        self.refusals[number] = (status, json.dumps(body))

    def client(self) -> ApiClient:
        configuration = Configuration()
        configuration.host = f"http://127.0.0.1:{self._http.server_port}"
        return ApiClient(configuration)

    @contextmanager
    def running(self) -> Iterator[ApiServer]:
        thread = threading.Thread(target=self._http.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield self
        finally:
            self._http.shutdown()
            thread.join()
            self._http.server_close()
