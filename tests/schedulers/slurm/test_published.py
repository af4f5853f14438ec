"""Holds ``torchx.schedulers.slurm_scheduler`` to what earlier releases published and tested."""

from __future__ import annotations

import json
import subprocess
import warnings
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock, call, patch

import pytest

import torchx
from torchx.schedulers import slurm_scheduler
from torchx.schedulers.api import ListAppResponse, Stream
from torchx.schedulers.slurm_scheduler import (
    SLURM_STATES,
    SlurmBatchRequest,
    SlurmOpts,
    SlurmReplicaRequest,
    SlurmScheduler,
    _apply_app_id_env,
    _get_job_dirs,
    _save_job_dir,
    _should_use_gpus_per_node_from_version,
    appstate_from_slurm_state,
    create_scheduler,
    get_appstate_from_job,
    version,
)
from torchx.specs import AppDef, AppState, Resource, Role, macros

pytestmark = pytest.mark.usefixtures("no_slurm")

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures" / "slurm"
MODULE = "torchx.schedulers.slurm_scheduler"


def role(**changes: Any) -> Role:
    fields: dict[str, Any] = {
        "name": "foo",
        "image": "/some/path",
        "entrypoint": "echo",
        "args": ["hello slurm", "test"],
        "env": {"FOO": "bar"},
        "resource": Resource(cpu=2, memMB=10, gpu=3),
    }
    return Role(**{**fields, **changes})


def app() -> AppDef:
    args = [macros.replica_id, f"hello {macros.app_id}"]
    return AppDef(
        "foo",
        [
            Role("a", "/some/path", entrypoint="echo", args=args, num_replicas=2, max_retries=3),
            Role("b", "/some/path", entrypoint="echo"),
        ],
    )


@pytest.fixture(autouse=True)
def fresh_version() -> Iterator[None]:
    version.cache_clear()  # type: ignore[attr-defined]  # published with a cache
    yield
    version.cache_clear()  # type: ignore[attr-defined]  # see above


def test_the_state_table_has_the_published_states_and_no_new_one_shadows_them() -> None:
    published = {
        "BOOT_FAIL": AppState.FAILED,
        "CANCELLED": AppState.CANCELLED,
        "COMPLETED": AppState.SUCCEEDED,
        "DEADLINE": AppState.FAILED,
        "FAILED": AppState.FAILED,
        "NODE_FAIL": AppState.FAILED,
        "OUT_OF_MEMORY": AppState.FAILED,
        "PENDING": AppState.PENDING,
        "PREEMPTED": AppState.FAILED,
        "RUNNING": AppState.RUNNING,
        "REQUEUED": AppState.PENDING,
        "RESIZING": AppState.PENDING,
        "REVOKED": AppState.FAILED,
        "SUSPENDED": AppState.PENDING,
        "TIMEOUT": AppState.FAILED,
    }
    assert list(SLURM_STATES.items())[: len(published)] == list(published.items())
    assert "SPECIAL_EXIT" not in SLURM_STATES
    for word, state in SLURM_STATES.items():
        first = next(key for key in SLURM_STATES if word.startswith(key))
        assert SLURM_STATES[first] == state, word
        assert appstate_from_slurm_state(word) == state
    assert appstate_from_slurm_state("what?") == AppState.UNKNOWN


@pytest.mark.parametrize(
    ("job", "state"),
    [
        ({"job_state": "RUNNING"}, AppState.RUNNING),
        ({"job_state": ["COMPLETED", "COMPLETING"]}, AppState.SUCCEEDED),
        ({"job_state": []}, AppState.UNKNOWN),
        ({}, AppState.UNKNOWN),
        ({"job_state": ["SPECIAL_EXIT"]}, AppState.UNKNOWN),
    ],
)
def test_the_state_of_a_job_in_json(job: dict[str, object], state: AppState) -> None:
    assert get_appstate_from_job(job) == state


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("slurm 24.05.4", (24, 5)),
        ("slurm-wlm 21.08.5", (21, 8)),
        ("slurm 24.11.0 rev1", (24, 11)),
    ],
)
def test_the_version_is_read(text: str, expected: tuple[int, int]) -> None:
    with patch("subprocess.check_output", return_value=text) as check_output:
        assert version() == expected
    check_output.assert_called_once_with(
        ["sinfo", "--version"], stderr=subprocess.PIPE, encoding="utf-8"
    )


def test_without_slurm_a_version_is_assumed_with_a_warning() -> None:
    with pytest.warns(RuntimeWarning, match="sinfo --version"):
        assert version() == (24, 5)


