"""The program behind serve.torchserve, against a real HTTP server in the place of TorchServe."""

import os
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from torchx.apps.serve.serve import get_routable_ip_to, main, parse_args, rand_id


class ManagementApi(ThreadingHTTPServer):
    """Downloads the model that it is told to register, as TorchServe does."""

    status = 200

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _ManagementHandler)
        self.paths: list[str] = []
        self.params: dict[str, list[str]] = {}
        self.model = b""
        self.other_files: list[int] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _ManagementHandler(BaseHTTPRequestHandler):
    server: ManagementApi

    def do_POST(self) -> None:
        url = urlsplit(self.path)
        self.server.paths.append(url.path)
        self.server.params = parse_qs(url.query)
        model_url = self.server.params["url"][0]
        with urllib.request.urlopen(model_url) as response:
            self.server.model = response.read()
        for other in ("/", "/../secret", "/other.mar"):
            try:
                urllib.request.urlopen(model_url.rpartition("/")[0] + other)
            except urllib.error.HTTPError as error:
                self.server.other_files.append(error.code)
                error.close()
        self.send_response(self.server.status)
        self.end_headers()
        self.wfile.write(b"registered, or not")


@pytest.fixture
def management_api() -> Iterator[ManagementApi]:
    with ManagementApi() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def model(tmp_path: Path) -> str:
    path = tmp_path / "model.mar"
    path.write_bytes(b"weights")
    return f"file://{path}"


def _argv(management_api: str, model: str) -> list[str]:
    return ["--management_api", management_api, "--model_path", model, "--port", "0"]


def test_server_gets_the_model_and_the_options_that_were_given(
    management_api: ManagementApi, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--model_name", "m", "--initial_workers", "2"]
    main([*_argv(management_api.url + "/", model), *options])
    assert management_api.paths == ["/models"]
    assert management_api.model == b"weights"
    params = management_api.params
    assert (params["model_name"], params["initial_workers"]) == (["m"], ["2"])
    assert params.keys() == {"url", "model_name", "initial_workers"}
    assert params["url"][0].rpartition("/")[2].startswith("m_")
    assert "registered, or not\n" in capsys.readouterr().out


def test_nothing_but_the_model_can_be_downloaded(management_api: ManagementApi, model: str) -> None:
    main(_argv(management_api.url, model))
    assert management_api.other_files == [404, 404, 404]


def test_port_is_free_again_after_a_refusal(management_api: ManagementApi, model: str) -> None:
    management_api.status = 500
    with pytest.raises(requests.HTTPError):
        main(_argv(management_api.url, model))
    port = urlsplit(management_api.params["url"][0]).port
    management_api.status = 200
    main([*_argv(management_api.url, model), "--port", str(port)])
    assert management_api.model == b"weights"


def test_dry_run_does_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--management_api", "http://none", "--model_path", "none", "--dryrun"])
    assert capsys.readouterr().out == "App serve started successfully\n"


def test_several_models_are_refused(tmp_path: Path) -> None:
    for name in ("a.mar", "b.mar"):
        (tmp_path / name).touch()
    with pytest.raises(ValueError, match="stands for 2 files"):
        main(_argv("http://localhost", f"{tmp_path}/*.mar"))


def test_defaults() -> None:
    args = parse_args(["--management_api", "http://h", "--model_path", "p"])
    assert (args.timeout, args.port, args.dryrun, args.model_name) == (60, 8222, False, None)


def test_route_to_a_host() -> None:
    assert get_routable_ip_to("http://localhost:1234/x") == "127.0.0.1"
    with pytest.raises(ValueError, match="names no host"):
        get_routable_ip_to("localhost:1234")


def test_name_of_a_user_without_an_entry_in_passwd(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000)
    user, _, digits = rand_id().rpartition("_")
    assert user == "uid4000000"
    assert len(digits) == 16
