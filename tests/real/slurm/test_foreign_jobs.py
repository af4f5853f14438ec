"""Jobs that torchx did not make: described, listed, cancelled and deleted without a crash."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.real.slurm.cluster import command, use_cluster
from torchx.schedulers.slurm_scheduler import SlurmScheduler, create_scheduler
from torchx.specs import AppState, is_terminal
from torchx.testing.waiting import eventually

HETEROGENEOUS = """#!/bin/bash
#SBATCH --mem=50 --job-name=my-job
#SBATCH hetjob
#SBATCH --mem=50 --job-name="two words"
exit 3
"""


@pytest.fixture
def scheduler() -> Iterator[SlurmScheduler]:
    with use_cluster():
        scheduler = create_scheduler("foreign")
        yield scheduler
        scheduler.close()


def submit(*words: str) -> str:
    return command("sbatch", "--parsable", "--mem=50", *words).strip()


def ended(scheduler: SlurmScheduler, app_id: str) -> bool:
    found = scheduler.describe(app_id)
    assert found is not None
    return is_terminal(found.state)


@pytest.mark.parametrize(
    ("words", "state", "msg"),
    [
        (["--job-name=a'b|c", "--wrap", "exit 0"], AppState.SUCCEEDED, "<NONE>"),
        (["--comment=x;\ny", "--wrap", "exit 9"], AppState.FAILED, "FAILED: exit code 9"),
        (["--wrap", "kill -9 $$"], AppState.FAILED, "FAILED: ended by signal 9"),
        (["--array=0-2", "--wrap", "exit 4"], AppState.FAILED, "FAILED: exit code 4"),
    ],
)
def test_an_ended_job_has_a_state_and_a_reason(
    scheduler: SlurmScheduler, words: list[str], state: AppState, msg: str
) -> None:
    app_id = submit(*words)
    eventually(lambda: ended(scheduler, app_id), "end of the job", 60)
    found = scheduler.describe(app_id)
    assert found is not None
    assert (found.app_id, found.state, found.msg) == (app_id, state, msg)
    assert app_id in [app.app_id for app in scheduler.list()]
    scheduler.cancel(app_id)
    scheduler.delete(app_id)
    assert scheduler.describe(app_id) is None
    assert app_id not in [app.app_id for app in scheduler.list()]


def test_a_heterogeneous_job_is_one_app(scheduler: SlurmScheduler, tmp_path: Path) -> None:
    (tmp_path / "het.sh").write_text(HETEROGENEOUS)
    app_id = submit(str(tmp_path / "het.sh"))
    eventually(lambda: ended(scheduler, app_id), "end of the job", 60)
    found = scheduler.describe(app_id)
    assert found is not None
    assert (found.state, found.msg, found.roles) == (AppState.FAILED, "FAILED: exit code 3", [])
    assert [app.app_id for app in scheduler.list()].count(app_id) == 1


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--hold", "--wrap", "true"], "its owner holds it"),
        (["--begin=now+1hour", "--wrap", "true"], "it may not begin yet, expected start"),
        (["--array=1-3", "--hold", "--wrap", "true"], "its owner holds it"),
    ],
)
def test_a_waiting_job_tells_why_and_can_be_cancelled(
    scheduler: SlurmScheduler, words: list[str], reason: str
) -> None:
    app_id = submit(*words)
    found = scheduler.describe(app_id)
    assert found is not None
    assert found.state == AppState.PENDING
    assert found.msg.startswith(f"waiting: {reason}")
    scheduler.cancel(app_id)
    eventually(lambda: ended(scheduler, app_id), "end of the job", 60)
    found = scheduler.describe(app_id)
    assert found is not None
    assert found.state == AppState.CANCELLED


def test_the_log_of_a_job_without_logs_is_an_error(scheduler: SlurmScheduler) -> None:
    app_id = submit("--wrap", "true")
    with pytest.raises(RuntimeError, match="finished without writing"):
        list(scheduler.log_iter(app_id, "job", 0))


@pytest.mark.parametrize("app_id", ["99999999", "no-number", "", "1;2", "--help"])
def test_a_job_that_is_not_there_is_none(scheduler: SlurmScheduler, app_id: str) -> None:
    assert scheduler.describe(app_id) is None
    assert not scheduler.exists(app_id)
    assert scheduler.describe_many([app_id]) == {}
