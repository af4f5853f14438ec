"""Logs: no line is lost, torn or repeated, whatever happens to the connection or to the pods."""

from __future__ import annotations

import contextlib
import json
import re
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from urllib3.exceptions import ProtocolError

from tests.schedulers.kubernetes.watching.conftest import requests_of
from tests.servers.kubernetes.cluster import Cluster
from tests.servers.kubernetes.http_api import write_kubeconfig
from tests.servers.kubernetes.replay import Replay, body_of, exchanges_of
from tests.servers.kubernetes.store import POD
from torchx.schedulers.api import Stream
from torchx.schedulers.kubernetes import access
from torchx.schedulers.kubernetes.container_log import ContainerLog, Range
from torchx.schedulers.kubernetes.errors import NoSuchReplicaError
from torchx.schedulers.kubernetes.pods import Pod, read_pods
from torchx.schedulers.kubernetes.replica_log import ReplicaLog
from torchx.schedulers.kubernetes.stamps import nanos_of, strip_stamps
from torchx.schedulers.kubernetes.wire import Wire
from torchx.schedulers.kubernetes_scheduler import KubernetesScheduler
from torchx.schedulers.merge import follow_all
from torchx.schedulers.streams import LogStream
from torchx.specs import AppDef, CfgVal, Resource, Role, UnknownAppException
from torchx.testing.waiting import eventually

PYTHON = "python3"
TIMEOUT_S = 60


def submit(scheduler: KubernetesScheduler, *roles: Role, name: str = "app", **cfg: CfgVal) -> str:
    cfg = {"reserved_millicpu": 950, "reserved_memmb": 96, **cfg}
    return scheduler.submit(AppDef(name, list(roles)), cfg)  # type: ignore[arg-type]  # a mapping


def role(program: str, *args: str, name: str = "job", **fields: Any) -> Role:
    grace = {"terminationGracePeriodSeconds": 1}
    return Role(
        name,
        image="image",
        entrypoint=PYTHON,
        args=["-c", program, *args],
        resource=Resource(1, 0, 128),
        metadata={"kubernetes": {"V1Pod": {"spec": {**grace, **fields.pop("pod", {})}}}},
        **fields,
    )


def text_of(lines: Any) -> str:
    return "".join(lines)


PRINT_AND_WAIT = """
import os, sys, time
for number in range(int(sys.argv[2])):
    print("line", number, flush=number % 7 == 0)
sys.stdout.flush()
while not os.path.exists(sys.argv[1]):
    time.sleep(0.01)
print("last", end="")
"""


def test_a_broken_connection_loses_and_repeats_nothing(
    cluster: Cluster, scheduler: KubernetesScheduler, tmp_path: Path
) -> None:
    cluster.server.faults.breaks_logs_after.extend([10, 5000, 20_011, 3])
    app_id = submit(scheduler, role(PRINT_AND_WAIT, str(tmp_path / "go"), "3000"))
    lines = iter(scheduler.log_iter(app_id, "job", should_tail=True))
    first = [next(lines) for _ in range(2000)]
    (tmp_path / "go").touch()
    rest = list(lines)
    assert first + rest == [f"line {number}\n" for number in range(3000)] + ["last"]
    assert not cluster.server.faults.breaks_logs_after


class _Node:
    """Serves a log as a node does: from a whole second on, and as far as the connection lasts."""

    def __init__(self, log: bytes, breaks: list[int], cut: int) -> None:
        self.log = log
        self.breaks = breaks
        self.cut = cut

    def stream(self, path: str, what: str, silence_s: float, **query: str) -> Any:
        since = query.get("sinceTime", "").encode()[:19]
        lines = re.findall(rb"[^\n]*\n|[^\n]+", self.log)
        data = b"".join(line for line in lines if line[:19] >= since)
        return _Response(data, self.breaks.pop() if self.breaks else None, self.cut)


class _Response:
    chunked = True

    def __init__(self, data: bytes, breaks_after: int | None, cut: int) -> None:
        self._data = data
        self._breaks_after = breaks_after
        self._cut = cut

    def stream(self, amount: int, decode_content: bool) -> Iterator[bytes]:
        data = self._data if self._breaks_after is None else self._data[: self._breaks_after]
        for start in range(0, len(data), self._cut):
            yield data[start : start + self._cut]
        if self._breaks_after is not None:
            raise ProtocolError("broken")

    def close(self) -> None:
        """Nothing is open."""

    release_conn = close


