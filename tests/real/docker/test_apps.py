"""Apps on a real engine: what is told about them, how they end, and what they leave behind."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest

from tests.real.docker.engine import IMAGE
from tests.real.docker.jobs import TIMEOUT_S, Jobs
from torchx.errors import JobStartError
from torchx.schedulers.docker_scheduler import create_scheduler, has_docker
from torchx.specs import (
    AppState,
    BindMount,
    Resource,
    RetryPolicy,
    Role,
    VolumeMount,
    macros,
)
from torchx.testing.job import LogFollower
from torchx.testing.waiting import eventually

HANG = """
import time
print("started", flush=True)
time.sleep(3600)
"""

IGNORE_SIGTERM = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("started", flush=True)
time.sleep(3600)
"""

SAVE_ON_SIGTERM = """
import signal, sys, time
def save(*_):
    print("saved", flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, save)
print("started", flush=True)
time.sleep(3600)
"""

# Fails in the first attempt; each attempt ends in the middle of a line.
FAIL_ONCE = """
import os, sys
first = not os.path.exists("/tmp/attempt")
open("/tmp/attempt", "w").close()
print("attempt", 1 if first else 2)
sys.exit(first)
"""


def started(jobs: Jobs, app_id: str, num_replicas: int = 1) -> None:
    for k in range(num_replicas):
        lines = jobs.scheduler.log_iter(app_id, "job", k, should_tail=True)
        LogFollower(lines, TIMEOUT_S).wait_for_line("started")


def test_an_engine_is_found() -> None:
    assert has_docker()


def test_another_process_is_told_the_roles_without_secrets(jobs: Jobs) -> None:
    roles = [
        jobs.role(
            HANG,
            "--token",
            "hidden1",
            macros.replica_id,
            name="b first",
            num_replicas=2,
            env={"HF_TOKEN": "hidden2", "PLAIN": "shown"},
            max_retries=3,
            retry_policy=RetryPolicy.REPLICA,
            port_map={"http": 8080},
            mounts=[
                BindMount("/tmp", "/bind", read_only=True),
                VolumeMount("torchx-test", "/volume"),
            ],
        ),
        jobs.role(HANG, name="a second"),
    ]
    app_id = jobs.submit(*roles)
    other = create_scheduler("other")
    description = other.describe(app_id)
    other.close()
    assert description is not None
    assert [role.role for role in description.roles_statuses] == ["b first", "a second"]
    told = description.roles[0]
    assert told == Role(
        "b first",
        IMAGE,
        entrypoint="python3",
        args=["-c", HANG, "--token", "<redacted>", macros.replica_id],
        env={"HF_TOKEN": "<redacted>", "PLAIN": "shown"},
        num_replicas=2,
        max_retries=3,
        retry_policy=RetryPolicy.REPLICA,
        port_map={"http": 8080},
        mounts=roles[0].mounts,
        resource=Resource(cpu=1, gpu=0, memMB=64),
    )
    labels = [container["Config"]["Labels"] for container in jobs.containers(app_id)]
    assert "hidden" not in json.dumps(labels)
    jobs.client.volumes.get("torchx-test")
    jobs.scheduler.delete(app_id)
    jobs.client.volumes.get("torchx-test").remove()


def test_the_list_names_apps_once_with_their_sessions(jobs: Jobs) -> None:
    app_id = jobs.submit(jobs.role("", num_replicas=3), name="my name")
    jobs.wait(app_id)
    (entry,) = [item for item in jobs.scheduler.list() if item.app_id == app_id]
    assert entry.name == "my name"
    assert entry.state == AppState.SUCCEEDED
    assert entry.app_handle == f"local_docker://{jobs.scheduler.session_name}/{app_id}"


