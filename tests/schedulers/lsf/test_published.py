"""Holds ``torchx.schedulers.lsf_scheduler`` to what earlier releases published and tested."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock, call, patch

import pytest

import torchx
from torchx.schedulers import lsf_scheduler
from torchx.schedulers.api import ListAppResponse, Stream
from torchx.schedulers.lsf_scheduler import (
    JOB_STATE,
    LsfBsub,
    LsfScheduler,
    Opts,
    bjobs_msg_to_describe,
    bjobs_msg_to_list,
    bjobs_msg_to_log_file,
    cleanup_str,
    create_scheduler,
    find_rank0_host,
    find_rank0_host_from_bhosts_stdout,
    get_bsub,
    get_command,
    get_docker_command,
    get_job_state,
    get_submit_script,
)
from torchx.specs import (
    AppDef,
    AppState,
    BindMount,
    DeviceMount,
    Resource,
    Role,
    VolumeMount,
    is_terminal,
    macros,
)
from torchx.util.shlex import join

MODULE = "torchx.schedulers.lsf_scheduler"
HOSTS = b"h21 0 0\nh22 16 2\nh23 16 2\n"
TAIL = "--entrypoint echo --rm /some/path hello '\\$HOSTNAME'"
BIND_RO = BindMount("/bind/src", "/bind/dst", read_only=True)
BIND_RW = BindMount("/bind/src", "/bind/dst")
FUSE = DeviceMount("/dev/fuse", "/dev/fuse")
SMALL = Resource(cpu=1, memMB=1, gpu=1)


def role(**changes: Any) -> Role:
    fields: dict[str, Any] = {
        "name": "foo",
        "image": "/some/path",
        "entrypoint": "echo",
        "args": ["hello", "$HOSTNAME"],
    }
    return Role(**{**fields, **changes})


@pytest.mark.parametrize(
    ("word", "exit_code", "state"),
    [
        ("DONE", "0", AppState.SUCCEEDED),
        ("EXIT", "1", AppState.FAILED),
        ("EXIT", "130", AppState.CANCELLED),
        ("PEND", "-", AppState.PENDING),
        ("RUN", "-", AppState.RUNNING),
        ("PSUSP", "-", AppState.PENDING),
        ("USUSP", "-", AppState.PENDING),
        ("SSUSP", "-", AppState.PENDING),
        *[(word, "-", AppState.UNKNOWN) for word in ("WAIT", "PROV", "UNKWN", "ZOMBI", "x", "")],
    ],
)
def test_every_word_has_a_state(word: str, exit_code: str, state: AppState) -> None:
    assert get_job_state(word, exit_code) == state


def test_the_published_table_of_states() -> None:
    assert len(JOB_STATE) == 7
    assert JOB_STATE["EXIT"] == AppState.FAILED


@pytest.mark.parametrize(
    ("changes", "opts", "between"),
    [
        ({}, Opts(), ""),
        ({"mounts": [BIND_RO]}, Opts(), "-v /bind/src:/bind/dst:ro "),
        ({"mounts": [BIND_RW]}, Opts(), "-v /bind/src:/bind/dst:rw "),
        (
            {"mounts": [VolumeMount("srcvol", "/vol/dst", read_only=True)]},
            Opts(),
            "--mount type=volume,src=srcvol,dst=/vol/dst,ro ",
        ),
        (
            {"mounts": [VolumeMount("srcvol", "/vol/dst")]},
            Opts(),
            "--mount type=volume,src=srcvol,dst=/vol/dst ",
        ),
        ({"mounts": [FUSE]}, Opts(), "--device=/dev/fuse:/dev/fuse:rwm "),
        ({"mounts": ["a kind of mount that only others know"]}, Opts(), ""),
        ({}, Opts(container_workdir="/tmp/container"), "-w /tmp/container "),
        ({}, Opts(host_network=True), "--net=host --ipc=host "),
        ({"port_map": {"http": 80}}, Opts(), "-p 80 "),
        ({}, Opts(shm_size="10G"), "--shm-size=10G "),
        ({"env": {"FOO": "bar"}}, Opts(), "-e FOO=bar "),
        ({"resource": SMALL}, Opts(), "--cpus=1 --memory=1048576 --gpus all "),
        (
            {
                "mounts": [BIND_RO, BIND_RW, FUSE],
                "port_map": {"http": 80},
                "env": {"FOO": "bar"},
                "resource": SMALL,
            },
            Opts(container_workdir="/tmp/container", shm_size="10G"),
            (
                "-v /bind/src:/bind/dst:ro -v /bind/src:/bind/dst:rw"
                " --device=/dev/fuse:/dev/fuse:rwm -w /tmp/container -p 80 --shm-size=10G"
                " -e FOO=bar --cpus=1 --memory=1048576 --gpus all "
            ),
        ),
    ],
)
def test_docker_commands(changes: dict[str, Any], opts: Opts, between: str) -> None:
    command = get_docker_command("foo", role(**changes), cfg=opts)
    assert command == f"docker run --name=foo {between}{TAIL}"
    assert get_command(job_name="foo", role=role(**changes), cfg=opts) == command
    plain: dict[str, Any] = dict(opts)
    assert get_docker_command("foo", role(**changes), cfg=plain) == command


@pytest.mark.parametrize("option", ["jobdir", "lsf_queue", "container_workdir"])
def test_options_of_wrong_types_are_named(option: str) -> None:
    with pytest.raises(AssertionError, match=option):
        get_bsub("app", "job", role(), {option: 1}, "", "h1")


JOBDIR = "-cwd /data -outdir /data -oo /data/foo.submit.out -eo /data/foo.submit.err"


@pytest.mark.parametrize(
    ("changes", "opts", "head", "options", "rest"),
    [
        ({}, Opts(), "", '-m h1 -R "span[hosts=1]]"', ""),
        (
            {},
            Opts(),
            "head",
            '-w "started(head)" -R "select[hname!=\'h1\']" -R "span[hosts=1]]"',
            "",
        ),
        (
            {},
            Opts(jobdir="/data"),
            "",
            f'-m h1 {JOBDIR} -R "span[hosts=1]]"',
            " > /data/foo.out 2> /data/foo.err",
        ),
        ({}, Opts(lsf_queue="queue"), "", '-m h1 -q queue -R "span[hosts=1]]"', ""),
        (
            {"resource": SMALL},
            Opts(),
            "",
            '-m h1 -n 1 -R "span[hosts=1] rusage[mem=1]" -gpu "num=1:mode=shared:j_exclusive=yes"',
            "",
        ),
        (
            {"resource": SMALL},
            Opts(jobdir="/data", lsf_queue="queue"),
            "head",
            (
                f'-w "started(head)" -R "select[hname!=\'h1\']" {JOBDIR} -q queue -n 1'
                ' -R "span[hosts=1] rusage[mem=1]" -gpu "num=1:mode=shared:j_exclusive=yes"'
            ),
            " > /data/foo.out 2> /data/foo.err",
        ),
    ],
)
def test_bsub_lines(
    changes: dict[str, Any], opts: Opts, head: str, options: str, rest: str
) -> None:
    command = get_docker_command("foo", role(**changes), opts)
    assert get_bsub(
        app_id="app_id",
        job_name="foo",
        role=role(**changes),
        cfg=opts,
        head_job_name=head,
        head_job_host="h1",
    ) == (f"bsub -P app_id -J foo {options} << EOF\n{command}{rest}\nEOF")


def test_names_are_cleaned() -> None:
    assert cleanup_str("-aBc*%Def") == "abcdef"
    assert cleanup_str("--Ab.C_d/e") == "-abc_de"


def test_the_first_host_that_is_large_enough_is_the_first_one() -> None:
    small = role(resource=SMALL)
    assert find_rank0_host_from_bhosts_stdout(HOSTS.decode(), small) == "h22"
    with pytest.raises(ValueError, match="10000 CPUs"):
        find_rank0_host_from_bhosts_stdout(HOSTS.decode(), role(resource=Resource(10000, 0, 0)))
    with patch("subprocess.run", return_value=MagicMock(stdout=HOSTS)) as run:
        assert find_rank0_host(small) == "h22"
    run.assert_called_once_with(
        ["bhosts", "-noheader", "-o", "hname max ng"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=True,
    )


def test_hosts_that_are_not_numbers_of_slots_fit_nothing() -> None:
    assert find_rank0_host_from_bhosts_stdout("a - -\nb  8   -\n\nc", role()) == "b"


def test_the_published_submit_script() -> None:
    app = AppDef("foo", [Role("a", "/some/path", entrypoint="echo", num_replicas=1)])
    values = macros.Values(
        img_root="", app_id="appid", replica_id="0", rank0_env="TORCHX_RANK0_HOST"
    )
    applied = values.apply(app.roles[0])
    applied.env["TORCHX_RANK0_HOST"] = "h1"
    bsub = get_bsub("appid", "appid-a-0", applied, Opts(), "", "h1")
    assert get_submit_script("appid", ["/bin/bash"], app, Opts(), "h1") == (
        f"#!/bin/bash\n#\n# Generated by TorchX {torchx.__version__}\n# Run with: /bin/bash\n#\n"
        f"{bsub}\n"
    )
    assert app.roles[0].env == {}


def test_the_published_script_makes_the_first_job_the_head_of_all_others() -> None:
    app = AppDef("foo", [role(name="A", num_replicas=2), role(name="b")])
    script = get_submit_script("id", ["/bin/bash", "a b"], app, Opts(), "h1")
    assert "# Run with: /bin/bash 'a b'\n" in script
    assert [line.split()[4] for line in script.splitlines() if line.startswith("bsub")] == [
        "id-a-0",
        "id-a-1",
        "id-b-0",
    ]
    assert script.count('-w "started(id-a-0)"') == 2


def test_describing_what_bjobs_printed() -> None:
    done = bjobs_msg_to_describe("app", "app app-role-0 DONE -\napp app-role-1 DONE -\n")
    assert done is not None
    assert (done.app_id, done.state) == ("app", AppState.SUCCEEDED)
    assert done.msg == "app app-role-0 DONE -\napp app-role-1 DONE -\n"
    assert [(found.name, found.num_replicas) for found in done.roles] == [("role", 2)]
    assert [replica.id for replica in done.roles_statuses[0].replicas] == [0, 1]
    failed = bjobs_msg_to_describe(app_id="app", msg="app app-r-0 EXIT 1\napp app-r-1 EXIT 1")
    assert failed is not None
    assert (failed.state, failed.roles[0].num_replicas) == (AppState.FAILED, 2)
    assert bjobs_msg_to_describe("app", "") is None
    assert bjobs_msg_to_describe("app", " \n\n") is None


def test_listing_what_bjobs_printed() -> None:
    assert bjobs_msg_to_list("a DONE -\na DONE -\nb EXIT 1\nb EXIT 1\n") == [
        ListAppResponse("a", AppState.SUCCEEDED),
        ListAppResponse("b", AppState.FAILED),
    ]
    assert bjobs_msg_to_list(MagicMock()) == []


def test_log_files_that_bjobs_tells_of() -> None:
    msg = "\n".join(f"app app-dist_app-{k} /mnt/data/torchx" for k in range(2))
    where = "/mnt/data/torchx/app-dist_app-0"
    assert bjobs_msg_to_log_file("app", "dist_app", msg=msg) == f"{where}.out"
    assert bjobs_msg_to_log_file("app", "dist_app", 0, Stream.STDOUT, msg) == f"{where}.out"
    assert bjobs_msg_to_log_file("app", "dist_app", 0, Stream.STDERR, msg) == f"{where}.err"
    assert (
        bjobs_msg_to_log_file("app", "r", 0, None, "app app-r-0 /a b/c\n") == "/a b/c/app-r-0.out"
    )
    with pytest.raises(ValueError, match="combined"):
        bjobs_msg_to_log_file("app", "dist_app", 0, Stream.COMBINED, msg)
    with pytest.raises(ValueError, match="jobdir"):
        bjobs_msg_to_log_file("app", "dist_app", msg="app app-dist_app-0 -\n")


def test_run_options_are_those_that_were_published_and_more_at_the_end() -> None:
    opts = create_scheduler("s").run_opts()
    published = ["lsf_queue", "jobdir", "container_workdir", "host_network", "shm_size"]
    assert [name for name, _ in opts][:5] == published
    assert opts.resolve({"runtime": "docker"})["host_network"] is False
    given = Opts(
        lsf_queue="q", jobdir="/d", container_workdir="/w", host_network=True, shm_size="10G"
    )
    assert [given.get(name) for name in published] == ["q", "/d", "/w", True, "10G"]


def test_the_factory_ignores_what_it_does_not_know() -> None:
    scheduler = create_scheduler("session", unknown=1)
    assert isinstance(scheduler, LsfScheduler)
    assert (scheduler.backend, scheduler.session_name) == ("lsf", "session")


@pytest.fixture
def unique() -> Any:
    with patch(f"{MODULE}.make_unique", return_value="app-name-42") as make_unique:
        yield make_unique


def test_a_dry_run_shows_the_script_and_runs_nothing(unique: Any) -> None:
    with patch("subprocess.run") as run:
        info = create_scheduler("s").submit_dryrun(AppDef("app", [role()]), {})
    assert not run.called
    request = info.request
    assert isinstance(request, LsfBsub)
    assert (request.app_id, request.cmd, request.jobdir) == ("app-name-42", ["/bin/bash"], None)
    rule = "#------------"
    head = f"/bin/bash $BSUB_SCRIPT\n{rule}\n# BSUB_SCRIPT\n{rule}\n#!/bin/bash\n"
    assert repr(request).startswith(head)
    assert str(info) == repr(request)
    assert "RANK0_HOST" in request.materialize()
    assert "-m h7 " in request.materialize("h7")


def test_submitting_runs_bhosts_and_the_script_and_changes_nothing(
    unique: Any, tmp_path: Path
) -> None:
    scheduler = create_scheduler("s")
    app = AppDef("app", [role()])
    info = scheduler.submit_dryrun(app, {"jobdir": str(tmp_path / "new")})
    for _ in range(2):
        with patch("subprocess.run", return_value=MagicMock(stdout=HOSTS)) as run:
            assert scheduler.schedule(info) == "app-name-42"
        path = str(tmp_path / "new" / "app-name-42.sh")
        assert run.call_args_list == [
            call(
                ["bhosts", "-noheader", "-o", "hname max ng"],
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                check=True,
            ),
            call(["/bin/bash", path], stdout=subprocess.PIPE, check=True),
        ]
        assert f"# Run with: /bin/bash {path}\n" in Path(path).read_text()
    assert info.request.cmd == ["/bin/bash"]


def test_a_mock_of_lsf_can_be_asked_and_cancelled() -> None:
    scheduler = create_scheduler("s")
    with patch("subprocess.run") as run:
        assert scheduler.exists("1234")
        assert run.call_count == 1
        scheduler.cancel("1234")
        assert run.call_count == 4
        argv = [args[0][0] for args in run.call_args_list]
    jobs = ["bjobs", "-noheader", "-a", "-P", "1234", "-o"]
    states = [*jobs, "proj name stat exit_code"]
    assert argv == [states, states, [*jobs, "id"], ["bkill"]]


def test_listing_asks_once() -> None:
    with patch("subprocess.run") as run:
        assert create_scheduler("s").list() == []
    run.assert_called_once_with(
        ["bjobs", "-noheader", "-a", "-o", "proj stat exit_code"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=True,
    )


def test_reading_a_log_asks_once_and_at_once(tmp_path: Path) -> None:
    out = f"app-id app-id-role-0 {tmp_path}\n".encode()
    with (
        patch("subprocess.run", return_value=MagicMock(stdout=out)) as run,
        patch(f"{MODULE}.LogIterator"),
    ):
        lines = create_scheduler("s").log_iter("app-id", "role", regex=".*")
        run.assert_called_once_with(
            ["bjobs", "-noheader", "-a", "-P", "app-id", "-o", "proj name output_dir"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            check=True,
        )
        assert list(lines) == []


def test_roles_without_resources_are_accepted() -> None:
    create_scheduler("s")._validate(AppDef("a", [role()]), "lsf")


def test_all_published_names_are_there() -> None:
    for name in lsf_scheduler.__all__:
        assert hasattr(lsf_scheduler, name)
    assert join(["a b", "c"]) == "'a b' c"
    assert not is_terminal(get_job_state("SSUSP", "-"))