texts = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 2), st.text("aß\r\t -", max_size=4)), max_size=12
)


@given(
    texts,
    st.lists(st.integers(0, 400), max_size=4),
    st.integers(1, 50),
    st.booleans(),
    st.booleans(),
)
def test_reading_on_after_a_break_is_exact(
    lines: list[tuple[int, int, str]],
    breaks: list[int],
    cut: int,
    has_end: bool,
    keeps_stamps: bool,
) -> None:
    lines.sort(key=lambda item: item[:2])
    stamped = [
        f"2026-01-31T12:00:0{second}.00000000{nano}Z {text}\n".encode()
        for second, nano, text in lines
    ]
    log = b"".join(stamped)
    log = log if has_end else log.removesuffix(b"\n")
    wanted = Range(keeps_stamps=keeps_stamps)
    node: Any = _Node(log, list(breaks), cut)
    source = ContainerLog(lambda: node, "ns", "pod", "main", wanted, lambda: False)
    got: list[bytes] = []
    for _ in breaks:
        with contextlib.suppress(ProtocolError):
            got.extend(source.blocks(follow=True))
    # A stream that has ended is read once more.
    got.extend(source.blocks(follow=True))
    got.extend(source.blocks(follow=False))
    assert b"".join(got) == (log if keeps_stamps else strip_stamps(log))


@pytest.mark.parametrize("follow", [False, True])
def test_a_recorded_log_is_byte_for_byte_what_was_written(kubeconfig: Path, follow: bool) -> None:
    by_number = {item["n"]: item for item in exchanges_of("logs")}
    exchange = by_number[6 if follow else 12]
    exchange["request"]["path"] = exchange["request"]["path"].replace("&tailLines=1", "")
    path = exchange["request"]["path"]
    namespace, pod = re.findall(r"namespaces/([^/]+)/pods/([^/]+)/log", path)[0]
    with Replay([exchange]) as replay:
        write_kubeconfig(kubeconfig, replay)
        wire = Wire(access.load_client())
        source = ContainerLog(lambda: wire, namespace, pod, "main", Range(), lambda: False)
        got = b"".join(source.blocks(follow=follow))
        assert replay.refused == []
    assert got == body_of(by_number[11])


def test_the_range_of_a_recorded_log_is_exact_to_the_nanosecond(kubeconfig: Path) -> None:
    exchange = {item["n"]: item for item in exchanges_of("logs")}[12]
    lines = body_of(exchange).split(b"\n")
    second = nanos_of(lines[1])
    fourth = nanos_of(lines[3])
    assert second is not None
    assert fourth is not None
    with Replay([exchange]) as replay:
        write_kubeconfig(kubeconfig, replay)
        wire = Wire(access.load_client())
        namespace = exchange["request"]["path"].split("/")[4]
        source = ContainerLog(
            lambda: wire, namespace, "logger", "main", Range(None, fourth), lambda: False
        )
        assert b"".join(source.blocks(follow=False)) == b"line 0\nline 1\nline 2\n"
        assert source.is_past_until


def test_the_api_server_is_asked_for_whole_seconds(
    cluster: Cluster, scheduler: KubernetesScheduler
) -> None:
    app_id = submit(scheduler, role("print('now')"))
    wait(scheduler, app_id)
    requests_of(cluster.server)
    since = datetime.now(timezone.utc) - timedelta(hours=1, microseconds=1)
    assert list(scheduler.log_iter(app_id, "job", since=since)) == ["now\n"]
    (asked,) = [request for request in requests_of(cluster.server) if "/log?" in request]
    assert f"sinceTime={since.strftime('%Y-%m-%dT%H:%M:%SZ')}" in asked
    assert "sinceSeconds" not in asked
    naive = datetime.now() - timedelta(hours=1)
    assert list(scheduler.log_iter(app_id, "job", since=naive)) == ["now\n"]
    assert list(scheduler.log_iter(app_id, "job", until=naive)) == []


SIDE = """
import os, sys, time
print("side began", flush=True)
while not os.path.exists(sys.argv[1]):
    time.sleep(0.01)
print("side ended", end="", flush=True)
"""


