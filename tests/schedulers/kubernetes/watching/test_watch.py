"""Any number of apps is waited for with one watch, which outlives what happens to it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any
from unittest.mock import MagicMock

import pytest

from tests.schedulers.kubernetes.watching.apps import add_plain, add_volcano, ended, set_status
from tests.schedulers.kubernetes.watching.conftest import requests_of
from tests.servers.kubernetes.http_api import ApiServer
from tests.servers.kubernetes.store import JOB, VOLCANO_JOB, Refusal
from torchx.schedulers.kubernetes.views import plain_view, volcano_view
from torchx.schedulers.kubernetes_scheduler import KubernetesScheduler
from torchx.specs import AppState

LONG_S = 60.0


class Waiter:
    """Waits for an app to end, on a thread."""

    def __init__(self, scheduler: KubernetesScheduler, app_id: str) -> None:
        self.scheduler = scheduler
        self.app_id = app_id
        self.states: list[str] = []
        self.described = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        while True:
            described = self.scheduler.describe(self.app_id)
            state = "gone" if described is None else described.state.name
            self.states.append(state)
            self.described.set()
            if state in ("gone", "SUCCEEDED", "FAILED"):
                return
            self.scheduler.wait_for_change(self.app_id, LONG_S)

    def join(self) -> list[str]:
        self.thread.join(LONG_S / 2)
        assert not self.thread.is_alive(), self.states
        return self.states


def watches(server: ApiServer) -> int:
    return sum("watch=1" in request for request in server.requests)


def until(probe: Callable[[], bool]) -> None:
    from torchx.testing.waiting import eventually

    eventually(probe, "what the server does", LONG_S)


def test_fifty_apps_are_waited_for_with_one_watch(
    server: ApiServer, scheduler: KubernetesScheduler
) -> None:
    names = [f"app{number}" for number in range(50)]
    for name in names:
        add_plain(server.store, name, {"active": 1})
    waiters = [Waiter(scheduler, f"default:{name}") for name in names]
    for waiter in waiters:
        assert waiter.described.wait(LONG_S)
    until(lambda: watches(server) == 1)
    requests_of(server)
    for name in names:
        set_status(server.store, name, ended())
    assert [waiter.join() for waiter in waiters] == [["PENDING", "SUCCEEDED"]] * 50
    asked = requests_of(server)
    # One more question for each app that has changed, none in between.
    assert sum("/jobs?labelSelector=app.kubernetes.io/instance" in item for item in asked) == 50
    assert watches(server) == 0


def test_an_app_that_changed_before_the_watch_is_not_waited_for(
    server: ApiServer, scheduler: KubernetesScheduler
) -> None:
    add_plain(server.store, "app", {"active": 1})
    assert scheduler.describe("default:app") is not None
    set_status(server.store, "app", ended())
    waiter = threading.Thread(target=scheduler.wait_for_change, args=("default:app", LONG_S))
    waiter.start()
    waiter.join(LONG_S / 2)
    assert not waiter.is_alive()


def test_an_app_that_is_deleted_ends_the_wait(
    server: ApiServer, scheduler: KubernetesScheduler
) -> None:
    add_plain(server.store, "app", {"active": 1})
    waiter = Waiter(scheduler, "default:app")
    until(lambda: watches(server) == 1)
    server.store.delete(JOB, "default", "app")
    assert waiter.join()[-1] == "gone"


TOO_MANY = Refusal(429, None, "slow", text="Too many requests", headers={"Retry-After": "0"})
FAILED = Refusal(500, "InternalError", "Internal error occurred")
NO_MEMORY_OF_THAT = Refusal(410, "Expired", "too old resource version")


@pytest.mark.parametrize(
    "refusal", [TOO_MANY, FAILED, NO_MEMORY_OF_THAT], ids=["429", "500", "410"]
)
def test_a_watch_goes_on_after_a_refusal(
    server: ApiServer, scheduler: KubernetesScheduler, refusal: Refusal
) -> None:
    add_plain(server.store, "app", {"active": 1})
    assert scheduler.describe("default:app") is not None
    server.faults.refusals.extend([refusal] * 2)
    waiter = threading.Thread(target=scheduler.wait_for_change, args=("default:app", LONG_S))
    waiter.start()
    until(lambda: watches(server) == 1)
    set_status(server.store, "app", ended())
    waiter.join(LONG_S / 2)
    assert not waiter.is_alive()


def test_a_watch_that_is_too_old_begins_anew_and_misses_nothing(
    server: ApiServer, scheduler: KubernetesScheduler
) -> None:
    add_plain(server.store, "app", {"active": 1})
    waiter = Waiter(scheduler, "default:app")
    until(lambda: watches(server) == 1)
    with server.store.changed:
        # The change itself is forgotten, too: only a new list tells of it.
        set_status(server.store, "app", ended())
        server.store.forget()
    assert waiter.join() == ["PENDING", "SUCCEEDED"]
    assert watches(server) == 1 or watches(server) == 2


def test_volcano_jobs_are_watched_as_well(
    server: ApiServer, scheduler: KubernetesScheduler
) -> None:
    add_volcano(server.store, "app", "Running")
    waiter = Waiter(scheduler, "default:app")
    until(lambda: watches(server) == 1)
    server.store.change(
        VOLCANO_JOB,
        "default",
        "app",
        lambda item: item["status"].update(state={"phase": "Completed"}),
    )
    assert waiter.join() == ["RUNNING", "SUCCEEDED"]


def test_without_the_right_to_watch_the_caller_asks(
    server: ApiServer, scheduler: KubernetesScheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("torchx.schedulers.kubernetes.apps.time.sleep", pauses.append)
    server.faults.forbidden.add(("watch", "jobs.batch"))
    add_plain(server.store, "app", {"active": 1})
    assert scheduler.describe("default:app") is not None
    scheduler.wait_for_change("default:app", 1.5)
    assert pauses == [1.5]


def test_a_watch_that_nobody_needs_ends(server: ApiServer, scheduler: KubernetesScheduler) -> None:
    add_plain(server.store, "app", {"active": 1})
    assert scheduler.describe("default:app") is not None
    before = threading.active_count()
    scheduler.wait_for_change("default:app", 0.01)
    until(lambda: watches(server) == 1)
    scheduler.close()
    scheduler.close()
    until(lambda: threading.active_count() <= before + 1)
    described = scheduler.describe("default:app")
    assert described is not None
    assert described.state == AppState.PENDING


def test_a_log_does_not_end_because_a_watch_does_not_know_the_app_yet(
    server: ApiServer, scheduler: KubernetesScheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_plain(server.store, "app", {"active": 1})
    add_volcano(server.store, "vol", "Running")
    late: Any = MagicMock()
    late.objects.return_value = ({}, 0)
    monkeypatch.setattr(scheduler._apps().watches, "of", lambda wire, listing: late)
    for make, name in ((plain_view, "app"), (volcano_view, "vol"), (plain_view, "none")):
        view = make(scheduler._apps(), "default", name, lambda pod: True, watches=True)
        assert view.is_over() is (name == "none")
