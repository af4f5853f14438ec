"""Many jobs at once, and how many commands of Slurm anything takes."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.real.slurm.cluster import CountedCommands
from torchx.schedulers.abilities import DescribesMany
from torchx.schedulers.slurm_scheduler import create_scheduler
from torchx.specs import AppDef, AppState, Resource, Role, is_terminal, parse_app_handle
from torchx.testing import SchedulerHarness
from torchx.testing.cases.programs import PRINT_AND_HANG, SUCCEED
from torchx.testing.waiting import eventually

MANY = 300


def test_300_jobs_at_once_are_watched_by_few_questions(
    lone_harness: SchedulerHarness, counted: CountedCommands
) -> None:
    runner = lone_harness.session()
    small = Resource(cpu=1, gpu=0, memMB=16)
    role = Role("job", "/", entrypoint="/bin/true", resource=small)
    with ThreadPoolExecutor(4) as pool:
        handles = list(
            pool.map(lambda n: runner.run(AppDef(f"job{n}", [role]), "slurm"), range(MANY))
        )
    assert counted.take() == {"sbatch": MANY, "sinfo": 1}
    for handle in handles:
        lone_harness.job(handle)
    scheduler = runner._scheduler("slurm")
    assert isinstance(scheduler, DescribesMany)
    app_ids = [parse_app_handle(handle).app_id for handle in handles]
    assert len(scheduler.describe_many(app_ids)) == MANY
    assert counted.take() == {"squeue": 1}
    with ThreadPoolExecutor(MANY) as pool:
        statuses = list(pool.map(lambda handle: runner.wait(handle, 5, timeout=400), handles))
    assert {status.state for status in statuses if status is not None} == {AppState.SUCCEEDED}
    asked = counted.take()
    assert set(asked) <= {"squeue", "sacct"}
    # Asking for each job every five seconds would be thousands.
    assert sum(asked.values()) < 2 * MANY
    lone_harness._launched.clear()


def test_the_number_of_commands_is_known(
    harness: SchedulerHarness, counted: CountedCommands
) -> None:
    job = harness.launch(harness.role(PRINT_AND_HANG, num_replicas=3))
    assert counted.take() == {"sbatch": 1, "sinfo": 1}
    assert not is_terminal(job.status().state)
    assert counted.take() == {"squeue": 1}
    job.runner.describe(job.handle)
    assert counted.take() == {}
    harness.listed()
    assert counted.take() == {"sacct": 1, "squeue": 1}
    job.runner.cancel(job.handle)
    asked = counted.take()
    assert asked.pop("squeue", 0) <= 2
    assert asked == {"scancel": 1}
    job.wait()
    second = harness.launch(harness.role(SUCCEED))
    assert counted.take()["sbatch"] == 1
    second.wait()
    asked = counted.take()
    assert "sinfo" not in asked, "what partitions allow is asked once"


def test_following_many_replicas_asks_no_more_than_following_one(
    harness: SchedulerHarness, counted: CountedCommands
) -> None:
    job = harness.launch(harness.role(PRINT_AND_HANG, num_replicas=4))
    followers = [job.follow(k=k) for k in range(4)]
    for follower in followers:
        follower.wait_for_line("started")
    counted.take()
    job.cancel()
    for follower in followers:
        assert follower.until_the_end() == ["started\n"]
    asked = counted.take()
    assert asked["scancel"] == 1
    assert asked["squeue"] < 4 * 4


def test_a_submission_is_found_by_its_mark(
    harness: SchedulerHarness,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    runner = harness.session()
    info = runner.dryrun(AppDef("app", [harness.role(SUCCEED)]), "slurm")
    handle = runner.schedule(info)
    submission_id = info._submission_id
    assert submission_id is not None
    app_id = parse_app_handle(handle).app_id
    # Another user or machine, which has only the cluster in common.
    monkeypatch.setenv("TORCHX_HOME", str(tmp_path_factory.mktemp("elsewhere")))
    other = create_scheduler("other")
    assert other.find_submission(submission_id) == app_id
    assert other.find_submission(uuid.uuid4().hex) is None
    eventually(
        lambda: (found := other.describe(app_id)) is not None and is_terminal(found.state),
        "end",
        60,
    )
    assert list(other.log_iter(app_id, "job", 0)) == ["hello\n"]
    other.close()
