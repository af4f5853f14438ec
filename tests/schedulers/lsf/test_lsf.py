"""The scheduler on a simulated cluster: what the conformance suite does not ask for."""

from __future__ import annotations

import json
import os
import stat
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.schedulers.lsf.recorded import recorded
from tests.schedulers.lsf.simulator import HOSTS, Cluster
from torchx.errors import TorchXError
from torchx.schedulers.api import DescribeAppResponse, Stream
from torchx.schedulers.lsf import client
from torchx.schedulers.lsf.client import LsfError, LsfNotInstalledError
from torchx.schedulers.lsf_scheduler import LsfScheduler, create_scheduler
from torchx.specs import AppDef, AppState, CfgVal, Resource, Role, Workspace, is_terminal
from torchx.testing.waiting import eventually

HANG = "import time; print('started', flush=True); time.sleep(3600)"


def python_role(program: str, *args: str, **fields: Any) -> Role:
    fields.setdefault("name", "job")
    return Role(image="/", entrypoint=sys.executable, args=["-c", program, *args], **fields)


def submit(scheduler: LsfScheduler, *roles: Role, **cfg: CfgVal) -> str:
    return scheduler.submit(AppDef("app", list(roles)), cfg)


def wait(scheduler: LsfScheduler, app_id: str) -> DescribeAppResponse:
    def ended() -> DescribeAppResponse | None:
        found = scheduler.describe(app_id)
        assert found is not None
        return found if is_terminal(found.state) else None

    found = eventually(ended, "end of the app", 60)
    assert found is not None
    return found


def log(scheduler: LsfScheduler, app_id: str, role: str = "job", k: int = 0) -> list[str]:
    return list(scheduler.log_iter(app_id, role, k))


# Commands


def test_a_submission_takes_one_bsub_for_each_replica(
    scheduler: LsfScheduler, cluster: Cluster
) -> None:
    submit(scheduler, python_role("pass", num_replicas=3), python_role("pass", name="b"))
    assert Counter(cluster.calls()) == {"bhosts": 2, "bsub": 4}


def test_the_status_of_any_number_of_apps_is_one_question(
    scheduler: LsfScheduler, cluster: Cluster
) -> None:
    ids = [submit(scheduler, python_role("pass")) for _ in range(3)]
    for app_id in ids:
        wait(scheduler, app_id)
    cluster.forget_calls()
    found = scheduler.describe_many([*ids, "unknown-app"])
    assert {app_id: app.state for app_id, app in found.items()} == dict.fromkeys(
        ids, AppState.SUCCEEDED
    )
    assert cluster.calls() == ["bjobs"]
    assert scheduler.describe_many([]) == {}
    assert cluster.calls() == ["bjobs"]


def test_a_state_takes_a_second_question_only_for_its_reason(
    scheduler: LsfScheduler, cluster: Cluster
) -> None:
    done = submit(scheduler, python_role("pass"))
    failed = submit(scheduler, python_role("import sys; sys.exit(3)"))
    held = submit(scheduler, python_role("pass"), lsf_queue="held")
    wait(scheduler, done)
    wait(scheduler, failed)
    for app_id, count, told in [
        (done, 1, "<NONE>"),
        (failed, 2, f"FAILED: {failed}-job-0: exit code 3"),
        (held, 2, f"waiting: {held}-job-0: its queue is inactive"),
    ]:
        cluster.forget_calls()
        found = scheduler.describe(app_id)
        assert found is not None
        assert found.msg == told
        assert cluster.calls() == ["bjobs"] * count
    cluster.forget_calls()
    assert [(app.app_id, app.state) for app in scheduler.list()] == [
        (held, AppState.PENDING),
        (done, AppState.SUCCEEDED),
        (failed, AppState.FAILED),
    ]
    assert cluster.calls() == ["bjobs"]


