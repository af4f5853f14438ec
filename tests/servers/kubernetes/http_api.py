"""A cluster's API over HTTP: objects, watches, logs; with faults that a test asks for."""

from __future__ import annotations

import json
import re
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import parse_qs, unquote, urlsplit

from tests.servers.kubernetes.kubelet import Kubelet
from tests.servers.kubernetes.store import KINDS, POD, Kind, Object, Refusal, Store

_PATH = re.compile(
    r"/(?:api/(?P<core>v1)|apis/(?P<group>[^/]+/[^/]+))/namespaces/(?P<namespace>[^/]+)"
    r"/(?P<plural>[^/]+)(?:/(?P<name>[^/]+)(?:/(?P<sub>status|log))?)?"
)
_BOOKMARK_S = 0.5

Admit = Callable[[Kind, str, Object], None]
"""Changes a new object or raises :class:`Refusal`."""


@dataclass
class Faults:
    """What goes wrong.

    Attributes:
        refusals: Answers to the next requests, whatever they ask for.
        breaks_logs_after: Number of bytes after which each of the next followed logs breaks.
        missing_groups: Groups that are not installed.
        forbidden: Verb and plural that the user may not use.
    """

    refusals: deque[Refusal] = field(default_factory=deque)
    breaks_logs_after: deque[int] = field(default_factory=deque)
    missing_groups: set[str] = field(default_factory=set)
    forbidden: set[tuple[str, str]] = field(default_factory=set)