def test_many_apps_are_described_with_one_question(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [jobs.submit(jobs.role("raise SystemExit(3)", num_replicas=2)) for _ in range(3)]
    for app_id in ids:
        jobs.wait(app_id)
    asked: list[str] = []
    send = jobs.client.api.send

    def counted(request: Any, **kwargs: Any) -> Any:
        asked.append(request.path_url)
        return send(request, **kwargs)

    monkeypatch.setattr(jobs.client.api, "send", counted)
    described = jobs.scheduler.describe_many([*ids, "unknown"])
    assert sorted(described) == sorted(ids)
    assert {item.state for item in described.values()} == {AppState.FAILED}
    assert all("exit code 3" in item.msg for item in described.values())
    assert len(asked) == 1


def test_replicas_that_ignore_sigterm_are_killed_together(jobs: Jobs) -> None:
    role = jobs.role(IGNORE_SIGTERM, num_replicas=3)
    app_id = jobs.submit(role, cfg={"grace_period_s": 1})
    started(jobs, app_id, 3)
    jobs.scheduler.cancel(app_id)
    assert jobs.describe(app_id).state == AppState.CANCELLED
    assert [item["State"]["ExitCode"] for item in jobs.containers(app_id)] == [137] * 3


def test_a_cancelled_replica_may_save_its_work(jobs: Jobs) -> None:
    app_id = jobs.submit(jobs.role(SAVE_ON_SIGTERM))
    started(jobs, app_id)
    jobs.scheduler.cancel(app_id)
    assert jobs.describe(app_id).state == AppState.CANCELLED
    assert jobs.log(app_id) == ["started\n", "saved\n"]


def test_an_image_with_an_init_of_its_own_gets_none(jobs: Jobs) -> None:
    program = "import os; print(os.getpid())"
    assert jobs.run(jobs.role(program), cfg={"init": False}) == ["1\n"]


def test_a_failed_replica_is_restarted_and_its_log_goes_on(jobs: Jobs) -> None:
    app_id = jobs.submit(jobs.role(FAIL_ONCE, max_retries=1))
    lines = jobs.scheduler.log_iter(app_id, "job", should_tail=True)
    assert LogFollower(lines, TIMEOUT_S).until_the_end() == ["attempt 1\n", "attempt 2\n"]
    description = jobs.wait(app_id)
    assert (description.state, description.num_restarts) == (AppState.SUCCEEDED, 1)


def test_replicas_of_a_private_network_reach_the_first_and_deleting_leaves_the_rest(
    jobs: Jobs,
) -> None:
    foreign = jobs.client.networks.create("torchx-test-foreign")
    try:
        program = "import os, socket; print(socket.gethostbyname(os.environ['TORCHX_RANK0_HOST']))"
        role = jobs.role(program + f"\n{HANG}", num_replicas=2)
        app_id = jobs.submit(role, cfg={"private_network": True})
        started(jobs, app_id, 2)
        containers = jobs.containers(app_id)
        (network,) = jobs.client.networks.list(names=[f"torchx-{app_id}"])
        addresses = [
            item["NetworkSettings"]["Networks"][f"torchx-{app_id}"]["IPAddress"]
            for item in containers
        ]
        assert jobs.log(app_id, k=1) == [f"{addresses[0]}\n", "started\n"]
        jobs.scheduler.delete(app_id)
        assert jobs.scheduler.describe(app_id) is None
        left = {item.name for item in jobs.client.networks.list()}
        assert network.name not in left
        assert "torchx-test-foreign" in left
    finally:
        foreign.remove()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


SERVE = """
import http.server, sys
Handler = http.server.SimpleHTTPRequestHandler
print("started", flush=True)
http.server.HTTPServer(("", int(sys.argv[1])), Handler).serve_forever()
"""


def test_published_ports_are_reachable_and_taken_ones_are_told(jobs: Jobs) -> None:
    port = free_port()
    role = jobs.role(SERVE, str(port), port_map={"http": port}, num_replicas=2)
    app_id = jobs.submit(role, cfg={"publish_ports": True})
    started(jobs, app_id)

    def answers() -> bool:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
                connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
                return b"200" in connection.recv(100)
        except OSError:
            return False

    eventually(answers, "an answer of the server", TIMEOUT_S)
    info = jobs.request(role, cfg={"publish_ports": True})
    with pytest.raises(JobStartError, match=str(port)) as raised:
        jobs.schedule(info)
    assert "port_map" in raised.value.hint
    assert jobs.containers(info.request.app_id) == []


def test_a_missing_image_is_told_with_the_closest_one(jobs: Jobs) -> None:
    misspelt = IMAGE.replace("python", "pyton")
    info = jobs.request(jobs.role("", image=misspelt))
    with pytest.raises(JobStartError, match=misspelt) as raised:
        jobs.schedule(info)
    assert f"`{IMAGE}`" in raised.value.hint
    assert jobs.containers(info.request.app_id) == []


def test_a_missing_program_is_told_and_nothing_is_left(jobs: Jobs) -> None:
    bad = jobs.role("", name="bad", num_replicas=2)
    bad.entrypoint = "no-such-program"
    info = jobs.request(jobs.role(HANG, num_replicas=2), bad, cfg={"init": False})
    with pytest.raises(JobStartError, match="no-such-program") as raised:
        jobs.schedule(info)
    assert "entrypoint" in raised.value.hint
    assert jobs.containers(info.request.app_id) == []


def test_a_program_that_the_init_cannot_find_is_told(jobs: Jobs) -> None:
    role = jobs.role("")
    role.entrypoint = "no-such-program"
    app_id = jobs.submit(role)
    assert "not in the image" in jobs.wait(app_id).msg
    assert "no-such-program" in "".join(jobs.log(app_id))


def test_a_taken_name_is_told_and_the_other_container_stays(jobs: Jobs) -> None:
    app_id = jobs.submit(jobs.role(HANG))
    (running,) = jobs.containers(app_id)
    info = jobs.request(jobs.role(HANG, num_replicas=2))
    info.request.containers[1].kwargs["name"] = running["Name"].lstrip("/")
    with pytest.raises(JobStartError, match="already in use") as raised:
        jobs.schedule(info)
    assert "docker rm" in raised.value.hint
    assert jobs.containers(info.request.app_id) == []
    assert jobs.describe(app_id).state == AppState.RUNNING


def test_many_containers_are_submitted_together(jobs: Jobs) -> None:
    app_id = jobs.submit(jobs.role("", num_replicas=24))
    description = jobs.wait(app_id)
    (role,) = description.roles_statuses
    assert [item.id for item in role.replicas] == list(range(24))
    assert description.state == AppState.SUCCEEDED


def test_the_log_of_a_container_that_was_removed_ends(jobs: Jobs) -> None:
    app_id = jobs.submit(jobs.role(HANG))
    follower = LogFollower(jobs.scheduler.log_iter(app_id, "job", should_tail=True), TIMEOUT_S)
    follower.wait_for_line("started")
    jobs.scheduler.delete(app_id)
    assert follower.until_the_end() == ["started\n"]


def test_closing_a_followed_log_ends_it(jobs: Jobs) -> None:
    app_id = jobs.submit(jobs.role(HANG))
    log = jobs.scheduler.log_iter(app_id, "job", should_tail=True)
    follower = LogFollower(log, TIMEOUT_S)
    follower.wait_for_line("started")
    log.close()  # type: ignore[attr-defined] # a LogStream, typed as what the interface promises
    assert follower.until_the_end() == ["started\n"]
