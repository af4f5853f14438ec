"""What a real API server refused, by the real client library, in one line with a way out."""

from __future__ import annotations

import json
import pickle
import re
from pathlib import Path
from typing import Any

import pytest
from kubernetes import config
from kubernetes.client import ApiClient, ApiException, BatchV1Api, CustomObjectsApi

from tests.servers.kubernetes.cluster import Cluster
from tests.servers.kubernetes.http_api import write_kubeconfig
from tests.servers.kubernetes.replay import Exchange, Replay, exchanges_of
from torchx.schedulers.kubernetes import access
from torchx.schedulers.kubernetes.errors import KubernetesError, is_no_such_api, translated
from torchx.schedulers.kubernetes.wire import Wire
from torchx.schedulers.kubernetes_scheduler import KubernetesScheduler

TOLD = [
    (
        "errors_auth",
        1,
        "does not accept the credentials: they are missing, wrong or expired",
        "log",
    ),
    ("errors_auth", 2, "no credentials were sent", "name a user in the current context"),
    (
        "errors_auth",
        12,
        'User "system:serviceaccount:t-errors-auth:reader" cannot list',
        "can-i list",
    ),
    ("errors_auth", 13, "cannot watch", "can-i watch pods -n t-errors-auth`"),
    ("errors_auth", 14, "pods/log", "`system:serviceaccount:t-errors-auth:reader` get pods/log"),
    ("errors_auth", 15, "cannot delete", "can-i delete jobs.batch -n t-errors-auth`"),
    ("errors_auth", 16, "cannot patch", "can-i patch jobs.batch"),
    ("errors_auth", 19, "at the cluster scope", "can-i list nodes`"),
    ("errors_auth", 21, "cannot list", "can-i list jobs.batch.volcano.sh -n t-errors-auth`"),
    ("errors_429_5xx", 1, "too much to do: Too many requests", "later"),
    ("errors_429_5xx", 8, "forgotten that much of its past", "again"),
    ("errors_requests", 1, 'jobs.batch "none" not found', ""),
    ("errors_requests", 8, "could not find the requested resource", ""),
    ("errors_requests", 78, "unable to parse requirement", ""),
    ("errors_requests", 86, "the API server failed: Timeout: Too large resource version", "again"),
    ("volcano_admission_denials", 1, "'minAvailable' should not be greater than total", ""),
    ("volcano_admission_denials", 3, 'unable to find job queue.*"nosuch" not found', "get queues"),
    ("volcano_admission_denials", 33, '"real" already exists', ""),
    ("volcano_admission_denials", 39, '"none" not found', ""),
]
TRANSIENT = {("errors_429_5xx", 1), ("errors_429_5xx", 8), ("errors_requests", 86)}


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    pauses: list[float] = []
    monkeypatch.setattr("torchx.schedulers.kubernetes.wire.time.sleep", pauses.append)
    return pauses


def ask(client: ApiClient, request: Exchange) -> Any:
    """Sends a recorded request with the real client library."""
    path, method = request["path"], request["method"]
    if method == "GET":
        return Wire(client).get(path, "look")
    if method == "PATCH":
        return Wire(client).patch(path, "change it", request["body"])
    if method == "DELETE":
        return Wire(client).delete(path, "delete it")
    namespace = path.split("/namespaces/")[1].split("/")[0]
    place = {"group": "batch.volcano.sh", "version": "v1alpha1", "plural": "jobs"}
    with translated("create it", path, client):
        kwargs = {"dry_run": "All"} if "dryRun" in path else {}
        api = CustomObjectsApi(client)
        return api.create_namespaced_custom_object(
            **place, namespace=namespace, body=request["body"], **kwargs
        )


