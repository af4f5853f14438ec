"""What a real cluster with MCAD showed over time, and what is told about it at each step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import groupby
from pathlib import Path

import pytest

from tests.servers.kubernetes.http_api import write_kubeconfig
from tests.servers.kubernetes.playback import Playback
from tests.servers.kubernetes.replay import Replay, exchanges_of
from torchx.schedulers.api import DescribeAppResponse
from torchx.schedulers.kubernetes_mcad_scheduler import KubernetesMCADScheduler
from torchx.specs import NONE, AppDryRunInfo, AppState

P, R, S, F = "PENDING", "RUNNING", "SUCCEEDED", "FAILED"
NAMESPACE = "t-mcad-appwrapper"

Played = Callable[[str], Playback]


@pytest.fixture
def play(kubeconfig: Path) -> Iterator[Played]:
    with ExitStack() as stack:

        def opened(scenario: str) -> Playback:
            playback = stack.enter_context(Playback(scenario))
            write_kubeconfig(kubeconfig, playback.server, playback.namespace)
            return playback

        yield opened


# Scenario, app, its states in order before it was deleted, the last message, its last replicas.
RUNS = [
    ("mcad_appwrapper", "aw-ok", [P, R, S], NONE, [S, S]),
    (
        "mcad_appwrapper",
        "aw-fail",
        [P, R],
        "replica aw-fail/1 failed with exit code 3; the app is about to be started again",
        [S, F],
    ),
    (
        "mcad_appwrapper",
        "aw-big",
        [P],
        "waits in the queue of MCAD: Insufficient resources to dispatch AppWrapper.",
        [P, P],
    ),
    ("mcad_appwrapper", "aw-del", [P, R], NONE, [R]),
    ("mcad_appwrapper_completion", "job-ok", [P, R, S], NONE, None),
    ("mcad_appwrapper_completion", "job-bad", [P, R, F], NONE, None),
]


@pytest.mark.parametrize(
    ("scenario", "app", "states", "message", "replicas"), RUNS, ids=[run[1] for run in RUNS]
)
def test_states_and_reasons_are_those_of_the_cluster(
    play: Played,
    real: KubernetesMCADScheduler,
    scenario: str,
    app: str,
    states: list[str],
    message: str,
    replicas: list[str] | None,
) -> None:
    playback = play(scenario)
    app_id = f"{playback.namespace}:{app}"
    seen: list[DescribeAppResponse] = []
    for step in playback.steps():
        name, kind = step["object"]["metadata"]["name"], step["object"]["kind"]
        if kind == "AppWrapper" and step["object"]["metadata"].get("deletionTimestamp"):
            break
        described = real.describe(app_id) if name.startswith(app) else None
        if described is not None:
            (listed,) = (each for each in real.list() if each.app_id == app_id)
            assert listed.state == described.state == real.describe_many([app_id])[app_id].state
            seen.append(described)
    assert [state for state, _ in groupby(each.state.name for each in seen)] == states
    assert seen[-1].msg == message
    if replicas is not None:
        (role,) = seen[-1].roles_statuses
        assert [replica.state.name for replica in role.replicas] == replicas


def test_what_is_being_deleted_is_not_there_any_more(
    play: Played, real: KubernetesMCADScheduler
) -> None:
    playback = play("mcad_appwrapper")
    for step in playback.steps():
        if step["object"]["metadata"].get("deletionTimestamp"):
            name = step["object"]["metadata"]["name"]
            if step["object"]["kind"] == "AppWrapper":
                assert real.describe(f"{NAMESPACE}:{name}") is None
                assert f"{NAMESPACE}:{name}" not in [each.app_id for each in real.list()]


@pytest.fixture
def replay(kubeconfig: Path) -> Iterator[Replay]:
    with Replay(exchanges_of("mcad_appwrapper")) as replay:
        write_kubeconfig(kubeconfig, replay, NAMESPACE)
        yield replay


def request_of(number: int) -> AppDryRunInfo[object]:
    (found,) = (each for each in exchanges_of("mcad_appwrapper") if each["n"] == number)
    from torchx.schedulers.kubernetes_mcad_scheduler import KubernetesMCADJob

    info: AppDryRunInfo[object] = AppDryRunInfo(
        KubernetesMCADJob({}, found["request"]["body"]), repr
    )
    info._cfg = {"namespace": NAMESPACE}
    return info


def test_an_appwrapper_is_created_as_recorded(
    replay: Replay, real: KubernetesMCADScheduler
) -> None:
    assert real.schedule(request_of(6)) == f"{NAMESPACE}:aw-ok"  # type: ignore[arg-type]
    assert replay.refused == []


def test_a_name_that_is_taken_is_told(replay: Replay, real: KubernetesMCADScheduler) -> None:
    with pytest.raises(ValueError, match="`aw-ok` already exists"):
        real.schedule(request_of(24))  # type: ignore[arg-type]


def test_the_words_of_the_cluster_reach_the_user(
    replay: Replay, real: KubernetesMCADScheduler
) -> None:
    from kubernetes.client.rest import ApiException

    with pytest.raises(ApiException, match="must be of type integer") as raised:
        real.schedule(request_of(25))  # type: ignore[arg-type]
    assert len(str(raised.value).splitlines()) == 1


def test_an_appwrapper_is_deleted_as_recorded(
    replay: Replay, real: KubernetesMCADScheduler
) -> None:
    real._delete_existing(f"{NAMESPACE}:aw-del")
    assert replay.refused == []


def test_an_appwrapper_that_is_not_there_is_none(
    kubeconfig: Path, real: KubernetesMCADScheduler
) -> None:
    pods = {
        "n": 1,
        "t": 0,
        "request": {
            "method": "GET",
            "path": f"/api/v1/namespaces/{NAMESPACE}/pods?labelSelector="
            "app.kubernetes.io%2Finstance%3Dnone",
        },
        "response": {"status": 200, "headers": {}, "body": {"items": []}},
    }
    with Replay([*exchanges_of("mcad_appwrapper"), pods]) as replay:
        write_kubeconfig(kubeconfig, replay, NAMESPACE)
        app_id = f"{NAMESPACE}:none"
        assert real.describe(app_id) is None
        assert not real.exists(app_id)
        real.cancel(app_id)
        real.delete(app_id)
        assert replay.refused == []


def test_the_states_of_an_appwrapper_alone_are_those_of_mcad() -> None:
    from torchx.schedulers.kubernetes_mcad_scheduler import get_appwrapper_status

    states = {}
    for exchange in exchanges_of("mcad_appwrapper"):
        body = exchange["response"].get("body") or {}
        if body.get("kind") == "AppWrapper" and exchange["request"]["method"] == "GET":
            states[exchange["n"]] = get_appwrapper_status(body)
    assert states == {
        10: AppState.PENDING,
        11: AppState.RUNNING,
        15: AppState.RUNNING,
        17: AppState.RUNNING,
        18: AppState.PENDING,
    }
