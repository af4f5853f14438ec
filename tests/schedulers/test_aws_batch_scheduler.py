"""What is published of the scheduler ``aws_batch``: names, requests and answers."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any
from unittest.mock import MagicMock, patch

import pytest
import yaml

import torchx
from torchx import specs
from torchx.schedulers import aws_batch_scheduler as published
from torchx.schedulers.api import DescribeAppResponse, ListAppResponse, Stream
from torchx.schedulers.aws.service_model import find_faults
from torchx.schedulers.aws_batch_scheduler import (
    DEFAULT_ROLE_NAME,
    ENV_TORCHX_IMAGE,
    ENV_TORCHX_ROLE_IDX,
    ENV_TORCHX_ROLE_NAME,
    JOB_STATE,
    TAG_TORCHX_APPNAME,
    TAG_TORCHX_USER,
    TAG_TORCHX_VER,
    AWSBatchOpts,
    AWSBatchScheduler,
    BatchJob,
    Opts,
    ResourceType,
    _job_ui_url,
    _local_session,
    _parse_num_replicas,
    _parse_start_and_end_idx,
    _role_to_node_properties,
    create_scheduler,
    parse_ulimits,
    resource_from_resource_requirements,
    resource_requirements_from_resource,
    to_datetime,
    to_millis_since_epoch,
)
from torchx.specs import (
    MISSING,
    AppDef,
    AppState,
    BindMount,
    CfgVal,
    DeviceMount,
    Resource,
    Role,
    VolumeMount,
    macros,
)

pytestmark = pytest.mark.filterwarnings("ignore:Cannot determine the instance type")

NAME = "app-name-42"

SCRIPT = (
    f"--output-path {macros.img_root} --app-id {macros.app_id}"
    f" --replica_id {macros.replica_id} --rank0_host $${{{macros.rank0_env}:=localhost}}"
)
FINAL_SCRIPT = (
    "--output-path  --app-id app-name-42 --replica_id $AWS_BATCH_JOB_NODE_INDEX"
    " --rank0_host ${AWS_BATCH_JOB_MAIN_NODE_PRIVATE_IPV4_ADDRESS:=localhost}"
)


def make_role(**changes: Any) -> Role:
    fields: dict[str, Any] = {
        "name": "trainer",
        "image": "pytorch/torchx:latest",
        "entrypoint": "bash",
        "args": [
            "-c",
            SCRIPT,
        ],
        "env": {"FOO": "bar"},
        "num_replicas": 2,
        "max_retries": 3,
        "port_map": {"foo": 8080},
        "resource": Resource(cpu=2, memMB=3000, gpu=4),
        "mounts": [BindMount(src_path="/src", dst_path="/dst", read_only=True)],
    }
    return Role(**{**fields, **changes})


def make_app(**changes: Any) -> AppDef:
    return AppDef("test", [make_role(**changes)], metadata={"FIZZ": "buzz"})


def job_of(app: AppDef, **cfg: CfgVal) -> BatchJob:
    with patch("torchx.schedulers.aws_batch_scheduler.make_unique", return_value=NAME):
        opts = Opts.from_cfg({"queue": "q", "user": "ann", **cfg})
        info = create_scheduler("test").submit_dryrun(app, opts)
    job = info.request
    assert isinstance(job, BatchJob)
    return job


GOLDEN: dict[str, Any] = {
    "jobDefinitionName": NAME,
    "type": "multinode",
    "nodeProperties": {
        "numNodes": 2,
        "mainNode": 0,
        "nodeRangeProperties": [
            {
                "targetNodes": "0:1",
                "container": {
                    "command": [
                        "bash",
                        "-c",
                        FINAL_SCRIPT,
                    ],
                    "image": "pytorch/torchx:latest",
                    "environment": [
                        {"name": "FOO", "value": "bar"},
                        {"name": ENV_TORCHX_ROLE_IDX, "value": "0"},
                        {"name": ENV_TORCHX_ROLE_NAME, "value": "trainer"},
                        {"name": ENV_TORCHX_IMAGE, "value": "pytorch/torchx:latest"},
                    ],
                    "privileged": False,
                    "resourceRequirements": [
                        {"type": "VCPU", "value": "2"},
                        {"type": "MEMORY", "value": "3000"},
                        {"type": "GPU", "value": "4"},
                    ],
                    "linuxParameters": {"sharedMemorySize": 3000, "devices": []},
                    "logConfiguration": {"logDriver": "awslogs"},
                    "mountPoints": [
                        {"containerPath": "/dst", "readOnly": True, "sourceVolume": "mount_0"}
                    ],
                    "volumes": [{"name": "mount_0", "host": {"sourcePath": "/src"}}],
                },
            }
        ],
    },
    "retryStrategy": {
        "attempts": 3,
        "evaluateOnExit": [{"onExitCode": "0", "action": "EXIT"}],
    },
    "tags": {
        TAG_TORCHX_VER: torchx.__version__,
        TAG_TORCHX_APPNAME: "test",
        TAG_TORCHX_USER: "ann",
        "FIZZ": "buzz",
    },
}


def test_the_published_job_definition() -> None:
    job = job_of(make_app())
    assert job.job_def == GOLDEN
    assert (job.name, job.queue, job.share_id, job.images_to_push) == (NAME, "q", None, {})
    assert find_faults("batch", "RegisterJobDefinition", job.job_def) == []


def test_it_prints_as_yaml() -> None:
    job = job_of(make_app())
    job.images_to_push = {"sha256:1": ("repo", "1")}
    assert str(job) == repr(job)
    assert yaml.safe_load(str(job)) == {
        "images_to_push": {"sha256:1": ["repo", "1"]},
        "job_def": GOLDEN,
        "name": NAME,
        "queue": "q",
        "share_id": None,
    }


def test_options_reach_the_definition() -> None:
    job = job_of(
        make_app(),
        privileged=True,
        job_role_arn="arn:aws:iam::1:role/job",
        execution_role_arn="arn:aws:iam::1:role/execution",
        ulimits=["nofile:65536:65536", "memlock:-1:-1"],
    )
    container = job.job_def["nodeProperties"]["nodeRangeProperties"][0]["container"]
    assert container["privileged"] is True
    assert container["jobRoleArn"] == "arn:aws:iam::1:role/job"
    assert container["executionRoleArn"] == "arn:aws:iam::1:role/execution"
    assert container["ulimits"] == [
        {"name": "nofile", "softLimit": 65536, "hardLimit": 65536},
        {"name": "memlock", "softLimit": -1, "hardLimit": -1},
    ]


@pytest.mark.parametrize(
    ("cfg", "priority"),
    [
        ({}, None),
        ({"priority": 42}, None),
        ({"share_id": "team"}, 0),
        ({"share_id": "team", "priority": 42}, 42),
    ],
)
def test_the_priority_counts_within_a_share(cfg: dict[str, CfgVal], priority: int | None) -> None:
    job = job_of(make_app(), **cfg)
    assert job.share_id == cfg.get("share_id")
    assert job.job_def.get("schedulingPriority") == priority


def test_the_share_is_part_of_the_name() -> None:
    info = create_scheduler("test").submit_dryrun(make_app(), Opts(queue="q", share_id="team1"))
    assert info.request.name.startswith("test-team1-")


def test_metadata_may_give_the_tags_other_values() -> None:
    app = make_app()
    app.metadata = {TAG_TORCHX_USER: "ben"}
    assert job_of(app).job_def["tags"][TAG_TORCHX_USER] == "ben"


@pytest.mark.parametrize("num_replicas", [1, 2])
def test_instance_types_come_from_named_resources(num_replicas: int) -> None:
    app = make_app(
        num_replicas=num_replicas, resource=specs.named_resources_aws.aws_p3dn_24xlarge()
    )
    groups = job_of(app).job_def["nodeProperties"]["nodeRangeProperties"]
    assert [group["container"]["instanceType"] for group in groups] == ["p3dn.24xlarge"]


@pytest.mark.parametrize("num_replicas", [1, 2])
def test_other_resources_tell_no_instance_type(num_replicas: int) -> None:
    job = job_of(make_app(num_replicas=num_replicas))
    (group,) = job.job_def["nodeProperties"]["nodeRangeProperties"]
    assert "instanceType" not in group["container"]


@pytest.mark.filterwarnings("default:Cannot determine the instance type")
def test_a_missing_instance_type_is_warned_of() -> None:
    with pytest.warns(UserWarning, match="K8S_ITYPE"):
        _role_to_node_properties(make_role(), 0)


def test_a_role_is_a_range_of_nodes() -> None:
    assert _role_to_node_properties(make_role(num_replicas=1), 2)["targetNodes"] == "2:2"
    assert _role_to_node_properties(make_role(num_replicas=3), 2)["targetNodes"] == "2:4"


def test_mounts() -> None:
    role = make_role(
        mounts=[
            VolumeMount(src="fs-1", dst_path="/efs", read_only=True),
            DeviceMount(src_path="/dev/fuse", dst_path="/dev/f", permissions="wr"),
        ]
    )
    container = _role_to_node_properties(role, 0)["container"]
    assert container["volumes"] == [
        {"name": "mount_0", "efsVolumeConfiguration": {"fileSystemId": "fs-1"}}
    ]
    assert container["mountPoints"] == [
        {"containerPath": "/efs", "readOnly": True, "sourceVolume": "mount_0"}
    ]
    assert container["linuxParameters"]["devices"] == [
        {"hostPath": "/dev/fuse", "containerPath": "/dev/f", "permissions": ["WRITE", "READ"]}
    ]
    with pytest.raises(TypeError, match="unknown mount type"):
        _role_to_node_properties(make_role(mounts=["/x"]), 0)


def test_devices_of_a_resource_are_mounted_and_the_role_stays_as_it_was() -> None:
    devices = {"vpc.amazonaws.com/efa": 2, "aws.amazon.com/neurondevice": 1}
    role = make_role(resource=Resource(1, 0, 1000, devices=devices), mounts=[])
    for _ in range(2):
        container = _role_to_node_properties(role, 0)["container"]
        assert container["linuxParameters"]["devices"] == [
            {"hostPath": path, "containerPath": path, "permissions": ["READ", "WRITE", "MKNOD"]}
            for path in ("/dev/infiniband/uverbs0", "/dev/infiniband/uverbs1", "/dev/neuron0")
        ]
    assert role.mounts == []


@pytest.mark.parametrize(
    ("resource", "expected"),
    [
        (Resource(2, 0, 1024), {"VCPU": "2", "MEMORY": "1024"}),
        (Resource(0, 0, 1024), {"VCPU": "1", "MEMORY": "1024"}),
        (Resource(2, 2, 1024), {"VCPU": "2", "MEMORY": "1024", "GPU": "2"}),
    ],
)
def test_resources_are_asked_for(resource: Resource, expected: dict[str, str]) -> None:
    requirements = resource_requirements_from_resource(resource)
    assert requirements == [{"type": name, "value": value} for name, value in expected.items()]
    assert resource_from_resource_requirements(requirements[::-1]) == Resource(
        max(1, resource.cpu), resource.gpu, resource.memMB
    )


def test_memory_must_be_positive() -> None:
    with pytest.raises(AssertionError, match="memMB must be positive, not 0"):
        resource_requirements_from_resource(Resource(1, 0, 0))
    with pytest.raises(KeyError):
        resource_from_resource_requirements([{"type": "VCPU", "value": "1"}])


def test_kinds_of_resources() -> None:
    assert [kind.name for kind in ResourceType] == ["VCPU", "GPU", "MEMORY"]
    assert ResourceType.from_str("gpu") is ResourceType.GPU
    with pytest.raises(ValueError, match=r"'disk'.*\['VCPU', 'GPU', 'MEMORY'\]"):
        ResourceType.from_str("disk")


@pytest.mark.parametrize(
    ("target", "num_nodes", "ends"),
    [
        ("2:5", 6, (2, 5)),
        ("0:5", 6, (0, 5)),
        ("2:3", 6, (2, 3)),
        (":2", 6, (0, 2)),
        ("5:", 6, (5, 5)),
        (":", 6, (0, 5)),
        ("0", 1, (0, 0)),
    ],
)
def test_ranges_of_nodes(target: str, num_nodes: int, ends: tuple[int, int]) -> None:
    assert _parse_start_and_end_idx(target, num_nodes) == ends
    assert _parse_num_replicas(target, num_nodes) == ends[1] - ends[0] + 1


def test_ulimits() -> None:
    assert parse_ulimits([]) == []
    assert parse_ulimits([" ", " memlock:-1:-1 "]) == [
        {"name": "memlock", "softLimit": -1, "hardLimit": -1}
    ]
    for wrong in ("invalid", "a:b:c"):
        with pytest.raises(ValueError, match="invalid"):
            parse_ulimits([wrong])


def test_times() -> None:
    moment = datetime(2026, 1, 31, 12, 0, 0, 123456, tzinfo=timezone.utc)
    assert to_millis_since_epoch(moment) == 1769860800123
    local = to_datetime(1769860800123)
    assert local.tzinfo is None
    assert to_millis_since_epoch(local) == 1769860800123


@pytest.mark.parametrize(
    ("arn", "url"),
    [
        (
            "arn:aws:batch:us-west-2:123:job/a-1",
            "https://us-west-2.console.aws.amazon.com/batch/home?region=us-west-2#jobs/mnp-job/a-1",
        ),
        (
            "arn:aws-cn:batch:cn-north-1:123:job/a-1",
            "https://cn-north-1.console.amazonaws.cn/batch/home?region=cn-north-1#jobs/mnp-job/a-1",
        ),
        ("thisisnotanarn", None),
    ],
)
def test_pages_of_the_console(arn: str, url: str | None) -> None:
    assert _job_ui_url(arn) == url


def test_run_options_are_those_that_were_published() -> None:
    opts = create_scheduler("test").run_opts()
    assert list(opts._opts) == [
        "queue",
        "user",
        "image_repo",
        "privileged",
        "share_id",
        "priority",
        "job_role_arn",
        "execution_role_arn",
        "ulimits",
        "quiet",
    ]
    resolved = opts.resolve({"queue": "q"})
    assert resolved["user"]
    assert opts.cfg_from_str("queue=q,ulimits=nofile:1:2,memlock:-1:-1")["ulimits"] == [
        "nofile:1:2",
        "memlock:-1:-1",
    ]
    assert AWSBatchOpts is Opts
    assert Opts(queue="q", job_role_arn="r")["job_role_arn"] == "r"


# --- The scheduler, with clients that answer like those of earlier tests


class FakePaginator:
    """One object for all operations, which remembers only the last of them."""

    def __init__(self, pages: dict[str, list[dict[str, Any]]]) -> None:
        self._pages = pages
        self._operation = ""

    def __call__(self, operation: str) -> FakePaginator:
        self._operation = operation
        return self

    def paginate(self, **arguments: Any) -> Iterator[dict[str, Any]]:
        return iter(self._pages[self._operation])


DESCRIBED: dict[str, Any] = {
    "jobArn": "arn:aws:batch:us-west-2:495572122715:job/6afc27d7-3559-43ca-89fd-1007b6bf2546",
    "jobName": "echo-v1r560pmwn5t3c",
    "jobId": "6afc27d7-3559-43ca-89fd-1007b6bf2546",
    "jobQueue": "arn:aws:batch:us-west-2:495572122715:job-queue/testing2",
    "status": "SUCCEEDED",
    "attempts": [{"container": {"logStreamName": "log_stream"}}],
    "retryStrategy": {"attempts": 1, "evaluateOnExit": []},
    "nodeProperties": {
        "numNodes": 2,
        "mainNode": 0,
        "nodeRangeProperties": [
            {
                "targetNodes": "0:1",
                "container": {
                    "image": "ghcr.io/pytorch/torchx:0.1.2dev0",
                    "command": ["echo", "your name"],
                    "volumes": [],
                    "environment": [
                        {"name": ENV_TORCHX_ROLE_IDX, "value": "0"},
                        {"name": ENV_TORCHX_ROLE_NAME, "value": "echo"},
                    ],
                    "mountPoints": [],
                    "ulimits": [],
                    "resourceRequirements": [
                        {"value": "1", "type": "VCPU"},
                        {"value": "1000", "type": "MEMORY"},
                    ],
                },
            }
        ],
    },
    "tags": {TAG_TORCHX_VER: "0.2.0dev0", TAG_TORCHX_APPNAME: "echo"},
}


@pytest.fixture
def client() -> MagicMock:
    fake = MagicMock()
    fake.get_paginator.side_effect = FakePaginator(
        {
            "describe_job_queues": [
                {"jobQueues": [{"jobQueueName": "torchx", "state": "ENABLED"}]}
            ],
            "list_jobs": [
                {
                    "jobSummaryList": [
                        {
                            "jobArn": DESCRIBED["jobArn"],
                            "jobId": DESCRIBED["jobId"],
                            "jobName": NAME,
                            "status": "SUCCEEDED",
                        }
                    ]
                }
            ],
        }
    )
    fake.describe_jobs.return_value = {"jobs": [{**DESCRIBED, "jobName": NAME}]}
    return fake


class FakeLogs:
    def get_log_events(self, **arguments: Any) -> dict[str, Any]:
        assert arguments["logStreamName"] == "log_stream"
        assert arguments["startTime"] == 1000
        assert arguments["endTime"] == 4000
        events = [
            {"timestamp": 2000 + number, "message": text}
            for number, text in enumerate(["foo", "foobar", "bar"])
        ]
        return {"nextForwardToken": "some_token", "events": events}


def read_log(scheduler: AWSBatchScheduler, role: str = "echo") -> list[str]:
    lines = scheduler.log_iter(
        "testing2:echo-v1r560pmwn5t3c",
        role,
        1,
        regex="foo.*",
        since=datetime.fromtimestamp(1),
        until=datetime.fromtimestamp(4),
    )
    return list(lines)


def test_submitting_calls_each_operation_once(client: MagicMock) -> None:
    scheduler = create_scheduler("test", client=client)
    info = scheduler.submit_dryrun(make_app(), Opts(queue="testqueue"))
    app_id = scheduler.schedule(info)
    assert app_id == f"testqueue:{info.request.name}"
    assert scheduler.planned_app_id(info) == app_id
    client.register_job_definition.assert_called_once_with(**info.request.job_def)
    client.submit_job.assert_called_once_with(
        jobName=info.request.name,
        jobQueue="testqueue",
        jobDefinition=info.request.name,
        tags=info.request.job_def["tags"],
    )


def test_a_request_without_a_config_is_refused(client: MagicMock) -> None:
    scheduler = create_scheduler("test", client=client)
    info = scheduler.submit_dryrun(make_app(), Opts(queue="testqueue"))
    info._cfg = None  # type: ignore[assignment]
    with pytest.raises(AssertionError, match="missing cfg"):
        scheduler.schedule(info)


def test_describing_a_job(client: MagicMock) -> None:
    status = create_scheduler("test", client=client).describe(f"torchx:{NAME}")
    assert isinstance(status, DescribeAppResponse)
    assert status.app_id == f"torchx:{NAME}"
    assert status.state == AppState.SUCCEEDED
    assert status.ui_url == (
        "https://us-west-2.console.aws.amazon.com/batch/home?region=us-west-2"
        "#jobs/mnp-job/6afc27d7-3559-43ca-89fd-1007b6bf2546"
    )
    assert status.roles == [
        Role(
            name="echo",
            num_replicas=2,
            image="ghcr.io/pytorch/torchx:0.1.2dev0",
            entrypoint="echo",
            args=["your name"],
            env={ENV_TORCHX_ROLE_IDX: "0", ENV_TORCHX_ROLE_NAME: "echo"},
            resource=Resource(cpu=1, memMB=1000, gpu=0),
        )
    ]


def test_a_container_without_a_role_or_a_command(client: MagicMock) -> None:
    (group,) = DESCRIBED["nodeProperties"]["nodeRangeProperties"]
    bare = {**group, "container": {"image": "x"}}
    client.describe_jobs.return_value = {
        "jobs": [{**DESCRIBED, "nodeProperties": {"numNodes": 2, "nodeRangeProperties": [bare]}}]
    }
    status = create_scheduler("test", client=client).describe(f"torchx:{NAME}")
    assert status is not None
    assert [(role.name, role.entrypoint) for role in status.roles] == [(DEFAULT_ROLE_NAME, MISSING)]


def test_listing_jobs(client: MagicMock) -> None:
    assert create_scheduler("test", client=client).list() == [
        ListAppResponse(app_id=f"torchx:{NAME}", state=AppState.SUCCEEDED)
    ]


def test_listing_no_jobs(client: MagicMock) -> None:
    client.get_paginator.side_effect = FakePaginator(
        {
            "describe_job_queues": [{"jobQueues": [{"jobQueueName": "torchx"}]}],
            "list_jobs": [{"jobSummaryList": []}],
        }
    )
    assert create_scheduler("test", client=client).list() == []
    client.describe_jobs.assert_not_called()


def test_the_log_of_a_job_that_has_ended(client: MagicMock) -> None:
    scheduler = create_scheduler("test", client=client, log_client=FakeLogs())
    assert read_log(scheduler) == ["foo\n", "foobar\n"]


def test_the_log_of_a_running_job(client: MagicMock) -> None:
    group = {
        "targetNodes": "0:2",
        "container": {"environment": [{"name": ENV_TORCHX_ROLE_NAME, "value": "echo"}]},
    }
    parent = {"nodeProperties": {"numNodes": 2, "nodeRangeProperties": [group]}}
    node = {"status": "RUNNING", "attempts": [], "container": {"logStreamName": "log_stream"}}
    client.describe_jobs.side_effect = [{"jobs": [parent]}, {"jobs": [node]}]
    scheduler = create_scheduler("test", client=client, log_client=FakeLogs())
    assert read_log(scheduler) == ["foo\n", "foobar\n"]
    assert client.describe_jobs.call_args.kwargs == {"jobs": [f"{DESCRIBED['jobId']}#1"]}


def test_a_log_of_one_output_only_is_refused_at_once(client: MagicMock) -> None:
    scheduler = create_scheduler("test", client=client)
    with pytest.raises(ValueError, match="only supports COMBINED"):
        scheduler.log_iter("q:x", "echo", streams=Stream.STDERR)


def test_apps_are_checked_before_their_workspaces_are_built() -> None:
    scheduler = create_scheduler("test")
    with pytest.raises(ValueError, match="num_replicas must be at least 1"):
        scheduler._pre_build_validate(make_app(num_replicas=0), "aws_batch", Opts(queue="q"))


def test_the_factory_uses_what_it_is_given_and_ignores_the_rest() -> None:
    client, log_client, docker_client = MagicMock(), MagicMock(), MagicMock()
    scheduler = create_scheduler(
        "test", client=client, log_client=log_client, docker_client=docker_client, other=1
    )
    assert isinstance(scheduler, AWSBatchScheduler)
    assert scheduler.backend == "aws_batch"
    assert scheduler._client is client
    assert scheduler._log_client is log_client
    assert scheduler._docker_client is docker_client


def test_each_thread_has_a_session_of_its_own() -> None:
    others: list[Any] = []
    thread = threading.Thread(target=lambda: others.append(_local_session()))
    thread.start()
    thread.join()
    assert _local_session() is _local_session()
    assert others[0] is not _local_session()


def test_the_published_states() -> None:
    assert JOB_STATE == {
        "SUBMITTED": AppState.PENDING,
        "PENDING": AppState.PENDING,
        "RUNNABLE": AppState.PENDING,
        "STARTING": AppState.PENDING,
        "RUNNING": AppState.RUNNING,
        "SUCCEEDED": AppState.SUCCEEDED,
        "FAILED": AppState.FAILED,
    }


def test_all_published_names_are_there() -> None:
    names = ["_thread_local_cache", "_get_job_id", "make_unique", "AWSBatchOpts"]
    found = {*vars(published), *dir(AWSBatchScheduler)}
    assert set(names) <= found


def test_importing_and_a_dry_run_need_no_sdk_and_no_aws() -> None:
    program = """
import sys
sys.modules["boto3"] = sys.modules["botocore"] = None
from importlib.util import find_spec
import importlib.util
importlib.util.find_spec = lambda name, *rest: None if name == "botocore" else find_spec(name)
from torchx.schedulers.aws_batch_scheduler import Opts, create_scheduler
from torchx.specs import AppDef, Resource, Role
app = AppDef("test", [Role("job", "image", entrypoint="echo", resource=Resource(1, 0, 100))])
info = create_scheduler("test").submit_dryrun(app, Opts(queue="q"))
assert "echo" in str(info)
try:
    create_scheduler("test").schedule(info)
except ModuleNotFoundError as error:
    print(error)
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, env={}
    )
    assert "pip install 'torchx[aws]'" in ended.stdout