def test_all_apps_that_are_waited_for_share_a_question(
    scheduler: LsfScheduler, cluster: Cluster
) -> None:
    ids = [submit(scheduler, python_role("pass"), lsf_queue="held") for _ in range(20)]
    cluster.forget_calls()
    for app_id in ids:
        scheduler.wait_for_change(app_id, 0)
    eventually(lambda: scheduler._watcher._asked >= 2, "two questions", 30)
    asked = scheduler._watcher._asked
    scheduler.close()
    assert len(cluster.calls()) <= asked + 1


# Refusals


@pytest.mark.parametrize("position", [0, 1])
def test_a_refused_replica_is_named_and_nothing_is_left(
    scheduler: LsfScheduler, cluster: Cluster, place: Path, position: int
) -> None:
    roles = [python_role(HANG, name="good", num_replicas=2), python_role(HANG, name="bad role")]
    if position == 0:
        roles.reverse()
    with pytest.raises(LsfError, match=r"replica bad role/0 .* No such queue") as raised:
        scheduler.schedule(refusing(scheduler, roles))
    assert "none was submitted" in str(raised.value)
    states = [job["stat"] for job in cluster.jobs()]
    assert len(states) == (0 if position == 0 else 2)
    eventually(lambda: all(job["stat"] == "EXIT" for job in cluster.jobs()), "end", 30)
    assert not any((place / "$HOME `id`" / "lsf" / "jobs").iterdir())


def refusing(scheduler: LsfScheduler, roles: Sequence[Role]) -> Any:
    """Makes a request of which bsub refuses the jobs of one role."""
    info = scheduler.submit_dryrun(AppDef("app", list(roles)), {})
    commands = Path(os.environ["PATH"].split(os.pathsep)[0])
    real = commands / "real-bsub"
    (commands / "bsub").rename(real)
    (commands / "bsub").write_text(
        "#!/bin/sh\n"
        'case "$*" in *badrole*) exec "$(dirname "$0")/real-bsub" "$@" -q nosuch true ;; esac\n'
        'exec "$(dirname "$0")/real-bsub" "$@"\n'
    )
    (commands / "bsub").chmod(0o755)
    return info


def test_an_app_is_submitted_once(scheduler: LsfScheduler, cluster: Cluster) -> None:
    info = scheduler.submit_dryrun(AppDef("app", [python_role("pass")]), {})
    assert scheduler.planned_app_id(info) == scheduler.schedule(info)
    with pytest.raises(LsfError, match="submitted already"):
        scheduler.schedule(info)
    assert len(cluster.jobs()) == 1


def test_no_host_is_large_enough(scheduler: LsfScheduler, cluster: Cluster) -> None:
    with pytest.raises(ValueError, match="no host has 1 CPUs and 9 GPUs for the role `job`"):
        submit(scheduler, python_role("pass", resource=Resource(cpu=1, gpu=9, memMB=1)))
    assert cluster.jobs() == []


def test_without_lsf_the_error_says_what_to_do(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(place))
    scheduler = create_scheduler("s")
    for call in (lambda: scheduler.describe("a-1"), lambda: scheduler.describe_many(["a-1"])):
        with pytest.raises(LsfNotInstalledError, match="bjobs") as raised:
            call()
        assert "host of the cluster" in raised.value.hint


def test_a_command_that_hangs_is_given_up(place: Path) -> None:
    with pytest.raises(LsfError, match=r"did not answer within 0\.1 s") as raised:
        client.ask(["sleep", "60"], timeout_s=0.1)
    assert raised.value.transient


def test_a_failure_of_bkill_that_matters_is_raised(
    scheduler: LsfScheduler, cluster: Cluster
) -> None:
    app_id = submit(scheduler, python_role("pass"), lsf_queue="held")
    bkill = cluster.directory / "bin" / "bkill"
    real = bkill.read_text()
    bkill.write_text("#!/bin/sh\necho 'Job <1>: User permission denied' >&2\nexit 255\n")
    with pytest.raises(LsfError, match="User permission denied"):
        scheduler.cancel(app_id)
    bkill.write_text(real)


