"""How often AWS is called for each thing that people do."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.schedulers.aws_batch.conftest import make_app
from tests.schedulers.aws_batch.wire import FakeBatch
from torchx.schedulers.aws_batch_scheduler import AWSBatchScheduler, Opts
from torchx.specs import AppDef, AppState

pytestmark = pytest.mark.filterwarnings("ignore:Cannot determine the instance type")

Maker = Callable[[], AWSBatchScheduler]


def submit(scheduler: AWSBatchScheduler, app: AppDef | None = None) -> str:
    info = scheduler.submit_dryrun(app or make_app(), Opts(queue="q"))
    return scheduler.schedule(info)


def test_a_job_of_one_container_is_three_calls_and_two_from_then_on(
    scheduler: AWSBatchScheduler, service: FakeBatch
) -> None:
    submit(scheduler)
    assert service.counts == {
        "describejobdefinitions": 1,
        "registerjobdefinition": 1,
        "submitjob": 1,
    }
    submit(scheduler)
    assert service.counts == {
        "describejobdefinitions": 2,
        "registerjobdefinition": 1,
        "submitjob": 2,
    }
    assert len(service.definitions) == 1


def test_a_multi_node_job_is_two_calls(scheduler: AWSBatchScheduler, service: FakeBatch) -> None:
    submit(scheduler, make_app(3))
    assert service.counts == {"registerjobdefinition": 1, "submitjob": 1}


def test_a_dry_run_calls_nothing(scheduler: AWSBatchScheduler, service: FakeBatch) -> None:
    scheduler.submit_dryrun(make_app(), Opts(queue="q"))
    assert not service.counts
    assert scheduler._clients._made == {}


def test_the_status_of_a_job_from_here_is_one_call_and_from_elsewhere_two(
    new_scheduler: Maker, service: FakeBatch
) -> None:
    here, elsewhere = new_scheduler(), new_scheduler()
    app_id = submit(here)
    service.counts.clear()
    here.describe(app_id)
    assert service.counts == {"describejobs": 1}
    service.counts.clear()
    elsewhere.describe(app_id)
    elsewhere.describe(app_id)
    assert service.counts == {"listjobs": 1, "describejobs": 2}


def test_the_nodes_of_a_running_job_are_one_call_more(
    scheduler: AWSBatchScheduler, service: FakeBatch
) -> None:
    app_id = submit(scheduler, make_app(2))
    (job,) = service.jobs.values()
    job["status"] = "RUNNING"
    service.counts.clear()
    scheduler.describe(app_id)
    assert service.counts == {"describejobs": 1, "listjobs": 1}


def test_cancelling_is_two_calls(scheduler: AWSBatchScheduler, service: FakeBatch) -> None:
    app_id = submit(scheduler)
    service.counts.clear()
    scheduler.cancel(app_id)
    assert service.counts == {"describejobs": 1, "terminatejob": 1}


def test_listing_1000_jobs_is_20_calls(scheduler: AWSBatchScheduler, service: FakeBatch) -> None:
    for number in range(1000):
        service.add_job(f"job-{number}")
    listed = scheduler.list({"queue": "q"})
    assert [item.app_id for item in listed] == [f"q:job-{n}" for n in reversed(range(1000))]
    assert service.counts == {"listjobs": 10, "describejobs": 10}


def test_describing_1000_known_jobs_is_10_calls(new_scheduler: Maker, service: FakeBatch) -> None:
    for number in range(1000):
        service.add_job(f"job-{number}", status="RUNNING")
    scheduler = new_scheduler()
    app_ids = [f"q:job-{number}" for number in range(1000)]
    found = scheduler.describe_many(app_ids)
    assert list(found) == app_ids
    assert {status.state for status in found.values()} == {AppState.RUNNING}
    assert service.counts == {"listjobs": 10, "describejobs": 10}
    service.counts.clear()
    scheduler.describe_many(app_ids)
    assert service.counts == {"describejobs": 10}


def test_only_the_queue_that_is_asked_for_is_looked_at(
    scheduler: AWSBatchScheduler, service: FakeBatch
) -> None:
    service.queues = ["q", "other"]
    service.add_job("here")
    service.add_job("there", queue="other")
    assert [item.app_id for item in scheduler.list({"queue": "q"})] == ["q:here"]
    assert service.counts == {"listjobs": 1, "describejobs": 1}
    assert {item.app_id for item in scheduler.list()} == {"q:here", "other:there"}
    assert {item.app_id for item in scheduler.list({"queue": "*"})} == {"q:here", "other:there"}


def test_following_a_log_asks_for_the_state_of_the_job_and_not_for_its_name(
    scheduler: AWSBatchScheduler, service: FakeBatch
) -> None:
    app_id = submit(scheduler)
    (job,) = service.jobs.values()
    job.update(status="RUNNING")
    job["container"]["logStreamName"] = "s"
    service.events["s"] = [(1, f"line {number}") for number in range(25_000)]
    service.counts.clear()
    lines = scheduler.log_iter(app_id, "job", should_tail=True)
    read = []
    for line in lines:
        read.append(line)
        if len(read) == 25_000:
            service.events["s"].append((2, "the last line"))
            job.update(status="SUCCEEDED", stoppedAt=1)
    assert read[-1] == "the last line\n"
    assert len(read) == 25_001
    assert service.counts["listjobs"] == 0
    # Three full pages, those of the end and of the grace; the state is asked every half second.
    assert service.counts["getlogevents"] <= 80
    assert service.counts["describejobs"] <= 6


def test_a_thousand_jobs_that_are_waited_for_are_asked_about_together(
    scheduler: AWSBatchScheduler, service: FakeBatch
) -> None:
    app_ids = []
    for number in range(1000):
        service.add_job(f"job-{number}", status="RUNNING")
        app_ids.append(f"q:job-{number}")
    for app_id in app_ids:
        assert not scheduler._watcher.is_over(app_id)
    for app_id in app_ids[:5]:
        status = scheduler.describe(app_id)
        assert status is not None
        assert status.state == AppState.RUNNING
    # The one that is waited for comes last: whoever sees it ended sees all of them ended.
    for job in reversed(service.jobs.values()):
        job.update(status="SUCCEEDED")
    scheduler.wait_for_change(app_ids[0], 10.0)
    assert all(scheduler._watcher.is_over(app_id) for app_id in app_ids)
    # A question is at most ten calls, whoever asks, and ten more for the ids of the jobs at first.
    assert service.counts["describejobs"] <= 10 * scheduler._watcher._asked
    assert service.counts["listjobs"] <= 20
