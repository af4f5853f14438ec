"""What is published of the scheduler `aws_sagemaker`, as code of others relies on it."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any, cast
from unittest.mock import MagicMock, patch

import pytest

from torchx.errors import TorchXError
from torchx.schedulers import aws_sagemaker_scheduler as published
from torchx.schedulers.api import StructuredOpts
from torchx.schedulers.aws_sagemaker_scheduler import (
    JOB_STATE,
    AWSSageMakerJob,
    AWSSageMakerOpts,
    AWSSageMakerScheduler,
    Opts,
    create_scheduler,
)
from torchx.specs import (
    AppDef,
    AppDryRunInfo,
    AppState,
    BindMount,
    CfgVal,
    DeviceMount,
    InvalidRunConfigException,
    Resource,
    Role,
    VolumeMount,
    Workspace,
    macros,
)

CFG: dict[str, CfgVal] = {
    "role": "arn:aws:iam::123456789012:role/training",
    "instance_type": "ml.m5.large",
    "instance_count": 2,
}


def an_app(*args: str, **fields: Any) -> AppDef:
    role = Role(name="trainer", image="test-image:latest", args=list(args) or ["-m", "train"])
    for name, value in fields.items():
        setattr(role, name, value)
    return AppDef(name="my-app", roles=[role])


def dryrun(app: AppDef, cfg: dict[str, CfgVal]) -> AppDryRunInfo[AWSSageMakerJob]:
    return create_scheduler("session").submit_dryrun(app, cast(Opts, cfg))


def job_def_of(app: AppDef, **options: CfgVal) -> dict[str, Any]:
    return dryrun(app, {**CFG, **options}).request.job_def


class TestNames:
    def test_the_options_are_a_dataclass(self) -> None:
        opts = Opts(
            role="r", instance_type="ml.m5.large", subnets=["s-1"], security_group_ids=["sg-1"]
        )
        assert isinstance(opts, StructuredOpts)
        assert AWSSageMakerOpts is Opts
        assert (opts.subnets, opts.security_group_ids) == (["s-1"], ["sg-1"])
        assert (opts.instance_count, opts.tags, opts.max_run) == (1, {}, None)

    def test_the_options_come_in_their_order(self) -> None:
        names = list(create_scheduler("session").run_opts()._opts)
        assert names[:3] == ["role", "instance_type", "instance_count"]
        assert names[28:] == ["enable_infra_check", "image_repo", "quiet"]

    @pytest.mark.parametrize("missing", ["role", "instance_type"])
    def test_role_and_type_are_required(self, missing: str) -> None:
        given = {name: value for name, value in CFG.items() if name != missing}
        with pytest.raises(InvalidRunConfigException):
            dryrun(an_app(), given)

    def test_a_number_is_no_text(self) -> None:
        with pytest.raises(InvalidRunConfigException):
            dryrun(an_app(), {**CFG, "instance_count": "2"})

    def test_the_states(self) -> None:
        assert JOB_STATE == {
            "InProgress": AppState.RUNNING,
            "Completed": AppState.SUCCEEDED,
            "Failed": AppState.FAILED,
            "Stopping": AppState.CANCELLED,
            "Stopped": AppState.CANCELLED,
        }

    def test_the_session_is_one_for_each_thread(self) -> None:
        sessions = [published._local_session()]
        thread = threading.Thread(target=lambda: sessions.append(published._local_session()))
        thread.start()
        thread.join()
        assert published._local_session() is sessions[0]
        assert sessions[1] is not sessions[0]

    def test_merging_keeps_the_order(self) -> None:
        merged = published._merge_ordered({"b": "1", "a": "2"}, {"c": "3", "b": "4"})
        assert merged == OrderedDict([("b", "4"), ("a", "2"), ("c", "3")])
        assert published._merge_ordered(None, {"x": "y"}) == OrderedDict(x="y")

    def test_a_scheduler_is_made_with_the_clients_that_it_is_given(self) -> None:
        client, docker, logs = MagicMock(), MagicMock(), MagicMock()
        scheduler = create_scheduler(
            "session", client=client, docker_client=docker, log_client=logs, unknown=1
        )
        assert isinstance(scheduler, AWSSageMakerScheduler)
        assert scheduler._client is client
        assert scheduler._docker_client is docker
        assert scheduler._clients.get("logs") is logs

    def test_neither_boto3_nor_docker_is_imported_for_a_dry_run(self, tmp_path: Path) -> None:
        program = """