@pytest.mark.parametrize(
    ("of", "uses"),
    [
        ((25, 0), True),
        ((24, 12), True),
        ((25, 11), True),
        ((24, 11), True),
        ((24, 5), False),
        ((23, 15), False),
    ],
)
def test_gpus_are_asked_for_by_the_node_since_24_11(of: tuple[int, int], uses: bool) -> None:
    with patch(f"{MODULE}.version", return_value=of):
        assert _should_use_gpus_per_node_from_version() is uses


def test_the_version_is_asked_for_once_in_a_process() -> None:
    with patch("subprocess.check_output", return_value="slurm 25.05.1") as check_output:
        assert _should_use_gpus_per_node_from_version()
        assert _should_use_gpus_per_node_from_version()
    assert check_output.call_count == 1


def test_run_options_keep_their_order_and_types() -> None:
    opts = create_scheduler("s").run_opts()
    names = [name for name, _ in opts]
    assert names[:9] == [
        "account",
        "partition",
        "time",
        "comment",
        "constraint",
        "mail-user",
        "mail-type",
        "job_dir",
        "qos",
    ]
    qos = opts.get("qos")
    assert qos is not None
    assert "Quality of Service" in qos.help
    assert qos.opt_type is str


def test_options_are_made_in_all_published_ways() -> None:
    given = SlurmOpts({"partition": "x", "mail-user": "me"})  # type: ignore[arg-type]  # published
    assert dict(given.items()) == {"partition": "x", "mail-user": "me"}
    assert len(given) == 2
    assert SlurmOpts(constraint="c").constraint == "c"
    assert SlurmOpts(qos="q")["qos"] == "q"
    for key in ("mail-user", "mail_user", "mailUser"):
        assert SlurmOpts.from_cfg({key: "me"}).mail_user == "me"
    assert SlurmOpts.from_cfg({"jobDir": "d"}).job_dir == "d"
    assert SlurmOpts()["mail-user"] is None


def test_a_replica_is_made_of_a_role(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slurm_scheduler, "version", lambda: (24, 5))
    request = SlurmReplicaRequest.from_role("role-0", role(), cfg={}, nomem=False)
    sbatch, srun = request.materialize()
    assert sbatch == [
        "--job-name=role-0",
        "--requeue",
        "--ntasks-per-node=1",
        "--cpus-per-task=2",
        "--mem=10",
        "--gpus-per-task=3",
        "--ntasks=1",
    ]
    assert srun == [
        '--output=slurm-"$SLURM_JOB_ID"-role-0.out',
        '--error=slurm-"$SLURM_JOB_ID"-role-0.err',
        "--wait=60",
        "--kill-on-bad-exit=1",
        "--export=ALL,FOO=bar",
        "echo",
        "'hello slurm'",
        "test",
    ]
    without_memory = SlurmReplicaRequest.from_role("role-0", role(), cfg={}, nomem=True)
    assert without_memory.materialize()[0] == [word for word in sbatch if "--mem" not in word]


def test_gpus_of_a_newer_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slurm_scheduler, "version", lambda: (25, 0))
    sbatch, _srun = SlurmReplicaRequest.from_role("r-0", role(), {}, False).materialize()
    assert "--gpus-per-node=3" in sbatch
    assert not [word for word in sbatch if word.startswith("--gpus-per-task")]


def test_without_gpus_nobody_asks_for_the_version() -> None:
    with warnings.catch_warnings(), patch(f"{MODULE}.version") as asked:
        replica = role(resource=Resource(cpu=1, memMB=1, gpu=0))
        sbatch, _ = SlurmReplicaRequest.from_role("r-0", replica, {}, False).materialize()
    assert not [word for word in sbatch if "gpu" in word]
    asked.assert_not_called()


def test_options_of_a_group_are_in_a_fixed_order() -> None:
    given = {"qos": "q", "constraint": "orange", "time": "5:13", "partition": "bubblegum"}
    cfg = SlurmOpts(given)  # type: ignore[arg-type]  # published
    bare = role(resource=Resource(cpu=-1, memMB=-1, gpu=-1))
    sbatch, _ = SlurmReplicaRequest.from_role("r-0", bare, cfg, False).materialize()
    assert sbatch[1:] == [
        "--requeue",
        "--partition=bubblegum",
        "--time=5:13",
        "--constraint=orange",
        "--qos=q",
        "--ntasks-per-node=1",
    ]


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("test", "test"),
        ("hello slurm", "'hello slurm'"),
        ("slurm-${app_id}-a-0.out", 'slurm-"$SLURM_JOB_ID"-a-0.out'),
        ("hello ${app_id}", "'hello '\"$SLURM_JOB_ID\"''"),
        ("--export=ALL,A=1,B=x ${app_id}", "'--export=ALL,A=1,B=x '\"$SLURM_JOB_ID\"''"),
    ],
)
def test_the_app_id_is_the_number_of_the_job(text: str, quoted: str) -> None:
    assert _apply_app_id_env(text) == quoted


