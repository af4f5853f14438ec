"""A fake AWS Batch behind HTTP, and schedulers that talk to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.schedulers.aws_batch.wire import FakeBatch, serve
from torchx.schedulers.aws.cloudwatch import Pacer, Pauses
from torchx.schedulers.aws_batch.client import BatchClient
from torchx.schedulers.aws_batch_scheduler import AWSBatchScheduler, create_scheduler
from torchx.specs import AppDef, Resource, Role


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeBatch]:
    service = FakeBatch()
    with serve(service, monkeypatch):
        yield service


@pytest.fixture
def new_scheduler(service: FakeBatch) -> Iterator[Callable[[], AWSBatchScheduler]]:
    """Makes schedulers that know nothing yet, as another process would, and do not sleep long."""
    made: list[AWSBatchScheduler] = []

    def make() -> AWSBatchScheduler:
        scheduler = create_scheduler("test")
        scheduler._pacer = Pacer(Pauses(first_s=0.01, longest_s=0.05, grace_s=0.05))
        scheduler._batch._sleep = lambda seconds: None
        made.append(scheduler)
        return scheduler

    yield make
    for scheduler in made:
        scheduler.close()


@pytest.fixture
def scheduler(new_scheduler: Callable[[], AWSBatchScheduler]) -> AWSBatchScheduler:
    return new_scheduler()


@pytest.fixture
def client(scheduler: AWSBatchScheduler) -> BatchClient:
    return scheduler._batch


def make_app(num_replicas: int = 1, *, name: str = "app", role: str = "job") -> AppDef:
    return AppDef(
        name,
        [
            Role(
                role,
                "image",
                entrypoint="echo",
                args=["hello"],
                num_replicas=num_replicas,
                resource=Resource(1, 0, 100),
            )
        ],
    )