# Hosts


def test_the_first_replica_gets_the_emptiest_host_that_takes_jobs(
    scheduler: LsfScheduler, cluster: Cluster
) -> None:
    first = submit(scheduler, python_role(HANG, resource=Resource(cpu=8, gpu=0, memMB=1)))
    cluster.set_hosts({**HOSTS, "127.0.0.2": {"slots": 64, "gpus": 2, "status": "closed_Adm"}})
    second = submit(scheduler, python_role(HANG))
    hosts = {job["proj"]: job["only"] for job in cluster.jobs()}
    assert hosts == {first: "127.0.0.1", second: "127.0.0.3"}


def test_on_a_single_host_replicas_share_it(scheduler: LsfScheduler, cluster: Cluster) -> None:
    cluster.set_hosts({"127.0.0.1": HOSTS["127.0.0.1"]})
    app_id = submit(scheduler, python_role("pass", num_replicas=3))
    assert wait(scheduler, app_id).state == AppState.SUCCEEDED
    cluster.set_hosts(HOSTS)
    submit(scheduler, python_role("pass", num_replicas=2))
    assert [job["not"] for job in cluster.jobs()][-2:] == ["", "127.0.0.1"]


# Directories, logs and workspaces


def test_outputs_are_found_by_whoever_asks(
    scheduler: LsfScheduler, cluster: Cluster, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = "import sys; print('out'); print('err', file=sys.stderr)"
    app_id = submit(scheduler, python_role(program, name="My.Role"), jobdir="job dir")
    wait(scheduler, app_id)
    jobdir = place / "job dir"
    stem = f"{app_id}-myrole-0"
    assert {path.name for path in jobdir.iterdir()} == {
        ".torchx",
        f"{app_id}.sh",
        f"{stem}.out",
        f"{stem}.err",
        f"{stem}.submit.out",
        f"{stem}.submit.err",
    }
    info = scheduler.submit_dryrun(AppDef("app", [python_role("pass")]), {})
    assert scheduler.log_location(app_id, info) == str(jobdir)
    monkeypatch.chdir("/")
    assert sorted(log(scheduler, app_id, "My.Role")) == ["err\n", "out\n"]
    # Somebody else, who has no record of the app.
    monkeypatch.setenv("TORCHX_HOME", str(place / "other"))
    for name in ("My.Role", "myrole"):
        assert list(scheduler.log_iter(app_id, name)) == ["out\n"]
        assert list(scheduler.log_iter(app_id, name, streams=Stream.STDERR)) == ["err\n"]
    with pytest.raises(ValueError, match=r"My\.Role/1"):
        scheduler.log_iter(app_id, "My.Role", 1)
    found = scheduler.describe(app_id)
    assert found is not None
    assert [(role.name, role.num_replicas) for role in found.roles] == [("myrole", 1)]


def test_roles_whose_names_look_the_same_to_lsf_stay_apart(scheduler: LsfScheduler) -> None:
    roles = [python_role(f"print({name!r})", name=name) for name in ("A.b", "ab", "日本", "...")]
    app_id = submit(scheduler, *roles)
    found = wait(scheduler, app_id)
    assert [role.name for role in found.roles] == ["A.b", "ab", "日本", "..."]
    for role in roles:
        assert log(scheduler, app_id, role.name) == [f"{role.name}\n"]


def test_two_roles_of_one_name_are_refused(scheduler: LsfScheduler) -> None:
    with pytest.raises(TorchXError, match="two roles named `job`"):
        str(scheduler.submit_dryrun(AppDef("a", [python_role("1"), python_role("2")]), {}))


def test_a_workspace_is_mounted_and_the_image_stays(scheduler: LsfScheduler, place: Path) -> None:
    (place / "code").mkdir()
    (place / "code" / "main.py").write_text("print('from the workspace')\n")
    role = Role("job", "/", entrypoint=sys.executable, args=["main.py"])
    cfg: dict[str, CfgVal] = {"jobdir": str(place / "job")}
    role.workspace = Workspace.from_str(str(place / "code"))
    previews = scheduler.preview_workspaces([role], cfg)
    assert previews is not None
    assert [preview.roles for preview in previews] == [["job"]]
    assert role.image == "/"
    for _ in range(2):
        app = AppDef("app", [role])
        app_id = scheduler.submit(app, cfg, workspace=str(place / "code"))
        assert app.roles[0].image == "/"
        assert wait(scheduler, app_id).state == AppState.SUCCEEDED
        assert log(scheduler, app_id) == ["from the workspace\n"]


def test_a_job_directory_that_lsf_would_change_is_refused(scheduler: LsfScheduler) -> None:
    with pytest.raises(ValueError, match="%"):
        scheduler.submit_dryrun(AppDef("app", [python_role("pass")]), {"jobdir": "/x/%J"})


# Memory


def test_an_app_that_lsf_has_forgotten_is_known(scheduler: LsfScheduler, cluster: Cluster) -> None:
    ids = [
        submit(scheduler, python_role(f"import sys; sys.exit({code})", num_replicas=2))
        for code in (0, 7)
    ]
    for app_id in ids:
        wait(scheduler, app_id)
        cluster.forget(app_id)
    done, failed = [scheduler.describe(app_id) for app_id in ids]
    assert done is not None
    assert done.state == AppState.SUCCEEDED
    assert failed is not None
    assert failed.state == AppState.FAILED
    assert "exit code 7" in failed.msg
    assert set(scheduler.describe_many(ids)) == set(ids)
    scheduler.delete(ids[0])
    assert scheduler.describe(ids[0]) is None


def test_the_history_tells_about_apps_of_others_that_lsf_has_forgotten(
    scheduler: LsfScheduler, cluster: Cluster
) -> None:
    (entry,) = (entry for entry in recorded("bhist") if entry.command == "bhist -l 3")
    path = cluster.directory / "bin" / "bhist"
    path.write_text(f"#!/bin/sh\ncat <<'EOF'\n{entry.out}\nEOF\n")
    path.chmod(0o755)
    found = scheduler.describe("app-a")
    assert found is not None
    assert (found.state, found.msg) == (AppState.FAILED, "FAILED: app-a-w-2: exit code 3")
    assert scheduler.describe("app-b") is None


def test_an_app_is_not_over_before_all_of_it_is_submitted(
    scheduler: LsfScheduler, cluster: Cluster, place: Path
) -> None:
    app_id = submit(scheduler, python_role("pass", num_replicas=2))
    wait(scheduler, app_id)
    state_dir = place / "$HOME `id`" / "lsf" / "jobs" / app_id
    (state_dir / "submitted").unlink()
    (state_dir / "notes" / f"{app_id}-job-1").unlink()
    (cluster.jobs_dir / "2.json").unlink()
    found = scheduler.describe(app_id)
    assert found is not None
    assert (found.state, found.msg) == (
        AppState.PENDING,
        f"waiting: {app_id}-job-1: it has not been submitted yet",
    )
    assert [app.state for app in scheduler.list()] == [AppState.PENDING]
    scheduler.cancel(app_id)
    cancelled = scheduler.describe(app_id)
    assert cancelled is not None
    assert cancelled.state == AppState.CANCELLED


def test_an_app_without_jobs_can_be_cancelled(
    scheduler: LsfScheduler, cluster: Cluster, place: Path
) -> None:
    app_id = submit(scheduler, python_role("pass"))
    wait(scheduler, app_id)
    state_dir = place / "$HOME `id`" / "lsf" / "jobs" / app_id
    (state_dir / "submitted").unlink()
    (state_dir / "notes" / f"{app_id}-job-0").unlink()
    cluster.forget(app_id)
    scheduler.cancel(app_id)
    found = scheduler.describe(app_id)
    assert found is not None
    assert found.state == AppState.CANCELLED


def test_projects_that_no_app_can_have_are_not_listed(
    scheduler: LsfScheduler, cluster: Cluster
) -> None:
    os.system("bsub -J mine true >/dev/null")
    assert len(cluster.jobs()) == 1
    assert scheduler.list() == []


def test_a_job_that_somebody_kills_was_cancelled(scheduler: LsfScheduler, cluster: Cluster) -> None:
    pending = submit(scheduler, python_role(HANG), lsf_queue="held")
    running = submit(scheduler, python_role(HANG))
    eventually(lambda: log(scheduler, running), "start", 30)
    os.system("bkill 1 2 >/dev/null")
    for app_id in (pending, running):
        assert wait(scheduler, app_id).state == AppState.CANCELLED


def test_hosts_of_replicas_are_told(scheduler: LsfScheduler) -> None:
    app_id = submit(scheduler, python_role("pass", num_replicas=2))
    (status,) = wait(scheduler, app_id).roles_statuses
    first, second = (replica.hostname for replica in status.replicas)
    assert first == "127.0.0.1"
    assert second in set(HOSTS) - {first}


def test_the_last_failure_of_one_replica_ends_the_others(scheduler: LsfScheduler) -> None:
    failing = python_role("import sys; sys.exit(9)", name="bad")
    app_id = submit(scheduler, python_role(HANG, name="good"), failing)
    found = wait(scheduler, app_id)
    assert found.state == AppState.FAILED
    assert "exit code 9" in found.msg


# Secrets


SECRETS = {"HF_TOKEN": "hf-secret-value-1", "URL": "https://user:pass-word-2@host/x"}
ARGUMENT = "--api-key=secret-value-3"
REPORT = "import json, os, sys; print(json.dumps([dict(os.environ), sys.argv[1:]]))"


def test_secrets_arrive_and_are_seen_nowhere(
    scheduler: LsfScheduler, cluster: Cluster, place: Path
) -> None:
    docker = cluster.directory / "bin" / "docker"
    docker.write_text(
        docker.read_text().replace("\n", '\nprintf "%s\\n" "$0 $*" >>"$(dirname "$0")/argv"\n', 1)
    )
    role = python_role(REPORT, ARGUMENT, env={"PLAIN": "plain-value", **SECRETS})
    info = scheduler.submit_dryrun(AppDef("app", [role]), {"jobdir": str(place / "job")})
    app_id = scheduler.schedule(info)
    assert wait(scheduler, app_id).state == AppState.SUCCEEDED
    env, argv = json.loads(log(scheduler, app_id)[0])
    assert {name: env[name] for name in SECRETS} == SECRETS
    assert argv == [ARGUMENT]
    shown = [str(info), (docker.parent / "argv").read_text().replace(ARGUMENT, "")]
    files = [*(place / "job").glob("*.s*"), *(cluster.directory / "files").glob("*.job")]
    assert len(files) == 4
    shown += [path.read_text() for path in files]
    for text in shown:
        assert "secret-value" not in text
        assert "pass-word" not in text
    assert "plain-value" in str(info)
    assert "# HF_TOKEN=" in str(info)


def test_what_is_kept_can_be_read_by_nobody_else(scheduler: LsfScheduler, place: Path) -> None:
    role = python_role("pass", env=SECRETS)
    submit(scheduler, role, jobdir=str(place / "job"))
    (state_dir,) = (place / "job" / ".torchx" / "jobs").iterdir()
    (script,) = (place / "job").glob("*.sh")
    (secrets,) = state_dir.glob("secrets-*")
    assert stat.S_IMODE(state_dir.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in (script, secrets)} == {0o600}


def test_a_secret_that_no_shell_can_hold_is_refused(scheduler: LsfScheduler) -> None:
    role = python_role("pass", env={"my-token": "secret-value"})
    with pytest.raises(ValueError, match="my-token") as raised:
        submit(scheduler, role)
    assert "secret-value" not in str(raised.value)