class ApiServer(ThreadingHTTPServer):
    """The server.

    Args:
        store: The objects.
        kubelet: Knows the logs.
        admit: What admission does with new objects.

    Attributes:
        requests: Verb and path with query of each request, in order.
        faults: What goes wrong.
        token: The token that is asked for.
    """

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, store: Store, kubelet: Kubelet, admit: Admit) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.store = store
        self.kubelet = kubelet
        self.admit = admit
        self.requests: list[str] = []
        self.faults = Faults()
        self.token = "a-token"
        self.is_stopping = threading.Event()
        self.thread = threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no error."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: ApiServer

    def log_message(self, format: str, *args: object) -> None:
        """Requests are kept, not printed."""

    def do_GET(self) -> None:
        self._serve("GET")

    def do_POST(self) -> None:
        self._serve("POST")

    def do_PUT(self) -> None:
        self._serve("PUT")

    def do_PATCH(self) -> None:
        self._serve("PATCH")

    def do_DELETE(self) -> None:
        self._serve("DELETE")

    def _serve(self, verb: str) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        raw = self.rfile.read(length) if length else b""
        self.server.requests.append(f"{verb} {unquote(self.path)}")
        try:
            self._check(verb)
            self._answer(verb, json.loads(raw) if raw else {})
        except Refusal as refusal:
            self._refuse(refusal)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def _check(self, verb: str) -> None:
        if self.server.faults.refusals:
            raise self.server.faults.refusals.popleft()
        if self.headers.get("Authorization") != f"Bearer {self.server.token}":
            raise Refusal(401, "Unauthorized", "Unauthorized")

    def _answer(self, verb: str, body: Object) -> None:
        url = urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(url.query).items()}
        if re.fullmatch(r"/apis/[^/]+", url.path):
            group = url.path.rpartition("/")[2]
            if group in self.server.faults.missing_groups:
                raise _no_such_path()
            self._send(200, {"kind": "APIGroup", "name": group})
            return
        found = _PATH.fullmatch(url.path)
        if found is None:
            raise _no_such_path()
        kind = self._kind(found["group"] or found["core"], found["plural"])
        namespace, name = unquote(found["namespace"]), unquote(found["name"] or "")
        self._authorize(verb, query, kind, namespace)
        if found["sub"] == "log":
            self._log(namespace, name, query)
        elif verb == "GET" and name:
            self._send(200, self.server.store.get(kind, namespace, name))
        elif verb == "GET" and query.get("watch") in ("1", "true"):
            self._watch(kind, namespace, query)
        elif verb == "GET":
            self._list(kind, namespace, query)
        else:
            self._write(verb, kind, namespace, name, found["sub"] or "", query, body)

    def _kind(self, api_version: str, plural: str) -> Kind:
        if api_version.partition("/")[0] in self.server.faults.missing_groups:
            raise _no_such_path()
        for kind in KINDS:
            if (kind.api_version, kind.plural) == (api_version, plural):
                return kind
        raise _no_such_path()

    def _authorize(self, verb: str, query: dict[str, str], kind: Kind, namespace: str) -> None:
        what = "watch" if query.get("watch") else {"GET": "list", "POST": "create"}.get(verb, verb)
        plural = f"{kind.plural}.{kind.group}" if kind.group else kind.plural
        if (what.lower(), plural) in self.server.faults.forbidden:
            raise Refusal(
                403,
                "Forbidden",
                f'{plural} is forbidden: User "tester" cannot {what.lower()} resource'
                f' "{kind.plural}" in API group "{kind.group}" in the namespace "{namespace}"',
                details={"group": kind.group, "kind": kind.plural},
            )

    def _write(
        self,
        verb: str,
        kind: Kind,
        namespace: str,
        name: str,
        sub: str,
        query: dict[str, str],
        body: Object,
    ) -> None:
        store = self.server.store
        if verb == "POST":
            self.server.admit(kind, namespace, body)
            made = store.create(kind, namespace, body, dry_run=query.get("dryRun") == "All")
            self._send(201, made)
        elif verb == "PUT" and sub == "status":
            current = store.get(kind, namespace, name)
            version = (body.get("metadata") or {}).get("resourceVersion")
            if version not in (None, current["metadata"]["resourceVersion"]):
                raise Refusal(409, "Conflict", f'Operation cannot be fulfilled on "{name}"')
            store.change(
                kind, namespace, name, lambda item: item.update(status=body.get("status") or {})
            )
            self._send(200, store.get(kind, namespace, name))
        elif verb == "PATCH":
            if self.headers.get("Content-Type") != "application/merge-patch+json":
                raise Refusal(415, "UnsupportedMediaType", "the body of the request was in ...")
            store.get(kind, namespace, name)
            store.change(kind, namespace, name, lambda item: merge(item, body))
            self._send(200, store.get(kind, namespace, name))
        elif verb == "DELETE" and name:
            policy = query.get("propagationPolicy") or body.get("propagationPolicy")
            if policy is None and kind.api_version == "batch/v1":
                raise Refusal(500, None, "the pods of this Job would live on as orphans")
            item = store.delete(kind, namespace, name)
            details = {"name": name, "kind": kind.plural, "uid": item["metadata"]["uid"]}
            status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
            self._send(200, {**status, "details": details})
        else:
            raise Refusal(405, "MethodNotAllowed", "the server does not allow this method")

    def _list(self, kind: Kind, namespace: str, query: dict[str, str]) -> None:
        with self.server.store.changed:
            items = [
                item for item in self.server.store.all(kind, namespace) if matches(item, query)
            ]
            version = self.server.store.version
        metadata = {"resourceVersion": str(version)}
        answer = {"kind": f"{kind.kind}List", "apiVersion": kind.api_version, "metadata": metadata}
        self._send(200, {**answer, "items": items})

    def _watch(self, kind: Kind, namespace: str, query: dict[str, str]) -> None:
        store, since = self.server.store, int(query.get("resourceVersion") or 0)
        ends_at_s = time.monotonic() + float(query.get("timeoutSeconds") or 60)
        self._start_chunks("application/json")
        while not self.server.is_stopping.is_set() and time.monotonic() < ends_at_s:
            with store.changed:
                if since < store.forgotten:
                    status = Refusal(410, "Expired", f"too old resource version: {since}").status
                    self._chunk(json.dumps({"type": "ERROR", "object": status}).encode() + b"\n")
                    break
                changes = list(store.changes(kind, namespace, since))
                latest = store.version
                if not changes:
                    store.changed.wait(_BOOKMARK_S)
            for change in changes:
                if matches(change.object, query):
                    event = {"type": change.type, "object": change.object}
                    self._chunk(json.dumps(event).encode() + b"\n")
            if changes or latest == since:
                since = max(since, latest)
            elif query.get("allowWatchBookmarks"):
                bookmark = {"metadata": {"resourceVersion": str(latest)}, "kind": kind.kind}
                self._chunk(json.dumps({"type": "BOOKMARK", "object": bookmark}).encode() + b"\n")
                since = latest
        self._end_chunks()

    def _log(self, namespace: str, name: str, query: dict[str, str]) -> None:
        pod = self.server.store.get(POD, namespace, name)
        source = self.server.kubelet.log(pod, query)
        if source is None:
            self.send_response(204)
            self.end_headers()
            return
        breaks_after = None
        if query.get("follow") and self.server.faults.breaks_logs_after:
            breaks_after = self.server.faults.breaks_logs_after.popleft()
        self._start_chunks("text/plain")
        sent = 0
        for block in source:
            if breaks_after is not None and sent + len(block) > breaks_after:
                self._chunk(block[: breaks_after - sent])
                self.close_connection = True
                self.connection.close()
                return
            sent += len(block)
            self._chunk(block)
            if self.server.is_stopping.is_set():
                break
        self._end_chunks()

    def _start_chunks(self, content_type: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def _chunk(self, data: bytes) -> None:
        if data:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            self.wfile.flush()

    def _end_chunks(self) -> None:
        self.wfile.write(b"0\r\n\r\n")

    def _send(self, code: int, body: Object) -> None:
        with self.server.store.changed:
            data = json.dumps(body).encode()
        self._send_bytes(code, data, {"Content-Type": "application/json"})

    def _refuse(self, refusal: Refusal) -> None:
        if refusal.text is None:
            data, content_type = json.dumps(refusal.status).encode(), "application/json"
        else:
            data, content_type = refusal.text.encode(), "text/plain; charset=utf-8"
        self._send_bytes(refusal.code, data, {"Content-Type": content_type, **refusal.headers})

    def _send_bytes(self, code: int, data: bytes, headers: dict[str, str]) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def matches(item: Object, query: dict[str, str]) -> bool:
    """Tells whether selectors select an object."""
    labels = item["metadata"].get("labels") or {}
    for part in filter(None, query.get("labelSelector", "").split(",")):
        name, _, value = part.partition("=")
        if labels.get(name) != value:
            return False
    for part in filter(None, query.get("fieldSelector", "").split(",")):
        path, _, value = part.partition("=")
        found: Any = item
        for step in path.split("."):
            found = found.get(step) if isinstance(found, dict) else None
        if str(found or "") != value:
            return False
    return True


def merge(item: Object, patch: Object) -> None:
    """Applies a JSON merge patch."""
    for key, value in patch.items():
        if value is None:
            item.pop(key, None)
        elif isinstance(value, dict) and isinstance(item.get(key), dict):
            merge(item[key], value)
        else:
            item[key] = value


def _no_such_path() -> Refusal:
    return Refusal(404, None, "no such path", text="404 page not found\n")


class Reachable(Protocol):
    """A server that a kubeconfig can lead to."""

    token: str

    @property
    def url(self) -> str: ...


def write_kubeconfig(path: Path, server: Reachable, namespace: str = "default") -> None:
    """Writes what leads a client to a server."""
    config: Object = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "contexts": [
            {"name": "here", "context": {"cluster": "c", "user": "u", "namespace": namespace}}
        ],
        "clusters": [{"name": "c", "cluster": {"server": server.url}}],
        "users": [{"name": "u", "user": {"token": server.token}}],
    }
    path.write_text(json.dumps(config))
