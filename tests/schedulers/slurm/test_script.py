"""Batch scripts, run by a real bash with a stand-in for srun and scontrol."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from torchx.schedulers.slurm.script import Submission
from torchx.schedulers.slurm_scheduler import SlurmBatchRequest, create_scheduler
from torchx.specs import AppDef, CfgVal, Resource, RetryPolicy, Role, macros
from torchx.testing.waiting import eventually

SRUN = Path(__file__).with_name("fake_srun.py")

# Writes its arguments and environment where the test finds them.
REPORT = """
import json, os, sys
report = {"argv": sys.argv[2:], "env": dict(os.environ)}
with open(sys.argv[1], "w", encoding="utf-8", errors="surrogateescape") as file:
    json.dump(report, file)
"""

texts = st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30
) | st.sampled_from(["$HOME", "`id`", "a\r\nb", "it's", "${app_id}x"[3:], "\x01\x7f", "a,b=c"])
names = st.text(
    st.characters(exclude_characters="\0=", exclude_categories=["Cs"]), min_size=1, max_size=10
).filter(lambda name: not name.startswith(("TORCHX", "SLURM", "PATH", "LD_", "PYTHON", "_")))


class Cluster:
    """Runs batch scripts in a directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.state_dir = directory / "state"
        self.bin = directory / "bin"
        self.bin.mkdir()
        self._add("srun", f'exec {sys.executable} {SRUN} "$@"')
        self._add("scontrol", 'if [ "$1" = show ]; then echo node1; else echo "$*" >>requeued; fi')

    def _add(self, name: str, script: str) -> None:
        (self.bin / name).write_text(f"#!/bin/bash\n{script}\n")
        (self.bin / name).chmod(0o755)

    def start(self, request: SlurmBatchRequest, restarts: int = 0) -> subprocess.Popen[bytes]:
        for name in ("errors", "hosts"):
            (self.state_dir / name).mkdir(parents=True, exist_ok=True)
        script, secrets = request.script(Submission(state_dir=str(self.state_dir)))
        (self.state_dir / "secrets.sh").write_text(secrets, encoding="utf-8")
        path = self.directory / "script.sh"
        path.write_text(script, encoding="utf-8")
        return subprocess.Popen(
            ["/bin/bash", str(path)],
            cwd=self.directory,
            env={
                "PATH": f"{self.bin}:/usr/bin:/bin",
                "SLURM_JOB_ID": "42",
                "SLURM_JOB_NODELIST": "node[1-2]",
                "SLURM_RESTART_COUNT": str(restarts),
                "LANG": "C.UTF-8",
                "WHOSE": "submitter",
            },
        )

    def run(self, request: SlurmBatchRequest, restarts: int = 0) -> int:
        return self.start(request, restarts).wait(60)

    def events(self) -> list[str]:
        return (self.state_dir / "events").read_text().splitlines()

    def requeued(self) -> list[str]:
        path = self.directory / "requeued"
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    return Cluster(tmp_path)


def request_of(*roles: Role, **cfg: CfgVal) -> SlurmBatchRequest:
    request = create_scheduler("s").submit_dryrun(AppDef("app", list(roles)), cfg).request
    assert isinstance(request, SlurmBatchRequest)
    return request


def python_role(program: str, *args: str, **fields: Any) -> Role:
    fields.setdefault("name", "job")
    fields.setdefault("env", {"A": "b"})
    return Role(image="/", entrypoint=sys.executable, args=["-c", program, *args], **fields)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(texts, max_size=5), st.dictionaries(names, texts, max_size=5))
def test_arguments_and_environment_arrive_byte_for_byte(
    tmp_path_factory: pytest.TempPathFactory, args: list[str], env: dict[str, str]
) -> None:
    cluster = Cluster(tmp_path_factory.mktemp("cluster"))
    role = python_role(REPORT, "report.json", env={"A": "b", **env})
    role.args += [arg.replace("$", "$$") for arg in args]
    role.env = {name: value.replace("$", "$$") for name, value in role.env.items()}
    assert cluster.run(request_of(role)) == 0
    report = json.loads((cluster.directory / "report.json").read_text())
    assert report["argv"] == args
    got = {name: report["env"].get(name) for name in ("A", *env)}
    assert got == {"A": "b", **env}