@pytest.mark.usefixtures("no_pauses")
@pytest.mark.parametrize(("recording", "number", "message", "hint"), TOLD)
def test_a_refusal_is_one_line_with_a_hint(
    kubeconfig: Path, recording: str, number: int, message: str, hint: str
) -> None:
    exchange = next(item for item in exchanges_of(recording) if item["n"] == number)
    request = exchange["request"]
    with Replay([exchange]) as replay:
        write_kubeconfig(kubeconfig, replay)
        with pytest.raises(KubernetesError) as raised:
            ask(access.load_client(), request)
    assert replay.refused == []
    error = raised.value
    assert isinstance(error, ApiException)
    assert error.status == exchange["response"]["status"]
    assert "\n" not in str(error)
    assert re.search(message, str(error)), str(error)
    assert hint in error.hint
    assert bool(error.hint) == bool(hint)
    assert error.transient == ((recording, number) in TRANSIENT)
    copied = pickle.loads(pickle.dumps(error))
    assert (str(copied), copied.hint, copied.status) == (str(error), error.hint, error.status)


@pytest.mark.parametrize("recording", ["errors_auth", "errors_429_5xx", "errors_requests"])
@pytest.mark.usefixtures("no_pauses")
def test_every_recorded_refusal_is_one_line(kubeconfig: Path, recording: str) -> None:
    refusals = [item for item in exchanges_of(recording) if item["response"]["status"] >= 400]
    asked = [item for item in refusals if item["request"]["method"] in ("GET", "DELETE")]
    asked = [item for item in asked if "406" not in str(item["response"]["status"])]
    for exchange in asked:
        with Replay([exchange]) as replay:
            write_kubeconfig(kubeconfig, replay)
            with pytest.raises(KubernetesError) as raised:
                ask(access.load_client(), exchange["request"])
        assert raised.value.status == exchange["response"]["status"]
        assert "\n" not in str(raised.value)
    assert len(asked) > 2


@pytest.mark.parametrize(("number", "is_missing"), [(5, True), (7, True), (8, True), (1, False)])
def test_a_missing_api_is_told_from_a_missing_object(
    kubeconfig: Path, number: int, is_missing: bool
) -> None:
    exchange = next(item for item in exchanges_of("errors_requests") if item["n"] == number)
    with Replay([exchange]) as replay:
        write_kubeconfig(kubeconfig, replay)
        with pytest.raises(KubernetesError) as raised:
            ask(access.load_client(), exchange["request"])
    assert is_no_such_api(raised.value) is is_missing


def test_too_many_requests_wait_as_long_as_the_server_says(
    kubeconfig: Path, no_pauses: list[float]
) -> None:
    exchange = exchanges_of("errors_429_5xx")[0]
    assert "Retry-After" in exchange["response"]["headers"]
    good = {**exchange, "response": {"status": 200, "headers": {}, "body": {"items": []}}}
    with Replay([exchange, exchange, good]) as replay:
        write_kubeconfig(kubeconfig, replay)
        assert ask(access.load_client(), exchange["request"]) == {"items": []}
    wanted = float(exchange["response"]["headers"]["Retry-After"])
    assert no_pauses == [wanted, wanted]


def test_a_server_that_is_away_is_named(kubeconfig: Path) -> None:
    with Replay([]) as replay:
        write_kubeconfig(kubeconfig, replay)
        url = replay.url
    with pytest.raises(KubernetesError, match=re.escape(f"cannot look: the API server {url}")) as e:
        Wire(access.load_client()).get("/version", "look")
    assert e.value.transient
    assert "kubectl cluster-info" in e.value.hint


@pytest.mark.parametrize(
    ("text", "reason"),
    [(None, "KUBECONFIG names `.*`, which does not exist"), ("{", "while parsing a flow")],
)
def test_without_a_cluster_the_reason_is_told(
    kubeconfig: Path, scheduler: KubernetesScheduler, text: str | None, reason: str
) -> None:
    if text is not None:
        kubeconfig.write_text(text)
    with pytest.warns(UserWarning, match="failed to load kube config"):
        client = scheduler._api_client()
    assert not access.is_configured(client)
    with pytest.raises(KubernetesError, match=f"no cluster is configured: {reason}") as raised:
        scheduler.describe("default:app")
    assert "KUBECONFIG" in raised.value.hint


