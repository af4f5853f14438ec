"""Turns the description of a training job into the CreateTrainingJob request. No I/O here."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torchx
from torchx.schedulers.aws.tags import make_tags
from torchx.schedulers.aws_sagemaker.launcher import (
    FAILURE_FILE,
    LAUNCH_SCRIPT,
    Launch,
    channel_dir,
    launch_script,
)
from torchx.schedulers.aws_sagemaker.options import (
    CODE_CHANNEL,
    DEFAULT_MAX_RUN_S,
    FILE_SYSTEMS,
    LAUNCH_CHANNEL,
)
from torchx.schedulers.aws_sagemaker.request import (
    CODE_CHANNEL_DIR,
    CODE_DIR,
    ENV_RANK0_HOST,
    OWN_KEY,
    REPLICA_MARK,
)
from torchx.settings import ENV_TORCHX_IMAGE
from torchx.specs.api import Workspace
from torchx.util.redact import is_secret_name

log: logging.Logger = logging.getLogger(__name__)

RANK0_HOST = "algo-1"
"""Name of the first instance of each training job."""

ENV_ERROR_FILE = "TORCHELASTIC_ERROR_FILE"
ENV_ROLE = "TORCHX_ROLE_NAME"
"""Holds the name of the role, so that a job can be described from anywhere."""

TAG_MARK = "torchx.launched"
"""Tag of the jobs that torchx has launched; its value is ``yes``. They are found by it."""

TAG_VERSION = "torchx.pytorch.org/version"
TAG_APP = "torchx.pytorch.org/app-name"
TAG_ROLE = "torchx.pytorch.org/role-name"
TAG_SESSION = "torchx.pytorch.org/session"

DEFAULT_VOLUME_GB = 30

# Bytes that are no UTF-8 cannot be sent as text.
_SURROGATES = re.compile("[\ud800-\udfff]")
_NOT_IN_LINES = re.compile("[\n\r\x85\u2028\u2029\ud800-\udfff]")

_LONGEST_WORD = 256
_MOST_WORDS = 100
_LONGEST_VALUE = 512
_MOST_VARIABLES = 100
_MOST_HYPERPARAMETERS = 100
_LONGEST_HYPERPARAMETER = 2500
_LONGEST_HYPERPARAMETER_NAME = 256


@dataclass(frozen=True)
class Places:
    """What only AWS knows.

    Attributes:
        role_arn: ARN of the role.
        output: S3 address for results, unless the description has one.
        code: S3 address of the code that was sent along.
        launcher: S3 address of the launch script.
    """

    role_arn: str
    output: str
    code: str = ""
    launcher: str = ""


@dataclass(frozen=True)
class TrainingJob:
    """A training job, but for what only AWS knows.

    Attributes:
        name: Its name.
        description: What it is made of, see ``request.py``.
        script: The launch script; ``None`` if a plain command will do.
        code: Local code to send along.
        code_uri: S3 address of code that is there already.
    """

    name: str
    description: Mapping[str, Any]
    script: str | None
    code: Workspace | None
    code_uri: str | None

    @staticmethod
    def of(description: Mapping[str, Any], name: str) -> TrainingJob:
        """Works out how a description is run.

        Args:
            description: The description.
            name: Name of the job.

        Returns:
            The job.
        """
        code, code_uri = _code_of(description)
        launch = _launch_of(description, code, code_uri)
        script = launch_script(launch) if _needs_script(launch) else None
        return TrainingJob(name, description, script, code, code_uri)

    def request(self, places: Places) -> dict[str, Any]:
        """Makes the request.

        Args:
            places: What only AWS knows.

        Returns:
            Arguments of CreateTrainingJob.
        """
        described = self.description
        request: dict[str, Any] = {
            "TrainingJobName": self.name,
            "AlgorithmSpecification": self._algorithm(),
            "RoleArn": places.role_arn,
            "OutputDataConfig": _output(described, places),
            "ResourceConfig": _resources(described.get("compute", {})),
            "StoppingCondition": _stopping(described),
            "HyperParameters": _hyperparameters(described),
            "Environment": _split_env(described)[0],
            "Tags": _tags(described),
        }
        channels = self._channels(places)
        if channels:
            request["InputDataConfig"] = channels
        return {**request, **_optional(described)}

    def _algorithm(self) -> dict[str, Any]:
        described = self.description
        algorithm: dict[str, Any] = {
            "TrainingImage": described["training_image"],
            "TrainingInputMode": described.get("training_input_mode", "File"),
        }
        words = _words_of(described)
        if self.script is not None:
            words = ["/bin/sh", f"{channel_dir(LAUNCH_CHANNEL)}/{LAUNCH_SCRIPT}"]
        if words:
            algorithm["ContainerEntrypoint"] = words[:1]
        if words[1:]:
            algorithm["ContainerArguments"] = words[1:]
        metrics = described.get("metric_definitions")
        if metrics:
            algorithm["MetricDefinitions"] = [
                {"Name": name, "Regex": regex} for name, regex in metrics
            ]
        access = described.get("training_image_config")
        if access:
            algorithm["TrainingImageConfig"] = _image_access(access)
        return algorithm

    def _channels(self, places: Places) -> list[dict[str, Any]]:
        addresses = {}
        if self.code is not None or self.code_uri is not None:
            addresses[CODE_CHANNEL] = self.code_uri or places.code
        if self.script is not None:
            addresses[LAUNCH_CHANNEL] = places.launcher
        own = [{**_channel(*item), "InputMode": "File"} for item in addresses.items()]
        return [*own, *(_channel(*item) for item in _data_of(self.description).items())]


def _code_of(described: Mapping[str, Any]) -> tuple[Workspace | None, str | None]:
    projects = described.get(OWN_KEY, {}).get("workspace")
    source_dir = described.get("source_code", {}).get("source_dir")
    if not projects and source_dir:
        projects = {source_dir: ""}
    if not projects:
        return None, None
    only = next(iter(projects))
    if len(projects) == 1 and not projects[only] and only.startswith("s3://"):
        # Else code/ would bring code-of-somebody-else/ along.
        return None, only.rstrip("/") + "/"
    return Workspace(dict(projects)), None


def _launch_of(
    described: Mapping[str, Any], code: Workspace | None, code_uri: str | None
) -> Launch:
    directory = CODE_DIR if code is not None else CODE_CHANNEL_DIR if code_uri else None
    return Launch(
        words=_words_of(described),
        instance_count=described.get("compute", {}).get("instance_count", 1),
        with_torchrun=bool(described.get("distributed")) and bool(_words_of(described)),
        unpacks=code is not None,
        directory=directory,
        env=_split_env(described)[1],
        hyperparameters=described.get("hyperparameters") or {},
        channels=[*([CODE_CHANNEL] if directory else []), *_data_of(described)],
    )


def _words_of(described: Mapping[str, Any]) -> list[str]:
    """Gives what runs; descriptions that were written by hand only have a script."""
    words = described.get(OWN_KEY, {}).get("words")
    if words is not None:
        return list(words)
    entry = described.get("source_code", {}).get("entry_script")
    if not entry:
        return []
    pairs = (described.get("hyperparameters") or {}).items()
    return [*str(entry).split(), *(word for key, value in pairs for word in (f"--{key}", value))]


def _needs_script(launch: Launch) -> bool:
    if not launch.words:
        return False
    if launch.with_torchrun or launch.directory or launch.env or len(launch.words) > _MOST_WORDS:
        return True
    return any(
        _size(word) > _LONGEST_WORD or REPLICA_MARK in word or not _is_one_line(word)
        for word in launch.words
    )


def _is_one_line(text: str) -> bool:
    """Tells whether SageMaker, whose patterns are read by Java, sees one line of legal text."""
    return _NOT_IN_LINES.search(text) is None


def _size(text: str) -> int:
    """Counts characters as Java does."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def _split_env(described: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, str]]:
    """Splits the environment into what SageMaker takes and what only a script can set."""
    own = described.get(OWN_KEY, {})
    env = {
        ENV_ERROR_FILE: FAILURE_FILE,
        **({ENV_ROLE: own["role"]} if "role" in own else {}),
        **(described.get("environment") or {}),
        ENV_RANK0_HOST: RANK0_HOST,
        ENV_TORCHX_IMAGE: described["training_image"],
    }
    fitting: dict[str, str] = {}
    others: dict[str, str] = {}
    for name, value in env.items():
        fits = _size(value) <= _LONGEST_VALUE and not _SURROGATES.search(value)
        has_room = len(fitting) < _MOST_VARIABLES
        (fitting if fits and has_room else others)[name] = value
    return fitting, {**others, **own.get("environment", {})}


