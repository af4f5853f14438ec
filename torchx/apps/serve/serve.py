"""Registers a model with a TorchServe server: the program of ``serve.torchserve``.

The model is downloaded and offered to the server by a small HTTP server of our own, which serves
this one file, under a name that cannot be guessed, until the request has been answered.
"""

from __future__ import annotations

import argparse
import getpass
import os
import secrets
import shutil
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

TORCHSERVE_PARAMS: tuple[str, ...] = (
    "model_name",
    "handler",
    "runtime",
    "batch_size",
    "max_batch_delay",
    "initial_workers",
    "synchronous",
    "response_timeout",
)
"""Options of a registration, as TorchServe names them."""


def parse_args(argv: list[str]) -> argparse.Namespace:
    """Reads the command line.

    Args:
        argv: Arguments without the program's name.

    Returns:
        ``model_path``, ``management_api``, ``timeout`` (seconds), ``dryrun``, ``port`` and one
        attribute for each of :data:`TORCHSERVE_PARAMS`.
    """
    parser = argparse.ArgumentParser(description="Registers a model with a TorchServe server.")
    parser.add_argument("--model_path", required=True, help="path or URL of the model archive")
    parser.add_argument(
        "--management_api", required=True, help="URL of the management API, http://host:8081"
    )
    parser.add_argument(
        "--timeout", type=int, default=60, help="seconds to wait for the answer of the server"
    )
    parser.add_argument("--dryrun", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument(
        "--port", type=int, default=8222, help="port to offer the model on, 0 for a free one"
    )
    for name in TORCHSERVE_PARAMS:
        parser.add_argument(f"--{name}", help=f"option {name} of the registration")
    return parser.parse_args(argv)


def main(argv: list[str]) -> None:
    """Downloads the model and registers it.

    Args:
        argv: Arguments without the program's name.

    Raises:
        ImportError: The package ``requests`` is not installed.
        FileNotFoundError: There is no model at that path.
        ValueError: The path stands for several files.
        requests.HTTPError: The server refused the model.
    """
    args = parse_args(argv)
    if args.dryrun:
        print("App serve started successfully")
        return
    with tempfile.TemporaryDirectory(prefix="torchx-serve-") as directory:
        model = os.path.join(directory, f"{args.model_name or 'model'}_{rand_id()}.mar")
        _download(args.model_path, model)
        with _offered(model, args.port) as port:
            host = get_routable_ip_to(args.management_api)
            _register(args, f"http://{host}:{port}/{os.path.basename(model)}")


def rand_id() -> str:
    """Returns a name that nobody else uses.

    Returns:
        The user and 16 random hexadecimal digits, ``user_0123456789abcdef``.
    """
    return f"{_user()}_{secrets.token_hex(8)}"


def get_routable_ip_to(addr: str) -> str:
    """Returns the address of this machine that a server sees.

    Args:
        addr: URL of the server; the port is 80 unless it is given.

    Returns:
        An IPv4 address of this machine.

    Raises:
        ValueError: The URL names no host.
        OSError: There is no route to the host.
    """
    url = urlsplit(addr)
    if not url.hostname:
        raise ValueError(f"{addr!r} names no host; expected an URL such as http://host:8081")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((url.hostname, url.port or 80))
        return str(probe.getsockname()[0])


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run under an id that has no name
        return f"uid{os.getuid()}"


def _download(url: str, path: str) -> None:
    from fsspec.core import get_fs_token_paths

    fs, _, found = get_fs_token_paths(url)
    if len(found) != 1:
        raise ValueError(f"{url} stands for {len(found)} files; give the path of one model")
    with fs.open(found[0], "rb") as source, open(path, "wb") as target:
        shutil.copyfileobj(source, target)


@contextmanager
def _offered(path: str, port: int) -> Iterator[int]:
    """Serves one file for the time of the body; yields the port."""
    with ThreadingHTTPServer(("", port), _handler(path)) as server:
        thread = threading.Thread(target=server.serve_forever, name="model-download")
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def _handler(path: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path != "/" + os.path.basename(path):
                self.send_error(HTTPStatus.NOT_FOUND)
                return
            with open(path, "rb") as source:
                self.send_response(HTTPStatus.OK)
                self.send_header("Content-Type", "application/octet-stream")
                self.send_header("Content-Length", str(os.fstat(source.fileno()).st_size))
                self.end_headers()
                shutil.copyfileobj(source, self.wfile)

    return Handler


def _register(args: argparse.Namespace, model_url: str) -> None:
    try:
        import requests
    except ModuleNotFoundError as error:
        raise ImportError(
            "registering a model needs requests: pip install 'torchx[serve]'", name=error.name
        ) from error

    given = {name: getattr(args, name) for name in TORCHSERVE_PARAMS}
    params = {"url": model_url, **{name: value for name, value in given.items() if value}}
    response = requests.post(
        args.management_api.rstrip("/") + "/models", params=params, timeout=args.timeout
    )
    print(response.text)
    response.raise_for_status()


if __name__ == "__main__":
    main(sys.argv[1:])
