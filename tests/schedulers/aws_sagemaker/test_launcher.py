"""The launch script, run for real by the shells of this machine."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from torchx.schedulers.aws_sagemaker.launcher import ML_DIR, Launch, launch_script
from torchx.schedulers.aws_sagemaker.request import CODE_DIR, REPLICA_MARK

SHELLS = [path for name in ("dash", "bash", "busybox") if (path := shutil.which(name))]
SHOW = "import json, os, sys; print(json.dumps([sys.argv[1:], dict(os.environ), os.getcwd()]))"


class Instance:
    """A directory that stands for `/opt/ml`."""

    def __init__(self, root: Path, host: str = "algo-1") -> None:
        self.ml = root / "ml"
        for name in ("input/config", "input/data/code", "output"):
            (self.ml / name).mkdir(parents=True)
        self.bin = root / "bin"
        self.bin.mkdir()
        config = {
            "current_host": host,
            "current_instance_type": "ml.m5.large",
            "hosts": ["algo-1", "algo-10", "algo-2"],
            "network_interface_name": "eth7",
        }
        (self.ml / "input/config/resourceconfig.json").write_text(json.dumps(config))

    def program(self, name: str, text: str) -> None:
        path = self.bin / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def code(self, **files: str) -> None:
        with tarfile.open(self.ml / "input/data/code/code.tar.gz", "w:gz") as archive:
            for name, text in files.items():
                info = tarfile.TarInfo(f"{name}.py")
                info.size = len(text)
                archive.addfile(info, io.BytesIO(text.encode()))

    def run(
        self, launch: Launch, shell: str = "/bin/sh", path: str | None = None, **env: str
    ) -> subprocess.CompletedProcess[str]:
        script = launch_script(launch).replace(ML_DIR, str(self.ml))
        file = self.ml / "launch.sh"
        file.write_bytes(script.encode("utf-8", "surrogateescape"))
        words = [shell, "sh", str(file)] if shell.endswith("busybox") else [shell, str(file)]
        return subprocess.run(
            words,
            env={"PATH": path or f"{self.bin}{os.pathsep}{os.environ['PATH']}", **env},
            cwd=self.ml,
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    return Instance(tmp_path, "algo-3")


def shown(done: subprocess.CompletedProcess[str]) -> tuple[list[str], dict[str, str], str]:
    assert done.returncode == 0, done.stderr
    args, env, directory = json.loads(done.stdout)
    return args, env, directory


# Among them what Python makes of bytes that are no UTF-8.
_TEXT = st.one_of(
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40),
    st.binary(max_size=20).map(lambda some: os.fsdecode(some.replace(b"\0", b""))),
)


@pytest.mark.parametrize("shell", SHELLS)
@settings(max_examples=25, deadline=None)
@given(
    args=st.lists(_TEXT, max_size=8),
    env=st.dictionaries(st.from_regex(r"MY_[A-Z0-9_]{1,9}", fullmatch=True), _TEXT, max_size=5),
)
def test_words_and_values_arrive_byte_for_byte(
    shell: str, args: list[str], env: dict[str, str]
) -> None:
    with tempfile.TemporaryDirectory() as root:
        launch = Launch([sys.executable, "-c", SHOW, *args], env=env)
        got, environment, _ = shown(Instance(Path(root)).run(launch, shell))
    assert got == args
    assert {name: environment[name] for name in env} == env


def test_the_number_of_the_replica_is_that_of_its_host(instance: Instance) -> None:
    words = [sys.executable, "-c", SHOW, f"a '{REPLICA_MARK}' {REPLICA_MARK}", REPLICA_MARK]
    args, env, _ = shown(instance.run(Launch(words, env={"ME": f"<{REPLICA_MARK}>"})))
    assert args == ["a '2' 2", "2"]
    assert env["ME"] == "<2>"


def test_a_host_without_number_is_an_error(tmp_path: Path) -> None:
    instance = Instance(tmp_path, "somewhere")
    done = instance.run(Launch(["echo", "wrong"]))
    assert done.returncode != 0
    assert "wrong" not in done.stdout


def test_programs_find_what_they_look_for_on_sagemaker(instance: Instance) -> None:
    launch = Launch(
        [sys.executable, "-c", SHOW],
        instance_count=2,
        hyperparameters={"learning-rate": "1e-3", "x": 'a "b"'},
        channels=["code"],
    )
    _, env, _ = shown(instance.run(launch, SM_MODEL_DIR="/mine"))
    assert env["SM_HOSTS"] == '["algo-1", "algo-2"]'
    assert env["SM_CURRENT_HOST"] == "algo-3"
    assert env["SM_CURRENT_HOST_RANK"] == "2"
    assert env["SM_CURRENT_INSTANCE_TYPE"] == "ml.m5.large"
    assert env["NCCL_SOCKET_IFNAME"] == env["SM_NETWORK_INTERFACE_NAME"] == "eth7"
    assert env["SM_CHANNEL_CODE"].endswith("/input/data/code")
    assert env["SM_HP_LEARNING_RATE"] == "1e-3"
    assert json.loads(env["SM_HPS"]) == {"learning-rate": "1e-3", "x": 'a "b"'}
    assert env["SM_MODEL_DIR"] == "/mine"
    assert env["SM_NUM_GPUS"] == "0"


def test_code_is_unpacked_to_the_working_directory(instance: Instance) -> None:
    instance.code(main="import other; print(other.NAME)", other="NAME = 'found'")
    done = instance.run(Launch([sys.executable, "main.py"], unpacks=True, directory=CODE_DIR))
    assert done.stdout == "found\n"


def test_code_that_did_not_arrive_is_told(instance: Instance) -> None:
    done = instance.run(Launch(["echo", "wrong"], unpacks=True, directory=CODE_DIR))
    assert (done.returncode, done.stdout) == (127, "")
    told = "cannot unpack the code that was sent along"
    assert f"torchx: {told}" in done.stderr
    assert (instance.ml / "output/failure").read_text() == f"{told}\n"


class TestTorchrun:
    def launch(self, count: int) -> Launch:
        return Launch(["-m", "pkg.train", "--lr", "0.1"], count, with_torchrun=True)

    def words(self, done: subprocess.CompletedProcess[str]) -> list[str]:
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    def test_on_one_instance(self, instance: Instance) -> None:
        instance.program("torchrun", 'printf "%s\\n" "$@"')
        assert self.words(instance.run(self.launch(1))) == [
            "--nnodes=1",
            "--nproc_per_node=1",
            "-m",
            "pkg.train",
            "--lr",
            "0.1",
        ]

    def test_on_several_instances_with_gpus(self, instance: Instance) -> None:
        instance.program("torchrun", 'printf "%s\\n" "$@"')
        instance.program("nvidia-smi", "printf 'GPU 0: A (UUID: x)\\nGPU 1: A (UUID: y)\\n'")
        assert self.words(instance.run(self.launch(4)))[:5] == [
            "--nnodes=4",
            "--nproc_per_node=2",
            "--master_addr=algo-1",
            "--master_port=7777",
            "--node_rank=2",
        ]

    def test_with_neuron_cores(self, instance: Instance) -> None:
        instance.program("torchrun", 'printf "%s\\n" "$@"')
        answer = json.dumps([{"nc_count": 2}, {"nc_count": 2}])
        instance.program("neuron-ls", f"echo '{answer}'")
        assert self.words(instance.run(self.launch(1)))[1] == "--nproc_per_node=4"

    def test_an_image_without_it_will_do_for_one_process(self, instance: Instance) -> None:
        instance.program("python", 'printf "%s\\n" "$@"')
        done = instance.run(self.launch(1), path=f"{instance.bin}:/usr/bin:/bin")
        assert self.words(done) == ["-m", "pkg.train", "--lr", "0.1"]

    def test_an_image_without_it_will_not_do_for_several(self, instance: Instance) -> None:
        done = instance.run(self.launch(2), path="/usr/bin:/bin")
        assert done.returncode == 127
        assert "the image has no torchrun" in done.stderr