def test_the_script_of_an_app_without_environment_is_as_published() -> None:
    info = create_scheduler("foo").submit_dryrun(app(), cfg={})
    assert info.request.cmd == ["sbatch", "--parsable"]
    assert list(info.request.replicas) == ["a-0", "a-1", "b-0"]
    golden = (FIXTURES / "published-script.sh").read_text()
    assert info.request.materialize() == golden.replace("VERSION", torchx.__version__)
    assert repr(info) == str(info.request)
    rule = "#----------------"
    assert repr(info).startswith(
        f"sbatch --parsable $SBATCH_SCRIPT\n\n{rule}\n# SBATCH_SCRIPT\n{rule}\n#!/bin/bash\n"
    )


@pytest.mark.parametrize(
    ("srun", "restarts", "code"), [(0, "", 0), (1, "", 123), (1, "1", 123), (1, "3", 1)]
)
def test_the_published_script_requeues_the_job_as_often_as_allowed(
    tmp_path: Path, srun: int, restarts: str, code: int
) -> None:
    plain = Role("a", "/", entrypoint="echo")
    request = SlurmBatchRequest(
        cmd=["sbatch"],
        replicas={"a-0": SlurmReplicaRequest.from_role("a-0", plain, {}, True)},
        job_dir=None,
        max_retries=2,
    )
    (tmp_path / "script.sh").write_text(request.materialize())
    test = f"srun() {{ return {srun}; }}; scontrol() {{ return 123; }}; source ./script.sh"
    done = subprocess.run(
        ["/usr/bin/bash", "-c", test],
        env={"SLURM_RESTART_COUNT": restarts, "SLURM_JOB_ID": "7"},
        check=False,
        capture_output=True,
    )
    assert done.returncode == code


def test_options_of_the_job_are_words_of_the_command() -> None:
    cfg = {"mail-user": "foo@bar.com", "mail-type": "END", "comment": "banana foo bar"}
    request = create_scheduler("foo").submit_dryrun(app(), {**cfg, "account": "x"}).request
    assert request.cmd == [
        "sbatch",
        "--parsable",
        "--comment=banana foo bar",
        "--mail-user=foo@bar.com",
        "--mail-type=END",
        "--account=x",
    ]


@pytest.mark.parametrize(
    ("rows", "has_memory"), [("foo*,5000", True), ("foo*,1", False), ("", True)]
)
def test_memory_is_asked_for_where_the_partition_has_some(rows: str, has_memory: bool) -> None:
    sized = AppDef("a", [role(env={}, resource=Resource(cpu=1, memMB=10, gpu=0))])
    output = f"PARTITION,MEMORY\n{rows}".encode() if rows else b""
    with patch("subprocess.run", return_value=MagicMock(returncode=0, stdout=output)):
        request = create_scheduler("foo").submit_dryrun(sized, {}).request
    assert ("mem" in request.replicas["foo-0"].sbatch_opts) is has_memory


def test_the_memory_of_partitions_is_read() -> None:
    scheduler = create_scheduler("foo")
    output = b"\nPARTITION,MEMORY\nscavenge,500000+\ncompute*,1\nodd,many\n"
    with patch("subprocess.run", return_value=MagicMock(returncode=0, stdout=output)) as run:
        told = {
            name: scheduler._partition_memmb(name)
            for name in (None, "compute", "scavenge", "other", "odd")
        }
    assert told == {None: 1, "compute": 1, "scavenge": 500000, "other": None, "odd": None}
    run.assert_called_with(["sinfo", "--format", "%P,%m", "--noconvert"], stdout=subprocess.PIPE)
    assert scheduler._partition_memmb(None) is None


def test_submitting_is_one_command_however_often() -> None:
    scheduler = create_scheduler("foo")
    info = scheduler.submit_dryrun(app(), cfg={})
    with patch("subprocess.run") as run:
        run.return_value.stdout = b"1234;cluster\n"
        assert [scheduler.schedule(info) for _ in range(2)] == ["1234", "1234"]
    for (argv,), kwargs in run.call_args_list:
        assert kwargs == {"stdout": subprocess.PIPE, "check": True}
        assert argv[:2] == ["sbatch", "--parsable"]
        assert len(argv) == 3
    assert run.call_count == 2
    assert info.request.cmd == ["sbatch", "--parsable"]