CONTEXTS = """
apiVersion: v1
kind: Config
current-context: a
contexts:
- {name: a, context: {cluster: a, user: u, namespace: team}}
- {name: b, context: {cluster: b, user: u}}
clusters:
- {name: a, cluster: {server: "https://10.1.2.3:6443"}}
- {name: b, cluster: {server: "https://b.example.com"}}
users:
- {name: u, user: {token: t}}
"""


def test_a_context_may_be_named(kubeconfig: Path, scheduler: KubernetesScheduler) -> None:
    kubeconfig.write_text(CONTEXTS)
    assert scheduler._own_namespace() == "team"
    scheduler.context = "b"
    assert scheduler._api_client().configuration.host == "https://b.example.com"
    assert scheduler._own_namespace() == "default"


def test_an_explicit_kubeconfig_beats_the_cluster_that_we_run_in(
    kubeconfig: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kubeconfig.write_text(CONTEXTS)
    asked: list[str] = []
    monkeypatch.setattr(config, "load_incluster_config", lambda **kwargs: asked.append("cluster"))
    assert access.load_client().configuration.host == "https://10.1.2.3:6443"
    assert asked == []
    monkeypatch.delenv("KUBECONFIG")
    access.load_client()
    assert asked == ["cluster"]


@pytest.mark.parametrize(
    ("excluded", "context", "proxy"),
    [
        ("", None, "http://proxy:3128"),
        ("10.0.0.0/8", None, None),
        ("10.0.0.0/8", "b", "http://proxy:3128"),
        (".example.com,other", "b", None),
        ("*", None, None),
    ],
)
def test_proxies_are_those_of_the_environment(
    kubeconfig: Path,
    monkeypatch: pytest.MonkeyPatch,
    excluded: str,
    context: str | None,
    proxy: str | None,
) -> None:
    kubeconfig.write_text(CONTEXTS)
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    monkeypatch.setenv("NO_PROXY", excluded)
    assert access.load_client(context).configuration.proxy == proxy


def test_no_call_waits_for_ever(kubeconfig: Path) -> None:
    kubeconfig.write_text(CONTEXTS)
    client = access.load_client()
    used: list[Any] = []
    pool = client.rest_client.pool_manager
    monkeypatched = pytest.MonkeyPatch()
    with monkeypatched.context() as patch:
        patch.setattr(pool, "urlopen", lambda *args, **kwargs: used.append(kwargs["timeout"]))
        pool.request("GET", "https://10.1.2.3:6443/version", timeout=None)
        pool.request("GET", "https://10.1.2.3:6443/version", timeout=5)
    assert used[0].read_timeout == access.READ_TIMEOUT_S
    assert used[0].connect_timeout == access.CONNECT_TIMEOUT_S
    assert used[1] == 5


def test_an_exec_plugin_gives_the_credentials(kubeconfig: Path, tmp_path: Path) -> None:
    plugin = tmp_path / "plugin"
    told = {
        "apiVersion": "client.authentication.k8s.io/v1beta1",
        "kind": "ExecCredential",
        "status": {"token": "from-the-plugin"},
    }
    plugin.write_text(f"#!/bin/sh\necho '{json.dumps(told)}'\n")
    plugin.chmod(0o755)
    settings = f"exec: {{apiVersion: {told['apiVersion']}, command: '{plugin}'}}"
    kubeconfig.write_text(CONTEXTS.replace("token: t", settings))
    assert Wire(access.load_client())._headers(None)["authorization"] == "Bearer from-the-plugin"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"noSuchField": 1}, "strict decoding error: .*noSuchField"),
        ({"template": {"spec": {"containers": []}}, "completions": 10**62}, "is invalid"),
    ],
)
def test_the_test_cluster_refuses_what_a_cluster_refuses(
    cluster: Cluster, spec: dict[str, Any], message: str
) -> None:
    template = {"spec": {"containers": [{"name": "a"}]}}
    body = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "job"}}
    with pytest.raises(ApiException, match=message):
        BatchV1Api(access.load_client()).create_namespaced_job(
            "default", {**body, "spec": {"template": template, **spec}}
        )