def test_containers_are_followed_together_with_their_names(
    cluster: Cluster, scheduler: KubernetesScheduler, tmp_path: Path
) -> None:
    go = str(tmp_path / "go")
    side = {"name": "side", "image": "image", "command": [PYTHON, "-c", SIDE, go]}
    init = {"name": "prepare", "image": "image", "command": ["echo", "prepared"]}
    pod = {"containers": [side], "initContainers": [init]}
    app_id = submit(scheduler, role("print('main', flush=True)", pod=pod))
    lines = iter(scheduler.log_iter(app_id, "job", should_tail=True))
    assert next(lines) == "prepare prepared\n"
    # The main container has ended while the other one runs, and both are shown.
    assert sorted([next(lines), next(lines)]) == ["main\n", "side side began\n"]
    Path(go).touch()
    assert list(lines) == ["side side ended\n"]
    assert list(scheduler.log_iter(app_id, "job", regex="^side")) == [
        "side side began\n",
        "side side ended\n",
    ]


def test_all_attempts_of_a_replica_are_read_in_order(
    cluster: Cluster, scheduler: KubernetesScheduler, tmp_path: Path
) -> None:
    program = """
import os, sys
attempt = len(os.listdir(sys.argv[1]))
open(os.path.join(sys.argv[1], str(attempt)), "x").close()
print("attempt", attempt)
sys.exit(attempt < 2)
"""
    (tmp_path / "attempts").mkdir()
    app_id = submit(scheduler, role(program, str(tmp_path / "attempts"), max_retries=3))
    followed = list(scheduler.log_iter(app_id, "job", should_tail=True))
    assert followed == ["attempt 0\n", "attempt 1\n", "attempt 2\n"]
    assert list(scheduler.log_iter(app_id, "job")) == followed
    described = scheduler.describe(app_id)
    assert described is not None
    assert described.num_restarts == 2


class _LateView:
    """Knows of the end of the app before it knows of its pods."""

    def __init__(self, pods: list[Pod]) -> None:
        self._pods = pods
        self._is_fresh = False

    def pods(self) -> list[Pod]:
        return self._pods if self._is_fresh else []

    def is_over(self) -> bool:
        return True

    def wait(self, timeout_s: float) -> None:
        raise AssertionError("there is nothing to wait for")

    def refresh(self) -> None:
        self._is_fresh = True


def test_the_log_of_a_pod_that_is_seen_late_is_not_lost() -> None:
    pod = {
        "metadata": {"name": "pod", "uid": "1"},
        "spec": {"containers": [{"name": "main"}]},
        "status": {"phase": "Pending"},
    }
    node: Any = _Node(b"2026-01-31T12:00:00.000000000Z text\n", [], 10)
    view = _LateView(read_pods([pod]))
    source = ReplicaLog(lambda: node, "ns", view, Range(), follow=True)
    assert list(LogStream(source)) == ["text\n"]


HANG = "import time; print('started', flush=True); time.sleep(3600)"


def test_a_pod_that_vanishes_ends_its_log(cluster: Cluster, scheduler: KubernetesScheduler) -> None:
    app_id = submit(scheduler, role(HANG))
    lines = iter(scheduler.log_iter(app_id, "job", should_tail=True))
    assert next(lines) == "started\n"
    scheduler.delete(app_id)
    assert list(lines) == []


def test_closing_a_log_wakes_its_reader(cluster: Cluster, scheduler: KubernetesScheduler) -> None:
    app_id = submit(scheduler, role(HANG))
    stream = scheduler.log_iter(app_id, "job", should_tail=True)
    assert isinstance(stream, LogStream)
    started, got = threading.Event(), list[str]()

    def read() -> None:
        for line in stream:
            got.append(line)
            started.set()

    reader = threading.Thread(target=read)
    reader.start()
    assert started.wait(TIMEOUT_S)
    stream.close()
    reader.join(TIMEOUT_S)
    assert not reader.is_alive()
    assert got == ["started\n"]
    scheduler.delete(app_id)


def test_what_waits_for_a_node_is_waited_for(
    cluster: Cluster, scheduler: KubernetesScheduler
) -> None:
    big = role("print('at last')")
    big.resource = Resource(10_000, 0, 128)
    app_id = submit(scheduler, big)
    lines: list[str] = []
    reader = threading.Thread(
        target=lambda: lines.extend(scheduler.log_iter(app_id, "job", should_tail=True))
    )
    reader.start()
    eventually(lambda: (scheduler.describe(app_id) or big).msg != "<NONE>", "why", TIMEOUT_S)  # type: ignore[union-attr]  # it is there
    assert list(scheduler.log_iter(app_id, "job")) == []
    (pod,) = cluster.store.all(POD)
    cluster.store.change(
        POD, "default", pod["metadata"]["name"], lambda item: item["spec"].update(nodeName="node0")
    )
    reader.join(TIMEOUT_S)
    assert lines == ["at last\n"]