def test_replicas_of_all_roles_get_what_is_theirs(cluster: Cluster) -> None:
    roles = [
        python_role(
            "import os, sys; print(sys.argv[1], os.environ['WHO'], os.environ['JOB'])",
            macros.replica_id,
            name=name,
            num_replicas=count,
            env={"WHO": f"{name}-{macros.replica_id}", "JOB": macros.app_id},
            resource=Resource(cpu=cpu, gpu=-1, memMB=-1),
        )
        for name, count, cpu in (("reader", 2, 1), ("trainer", 3, 2))
    ]
    assert cluster.run(request_of(*roles)) == 0
    for role in roles:
        for k in range(role.num_replicas):
            log = cluster.directory / f"slurm-42-{role.name}-{k}.out"
            assert log.read_text() == f"{k} {role.name}-{k} 42\n"


def test_the_variable_of_the_role_wins_over_that_of_the_submitter(cluster: Cluster) -> None:
    for env, whose in (({"WHOSE": "role,x"}, "role,x"), ({"A": "b"}, "submitter")):
        assert cluster.run(request_of(python_role(REPORT, "report.json", env=env))) == 0
        report = json.loads((cluster.directory / "report.json").read_text())
        assert report["env"]["WHOSE"] == whose


def test_variables_that_no_shell_can_export_arrive(cluster: Cluster) -> None:
    env = {"a.b": "1", "UID": "x", "BASHOPTS": "y", "with space": "z", "A": "b"}
    assert cluster.run(request_of(python_role(REPORT, "report.json", env=env))) == 0
    report = json.loads((cluster.directory / "report.json").read_text())
    assert {name: report["env"].get(name) for name in env} == env


def test_nothing_of_the_launch_is_left_in_the_environment(cluster: Cluster) -> None:
    assert cluster.run(request_of(python_role(REPORT, "report.json"))) == 0
    env = json.loads((cluster.directory / "report.json").read_text())["env"]
    assert [name for name in env if name.lower().startswith("torchx__")] == []
    assert env["SLURM_JOB_NODELIST_HET_GROUP_0"] == "node1"
    assert env["TORCHELASTIC_ERROR_FILE"] == f"{cluster.state_dir}/errors/0.json"


def test_the_search_path_of_a_role_does_not_hide_slurm(cluster: Cluster) -> None:
    role = python_role(REPORT, "report.json", env={"PATH": "/nowhere", "LD_LIBRARY_PATH": "/x"})
    assert cluster.run(request_of(role)) == 0
    env = json.loads((cluster.directory / "report.json").read_text())["env"]
    assert env["PATH"] == "/nowhere"


# Notes an attempt; fails as long as the number of attempts is below the second argument.
FAIL = """
import os, sys
me, failures = sys.argv[1], int(sys.argv[2])
with open(me, "a") as file:
    file.write("x")
sys.exit(7 if os.path.getsize(me) <= failures else 0)
"""

SLOW = "import sys, time; open(sys.argv[1], 'a').write('x'); time.sleep(60)"


def attempts(cluster: Cluster, name: str) -> int:
    path = cluster.directory / name
    return path.stat().st_size if path.exists() else 0


@pytest.mark.parametrize("policy", list(RetryPolicy))
@pytest.mark.parametrize(("failures", "retries", "code"), [(0, 0, 0), (2, 2, 0), (9, 2, 7)])
def test_failures_are_retried_as_often_as_allowed(
    cluster: Cluster, policy: RetryPolicy, failures: int, retries: int, code: int
) -> None:
    role = python_role(FAIL, "a", str(failures), max_retries=retries, retry_policy=policy)
    assert cluster.run(request_of(role)) == code
    assert attempts(cluster, "a") == min(failures, retries) + 1
    events = cluster.events()
    assert events[0] == "start 0"
    assert events[-1] == f"end {code}"
    assert len(events) == 2 + min(failures, retries)
    assert cluster.requeued() == []


