"""dist.ddp and dist.spmd: the job they describe, and that a shell reads its command as meant."""

import os
import shlex
import stat
import subprocess
from pathlib import Path

import pytest

import torchx
from torchx import specs
from torchx.components import dist

HOSTILE = ["a b", "it's", '"', "two\nlines", "a,b", "$HOME", "`id`", "a;b", "☃", "x" * 100_000]


def _command(app: specs.AppDef) -> str:
    return app.roles[0].args[1]


def test_one_node(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LOGLEVEL", raising=False)
    app = dist.ddp("--a", "b c", script="foo/bar.py")
    command = (
        "torchrun --rdzv_backend c10d --rdzv_endpoint localhost:0"
        " --rdzv_id '${app_id}' --nnodes 1 --nproc_per_node 2 --tee 3 --role ''"
        " foo/bar.py --a 'b c'"
    )
    expected = specs.AppDef(
        name="bar",
        roles=[
            specs.Role(
                name="bar",
                image=torchx.IMAGE,
                min_replicas=1,
                num_replicas=1,
                entrypoint="bash",
                args=["-c", command],
                env={
                    "LOGLEVEL": "WARNING",
                    "TORCHX_TRACKING_EXPERIMENT_NAME": "default-experiment",
                    "TORCHX_TRACKING_RUN_NAME": "bar",
                },
                port_map={"c10d": 29500},
                resource=specs.Resource(cpu=2, gpu=0, memMB=1024),
            )
        ],
    )
    assert app == expected


def test_several_nodes_meet_at_the_first() -> None:
    app = dist.ddp(m="foo.bar", j="1:4x8", name="exp/run", tee=0, rdzv_port=1234)
    role = app.roles[0]
    assert (app.name, role.name) == ("run", "bar")
    assert (role.min_replicas, role.num_replicas) == (1, 4)
    assert role.port_map == {"c10d": 1234}
    assert _command(app) == (
        "torchrun --rdzv_backend c10d --rdzv_endpoint $${${rank0_env}:=localhost}:1234"
        " --rdzv_id '${app_id}' --nnodes 1:4 --nproc_per_node 8 --tee 0 --role '' -m foo.bar"
    )


def test_static_rendezvous_names_the_node() -> None:
    command = _command(dist.ddp(script="foo.py", rdzv_backend="static", rdzv_conf="a=1,timeout=6"))
    assert "--rdzv_backend static --rdzv_conf a=1,timeout=6 --rdzv_endpoint" in command
    assert "--role '' --node_rank '${replica_id}' foo.py" in command


@pytest.mark.parametrize(
    ("rank0", "endpoint"), [(None, "localhost"), ("", "localhost"), ("h0", "h0")]
)
def test_shell_hands_every_argument_to_torchrun_unharmed(
    rank0: str | None, endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torchrun = tmp_path / "torchrun"
    torchrun.write_text("#!/bin/sh\nprintf '%s\\0' \"$@\"\n")
    torchrun.chmod(torchrun.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.delenv("RANK0", raising=False)
    if rank0 is not None:
        monkeypatch.setenv("RANK0", rank0)
    app = dist.ddp(*HOSTILE, script="a'; echo foo/train.py", j="2x2")
    values = specs.macros.Values(img_root="", app_id="id-1", replica_id="0", rank0_env="RANK0")
    role = values.apply(app.roles[0])
    ran = subprocess.run([role.entrypoint, *role.args], capture_output=True, check=True)
    words = ran.stdout.decode().split("\0")[:-1]
    assert words[words.index("--rdzv_endpoint") + 1] == f"{endpoint}:29500"
    assert words[words.index("--rdzv_id") + 1] == "id-1"
    assert words[-len(HOSTILE) - 1 :] == ["a'; echo foo/train.py", *HOSTILE]


@pytest.mark.parametrize(("script", "m"), [(None, None), ("a.py", "a")])
def test_exactly_one_program(script: str | None, m: str | None) -> None:
    for component in (dist.ddp, dist.spmd):
        with pytest.raises(ValueError, match="exactly one of --script and -m"):
            component(script=script, m=m)


def test_debug_flags_win_over_the_environment_of_the_caller() -> None:
    env = (
        dist.ddp(script="a.py", env={"CUDA_LAUNCH_BLOCKING": "0", "A": "1"}, debug=True)
        .roles[0]
        .env
    )
    assert env.items() >= dist._TORCH_DEBUG_FLAGS.items()
    assert env["A"] == "1"


def test_log_level_is_the_callers_else_that_of_the_launcher(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LOGLEVEL", "DEBUG")
    assert dist.ddp(script="a.py").roles[0].env["LOGLEVEL"] == "DEBUG"
    assert dist.ddp(script="a.py", env={"LOGLEVEL": "INFO"}).roles[0].env["LOGLEVEL"] == "INFO"


def test_dicts_of_the_caller_are_not_changed() -> None:
    env, metadata = {"A": "1"}, {"k": "v"}
    app = dist.ddp(script="a.py", env=env, metadata=metadata, debug=True)
    app.metadata["more"] = "x"
    assert (env, metadata) == ({"A": "1"}, {"k": "v"})


def test_mounts_and_resources() -> None:
    mounts = ["type=bind", "src=/dst", "dst=/dst", "readonly"]
    role = dist.ddp(script="a.py", mounts=mounts, h="gpu.small", cpu=99).roles[0]
    assert role.mounts == [specs.BindMount("/dst", "/dst", read_only=True)]
    assert role.resource == specs.named_resources["gpu.small"]
    assert dist.ddp(script="a.py", memMB=-1).roles[0].resource.memMB == -1


@pytest.mark.parametrize("program", [{"script": "foo/bar.py"}, {"m": "foo.bar"}])
@pytest.mark.parametrize(
    ("name", "run", "experiment"),
    [
        ("/", "bar", "default-experiment"),
        ("baz/trial_1", "trial_1", "baz"),
        ("baz/", "bar", "baz"),
        ("/trial_1", "trial_1", "default-experiment"),
    ],
)
def test_spmd_names(program: dict[str, str], name: str, run: str, experiment: str) -> None:
    app = dist.spmd("--a", "b", name=name, **program)  # type: ignore[arg-type]  # by name
    assert app.name == run
    assert app.roles[0].env["TORCHX_TRACKING_RUN_NAME"] == run
    assert app.roles[0].env["TORCHX_TRACKING_EXPERIMENT_NAME"] == experiment


def test_spmd_runs_one_process_for_each_gpu() -> None:
    app = dist.spmd(script="a.py", h="aws_p4d.24xlarge", j="2")
    assert app.roles[0].num_replicas == 2
    words = shlex.split(_command(app))
    assert words[words.index("--nproc_per_node") + 1] == "8"


def test_spmd_warns_about_processes_without_a_gpu() -> None:
    with pytest.warns(UserWarning, match=r"runs 4 processes on each node, but .* has 8 GPUs"):
        app = dist.spmd(script="a.py", h="aws_p4d.24xlarge", j="2x4")
    assert "--nproc_per_node 4" in _command(app)
