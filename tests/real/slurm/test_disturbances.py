"""What a cluster does to jobs: nodes fail, memory and time run out, others cancel and requeue."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.real.slurm.cluster import command
from torchx.specs import AppState, Resource, parse_app_handle
from torchx.testing import Job, SchedulerHarness
from torchx.testing.cases.programs import PRINT_AND_HANG
from torchx.testing.waiting import eventually

# Hangs in the first attempt, succeeds in the second.
HANG_ONCE = """
import os, sys, time
marker = os.path.join(sys.argv[1], "tried")
print("started", flush=True)
if not os.path.exists(marker):
    open(marker, "w").close()
    time.sleep(3600)
"""

EAT_MEMORY = """
print("started", flush=True)
hog = []
while len(hog) < 64:
    hog.append(bytearray(16 << 20))
"""


def job_id(job: Job) -> str:
    return parse_app_handle(job.handle).app_id


def start_now(job: Job) -> None:
    """Waits until Slurm has put a job back into the queue, and spares it the two minutes there."""

    def is_back() -> bool:
        state, restarts = command(
            "squeue", "--noheader", "--jobs", job_id(job), "--Format=State:20,RestartCnt:10"
        ).split()
        return state == "PENDING" and restarts == "1"

    eventually(is_back, "requeueing", 60)
    # A node refuses a job in the second in which it has ended it.
    command("scontrol", "update", f"jobid={job_id(job)}", "StartTime=now+5")


def node_of(job: Job) -> str:
    return command("squeue", "--noheader", "--jobs", job_id(job), "--format=%N").strip()


@pytest.fixture
def nodes_up() -> Iterator[None]:
    yield
    broken = command("sinfo", "--noheader", "--states=down", "--format=%N", "--Node")
    for node in set(broken.split()):
        command("scontrol", "update", f"nodename={node}", "state=resume")


@pytest.mark.usefixtures("nodes_up")
def test_a_failed_node_fails_an_app_without_retries(lone_harness: SchedulerHarness) -> None:
    job = lone_harness.launch(lone_harness.role(PRINT_AND_HANG))
    job.follow().wait_for_line("started")
    node = node_of(job)
    command("scontrol", "update", f"nodename={node}", "state=down", "reason=test")
    status = job.wait()
    assert status.state == AppState.FAILED
    assert status.msg == "NODE_FAIL: a node failed"


@pytest.mark.usefixtures("nodes_up")
def test_a_failed_node_restarts_an_app_with_retries(lone_harness: SchedulerHarness) -> None:
    _here, in_job = lone_harness.shared()
    job = lone_harness.launch(lone_harness.role(HANG_ONCE, in_job, max_retries=1))
    job.follow().wait_for_line("started")
    node = node_of(job)
    command("scontrol", "update", f"nodename={node}", "state=down", "reason=test")
    # The node comes back at once, with remains of the job that would hinder it.
    eventually(lambda: node_of(job) == "", "requeueing", 60)
    command("scontrol", "update", f"jobid={job_id(job)}", f"ExcNodeList={node}")
    start_now(job)
    status = job.wait()
    assert (status.state, status.num_restarts) == (AppState.SUCCEEDED, 1)
    assert job.log() == ["started\n", "started\n"]


def test_a_requeued_app_goes_on_and_tells_so(harness: SchedulerHarness) -> None:
    _here, in_job = harness.shared()
    job = harness.launch(harness.role(HANG_ONCE, in_job, max_retries=1))
    follower = job.follow()
    follower.wait_for_line("started")
    command("scontrol", "requeue", job_id(job))
    start_now(job)
    status = job.wait()
    assert (status.state, status.num_restarts) == (AppState.SUCCEEDED, 1)
    assert follower.until_the_end() == ["started\n", "started\n"]


def test_an_app_that_runs_out_of_memory_is_told_so(harness: SchedulerHarness) -> None:
    if "cgroup" not in command("scontrol", "show", "config").partition("TaskPlugin")[2][:60]:
        pytest.skip("this machine lacks the cgroup controllers that limit memory")
    role = harness.role(EAT_MEMORY)
    role.resource = Resource(cpu=1, gpu=0, memMB=100)
    status = harness.launch(role).wait()
    assert status.state == AppState.FAILED
    assert "OUT_OF_MEMORY" in status.msg
    assert "memory" in status.msg.partition(":")[2]


def test_an_app_that_somebody_else_cancels_is_cancelled(harness: SchedulerHarness) -> None:
    job = harness.launch(harness.role(PRINT_AND_HANG, num_replicas=2, max_retries=3))
    follower = job.follow()
    follower.wait_for_line("started")
    command("scancel", job_id(job))
    assert job.wait().state == AppState.CANCELLED
    assert follower.until_the_end() == ["started\n"]


SAVE_ON_WARNING = """
import os, signal, sys, time
marker = os.path.join(sys.argv[1], "saved")
print("started", flush=True)
def save(number, frame):
    open(marker, "w").close()
    print("saved", flush=True)
    sys.exit(3)
signal.signal(signal.SIGUSR1, save)
if not os.path.exists(marker):
    time.sleep(3600)
"""


def test_the_time_limit_fails_an_app_or_lets_it_save_and_go_on(harness: SchedulerHarness) -> None:
    _here, in_job = harness.shared()
    plain = harness.launch(harness.role(PRINT_AND_HANG), cfg={"time": "1"})
    warned = harness.launch(
        harness.role(SAVE_ON_WARNING, in_job, max_retries=1),
        cfg={"time": "1", "signal": "USR1@30"},
    )
    follower = warned.follow()
    follower.wait_for_line("saved")
    start_now(warned)
    status = warned.wait()
    assert (status.state, status.num_restarts) == (AppState.SUCCEEDED, 1)
    assert follower.until_the_end() == ["started\n", "saved\n", "started\n"]
    status = plain.wait()
    assert status.state == AppState.FAILED
    assert status.msg == "TIMEOUT: it reached its time limit"


TICK = """
import sys, time
for number in range(int(sys.argv[1])):
    print(number, flush=True)
    time.sleep(0.1)
"""


def stop_controller() -> None:
    pid = int(Path("/run/slurm/slurmctld.pid").read_text())
    os.kill(pid, signal.SIGTERM)
    eventually(lambda: not _is_alive(pid), "end of the controller", 60)


def _is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def start_controller() -> None:
    program = shutil.which("slurmctld")
    assert program is not None
    subprocess.run([program], check=True)
    eventually(
        lambda: (
            subprocess.run(["scontrol", "ping"], capture_output=True, check=False).returncode == 0
        ),
        "start of the controller",
        60,
    )


def test_following_and_waiting_survive_a_restart_of_the_controller(
    lone_harness: SchedulerHarness,
) -> None:
    if not os.path.exists("/run/slurm/slurmctld.pid"):
        pytest.skip("the controller of the cluster does not run on this machine")
    job = lone_harness.launch(lone_harness.role(TICK, "100"))
    follower = job.follow()
    follower.wait_for_line("5")
    stop_controller()
    try:
        follower.wait_for_line("15")
    finally:
        start_controller()
    assert job.wait().state == AppState.SUCCEEDED
    assert follower.until_the_end() == [f"{number}\n" for number in range(100)]