def test_each_role_has_its_own_retries(cluster: Cluster) -> None:
    stubborn = python_role(FAIL, "a", "1", name="a", max_retries=1)
    other = python_role(FAIL, "b", "0", name="b", max_retries=0)
    assert cluster.run(request_of(stubborn, other)) == 0
    assert attempts(cluster, "a") == 2


def test_a_role_that_may_not_be_retried_fails_the_app(cluster: Cluster) -> None:
    patient = python_role(SLOW, "a", name="a", max_retries=3)
    fatal = python_role(FAIL, "b", "1", name="b", max_retries=0)
    assert cluster.run(request_of(patient, fatal)) == 7
    assert attempts(cluster, "b") == 1


def test_only_the_role_that_failed_starts_again(cluster: Cluster) -> None:
    roles = [
        python_role(FAIL, name, failures, name=name, max_retries=1, retry_policy=RetryPolicy.ROLE)
        for name, failures in (("a", "1"), ("b", "0"))
    ]
    assert cluster.run(request_of(*roles)) == 0
    assert (attempts(cluster, "a"), attempts(cluster, "b")) == (2, 1)


def test_the_logs_of_all_attempts_are_kept(cluster: Cluster) -> None:
    program = f"print('attempt'){FAIL}"
    assert cluster.run(request_of(python_role(program, "a", "1", max_retries=1))) == 0
    assert (cluster.directory / "slurm-42-job-0.out").read_text() == "attempt\n" * 2


def test_slurm_may_start_the_job_again_only_as_often_as_allowed(cluster: Cluster) -> None:
    role = python_role(FAIL, "a", "0", max_retries=2)
    assert cluster.run(request_of(role), restarts=3) == 1
    assert attempts(cluster, "a") == 0
    assert cluster.run(request_of(role), restarts=2) == 0
    assert cluster.run(request_of(role, requeue=True), restarts=9) == 0


CHECKPOINT = """
import signal, sys
def leave(number, frame):
    open("checkpoint", "w").close()
    sys.exit(int(sys.argv[1]))
signal.signal(signal.SIGUSR1, leave)
open("ready", "w").close()
signal.pause()
"""


@pytest.mark.parametrize(
    ("exit_code", "retries", "requeued"),
    [(3, 1, ["requeue 42"]), (0, 1, []), (3, 0, [])],
    ids=["saved", "finished", "no retries left"],
)
def test_a_warning_before_the_time_limit_lets_a_job_save_and_be_requeued(
    cluster: Cluster, exit_code: int, retries: int, requeued: list[str]
) -> None:
    role = python_role(CHECKPOINT, str(exit_code), max_retries=retries)
    request = request_of(role, signal="USR1@120")
    assert "--signal=B:USR1@120" in request.materialize()
    batch = cluster.start(request)
    eventually(lambda: (cluster.directory / "ready").exists(), "start", 60)
    batch.send_signal(signal.SIGUSR1)
    assert batch.wait(60) == exit_code
    assert (cluster.directory / "checkpoint").exists()
    assert cluster.requeued() == requeued


def test_secret_values_are_in_no_script_and_in_no_command_line(cluster: Cluster) -> None:
    env = {"HF_TOKEN": "s3cret", "DB": "postgres://me:hunter2@host/x", "PLAIN": "visible"}
    program = "import os; print(open('/proc/self/cmdline').read(), os.environ['HF_TOKEN'])"
    request = request_of(python_role(program, env=env))
    script, secrets = request.script(Submission(state_dir="/s"))
    for secret in ("s3cret", "hunter2"):
        assert secret not in script
        assert secret in secrets
        assert secret not in repr(request)
    assert "visible" in script
    assert "# HF_TOKEN=<redacted>" in repr(request)
    assert cluster.run(request) == 0
    command, value = (cluster.directory / "slurm-42-job-0.out").read_text().rsplit(" ", 1)
    assert value == "s3cret\n"
    assert "s3cret" not in command


def test_values_never_stand_in_an_export_option() -> None:
    script = request_of(python_role("pass", env={"A": "1,2"})).materialize()
    assert "--export=ALL " in script
    assert "--export=ALL," not in script