def test_a_job_directory_inside_the_workspace_is_used_and_noted() -> None:
    scheduler = create_scheduler("foo")
    with patch("subprocess.run") as run:
        run.return_value.stdout = b"1234"
        scheduler.submit(app(), cfg={"job_dir": "dir"}, workspace=".")
    assert run.call_args == call(
        ["sbatch", "--parsable", "--chdir=dir", "dir/torchx-sbatch.sh"],
        stdout=subprocess.PIPE,
        check=True,
    )
    assert ("1234", "dir") in _get_job_dirs().items()
    assert not Path("dir/dir").exists()


def test_the_registry_of_job_directories_is_read_leniently(tmp_path: Path) -> None:
    assert _get_job_dirs() == {}
    _save_job_dir("1", "a b = c")
    with Path(".torchxslurmjobdirs").open("a") as file:
        file.write("nonsense\n = x\n2 =\n1 = last\n")
    assert _get_job_dirs() == {"1": "last"}


def test_cancelling_is_one_command() -> None:
    with patch("subprocess.run") as run:
        create_scheduler("foo")._cancel_existing("1234")
    run.assert_called_once_with(["scancel", "1234"], check=True)


SACCT = """JobID|JobName|Partition|Account|AllocCPUS|State|ExitCode
1853+0|echo-0|compute||1|COMPLETED|0:0
1853+0.batch|batch|||1|COMPLETED|0:0
1853+0.0|echo|||1|COMPLETED|0:0
1853+1|echo-1|compute||1|COMPLETED|0:0
1853+1.0|echo|||1|COMPLETED|0:0
1853+2|echo-2|compute||1|COMPLETED|0:0
1902|sh-0|compute||1|FAILED|2:0
1902.batch|batch|||1|FAILED|2:0
1902.0|sh|||1|FAILED|2:0
54|echo-echo-0|compute||1|RUNNING|0:0
89|mesh0-0|compute||1|CANCELLED by 2166|0:0
89.batch|batch|||1|CANCELLED|0:15
89.0|mesh|||1|FAILED|2:0
99|my-job|compute||1|RUNNING|0:0
||||||
"""


@pytest.mark.parametrize(
    ("app_id", "state", "msg", "roles"),
    [
        ("1853", AppState.SUCCEEDED, "COMPLETED", [("echo", 3)]),
        ("1902", AppState.FAILED, "FAILED", [("sh", 1)]),
        ("54", AppState.RUNNING, "RUNNING", [("echo-echo", 1)]),
        ("89", AppState.CANCELLED, "CANCELLED by 2166", [("mesh0", 1)]),
        ("99", AppState.RUNNING, "RUNNING", []),
    ],
)
def test_a_job_that_left_the_queue_is_described_by_accounting(
    app_id: str, state: AppState, msg: str, roles: list[tuple[str, int]]
) -> None:
    gone = subprocess.CalledProcessError(1, ["squeue"])
    with (
        patch.object(SlurmScheduler, "_describe_squeue", side_effect=gone) as describe_squeue,
        patch("subprocess.check_output", return_value=SACCT) as check_output,
    ):
        described = create_scheduler("foo").describe(app_id)
    assert describe_squeue.call_count == 1
    assert check_output.call_args_list == [
        call(["sacct", "--parsable2", "-j", app_id], stderr=subprocess.PIPE, encoding="utf-8")
    ]
    assert described is not None
    assert (described.app_id, described.state, described.msg) == (app_id, state, msg)
    assert [(each.name, each.image, each.num_replicas) for each in described.roles] == [
        (name, "", count) for name, count in roles
    ]


@pytest.mark.parametrize("table", ["", "JobID|JobName|State\n", SACCT, "JobID|Comment\n1|x"])
def test_a_job_that_accounting_does_not_know_is_none(table: str) -> None:
    with patch("subprocess.check_output", return_value=table):
        assert create_scheduler("foo")._describe_sacct("7") is None


def test_without_accounting_the_answer_is_none() -> None:
    off = subprocess.CalledProcessError(1, ["sacct"])
    with patch("subprocess.check_output", side_effect=off):
        assert create_scheduler("foo").describe("1853") is None


