"""Submitting, with a stand-in for sbatch: what is left on disk, and what refusals say."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from torchx.errors import TorchXError
from torchx.schedulers.abilities import DescribesMany, FindsSubmissions
from torchx.schedulers.slurm import store
from torchx.schedulers.slurm.client import SlurmError, SlurmNotInstalledError, failure
from torchx.schedulers.slurm.mark import Mark, read_mark
from torchx.schedulers.slurm_scheduler import SlurmScheduler, create_scheduler
from torchx.specs import (
    AppDef,
    AppState,
    BindMount,
    CfgVal,
    Resource,
    RetryPolicy,
    Role,
    Workspace,
    is_terminal,
)

pytestmark = pytest.mark.usefixtures("no_slurm")

AddCommand = Callable[[str, str], Path]

KEEP = 'for last; do :; done; cat "$last" >submitted.sh; echo 1234'


def app(**env: str) -> AppDef:
    env = env or {"A": "b"}
    return AppDef("app", [Role("job", "/", entrypoint="echo", args=["x"], env=env, max_retries=2)])


@pytest.fixture
def scheduler() -> SlurmScheduler:
    return create_scheduler("s")


def submitted_mark() -> Mark:
    mark = read_mark(Path("submitted.sh").read_text())
    assert mark is not None
    return mark


def test_the_comment_leads_to_everything(
    scheduler: SlurmScheduler, add_command: AddCommand, home: Path, tmp_path: Path
) -> None:
    add_command("sbatch", KEEP)
    info = scheduler.submit_dryrun(app(HF_TOKEN="s3cret"), {})
    info._submission_id = "mine"
    assert scheduler.schedule(info) == "1234"
    mark = submitted_mark()
    directory = home / "slurm" / "jobs" / "mine"
    assert mark == Mark("mine", str(directory), str(tmp_path), {"job": 1}, (1,))
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    secrets = directory / "secrets.sh"
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o600
    assert "s3cret" in secrets.read_text()
    kept = [path for path in directory.rglob("*") if path.is_file() and path != secrets]
    assert [path.name for path in kept if "s3cret" in path.read_text()] == []
    assert "s3cret" not in Path("submitted.sh").read_text()
    assert store.recall("1234") == mark
    assert scheduler.log_location("1234", info) == str(tmp_path)


def test_a_comment_of_the_user_stays_in_front(
    scheduler: SlurmScheduler, add_command: AddCommand
) -> None:
    calls = add_command("sbatch", KEEP)
    info = scheduler.submit_dryrun(app(), {"comment": "my comment"})
    scheduler.schedule(info)
    (comment,) = [word for word in calls.read_text().split("\x1f") if "--comment" in word]
    assert comment.startswith("--comment=my comment torchx:1;")
    assert info.request.cmd == ["sbatch", "--parsable", "--comment=my comment"]


def test_two_submissions_of_one_request_are_two_jobs(
    scheduler: SlurmScheduler, add_command: AddCommand
) -> None:
    add_command("sbatch", KEEP)
    info = scheduler.submit_dryrun(app(), {})
    scheduler.schedule(info)
    first = submitted_mark()
    scheduler.schedule(info)
    assert submitted_mark().state_dir != first.state_dir


def test_two_roles_with_workspaces_share_the_job_directory(
    scheduler: SlurmScheduler, tmp_path: Path
) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "main.py").write_text("pass")
    roles = [
        Role(name, "/", entrypoint="python", workspace=Workspace({str(project): ""}))
        for name in ("a", "b")
    ]
    job_dir = str(tmp_path / "job")
    scheduler.build_workspaces(roles, {"job_dir": job_dir})
    assert [role.image for role in roles] == [job_dir, job_dir]
    assert (tmp_path / "job" / "main.py").read_text() == "pass"


def test_a_refusal_says_what_sbatch_said_and_leaves_nothing(
    scheduler: SlurmScheduler, add_command: AddCommand, home: Path
) -> None:
    add_command("sbatch", "echo 'sbatch: error: invalid account' >&2; exit 1")
    with pytest.raises(SlurmError, match=r"sbatch.*invalid account"):
        scheduler.submit(app(HF_TOKEN="x"), {})
    assert list((home / "slurm" / "jobs").iterdir()) == []


def test_without_slurm_every_command_says_what_is_missing(scheduler: SlurmScheduler) -> None:
    for ask in (
        lambda: scheduler.submit(app(), {}),
        lambda: scheduler._cancel_existing("1"),
        lambda: scheduler.describe("1"),
        lambda: scheduler.list(),
        lambda: scheduler.find_submission("1"),
    ):
        with pytest.raises(SlurmNotInstalledError) as raised:
            ask()
        assert "login node" in raised.value.hint


def test_a_dry_run_needs_no_slurm_and_touches_nothing(
    scheduler: SlurmScheduler, home: Path
) -> None:
    cfg: dict[str, CfgVal] = {"job_dir": "job"}
    assert "sbatch" in str(scheduler.submit_dryrun(app(), cfg))
    assert not home.exists()
    assert not Path("job").exists()


def test_a_state_that_cannot_be_kept_is_an_error_before_anything_is_submitted(
    scheduler: SlurmScheduler,
    add_command: AddCommand,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    calls = add_command("sbatch", KEEP)
    (tmp_path / "file").touch()
    monkeypatch.setenv("TORCHX_HOME", str(tmp_path / "file"))
    with pytest.raises(TorchXError, match="cannot keep the state of the job"):
        scheduler.submit(app(), {})
    assert calls.read_text() == ""


def test_a_job_that_everybody_forgot_is_told_by_its_notes(
    scheduler: SlurmScheduler, add_command: AddCommand
) -> None:
    add_command("sbatch", KEEP)
    add_command("squeue", "echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1")
    add_command("sacct", "echo 'Slurm accounting storage is disabled' >&2; exit 1")
    scheduler.submit(app(), {})
    mark = submitted_mark()
    expected = [
        ("start 0", AppState.FAILED, "left the queue without a word"),
        ("said n1: task 0: Exited with exit code 3", AppState.FAILED, "n1: task 0"),
        ("end 3", AppState.FAILED, "exit code 3 (n1: task 0: Exited with exit code 3)"),
        ("cancel", AppState.CANCELLED, "cancelled"),
        ("end 0", AppState.SUCCEEDED, "<NONE>"),
    ]
    for note, state, words in expected:
        store.note(mark, note)
        found = scheduler.describe("1234")
        assert found is not None
        assert found.state == state
        assert words in found.msg
        assert [(role.name, role.num_replicas) for role in found.roles] == [("job", 1)]
        assert found.roles[0].entrypoint == "echo"
        assert found.roles[0].retry_policy == RetryPolicy.APPLICATION
        assert [one.state for one in found.roles_statuses[0].replicas] == [state]
        assert is_terminal(scheduler.describe_many(["1234"])["1234"].state)
    add_command("scancel", "exit 1")
    scheduler.delete("1234")
    assert scheduler.describe("1234") is None
    assert not Path(mark.state_dir).exists()


def test_a_number_that_is_used_again_is_not_deleted(
    scheduler: SlurmScheduler, add_command: AddCommand
) -> None:
    add_command("sbatch", KEEP)
    store.forget("1234", Mark("older", "", "/w"))
    assert store.is_deleted("1234", "older")
    assert not store.is_deleted("1234", "newer")
    scheduler.submit(app(), {})
    assert not store.is_deleted("1234", None)


def test_nothing_but_a_state_directory_is_ever_removed(tmp_path: Path) -> None:
    precious = tmp_path / "jobs" / "precious"
    precious.mkdir(parents=True)
    for name in ("id", "precious"):
        mark = Mark(name, str(precious), "/w")
        store.note(mark, "cancel")
        store.forget("1", mark)
        assert list(precious.iterdir()) == []


def test_what_others_keep_for_their_jobs_may_be_anything(tmp_path: Path) -> None:
    mark = Mark("id", str(tmp_path), "/w", {"job": 1}, (1,))
    for text in ("", "nonsense", "3", '[3, {"name": "job"}]'):
        (tmp_path / "roles.json").write_text(text)
        assert all(isinstance(role, dict) for role in store.kept_roles(mark))


def test_a_controller_that_is_down_is_a_passing_failure(
    scheduler: SlurmScheduler, add_command: AddCommand
) -> None:
    down = "slurm_load_jobs error: Unable to contact slurm controller (connect failure)"
    add_command("sbatch", KEEP)
    add_command("squeue", f"echo '{down}' >&2; exit 1")
    add_command("sacct", "echo 'JobID|JobName|State'")
    scheduler.submit(app(), {})
    for ask in (lambda: scheduler.describe("1234"), lambda: scheduler.describe_many(["1234"])):
        with pytest.raises(SlurmError) as raised:
            ask()
        assert raised.value.transient


def test_a_failure_of_the_queue_is_not_the_absence_of_a_job(
    scheduler: SlurmScheduler, add_command: AddCommand
) -> None:
    add_command("squeue", "echo 'slurm_load_jobs error: something new' >&2; exit 1")
    add_command("sacct", "echo 'JobID|JobName|State'")
    with pytest.raises(SlurmError, match="something new"):
        scheduler.describe("1")


def test_a_submitted_job_is_not_lost_to_bookkeeping(
    scheduler: SlurmScheduler, add_command: AddCommand, tmp_path: Path
) -> None:
    add_command("sbatch", KEEP)
    Path(".torchxslurmjobdirs").mkdir()
    assert scheduler.submit(app(), {"job_dir": str(tmp_path / "job")}) == "1234"


def test_a_version_without_one_of_the_fields_is_asked_for_json(
    scheduler: SlurmScheduler, add_command: AddCommand
) -> None:
    jobs = '{"jobs": [{"job_id": 1, "name": "a-0", "job_state": ["RUNNING"]}]}'
    refuse = "echo 'squeue: error: Invalid job format specification' >&2; exit 1"
    add_command("squeue", f"[ \"$1\" = --json ] && {{ echo '{jobs}'; exit; }}; {refuse}")
    found = scheduler.describe("1")
    assert found is not None
    assert found.state == AppState.RUNNING


def test_the_scheduler_has_the_abilities_that_the_runner_asks_for(
    scheduler: SlurmScheduler,
) -> None:
    assert isinstance(scheduler, DescribesMany)
    assert isinstance(scheduler, FindsSubmissions)
    assert scheduler.describe_many([]) == {}


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        ("Batch job submission failed: Invalid account or account/partition", "sacctmgr"),
        ("invalid partition specified: x", "sinfo"),
        ("Requested time limit is invalid (missing or exceeds some limit)", "%l"),
        ("Requested node configuration is not available", "%c"),
        ("Invalid feature specification", "features"),
        ("Invalid generic resource (gres) specification", "generic"),
    ],
)
def test_refusals_say_where_to_look(said: str, hint: str) -> None:
    error = failure("sbatch", 1, f"sbatch: error: {said}\n")
    assert said in str(error)
    assert hint in error.hint


def test_what_slurm_ignores_is_said(
    scheduler: SlurmScheduler, caplog: pytest.LogCaptureFixture
) -> None:
    demanding = app()
    demanding.roles[0].mounts = [BindMount("/a", "/b")]
    demanding.roles[0].resource.devices["vpc.amazonaws.com/efa"] = 1
    scheduler.submit_dryrun(demanding, {})
    assert "mounts of `job`" in caplog.text
    assert "devices of `job` (vpc.amazonaws.com/efa)" in caplog.text


def test_an_app_with_more_components_than_nodes_is_refused(
    scheduler: SlurmScheduler, add_command: AddCommand
) -> None:
    row = "\\x1f".join(("main*", "up", "infinite", "1", "8", "8000", "(null)", "(null)"))
    add_command("sinfo", f"printf '{row}\\n'")
    roles = [
        Role(name, "/", entrypoint="true", env={"A": "b"}, resource=Resource(cpu, 0, 1))
        for name, cpu in (("a", 1), ("b", 2))
    ]
    scheduler._pre_build_validate(AppDef("app", roles), "slurm", {})
    with pytest.raises(ValueError, match=r"2 components.*1 nodes"):
        scheduler.submit_dryrun(AppDef("app", roles), {})
    roles[1].resource = roles[0].resource
    assert scheduler.submit_dryrun(AppDef("app", roles), {}).request.parts() == [2]
