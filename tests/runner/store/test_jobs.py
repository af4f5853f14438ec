from __future__ import annotations

from collections.abc import Callable

import pytest

from torchx.runner.store import JobStore, Launch, RememberedJob
from torchx.specs import AppState

MakeJob = Callable[..., RememberedJob]


def ids(jobs: object) -> list[str]:
    assert isinstance(jobs, list)
    return [job.app_id for job in jobs]


def test_a_job_comes_back_as_it_was(store: JobStore, make_job: MakeJob) -> None:
    job = make_job(
        launch=Launch(
            component="utils.sh",
            component_args=["echo", "ünï\n'\"$x"],
            component_defaults={"num_replicas": "2"},
            workspace="file:///w",
            parent_run_id="p",
            cfg={"queue": "short"},
        ),
        cfg={"queue": "short", "tags": ["a", "b"], "none": None},
        app={"name": "sh", "roles": []},
        sources=[{"path": "/w", "git_revision": "abc"}],
        log_location="/logs",
        launcher={"pid": 7},
        reason="because",
        state_seen_at_s=3.5,
    )
    store.add(job)
    assert list(store.newest()) == [job]
    assert job.handle == "memory://test/job-1"


def test_the_newest_come_first_across_pages(
    store: JobStore, make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torchx.runner.store.jobs._MOST_ROWS_PER_PAGE", 2)
    same_time = [make_job(submitted_at_s=5.0) for _ in range(5)]
    for job in [*same_time, make_job(submitted_at_s=9.0), make_job(submitted_at_s=1.0)]:
        store.add(job)
    found = ids(list(store.newest()))
    assert found[0] == "job-6"
    assert found[-1] == "job-7"
    assert sorted(found[1:-1]) == [f"job-{number}" for number in range(1, 6)]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"name": "trai"}, ["job-2", "job-1"]),
        ({"name": "*-b"}, ["job-2"]),
        ({"since_s": 1002.0}, ["job-3", "job-2"]),
        ({"until_s": 1002.0}, ["job-1"]),
        ({"states": [AppState.FAILED]}, ["job-3", "job-1"]),
        ({"states": [AppState.FAILED], "name": "train"}, ["job-1"]),
    ],
)
def test_filters(
    store: JobStore, make_job: MakeJob, filters: dict[str, object], expected: list[str]
) -> None:
    store.add(make_job(name="train-a", state=AppState.RUNNING))
    store.add(make_job(name="train-b", state=AppState.SUCCEEDED, is_over=True))
    store.add(make_job(name="eval", state=AppState.FAILED, is_over=True))
    assert ids(list(store.newest(**filters))) == expected  # type: ignore[arg-type]  # table of keywords


def test_an_id_is_found_by_its_beginning_and_a_whole_id_wins(
    store: JobStore, make_job: MakeJob
) -> None:
    for app_id in ("train-1", "train-12", "eval-1", "100%_", "train-1\U0010fffe"):
        store.add(make_job(app_id=app_id))
    assert ids(store.with_id_prefix("train-1")) == ["train-1"]
    assert set(ids(store.with_id_prefix("train-"))) == {"train-1", "train-12", "train-1\U0010fffe"}
    assert ids(store.with_id_prefix("100%")) == ["100%_"]
    assert store.with_id_prefix("TRAIN") == []


def test_of_several_jobs_with_one_id_the_last_one_counts(
    store: JobStore, make_job: MakeJob
) -> None:
    store.add(make_job(app_id="1", submission_id="old"))
    store.add(make_job(app_id="1", submission_id="new"))
    store.add(make_job(app_id="1", submission_id="other", scheduler="slurm"))
    found = store.of_handle("memory", "1")
    assert found is not None
    assert found.submission_id == "new"
    assert store.of_handle("memory", "2") is None


def test_changes_and_forgetting(store: JobStore, make_job: MakeJob) -> None:
    first, second = make_job(), make_job()
    store.add(first)
    store.add(second)
    store.change(first.submission_id, {"state": "FAILED", "is_over": 1})
    store.forget([second.submission_id])
    (left,) = store.newest()
    assert (left.state, left.is_over) == (AppState.FAILED, True)
    assert store.count() == 1


def test_reading_creates_nothing(store: JobStore, places: tuple[object, object]) -> None:
    from pathlib import Path

    assert list(store.newest()) == []
    assert not Path(store.path).exists()


def test_secrets_are_not_stored(store: JobStore, make_job: MakeJob) -> None:
    secret = "s3cr3t-value-of-mine"
    store.add(
        make_job(
            name=f"job {secret}",
            launch=Launch(
                component="c",
                component_args=["--api_token", secret, "--url", f"https://me:{secret}@host/"],
                component_defaults={"password": secret},
                workspace=f"https://me:{secret}@host/w",
                cfg={"api_key": secret},
            ),
            cfg={"api_key": secret, "note": f"see {secret}"},
            app={"roles": [{"env": {"HF_TOKEN": secret}, "args": [f"echo {secret}"]}]},
            reason=f"denied: {secret}",
            log_location=f"s3://me:{secret}@bucket",
        )
    )
    store.close()
    from pathlib import Path

    for path in Path(store.path).parent.iterdir():
        assert secret.encode() not in path.read_bytes()


@pytest.mark.parametrize(("value", "enabled"), [("off", False), ("0", False), ("", True)])
def test_remembering_can_be_switched_off(
    monkeypatch: pytest.MonkeyPatch, value: str, enabled: bool
) -> None:
    monkeypatch.setenv("TORCHX_JOB_STORE", value)
    assert JobStore.is_enabled() is enabled