def test_accounting_lists_its_jobs() -> None:
    states: list[object] = ["COMPLETED", ["FAILED", "X"], [], "SPECIAL_EXIT"]
    jobs = [{"job_id": n, "name": "main-0", "state": {"current": s}} for n, s in enumerate(states)]
    with patch("subprocess.run") as run:
        run.return_value.stdout = json.dumps({"jobs": jobs}).encode()
        assert create_scheduler("foo").list() == [
            ListAppResponse("0", AppState.SUCCEEDED),
            ListAppResponse("1", AppState.FAILED),
            ListAppResponse("2", AppState.UNKNOWN),
            ListAppResponse("3", AppState.UNKNOWN),
        ]
    assert run.call_count == 1


def het(set_: bool, number: int) -> dict[str, object]:
    return {"set": set_, "infinite": False, "number": number}


def test_without_accounting_the_queue_is_listed_by_its_leaders() -> None:
    jobs: list[dict[str, object]] = [
        {"job_id": 1233, "name": "a-0", "job_state": "FAILED"},
        {"job_id": 1234, "name": "b-0", "job_state": ["FAILED"]},
        {"job_id": 1235, "name": "c-0", "job_state": ["FAILED"], "het_job_id": het(True, 0)},
        {"job_id": 1236, "name": "d-0", "job_state": ["RUNNING"], "het_job_id": het(True, 1236)},
        {"job_id": 1237, "name": "d-1", "job_state": ["RUNNING"], "het_job_id": het(True, 1236)},
    ]
    off = subprocess.CalledProcessError(1, ["sacct"])
    queue = MagicMock(stdout=json.dumps({"jobs": jobs}).encode())
    with patch("subprocess.run", side_effect=[off, queue]):
        assert create_scheduler("foo").list() == [
            ListAppResponse("1233", AppState.FAILED, name="a-0"),
            ListAppResponse("1234", AppState.FAILED, name="b-0"),
            ListAppResponse("1235", AppState.FAILED, name="c-0"),
            ListAppResponse("1236", AppState.RUNNING, name="d-0"),
        ]


def test_logs_of_a_job_that_torchx_does_not_remember_are_read_from_here() -> None:
    scheduler = create_scheduler("foo")
    Path("slurm-54-echo-0.out").write_text("hello\nworld\n")
    Path("slurm-54-echo-0.err").write_text("foo\nbar\n")
    out = scheduler.log_iter("54", "echo", 0, streams=Stream.STDOUT, since=datetime.now())
    assert list(out) == ["hello\n", "world\n"]
    assert list(scheduler.log_iter("54", "echo", 0, streams=Stream.STDERR)) == ["foo\n", "bar\n"]
    assert list(scheduler.log_iter("54", "echo", 0)) == ["foo\n", "bar\n"]
    assert list(scheduler.log_iter("54", "echo", 0, regex="^f")) == ["foo\n"]
    with pytest.raises(ValueError, match="combined"):
        scheduler.log_iter("54", "echo", 0, streams=Stream.COMBINED)


def test_logs_are_found_in_the_recorded_job_directory(tmp_path: Path) -> None:
    directory = tmp_path / "elsewhere"
    directory.mkdir()
    (directory / "slurm-54-echo-0.err").write_text("hello\nworld\n")
    _save_job_dir("54", str(directory))
    lines = create_scheduler("foo").log_iter("54", "echo", 0)
    assert list(lines) == ["hello\n", "world\n"]


def test_a_log_that_was_never_written_is_an_error_when_it_is_read() -> None:
    lines = create_scheduler("foo").log_iter("54", "echo", 0)
    with pytest.raises(RuntimeError, match=r"finished without writing.*slurm-54-echo-0\.err"):
        list(lines)


def test_roles_need_no_resource() -> None:
    create_scheduler("foo")._validate(app(), "slurm")
    create_scheduler("foo")._validate(app(), "slurm", {})


def test_the_session_is_kept_and_other_parameters_are_ignored() -> None:
    scheduler = create_scheduler("foo", image_repo="x", cache_size=3)
    assert isinstance(scheduler, SlurmScheduler)
    assert (scheduler.backend, scheduler.session_name) == ("slurm", "foo")


def test_the_published_names_are_there() -> None:
    assert slurm_scheduler.SLURM_JOB_DIRS == ".torchxslurmjobdirs"
    assert {"comment", "mail-user", "mail-type", "account"} == slurm_scheduler.SBATCH_JOB_OPTIONS
    assert {"partition", "time", "constraint", "qos"} == slurm_scheduler.SBATCH_GROUP_OPTIONS
    assert slurm_scheduler.log.name == MODULE