def _hyperparameters(described: Mapping[str, Any]) -> dict[str, str]:
    """Gives the hyperparameters to show. A program gets all of them as arguments.

    Those that SageMaker does not take are left out, and secrets, since its console shows them.
    """
    given: Mapping[str, str] = described.get("hyperparameters") or {}
    if not described.get("distributed"):
        return dict(given)
    shown = {
        name: value
        for name, value in given.items()
        if not is_secret_name(name)
        and _size(name) <= _LONGEST_HYPERPARAMETER_NAME
        and _size(value) <= _LONGEST_HYPERPARAMETER
        and _is_one_line(name)
        and _is_one_line(value)
    }
    if len(shown) < len(given):
        log.info("hyperparameters that are secret, long or of several lines are only passed on")
    return dict(list(shown.items())[:_MOST_HYPERPARAMETERS])


def _output(described: Mapping[str, Any], places: Places) -> dict[str, Any]:
    given = described.get("output_data_config") or {}
    names = {"s3_output_path": "S3OutputPath", "kms_key_id": "KmsKeyId"}
    return {
        "S3OutputPath": places.output,
        "CompressionType": given.get("compression_type", "GZIP"),
        **_renamed(given, names),
    }


def _resources(compute: Mapping[str, Any]) -> dict[str, Any]:
    names = {
        "instance_type": "InstanceType",
        "instance_count": "InstanceCount",
        "volume_size_in_gb": "VolumeSizeInGB",
        "volume_kms_key_id": "VolumeKmsKeyId",
        "keep_alive_period_in_seconds": "KeepAlivePeriodInSeconds",
    }
    return {"VolumeSizeInGB": DEFAULT_VOLUME_GB, **_renamed(compute, names)}