def test_a_replica_that_has_ended_does_not_end_the_others() -> None:
    assert "--wait=0" in request_of(python_role("pass", num_replicas=2)).materialize()


def test_the_script_file_is_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sbatch").write_text("#!/bin/bash\necho 7\n")
    (tmp_path / "sbatch").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    app = AppDef("app", [python_role("pass")])
    scheduler = create_scheduler("s")
    assert scheduler.submit(app, {"job_dir": str(tmp_path / "job")}) == "7"
    mode = (tmp_path / "job" / "torchx-sbatch.sh").stat().st_mode
    assert stat.S_IMODE(mode) == 0o600


@pytest.mark.parametrize(
    ("cfg", "expected"),
    [
        ({"constraint": "a&b|c"}, "--constraint=a&b|c"),
        ({"constraint": "[rack1 | rack2]"}, '--constraint="[rack1 | rack2]"'),
        ({"gres": "gpu:a100:2"}, "--gres=gpu:a100:2"),
        ({"exclusive": True}, "--exclusive"),
        ({"nodelist": "n[1-4]", "exclude": "n3", "reservation": "r"}, "--nodelist=n[1-4]"),
        ({"job_name": "my job"}, '--job-name="my job"'),
        ({"requeue": True}, "--requeue"),
        ({"requeue": False}, "--no-requeue"),
        ({"sbatch_opts": {"licenses": "a:1"}}, "--licenses=a:1"),
    ],
)
def test_options_reach_sbatch(cfg: dict[str, CfgVal], expected: str) -> None:
    script = request_of(python_role("pass"), **cfg).materialize()
    (line,) = [line for line in script.splitlines() if line.startswith("#SBATCH")]
    assert f" {expected}" in line


def test_options_reach_srun() -> None:
    script = request_of(python_role("pass"), srun_opts={"mpi": "pmix", "wait": "5"}).materialize()
    (line,) = [line for line in script.splitlines() if line.startswith("exec srun")]
    assert "--mpi=pmix" in line
    assert "--wait=5" in line


def test_a_newline_in_an_option_is_refused_or_stays_a_comment() -> None:
    with pytest.raises(ValueError, match="one line"):
        request_of(python_role("pass"), partition="a\nb")
    script = request_of(python_role("pass"), comment="a\nrm -rf x").materialize()
    assert [line for line in script.splitlines() if line.startswith("rm")] == []


@pytest.mark.parametrize(
    ("replicas", "cfg", "expected"),
    [
        (1, {}, "--ntasks-per-node=1 --cpus-per-task=4 --mem=4096"),
        (3, {}, "--ntasks-per-node=1 --cpus-per-task=4 --mem=4096 --nodes=3"),
        (3, {"share_nodes": True}, "--cpus-per-task=4 --ntasks=3 --mem-per-cpu=1024"),
        (3, {"share_nodes": True, "gres": "x:1"}, "--gres=x:1 --ntasks-per-node=1"),
    ],
)
def test_replicas_that_ask_for_the_same_are_one_component(
    replicas: int, cfg: dict[str, CfgVal], expected: str
) -> None:
    resource = Resource(cpu=4, gpu=0, memMB=4096)
    role = python_role("pass", num_replicas=replicas, resource=resource)
    script = request_of(role, **cfg).materialize()
    assert "hetjob" not in script
    assert expected in script
    assert f"srun --ntasks={replicas} " in script


def test_roles_that_ask_for_different_things_are_components() -> None:
    roles = [
        python_role("pass", name=name, resource=Resource(cpu=cpu, gpu=0, memMB=1))
        for name, cpu in (("a", 1), ("b", 2))
    ]
    script = request_of(*roles).materialize()
    assert script.count("#SBATCH hetjob") == 1
    assert "--het-group=0 " in script
    assert "--het-group=1 " in script


def test_two_roles_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="two replicas named `job-0`"):
        request_of(python_role("pass"), python_role("pass"))


def test_an_app_without_replicas_is_refused() -> None:
    with pytest.raises(ValueError, match="no replica"):
        request_of()
