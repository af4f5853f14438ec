"""The public module of the scheduler ``local_docker``, without an engine."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import time
from unittest.mock import MagicMock, patch

import pytest
import yaml
from docker.errors import APIError
from docker.types import DeviceRequest, Mount

import torchx
from torchx.schedulers import docker_scheduler
from torchx.schedulers.abilities import DescribesMany, PlansAppIds
from torchx.schedulers.docker_scheduler import (
    CONTAINER_STATE,
    DockerContainer,
    DockerJob,
    Opts,
    create_scheduler,
    ensure_network,
    has_docker,
)
from torchx.specs import (
    AppDef,
    AppState,
    BindMount,
    CfgVal,
    DeviceMount,
    Resource,
    Role,
    macros,
)

NO_ENGINE = "unix:///no/such/docker.sock"


def trainer() -> AppDef:
    return AppDef(
        "app_name",
        [
            Role(
                "trainer",
                image="pytorch/torchx:latest",
                entrypoint="main",
                args=[
                    "--output-path",
                    macros.img_root,
                    "--app-id",
                    macros.app_id,
                    "--rank0-env",
                    macros.rank0_env,
                ],
                env={"FOO": "bar"},
                resource=Resource(cpu=2, gpu=4, memMB=3000),
                port_map={"foo": 1234},
                max_retries=3,
                mounts=[
                    BindMount(src_path="/tmp", dst_path="/tmp", read_only=True),
                    DeviceMount(src_path="/dev/null", dst_path="/dev/null", permissions="rwm"),
                ],
            )
        ],
    )


def dryrun(app: AppDef, cfg: dict[str, CfgVal] | None = None) -> DockerJob:
    info = create_scheduler("test").submit_dryrun(app, Opts.from_cfg(cfg or {}))
    request: DockerJob = info.request
    return request


def test_the_request_is_what_it_has_always_been() -> None:
    expected = DockerJob(
        "app_name_42",
        [
            DockerContainer(
                image="pytorch/torchx:latest",
                command=[
                    "main",
                    "--output-path",
                    "",
                    "--app-id",
                    "app_name_42",
                    "--rank0-env",
                    "TORCHX_RANK0_HOST",
                ],
                kwargs={
                    "device_requests": [
                        DeviceRequest(count=4, capabilities=[["compute", "utility"]])
                    ],
                    "devices": ["/dev/null:/dev/null:rwm"],
                    "environment": {
                        "FOO": "bar",
                        "TORCHX_RANK0_HOST": "app_name_42-trainer-0",
                        "TORCHX_IMAGE": "pytorch/torchx:latest",
                    },
                    "labels": {
                        "torchx.pytorch.org/app-id": "app_name_42",
                        "torchx.pytorch.org/replica-id": "0",
                        "torchx.pytorch.org/role-name": "trainer",
                        "torchx.pytorch.org/version": torchx.__version__,
                    },
                    "mem_limit": "3000m",
                    "shm_size": "3000m",
                    "name": "app_name_42-trainer-0",
                    "hostname": "app_name_42-trainer-0",
                    "nano_cpus": int(2e9),
                    "restart_policy": {"MaximumRetryCount": 3, "Name": "on-failure"},
                    "network": "torchx",
                    "mounts": [Mount(target="/tmp", source="/tmp", read_only=True, type="bind")],
                    "privileged": False,
                },
            )
        ],
    )
    with patch.object(docker_scheduler, "make_unique", return_value="app_name_42"):
        got = dryrun(trainer())
    assert got == expected
    assert str(got) == str(expected)


def test_the_dry_run_shows_what_is_sent_and_no_secrets() -> None:
    app = trainer()
    app.roles[0].env["HF_TOKEN"] = "hidden"
    app.roles[0].args += ["--api-key", "hidden"]
    (shown,) = yaml.safe_load(str(dryrun(app)))
    assert "hidden" not in str(shown)
    assert shown["image"] == "pytorch/torchx:latest"
    assert shown["kwargs"]["environment"]["HF_TOKEN"] == "<redacted>"
    assert shown["kwargs"]["environment"]["TORCHELASTIC_ERROR_FILE"] == "/tmp/torchx-error.json"
    (gpus,) = shown["kwargs"]["device_requests"]
    assert gpus["DeviceIDs"] == ["0", "1", "2", "3"]
    assert set(gpus["Capabilities"][0]) == {"gpu", "compute", "utility"}


def test_two_dry_runs_leave_the_app_as_it_was() -> None:
    app = trainer()
    app.roles[0].resource.devices = {"vpc.amazonaws.com/efa": 1, "aws.amazon.com/neurondevice": 2}
    devices = [dryrun(app).containers[0].kwargs["devices"] for _ in range(2)]
    wanted = ["/dev/null", "/dev/infiniband/uverbs0", "/dev/neuron0", "/dev/neuron1"]
    assert devices == [[f"{path}:{path}:rwm" for path in wanted]] * 2
    assert len(app.roles[0].mounts) == 2


def test_what_is_not_limited_is_not_there() -> None:
    app = AppDef("app", [Role("role", image="image", entrypoint="main")])
    kwargs = dryrun(app).containers[0].kwargs
    unlimited = {"mem_limit", "shm_size", "nano_cpus", "device_requests", "restart_policy", "ports"}
    assert unlimited.isdisjoint(kwargs)


def test_variables_are_copied_by_pattern_and_a_role_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FOO_1", "BAR_1", "FOOBAR_1", "FOO_2"):
        monkeypatch.setenv(name, "copied")
    app = AppDef("app", [Role("role", image="image", entrypoint="main", env={"FOO_2": "role"})])
    cfg: dict[str, CfgVal] = {"copy_env": ["FOO_*", "BAR_*"], "env": {"BAR_1": "option"}}
    environment = dryrun(app, cfg).containers[0].kwargs["environment"]
    assert isinstance(environment, dict)
    assert {name: environment.get(name) for name in ("FOO_1", "FOO_2", "BAR_1", "FOOBAR_1")} == {
        "FOO_1": "copied",
        "FOO_2": "role",
        "BAR_1": "option",
        "FOOBAR_1": None,
    }


@pytest.mark.parametrize("cfg", [{"copy_env": "FOO_*"}, {"env": ["A=b"]}])
def test_options_of_the_wrong_type_are_refused(cfg: dict[str, CfgVal]) -> None:
    scheduler = create_scheduler("test")
    with pytest.raises(AssertionError, match=next(iter(cfg))):
        scheduler._submit_dryrun(trainer(), Opts.from_cfg(cfg))


def test_faults_of_an_app_are_told_before_anything_is_made() -> None:
    small = AppDef("app", [Role("role", "image", entrypoint="x", resource=Resource(1, 0, 5))])
    with pytest.raises(ValueError, match="at least 6 MiB"):
        dryrun(small)
    twice = AppDef("app", [Role("role", "image", entrypoint="x")] * 2)
    with pytest.raises(ValueError, match="two roles named `role`"):
        dryrun(twice)
    app = trainer()
    app.roles[0].mounts = ["/tmp"]  # type: ignore[list-item] # a mistake
    with pytest.raises(TypeError, match="unknown mount type str"):
        dryrun(app)


def test_retries_of_more_than_the_failed_replica_are_warned_about(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = trainer()
    dryrun(app)
    assert not caplog.records
    app.roles[0].num_replicas = 2
    dryrun(app)
    assert "restarts only the replica that failed" in caplog.text


def test_the_options_are_the_published_ones_and_ours() -> None:
    opts = create_scheduler("test").run_opts()
    published = {"copy_env", "env", "privileged", "image_repo", "quiet"}
    ours = {"grace_period_s", "init", "private_network", "publish_ports"}
    assert {name for name, _ in opts} == published | ours


def test_the_scheduler_can_what_others_ask_for() -> None:
    scheduler = create_scheduler("test", unknown_parameter=1)
    assert (scheduler.backend, scheduler.session_name) == ("docker", "test")
    assert isinstance(scheduler, PlansAppIds)
    assert isinstance(scheduler, DescribesMany)
    info = scheduler.submit_dryrun(trainer(), Opts())
    assert scheduler.planned_app_id(info) == info.request.app_id
    scheduler.close()
    scheduler.close()


def test_a_thousand_replicas_are_laid_out_within_a_second() -> None:
    app = trainer()
    app.roles[0].num_replicas = 1000
    started_s = time.process_time()
    job = dryrun(app)
    assert len({container.kwargs["name"] for container in job.containers}) == 1000
    assert time.process_time() - started_s < 1


def test_states_of_containers_are_the_published_ones() -> None:
    assert {word: state.name for word, state in CONTAINER_STATE.items()} == {
        "created": "SUBMITTED",
        "restarting": "PENDING",
        "running": "RUNNING",
        "paused": "PENDING",
        "removing": "PENDING",
        "dead": "FAILED",
    }


def test_the_network_is_made_unless_it_is_there() -> None:
    client = MagicMock()
    ensure_network(client)
    client.networks.create.assert_called_once_with(
        name="torchx", driver="bridge", check_duplicate=True
    )
    client.networks.create.side_effect = APIError("network with name torchx already exists")
    ensure_network(client)
    client.networks.create.side_effect = APIError("who are you?")
    with pytest.raises(APIError, match="who are you"):
        ensure_network(client)


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
def test_no_engine_is_no_docker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", NO_ENGINE)
    assert not has_docker()
    gc.collect()  # the package leaves sockets that could not be connected to it


# What a Python without the package `docker` makes of this scheduler.
WITHOUT_PACKAGE = """
import sys
sys.modules["docker"] = None
from torchx.schedulers.docker_scheduler import Opts, create_scheduler, has_docker
from torchx.specs import AppDef, Role
scheduler = create_scheduler("test")
info = scheduler.submit_dryrun(AppDef("app", [Role("role", "image", entrypoint="x")]), Opts())
assert "image: image" in str(info)
assert not has_docker()
try:
    scheduler.schedule(info)
except ModuleNotFoundError as error:
    print(error)
scheduler.close()
"""


def test_without_the_package_only_the_engine_is_out_of_reach() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_PACKAGE],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ,
    )
    assert done.stdout == (
        "the Python package `docker` is not installed: pip install 'torchx[docker]'\n"
    )


def test_importing_the_scheduler_does_not_import_the_package() -> None:
    program = "import sys, torchx.schedulers.docker_scheduler; print('docker' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"


@pytest.mark.parametrize(
    ("status", "exit_code", "state"),
    [
        ("exited", 0, AppState.SUCCEEDED),
        ("exited", 2, AppState.FAILED),
        ("running", None, AppState.RUNNING),
        ("no such word", None, AppState.UNKNOWN),
    ],
)
def test_the_state_of_a_container_object(
    status: str, exit_code: int | None, state: AppState
) -> None:
    container = MagicMock(status=status)
    container.wait.return_value = {"StatusCode": exit_code}
    assert create_scheduler("test")._get_app_state(container) == state
