"""What a role asks for is what its containers get, on a real engine."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.real.docker.engine import need_engine
from tests.real.docker.jobs import Jobs
from torchx.errors import JobStartError
from torchx.specs import (
    AppState,
    BindMount,
    DeviceMount,
    Resource,
    VolumeMount,
)
from torchx.util.docker_client import docker_client

READ_FILE = "import sys; print(open(sys.argv[1]).read(), end='')"

USE_MEMORY = "data = bytearray(512 << 20)"

WRITE_SHM = """
import os
size = os.statvfs("/dev/shm")
print(size.f_blocks * size.f_frsize >> 20)
"""

TRY_TO_WRITE = """
import sys
try:
    open(sys.argv[1], "w").write("written")
    print("written")
except OSError as error:
    print(error.strerror)
"""


@pytest.fixture
def volume() -> Iterator[str]:
    """A volume; named before `jobs`, whose apps have to be gone when it is removed."""
    need_engine()
    client = docker_client()
    made = client.volumes.create()
    yield str(made.name)
    made.remove()
    client.close()


def test_running_out_of_memory_is_told_as_such(jobs: Jobs) -> None:
    description = jobs.wait(jobs.submit(jobs.role(USE_MEMORY)))
    assert description.state == AppState.FAILED
    assert "replica job/0 ran out of memory" in description.msg
    assert "64 MiB" in description.msg


def test_cpus_and_memory_are_limited(jobs: Jobs) -> None:
    app_id = jobs.submit(jobs.role("", resource=Resource(cpu=2, gpu=0, memMB=96)))
    (container,) = jobs.containers(app_id)
    assert container["HostConfig"]["NanoCpus"] == 2_000_000_000
    assert container["HostConfig"]["Memory"] == 96 << 20


def test_shared_memory_is_as_large_as_memory(jobs: Jobs) -> None:
    assert jobs.run(jobs.role(WRITE_SHM, resource=Resource(cpu=1, gpu=0, memMB=96))) == ["96\n"]


def test_a_role_without_a_resource_has_no_limits(jobs: Jobs) -> None:
    app_id = jobs.submit(jobs.role("", resource=Resource(cpu=-1, gpu=-1, memMB=-1)))
    (container,) = jobs.containers(app_id)
    assert (container["HostConfig"]["NanoCpus"], container["HostConfig"]["Memory"]) == (0, 0)
    assert jobs.wait(app_id).state == AppState.SUCCEEDED


def test_more_cpus_than_there_are_are_refused_with_a_reason(jobs: Jobs) -> None:
    with pytest.raises(JobStartError, match="CPUs") as raised:
        jobs.submit(jobs.role("", resource=Resource(cpu=100_000, gpu=0, memMB=64)))
    assert "fewer CPUs" in raised.value.hint


@pytest.mark.parametrize(
    ("read_only", "told"), [(True, "Read-only file system"), (False, "written")]
)
def test_a_bind_mount_is_writable_unless_it_is_read_only(
    jobs: Jobs, tmp_path: Path, read_only: bool, told: str
) -> None:
    mount = BindMount(str(tmp_path), "/data", read_only=read_only)
    assert jobs.run(jobs.role(TRY_TO_WRITE, "/data/file", mounts=[mount])) == [f"{told}\n"]
    assert (tmp_path / "file").exists() == (not read_only)


def test_a_volume_outlives_the_app(volume: str, jobs: Jobs) -> None:
    mount = VolumeMount(volume, "/data")
    app_id = jobs.submit(jobs.role(TRY_TO_WRITE, "/data/file", mounts=[mount]))
    assert jobs.wait(app_id).state == AppState.SUCCEEDED
    jobs.scheduler.delete(app_id)
    assert jobs.run(jobs.role(READ_FILE, "/data/file", mounts=[mount])) == ["written"]


def test_a_device_is_there_under_its_new_name(jobs: Jobs) -> None:
    mount = DeviceMount("/dev/zero", "/dev/torchx-zero", "r")
    program = "print(open('/dev/torchx-zero', 'rb').read(3))"
    assert jobs.run(jobs.role(program, mounts=[mount])) == ["b'\\x00\\x00\\x00'\n"]


@pytest.mark.parametrize(
    ("mount", "hint"),
    [
        (BindMount("/no/such/path", "/data"), "create that path"),
        (DeviceMount("/dev/no-such-device", "/dev/x"), "no such device"),
    ],
)
def test_a_mount_of_nothing_is_refused_with_a_reason(
    jobs: Jobs, mount: BindMount | DeviceMount, hint: str
) -> None:
    with pytest.raises(JobStartError) as raised:
        jobs.submit(jobs.role("", mounts=[mount]))
    assert hint in raised.value.hint


def test_gpus_are_divided_among_replicas_with_what_cuda_needs(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    # This engine knows no GPUs, so the containers are made, and looked at, but cannot be started.
    engine = jobs.scheduler._engine
    monkeypatch.setattr(engine, "start", lambda container_id: None)
    role = jobs.role("", num_replicas=2, resource=Resource(cpu=1, gpu=2, memMB=64))
    first = jobs.submit(role)
    requests = [container["HostConfig"]["DeviceRequests"] for container in jobs.containers(first)]
    assert [[request["DeviceIDs"] for request in item] for item in requests] == [
        [["0", "1"]],
        [["2", "3"]],
    ]
    for (request,) in requests:
        (capabilities,) = request["Capabilities"]
        assert set(capabilities) == {"gpu", "compute", "utility"}


@pytest.mark.skipif(shutil.which("nvidia-container-runtime") is not None, reason="has GPUs")
def test_an_engine_without_gpus_says_so_and_nothing_is_left(jobs: Jobs) -> None:
    info = jobs.request(jobs.role("", resource=Resource(cpu=1, gpu=1, memMB=64)))
    with pytest.raises(JobStartError, match="device driver") as raised:
        jobs.schedule(info)
    assert "nvidia-container-toolkit" in raised.value.hint
    assert jobs.containers(info.request.app_id) == []
