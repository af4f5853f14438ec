"""What happens when AWS refuses, is slow, or answers into the void."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from tests.schedulers.aws_batch.conftest import make_app
from tests.schedulers.aws_batch.test_calls import submit
from tests.schedulers.aws_batch.wire import DROP, AwsFailure, FakeBatch
from torchx.schedulers.aws.errors import AwsAccessError, AwsError, AwsLoginError
from torchx.schedulers.aws.service_model import AwsRequestError
from torchx.schedulers.aws.session import new_session
from torchx.schedulers.aws_batch_scheduler import AWSBatchScheduler, Opts
from torchx.specs import AppState

pytestmark = pytest.mark.filterwarnings("ignore:Cannot determine the instance type")

THROTTLED = AwsFailure("TooManyRequestsException", "Too Many Requests", 429)
EXPIRED = AwsFailure("ExpiredTokenException", "The security token is expired", 403)
DENIED = AwsFailure(
    "AccessDeniedException",
    "User: arn:aws:iam::1:user/ann is not authorized to perform: batch:SubmitJob on resource:"
    " arn:aws:batch:us-east-1:1:job-queue/q",
    403,
)


def test_a_submission_that_is_throttled_is_tried_again(
    scheduler: AWSBatchScheduler, service: FakeBatch
) -> None:
    service.failures["submitjob"] = [THROTTLED] * 3
    submit(scheduler)
    assert service.counts["submitjob"] == 4
    assert service.counts["listjobs"] == 0
    assert len(service.jobs) == 1


def test_a_submission_whose_answer_is_lost_is_not_repeated(
    scheduler: AWSBatchScheduler, service: FakeBatch
) -> None:
    service.failures["submitjob"] = [DROP]
    app_id = submit(scheduler, make_app(2))
    assert len(service.jobs) == 1
    assert service.counts["submitjob"] == 1
    service.counts.clear()
    assert scheduler.describe(app_id) is not None
    assert service.counts == {"describejobs": 1}


def test_a_submission_that_did_not_arrive_is_repeated(
    scheduler: AWSBatchScheduler, service: FakeBatch
) -> None:
    service.failures["submitjob"] = [AwsFailure("ServerException", "oops", 500)]
    submit(scheduler)
    assert service.counts["submitjob"] == 2
    assert len(service.jobs) == 1


def test_a_submission_that_keeps_failing_is_an_error(
    scheduler: AWSBatchScheduler, service: FakeBatch
) -> None:
    service.failures["submitjob"] = [THROTTLED] * 9
    with pytest.raises(AwsError, match="asked too often") as caught:
        submit(scheduler, make_app(2))
    assert caught.value.transient
    assert service.counts["submitjob"] == 5


def test_a_refused_submission_leaves_no_definition_of_its_own(
    scheduler: AWSBatchScheduler, service: FakeBatch
) -> None:
    service.failures["submitjob"] = [DENIED]
    with pytest.raises(AwsAccessError, match=r"permission batch:SubmitJob on arn:.*job-queue/q"):
        submit(scheduler, make_app(2))
    assert service.definitions == {}


def test_a_queue_that_does_not_exist_is_named(
    scheduler: AWSBatchScheduler, service: FakeBatch
) -> None:
    service.queues = []
    with pytest.raises(AwsError, match="to the queue `q`: Job queue q does not exist") as caught:
        submit(scheduler)
    assert "describe-job-queues" in caught.value.hint
    assert scheduler.describe("q:x") is None
    assert scheduler.describe_many(["q:x", "q:y"]) == {}


def test_expired_credentials_say_how_to_log_in(
    scheduler: AWSBatchScheduler, service: FakeBatch
) -> None:
    service.failures["describejobdefinitions"] = [EXPIRED]
    with pytest.raises(AwsLoginError, match="credentials have expired") as caught:
        submit(scheduler)
    assert "aws sso login" in caught.value.hint
    assert service.counts["describejobdefinitions"] == 1


def test_missing_credentials_say_how_to_log_in(
    scheduler: AWSBatchScheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    # That of this thread may have found credentials before.
    monkeypatch.setattr("torchx.schedulers.aws_batch_scheduler._local_session", new_session)
    with pytest.raises(AwsLoginError, match="no usable AWS credentials"):
        scheduler.list({"queue": "q"})


def test_a_call_that_reads_is_repeated_by_the_sdk(
    scheduler: AWSBatchScheduler, service: FakeBatch
) -> None:
    service.add_job("x")
    service.failures["listjobs"] = [THROTTLED]
    assert [item.app_id for item in scheduler.list({"queue": "q"})] == ["q:x"]
    assert service.counts["listjobs"] == 2


def test_a_queue_that_may_not_be_seen_does_not_hide_the_others(
    scheduler: AWSBatchScheduler, service: FakeBatch, caplog: pytest.LogCaptureFixture
) -> None:
    service.queues = ["secret", "q"]
    service.add_job("x")
    service.failures["listjobs"] = [AwsFailure("AccessDeniedException", "no", 403)]
    with caplog.at_level(logging.WARNING):
        assert [item.app_id for item in scheduler.list()] == ["q:x"]
    assert "`secret` is left out" in caplog.text


def test_a_definition_that_is_deregistered_just_before_it_is_used_is_registered_again(
    scheduler: AWSBatchScheduler, service: FakeBatch
) -> None:
    submit(scheduler)
    service.failures["submitjob"] = [
        AwsFailure("ClientException", "JobDefinition torchx-app:1 is not ACTIVE.")
    ]
    submit(scheduler)
    assert service.counts["registerjobdefinition"] == 2
    assert len(service.jobs) == 2


def test_a_request_that_aws_would_refuse_is_not_sent(
    scheduler: AWSBatchScheduler, service: FakeBatch
) -> None:
    info = scheduler.submit_dryrun(make_app(), Opts(queue="q"))
    info.request.job_def["retryStrategy"]["attempts"] = "3"
    with pytest.raises(AwsRequestError, match=r"retryStrategy\.attempts is '3'"):
        scheduler.schedule(info)
    assert not service.counts


# --- Deleting


def test_deleting_forgets_the_job_and_its_definition(
    new_scheduler: Callable[[], AWSBatchScheduler], service: FakeBatch
) -> None:
    scheduler = new_scheduler()
    app_id = submit(scheduler, make_app(2))
    scheduler.delete(app_id)
    (job,) = service.jobs.values()
    assert job["isTerminated"]
    assert service.definitions == {}
    for each in (scheduler, new_scheduler()):
        assert each.describe(app_id) is None
        assert each.describe_many([app_id]) == {}
        assert each.list({"queue": "q"}) == []


def test_a_definition_stays_as_long_as_another_job_waits_for_it(
    scheduler: AWSBatchScheduler, service: FakeBatch
) -> None:
    first, second = submit(scheduler), submit(scheduler)
    scheduler.delete(first)
    assert len(service.definitions) == 1
    scheduler.delete(second)
    assert service.definitions == {}


def test_jobs_of_others_are_cancelled_and_nothing_more(
    scheduler: AWSBatchScheduler, service: FakeBatch
) -> None:
    job = service.add_job("foreign", tags={})
    service.definitions[job["jobDefinition"]] = {"jobDefinitionName": "foreign"}
    scheduler.delete("q:foreign")
    status = scheduler.describe("q:foreign")
    assert status is not None
    assert status.state == AppState.CANCELLED
    assert len(service.definitions) == 1


def test_a_definition_that_may_not_be_deregistered_is_told(
    scheduler: AWSBatchScheduler, service: FakeBatch, caplog: pytest.LogCaptureFixture
) -> None:
    app_id = submit(scheduler)
    service.failures["deregisterjobdefinition"] = [AwsFailure("AccessDeniedException", "no", 403)]
    with caplog.at_level(logging.WARNING):
        scheduler.delete(app_id)
    assert "left behind" in caplog.text
    assert scheduler.describe(app_id) is None
