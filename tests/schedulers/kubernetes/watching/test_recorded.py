"""What a real cluster showed over time, and what is told about it, through HTTP at each step."""

from __future__ import annotations

import re
from itertools import groupby

import pytest

from tests.schedulers.kubernetes.watching.conftest import Played
from torchx.schedulers.api import DescribeAppResponse
from torchx.specs import NONE, AppState

P, R, S, F, C = "PENDING", "RUNNING", "SUCCEEDED", "FAILED", "CANCELLED"

# Scenario, app, its states in order (the last one before it was deleted), the last message, the
# number of restarts, and the last states of its replicas.
RUNS = [
    ("indexed_job_lifecycle", "train-trainer", [P, R, S], NONE, 0, [S, S, S]),
    ("job_exit_code_3", "fail3", [P, R, F], "replica fail3/1 failed with exit code 3", 0, [C, F]),
    ("job_backoff_limit_2", "retry", [P, R, P, R, P, R, P, R, F], "exit code 1", 2, [F]),
    ("job_backoff_limit_per_index", "perindex", None, r"perindex/1 failed .* 7", 1, [S, F, S]),
    ("job_pod_failure_policy", "pfp-failjob", None, r"/0 .* 42; .*/1 .* code 42", 0, [F, F]),
    ("job_active_deadline", "deadline", [P, R, F], "role deadline ran longer than it may", 0, [C]),
    ("job_success_policy", "leader", [P, R, S], NONE, 0, [S, S, S]),
    ("job_suspend_resume", "susp", [P, R, P, R, S], NONE, 0, [S, S]),
    ("job_ttl_after_finished", "ttl4", [P, R, S], NONE, 0, [S]),
    ("job_plain_nonindexed", "onf", [P, R, S], NONE, 1, [S]),
    ("pod_deleted_while_running", "term0", [P, R, F], "failed more often than it is tried", 0, [C]),
    ("pod_deleted_while_running", "term137", [P, R, P, R, S], NONE, 1, [S]),
    ("pod_evicted", "evjob", [P, R, P, R, S], NONE, 0, [S]),
    ("pod_preempted", "victim", [P, R, F], "victim was ended: Preempted by pod .* on node", 0, [C]),
    ("pod_oom_killed", "oomjob", [P, R, S], NONE, 0, [S]),
    ("pod_config_errors", "nocmdjob", None, "could not be started: .*torchrun-missing", 0, [F]),
    ("pod_unschedulable", "gpujob", [P], r"no node .* Insufficient nvidia.com/gpu", 0, [P, P]),
    ("errors_policy", "toobig", [P], "cannot be created: .*maximum memory usage", 0, [P]),
    ("kueue_lifecycle", "first", [P, R, S], NONE, 0, [S, S]),
    ("kueue_lifecycle", "second", [P, R, S], NONE, 0, [S]),
    ("kueue_lifecycle", "never", [P], r"queue `lq` of Kueue: .* > maximum capacity", 0, [P]),
    ("kueue_lifecycle", "noqueue", [P], "LocalQueue nosuch doesn't exist", 0, [P]),
    ("kueue_lifecycle", "low", [P, R, P, R, S], NONE, 0, [S]),
    ("volcano_lifecycle", "vc1", [P, R, S], NONE, 0, [S, S, S]),
    ("volcano_gang_unschedulable", "gang", [P], "overused cpu", 0, [P, P]),
    ("volcano_gang_unschedulable", "sel", [P], "0/1 nodes are unavailable: 1 node", 0, [P]),
    ("volcano_gang_unschedulable", "gpu", [P], r"until all .* fit: 2/2 tasks", 0, [P, P]),
    ("volcano_queue_closed", "q2", [P], "quota insufficient: insufficient cpu", 0, [P, P]),
    ("volcano_failed_tasks", "f-abort", [P, R, C], NONE, 0, None),
    ("volcano_failed_tasks", "f-terminate", [P, R, F], NONE, 0, None),
    ("volcano_failed_tasks", "f-complete", [P, R, S], NONE, 0, None),
    ("volcano_failed_tasks", "f-restart", [P, R, P, R, F], NONE, 2, None),
    ("volcano_abort_resume_command", "ab", [P, R, C, R, P, R], NONE, 1, None),
    ("volcano_abort_resume_command", "te", [P, R, F], NONE, 0, None),
    ("volcano_abort_resume_command", "co", [P, R, S], NONE, 0, None),
    ("volcano_task_completed_policy", "c-chief", [P, R, S], NONE, 0, [S, S, S]),
    ("volcano_task_completed_policy", "c-min", [P, R, S], NONE, 0, [S, S]),
    ("volcano_delete_running_and_pod_loss", "lost", [P, R, P, R], NONE, 0, None),
]


@pytest.mark.parametrize(
    ("scenario", "app", "states", "message", "restarts", "replicas"),
    RUNS,
    ids=[f"{run[0]}-{run[1]}" for run in RUNS],
)
def test_states_and_reasons_are_those_of_the_cluster(
    play: Played,
    scenario: str,
    app: str,
    states: list[str] | None,
    message: str,
    restarts: int,
    replicas: list[str] | None,
) -> None:
    playback, scheduler = play(scenario)
    seen: list[DescribeAppResponse] = []
    for step in playback.steps():
        if step["object"]["metadata"]["name"].startswith(app) or step["object"]["kind"] == "Event":
            described = scheduler.describe(f"{playback.namespace}:{app}")
            if described is not None:
                seen.append(described)
    last = seen[-1]
    if states is not None:
        assert [state for state, _ in groupby(item.state.name for item in seen)] == states
    if message == NONE:
        assert last.msg == NONE
    else:
        assert re.search(message, last.msg), last.msg
    assert last.num_restarts == restarts
    if replicas is not None:
        found = [item for role in last.roles_statuses for item in role.replicas]
        assert [item.state.name for item in found] == replicas
        assert [item.id for role in last.roles_statuses for item in role.replicas] == [
            k for role in last.roles for k in range(role.num_replicas)
        ]
    assert scheduler.list({"namespace": playback.namespace}) is not None


def test_an_app_of_two_roles_is_one_app(play: Played) -> None:
    playback, scheduler = play(
        "app_two_roles_owner_references", {"app1-chief": "app1", "app1-worker": "app1"}
    )
    playback.play()
    app_id = f"{playback.namespace}:app1"
    described = scheduler.describe(app_id)
    assert described is not None
    assert [(role.name, role.num_replicas) for role in described.roles] == [
        ("app1-chief", 1),
        ("app1-worker", 3),
    ]
    assert [item.app_id for item in scheduler.list({"namespace": playback.namespace})] == [app_id]


@pytest.mark.parametrize("scenario", sorted({run[0] for run in RUNS}))
def test_no_moment_of_a_cluster_crashes_a_list(play: Played, scenario: str) -> None:
    playback, scheduler = play(scenario)
    for number, _ in enumerate(playback.steps()):
        if number % 10 == 0:
            listed = scheduler.list({"namespace": playback.namespace})
            described = scheduler.describe_many([item.app_id for item in listed])
            # A list tells UNKNOWN of a Volcano Job that has no phase yet, as it always did.
            assert {
                item.app_id: described[item.app_id].state
                for item in listed
                if item.state != AppState.UNKNOWN
            } == {item.app_id: item.state for item in listed if item.state != AppState.UNKNOWN}