def test_following_many_replicas_watches_each_list_once(
    cluster: Cluster, scheduler: KubernetesScheduler
) -> None:
    app_id = submit(scheduler, role("print('hello')", num_replicas=8))
    out: list[bytes] = []
    requests_of(cluster.server)
    streams = [
        (f"{k} ".encode(), scheduler.log_iter(app_id, "job", k, should_tail=True)) for k in range(8)
    ]
    follow_all(streams, out.append)
    assert sorted(b"".join(out).splitlines()) == [f"{k} hello".encode() for k in range(8)]
    asked = [request.partition("?")[0] for request in requests_of(cluster.server)]
    counts = {path: asked.count(path) for path in set(asked)}
    # A list and a watch of pods and of jobs; and each log twice: followed, and to its very end.
    assert counts.pop("GET /api/v1/namespaces/default/pods") == 2
    assert counts.pop("GET /apis/batch/v1/namespaces/default/jobs") == 2 + 8  # the app is looked up
    assert len(counts) == 8
    assert set(counts.values()) == {2}


def test_without_the_right_to_watch_logs_are_followed_by_asking(
    cluster: Cluster, scheduler: KubernetesScheduler
) -> None:
    cluster.server.faults.forbidden |= {("watch", "pods"), ("watch", "jobs.batch")}
    app_id = submit(scheduler, role("print('hello')"))
    assert list(scheduler.log_iter(app_id, "job", should_tail=True)) == ["hello\n"]
    wait(scheduler, app_id)


def test_lines_of_volcano_jobs_begin_with_the_time(
    cluster: Cluster, scheduler: KubernetesScheduler
) -> None:
    app_id = submit(scheduler, role("print('1\\n2')"), queue="q")
    wait(scheduler, app_id)
    lines = list(scheduler.log_iter(app_id, "job"))
    assert [re.sub(r"^\d{4}-\d\d-\d\dT[\d:.]+Z ", "", line) for line in lines] == ["1\n", "2\n"]
    # Both the line as it is shown and the line as it was written can be searched.
    assert list(scheduler.log_iter(app_id, "job", regex="^2$")) == lines[1:]
    assert list(scheduler.log_iter(app_id, "job", regex=r"Z 1")) == lines[:1]


def test_what_cannot_be_read_is_an_error_at_once(
    cluster: Cluster, scheduler: KubernetesScheduler
) -> None:
    app_id = submit(scheduler, role("pass"), role("pass", name="my_role"))
    with pytest.raises(NoSuchReplicaError, match=r"job \(0 to 0\), my_role \(0 to 0\)"):
        scheduler.log_iter(app_id, "job", 1, should_tail=True)
    with pytest.raises(ValueError, match="only the combined stream is supported"):
        scheduler.log_iter(app_id, "job", streams=Stream.STDERR)
    with pytest.raises(UnknownAppException):
        scheduler.log_iter("default:none", "job", should_tail=True)
    with pytest.raises(re.error):
        scheduler.log_iter(app_id, "job", regex="(")
    wait(scheduler, app_id)
    assert list(scheduler.log_iter(app_id, "my_role")) == []


def wait(scheduler: KubernetesScheduler, app_id: str) -> None:
    def has_ended() -> bool:
        described = scheduler.describe(app_id)
        assert described is not None
        if described.state.name in ("SUCCEEDED", "FAILED", "CANCELLED"):
            return True
        scheduler.wait_for_change(app_id, TIMEOUT_S)
        return False

    eventually(has_ended, "end of the app", TIMEOUT_S)


def test_a_log_that_the_node_has_lost_is_no_line(kubeconfig: Path) -> None:
    (exchange,) = [
        item
        for item in exchanges_of("job_plain_nonindexed")
        if "unable to retrieve" in json.dumps(item)
    ]
    path = exchange["request"]["path"]
    exchange["request"]["path"] = path.partition("?")[0] + "?timestamps=true"
    namespace, pod = re.findall(r"namespaces/([^/]+)/pods/([^/]+)/log", path)[0]
    with Replay([exchange]) as replay:
        write_kubeconfig(kubeconfig, replay)
        wire = Wire(access.load_client())
        name = "main"
        source = ContainerLog(lambda: wire, namespace, pod, name, Range(), lambda: False)
        assert list(source.blocks(follow=False)) == []
        assert replay.refused == []