def _stopping(described: Mapping[str, Any]) -> dict[str, int]:
    given = described.get("stopping_condition") or {}
    longest_s = given.get("max_runtime_in_seconds", DEFAULT_MAX_RUN_S)
    condition = {"MaxRuntimeInSeconds": longest_s}
    if described.get("compute", {}).get("enable_managed_spot_training"):
        condition["MaxWaitTimeInSeconds"] = given.get("max_wait_time_in_seconds", longest_s)
    return condition


def _tags(described: Mapping[str, Any]) -> list[dict[str, str]]:
    own = described.get(OWN_KEY, {})
    needed = {
        TAG_MARK: "yes",
        TAG_VERSION: torchx.__version__,
        **{tag: own[key] for tag, key in _OWN_TAGS.items() if own.get(key)},
    }
    given = {tag["key"]: tag["value"] for tag in described.get("tags") or []}
    return [{"Key": key, "Value": value} for key, value in make_tags(needed, given).items()]


_OWN_TAGS = {TAG_APP: "app", TAG_ROLE: "role", TAG_SESSION: "session"}


def _image_access(given: Mapping[str, Any]) -> dict[str, Any]:
    access = {"TrainingRepositoryAccessMode": given["training_repository_access_mode"]}
    arn = given.get("training_repository_auth_config_arn")
    if arn:
        access["TrainingRepositoryAuthConfig"] = {"TrainingRepositoryCredentialsProviderArn": arn}
    return access


def _optional(described: Mapping[str, Any]) -> dict[str, Any]:
    network = described.get("networking") or {}
    spot = described.get("compute", {}).get("enable_managed_spot_training")
    retries = described.get("max_retry_attempts")
    infra_check = described.get("enable_infra_check")
    vpc = _renamed(network, {"subnets": "Subnets", "security_group_ids": "SecurityGroupIds"})
    checkpoint = _renamed(
        described.get("checkpoint_config") or {}, {"s3_uri": "S3Uri", "local_path": "LocalPath"}
    )
    values = {
        "VpcConfig": vpc or None,
        "EnableNetworkIsolation": network.get("enable_network_isolation"),
        "EnableInterContainerTrafficEncryption": network.get(
            "enable_inter_container_traffic_encryption"
        ),
        "EnableManagedSpotTraining": spot,
        "CheckpointConfig": checkpoint or None,
        "RetryStrategy": None if retries is None else {"MaximumRetryAttempts": retries},
        "InfraCheckConfig": None if infra_check is None else {"EnableInfraCheck": infra_check},
    }
    return {name: value for name, value in values.items() if value is not None}


def _data_of(described: Mapping[str, Any]) -> Mapping[str, str]:
    channels: Mapping[str, str] = described.get(OWN_KEY, {}).get("channels") or {}
    return channels


def _channel(name: str, address: str) -> dict[str, Any]:
    scheme, _, rest = address.partition("://")
    if scheme in FILE_SYSTEMS:
        file_system, _, directory = rest.partition("/")
        source = {
            "FileSystemId": file_system,
            "FileSystemAccessMode": "ro",
            "FileSystemType": FILE_SYSTEMS[scheme],
            "DirectoryPath": f"/{directory}",
        }
        return {"ChannelName": name, "DataSource": {"FileSystemDataSource": source}}
    source = {
        "S3DataType": "S3Prefix",
        "S3Uri": address,
        "S3DataDistributionType": "FullyReplicated",
    }
    return {"ChannelName": name, "DataSource": {"S3DataSource": source}}


def _renamed(values: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {new: values[old] for old, new in names.items() if values.get(old) is not None}