import sys
from torchx.runner import get_runner
from torchx.specs import AppDef, Role
app = AppDef("x", [Role("r", "image", entrypoint="echo", args=["hello"])])
cfg = {"role": "training", "instance_type": "ml.m5.large"}
with get_runner() as runner:
    print(runner.dryrun(app, "aws_sagemaker", cfg))
wrong = {"boto3", "docker", "sagemaker", "fsspec"} & set(sys.modules)
assert not wrong, wrong
"""
        env = {"HOME": str(tmp_path), "TORCHX_HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
        done = subprocess.run(
            [sys.executable, "-c", program], env=env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert "ContainerEntrypoint:\n    - echo" in done.stdout


class TestArguments:
    def test_a_launcher_configuration(self) -> None:
        scheduler = create_scheduler("session")
        args = ["--", "--config-path", "p/c", "--config-name", "c.yaml"]
        expected = OrderedDict([("config-path", "p/c"), ("config-name", "c.yaml")])
        assert scheduler._parse_args(args) == ("--", expected)
        expected["overrides"] = "key1=value1"
        assert scheduler._parse_args([*args, "--overrides", "key1=value1"]) == ("--", expected)

    @pytest.mark.parametrize(
        ("args", "entry", "hyperparameters"),
        [
            (["s.py", "--x=1=2"], "s.py", {"x": "1=2"}),
            (["-m", "pkg.train", "--a", "--b"], "-m pkg.train", {"a": "--b"}),
        ],
    )
    def test_pairs(self, args: list[str], entry: str, hyperparameters: dict[str, str]) -> None:
        assert create_scheduler("session")._parse_args(args) == (entry, hyperparameters)

    @pytest.mark.parametrize(
        ("args", "message"),
        [
            ([], "not enough args"),
            (["-m"], "Missing module name"),
            (["arg1", "arg2", "arg3"], "only supports arguments that start with --"),
            (["s.py", "--flag"], "only supports named arguments"),
            (["-m", "mod", "--a", "--b", "c"], "only supports named arguments"),
        ],
    )
    def test_everything_else_is_refused(self, args: list[str], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            create_scheduler("session")._parse_args(args)


class TestDescription:
    def test_the_published_form(self) -> None:
        job_def = job_def_of(an_app("-m", "train", "--epochs=10"))
        assert job_def["training_image"] == "test-image:latest"
        assert job_def["source_code"] == {"entry_script": "-m train", "source_dir": str(Path.cwd())}
        assert job_def["distributed"] is True
        assert job_def["hyperparameters"] == {"epochs": "10"}
        assert job_def["compute"] == {"instance_type": "ml.m5.large", "instance_count": 2}
        assert job_def["role"] == CFG["role"]
        assert "tags" not in job_def
        assert "stopping_condition" not in job_def

    def test_the_name_of_the_job(self) -> None:
        with patch.object(published, "make_unique", return_value="app-name-42"):
            info = dryrun(an_app(), CFG)
        assert info.request.job_name == "app-name-42"
        assert info.request.job_def["base_job_name"] == "app-name-42"
        assert job_def_of(an_app(), base_job_name="mine")["base_job_name"] == "mine"

    def test_tags_are_those_of_the_options_and_of_the_app(self) -> None:
        app = an_app()
        app.metadata = {"app_key": "app_value"}
        assert job_def_of(app)["tags"] == [{"key": "app_key", "value": "app_value"}]
        tags = job_def_of(app, tags={"env": "prod", "team": "ml"})["tags"]
        assert [tag["key"] for tag in tags] == ["env", "team", "app_key"]

    def test_options_have_their_places(self) -> None:
        job_def = job_def_of(
            an_app(),
            subnets=["subnet-1"],
            security_group_ids=["sg-1"],
            enable_network_isolation=True,
            encrypt_inter_container_traffic=False,
            max_run=60,
            max_wait=120,
            checkpoint_s3_uri="s3://bucket/checkpoints",
            checkpoint_local_path="/tmp/checkpoints",
            output_path="s3://bucket/out",
            output_kms_key="key",
            disable_output_compression=True,
            volume_size=50,
            volume_kms_key="volume-key",
            keep_alive_period_in_seconds=600,
            use_spot_instances=True,
        )
        assert job_def["networking"] == {
            "subnets": ["subnet-1"],
            "security_group_ids": ["sg-1"],
            "enable_network_isolation": True,
            "enable_inter_container_traffic_encryption": False,
        }
        assert job_def["stopping_condition"] == {
            "max_runtime_in_seconds": 60,
            "max_wait_time_in_seconds": 120,
        }
        assert job_def["checkpoint_config"] == {
            "s3_uri": "s3://bucket/checkpoints",
            "local_path": "/tmp/checkpoints",
        }
        assert job_def["output_data_config"] == {
            "s3_output_path": "s3://bucket/out",
            "kms_key_id": "key",
            "compression_type": "NONE",
        }
        assert job_def["compute"] == {
            "instance_type": "ml.m5.large",
            "instance_count": 2,
            "volume_size_in_gb": 50,
            "volume_kms_key_id": "volume-key",
            "keep_alive_period_in_seconds": 600,
            "enable_managed_spot_training": True,
        }

    def test_a_key_for_results_without_a_place_for_them_is_warned_about(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        job_def = job_def_of(an_app(), output_kms_key="key")
        assert "output_data_config" not in job_def
        warned = [record for record in caplog.records if record.name == published.__name__]
        assert [record.levelname for record in warned] == ["WARNING"]
        assert "output_path" in warned[0].message

    @pytest.mark.parametrize("option", ["environment", "hyperparameters", "tags"])
    def test_an_option_that_is_no_dict_is_refused(self, option: str) -> None:
        scheduler = create_scheduler("session")
        with pytest.raises(AssertionError, match=f"`{option}` must be a dict, not str"):
            scheduler._submit_dryrun(an_app(), Opts.from_cfg({**CFG, option: "a=b"}))

    def test_a_job_prints_without_secrets_and_without_tags_of_python(self) -> None:
        job = AWSSageMakerJob("x", {"environment": {"MY_TOKEN": "sesame-open"}}, {"i": ("r", "t")})
        assert "sesame" not in str(job)
        assert "!!" not in repr(job)
        assert repr(job).startswith("job_name: x\njob_def:\n  environment:\n    MY_TOKEN:")


class TestWholeRole:
    """What earlier releases dropped of a role."""

    def test_macros_are_substituted_and_the_caller_keeps_its_role(self) -> None:
        app = an_app(
            "train.py",
            "--id",
            macros.app_id,
            env={"ROOT": macros.img_root, "RANK0": macros.rank0_env, "ME": macros.replica_id},
        )
        before = repr(app)
        job_def = job_def_of(app)
        job_name = job_def["torchx"]["job_name"]
        assert job_def["hyperparameters"] == {"id": job_name}
        assert job_def["environment"]["ROOT"] == "/opt/ml/code"
        assert job_def["environment"]["RANK0"] == "TORCHX_RANK0_HOST"
        assert job_def["torchx"]["environment"] == {"ME": "\0"}
        assert job_def["environment"]["TORCHX_JOB_ID"] == f"aws_sagemaker://session/{job_name}"
        assert repr(app) == before

    def test_replicas_are_instances(self) -> None:
        job_def = job_def_of(an_app(num_replicas=3), instance_count=1)
        assert job_def["compute"]["instance_count"] == 3
        with pytest.raises(ValueError, match="has 3 replicas, but the run option `instance_count`"):
            job_def_of(an_app(num_replicas=3))

    @pytest.mark.parametrize(
        ("resource", "expected"),
        [
            (Resource(1, 0, 1000), "ml.t3.medium"),
            (Resource(8, 2, 1000), "ml.p3.8xlarge"),
            (Resource(192, 8, 2_000_000), "ml.p5.48xlarge"),
            (Resource(1, 0, 1, {"node.kubernetes.io/instance-type": "p4d.24xlarge"}), None),
        ],
    )
    def test_the_resource_tells_the_type(self, resource: Resource, expected: str | None) -> None:
        job_def = job_def_of(an_app(resource=resource), instance_type="auto")
        assert job_def["compute"]["instance_type"] == (expected or "ml.p4d.24xlarge")

    def test_a_resource_that_no_type_has_is_refused(self) -> None:
        with pytest.raises(ValueError, match="more than any instance type"):
            job_def_of(an_app(resource=Resource(1, 9, 1)), instance_type="auto")
        with pytest.raises(ValueError, match=r"asks for 1 GPUs, but ml\.m5\.large has 0"):
            job_def_of(an_app(resource=Resource(1, 1, 1)))

    def test_a_command_stays_what_it_is(self) -> None:
        job_def = job_def_of(an_app("-c", "torchrun x.py", entrypoint="bash"))
        assert job_def["torchx"]["words"] == ["bash", "-c", "torchrun x.py"]
        assert job_def["distributed"] is False
        assert job_def["source_code"] == {"entry_script": "bash"}

    def test_flags_and_positional_arguments_arrive(self) -> None:
        job_def = job_def_of(
            an_app("train.py", "data", "--fast", entrypoint="python"), hyperparameters={"lr": "1"}
        )
        assert job_def["torchx"]["words"] == ["train.py", "--lr", "1", "data", "--fast"]

    @pytest.mark.parametrize(
        "mount",
        [
            BindMount("/a", "/data"),
            VolumeMount("v", "/data"),
            DeviceMount("/dev/a", "/data"),
        ],
    )
    def test_mounts_are_refused(self, mount: BindMount | VolumeMount | DeviceMount) -> None:
        with pytest.raises(ValueError, match="role `trainer` mounts /data"):
            job_def_of(an_app(mounts=[mount]))

    def test_all_faults_of_an_app_are_told_at_once(self) -> None:
        role = Role("a", "i", args=["x"], env={"a-b": "1"}, mounts=[DeviceMount("/d", "/d")])
        with pytest.raises(ValueError, match="exactly one role") as raised:
            dryrun(AppDef("x", [role, role]), CFG)
        assert "mounts /d" in str(raised.value)
        assert "'a-b'" in str(raised.value)

    def test_code_that_is_in_the_image_is_not_sent_again(self) -> None:
        app = an_app(workspace=Workspace({"/tmp": ""}), image="sha256:abc")
        job_def = job_def_of(app, image_repo="example.com/repo")
        assert "source_dir" not in job_def["source_code"]
        assert job_def["training_image"] == "example.com/repo:abc"
        assert app.roles[0].image == "sha256:abc"

    def test_a_patched_image_without_a_repository_is_refused(self) -> None:
        with pytest.raises(KeyError, match="image_repo"):
            job_def_of(an_app(image="sha256:abc"))


class TestCalls:
    def test_a_job_is_scheduled_by_a_trainer(self) -> None:
        docker = MagicMock()
        scheduler = AWSSageMakerScheduler("session", client=MagicMock(), docker_client=docker)
        job = AWSSageMakerJob("name", {"a": 1}, {"image1": ("tag1", "repo1")})
        info = AppDryRunInfo(job, repr)
        with patch.object(published, "_build_model_trainer") as build:
            build.return_value._latest_training_job.get_name.return_value = "real-name"
            assert scheduler.schedule(info) == "real-name"
            build.assert_called_once_with({"a": 1})
            build.return_value.train.assert_called_once_with(wait=False)
            build.return_value._latest_training_job = None
            assert scheduler.schedule(info) == "name"
        assert docker.images.push.called

    def test_describe(self) -> None:
        client = MagicMock()
        arn = "arn:aws:sagemaker:us-west-2:1234:training-job/job-id"
        answer = {"TrainingJobStatus": "InProgress", "TrainingJobArn": arn}
        client.describe_training_job.return_value = answer
        scheduler = AWSSageMakerScheduler(session_name="session", client=client)
        found = scheduler.describe("app-id")
        assert found is not None
        assert (found.app_id, found.state) == ("app-id", AppState.RUNNING)
        assert found.ui_url == (
            "https://us-west-2.console.aws.amazon.com/sagemaker/home?region=us-west-2#jobs/job-id"
        )
        client.describe_training_job.assert_called_once_with(TrainingJobName="app-id")
        assert scheduler._get_job("app-id") == answer

    def test_cancel(self) -> None:
        client = MagicMock()
        AWSSageMakerScheduler("session", client=client)._cancel_existing("app-id")
        client.stop_training_job.assert_called_once_with(TrainingJobName="app-id")

    def test_a_subclass_chooses_the_client(self) -> None:
        chosen = MagicMock()

        class Mine(AWSSageMakerScheduler):
            @property
            def _client(self) -> Any:
                return chosen

        app = an_app(entrypoint="true")
        cfg = cast(Opts, {**CFG, "output_path": "s3://bucket/x"})
        scheduler = Mine("session")
        app_id = scheduler.submit(app, cfg)
        assert chosen.create_training_job.call_args.kwargs["TrainingJobName"] == app_id
        scheduler.cancel(app_id)
        chosen.stop_training_job.assert_called_once_with(TrainingJobName=app_id)

    def test_an_object_with_a_client_alone_neither_lists_nor_reads_logs(self) -> None:
        scheduler = AWSSageMakerScheduler("session", client=MagicMock())
        with pytest.raises(NotImplementedError):
            scheduler.list()
        with pytest.raises(NotImplementedError):
            scheduler.log_iter("testqueue:app-name-42", "echo", k=1, regex="foo.*")


class TestOptionsThatDoNotGoTogether:
    @pytest.mark.parametrize(
        ("options", "fault"),
        [
            ({"role": "arn:aws:iam::12:role/x"}, "`role` is no ARN of a role"),
            ({"subnets": ["s-1"]}, "`subnets` is of no use without `security_group_ids`"),
            ({"max_wait": 60}, "`max_wait` is of no use without `use_spot_instances`"),
            ({"use_spot_instances": True, "max_wait": 60}, "is less than `max_run`"),
            (
                {"use_spot_instances": True, "keep_alive_period_in_seconds": 60},
                "exclude each other",
            ),
            ({"checkpoint_local_path": "/x"}, "without `checkpoint_s3_uri`"),
            ({"training_repository_access_mode": "Vpc"}, "needs `subnets`"),
            ({"channels": {"code": "s3://b/x"}}, "the channel `code` is used for the code"),
            ({"channels": {"x": "/data"}}, "must be s3://, efs:// or fsx://, not /data"),
            ({"channels": {"x": "efs://fs-1/"}}, "the channel `x` needs `subnets`"),
            ({"max_retry_attempts": 31}, "`max_retry_attempts` must be 1 to 30, not 31"),
        ],
    )
    def test_are_refused_before_anything_is_built(
        self, options: dict[str, CfgVal], fault: str
    ) -> None:
        from torchx.runner import get_runner

        with get_runner() as runner, pytest.raises((ValueError, TorchXError)) as raised:
            runner.dryrun(an_app(), "aws_sagemaker", {**CFG, **options}, workspace="/no/such")
        assert fault in str(raised.value)


def test_the_page_of_a_job() -> None:
    scheduler = create_scheduler("test", client=MagicMock())
    page = scheduler._job_ui_url("arn:aws:sagemaker:us-west-2:1234567890:training-job/job-id")
    assert page is not None
    assert page.endswith("/sagemaker/home?region=us-west-2#jobs/job-id")
    assert scheduler._job_ui_url("no-arn") is None


def test_a_request_without_its_config_is_not_sent() -> None:
    client = MagicMock()
    scheduler = create_scheduler("test", client=client)
    info: AppDryRunInfo[AWSSageMakerJob] = AppDryRunInfo(MagicMock(), str)
    info._cfg = None  # type: ignore[assignment]  # what a careless caller does
    with pytest.raises(AssertionError, match="missing cfg"):
        scheduler.schedule(info)
    assert client.mock_calls == []
