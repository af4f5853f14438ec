"""The run options of the ``aws_sagemaker`` scheduler."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from torchx.schedulers.aws_sagemaker.errors import TrainingJobError
from torchx.schedulers.structured_opts import IS_EXTENSION, StructuredOpts

DEFAULT_MAX_RUN_S = 24 * 60 * 60
"""How long a job may run if nobody says otherwise, in seconds."""

MAX_RETRY_ATTEMPTS = 30

_ROLE_ARN = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/.+")

CODE_CHANNEL = "code"
LAUNCH_CHANNEL = "torchx"
RESERVED_CHANNELS = (CODE_CHANNEL, LAUNCH_CHANNEL)
"""Channels by which torchx itself sends what a job needs."""

FILE_SYSTEMS = {"efs": "EFS", "fsx": "FSxLustre"}
"""Scheme of an address -> kind of the file system."""

_LONGEST_KEEP_ALIVE_S = 21600


@dataclass
class Opts(StructuredOpts):
    """Run options; each field is documented by the text below it, which is also the help."""

    role: str
    """IAM role that the job works as, by name or ARN; with an ARN no right to look it up is
    needed"""

    instance_type: str
    """EC2 instance type, such as ml.c4.xlarge; `auto` takes the one that the resource of the role
    names, or the smallest known one that the resource fits in"""

    instance_count: int = 1
    """number of instances; a role with more than one replica needs no other number here"""

    keep_alive_period_in_seconds: int | None = None
    """seconds to keep the instances afterwards, for a next job that then starts faster (warm pool);
    at most 21600"""

    volume_size: int | None = None
    """size in GB of the disk of each instance; 30 by default"""

    volume_kms_key: str | None = None
    """KMS key that encrypts the disks"""

    max_run: int | None = None
    """longest time in seconds that the job may run; a day (86400) by default"""

    input_mode: str | None = None
    """how data of channels arrives: File (the default), FastFile or Pipe; code is always a file"""

    output_path: str | None = None
    """S3 address for results, s3://bucket/prefix; code is sent by way of its bucket, too. By
    default the bucket is sagemaker-REGION-ACCOUNT, which is created if it does not exist"""

    output_kms_key: str | None = None
    """KMS key that encrypts the results; needs output_path"""

    base_job_name: str | None = None
    """how the name of the job begins; by default the name of the app"""

    tags: dict[str, str] = field(default_factory=dict)
    """tags of the job, key:value,key2:value2; the metadata of the app is added to them"""

    subnets: list[str] | None = None
    """subnets of a VPC, by id; needs security_group_ids"""

    security_group_ids: list[str] | None = None
    """security groups of a VPC, by id; needs subnets"""

    metric_definitions: dict[str, str] | None = None
    """metrics to find in the log: name of the metric -> regular expression with one group. One with
    a comma or colon is best written in .torchxconfig or in Python"""

    encrypt_inter_container_traffic: bool | None = None
    """encrypt what the instances send each other"""

    use_spot_instances: bool | None = None
    """use spare capacity, which costs less and may be taken away: the job is then started again,
    and continues from its checkpoints if it has some (see checkpoint_s3_uri)"""

    max_wait: int | None = None
    """longest time in seconds that a job on spare capacity may take, waiting included; at least
    max_run, which is also the default"""

    checkpoint_s3_uri: str | None = None
    """S3 address that checkpoints are copied to while the job runs, and from when it restarts"""

    checkpoint_local_path: str | None = None
    """where the program writes its checkpoints, /opt/ml/checkpoints by default; needs
    checkpoint_s3_uri"""

    enable_network_isolation: bool | None = None
    """cut the containers off from all networks, other than for channels and results"""

    environment: dict[str, str] | None = None
    """further environment variables; those of the role win"""

    max_retry_attempts: int | None = None
    """how often to start the job again when SageMaker itself fails, 1 to 30; by default the retries
    of the role. A program that fails is not started again"""

    source_dir: str | None = None
    """directory of code to send along, local or s3://...; by default the workspace, and without one
    the current directory if a script or module is launched"""

    hyperparameters: dict[str, str] | None = None
    """further hyperparameters; a script or module that is launched gets them as --key value, and
    those of its own arguments win"""

    training_repository_access_mode: str | None = None
    """how the registry of the image is reached: Platform, or Vpc for a private one"""

    training_repository_credentials_provider_arn: str | None = None
    """ARN of the Lambda function that gives the credentials of a private registry; needs
    training_repository_access_mode"""

    disable_output_compression: bool | None = None
    """leave the results as they are instead of making a .tar.gz; needs output_path"""

    enable_infra_check: bool | None = None
    """have SageMaker check the hardware before the job starts"""

    channels: dict[str, str] | None = field(default=None, metadata=IS_EXTENSION)
    """data for the program, train:s3://bucket/prefix,test:...; it finds each at
    /opt/ml/input/data/NAME. efs://ID/DIRECTORY and fsx://ID/DIRECTORY name file systems of the
    VPC"""

    @property
    def max_run_s(self) -> int:
        """Longest time that the job may run, in seconds."""
        return DEFAULT_MAX_RUN_S if self.max_run is None else self.max_run


def check_types(opts: Opts) -> None:
    """Checks what a run config that was resolved has right: callers may skip that.

    Args:
        opts: The run options.

    Raises:
        AssertionError: One has the wrong type.
    """
    for name in ("environment", "hyperparameters", "tags", "metric_definitions", "channels"):
        value: object = getattr(opts, name)
        assert value is None or isinstance(value, Mapping), (
            f"the run option `{name}` must be a dict, not {type(value).__name__}"
        )
    source_dir: object = opts.source_dir
    assert source_dir is None or isinstance(source_dir, str), (
        f"the run option `source_dir` must be str, not {type(source_dir).__name__}"
    )


def check_options(opts: Opts) -> None:
    """Checks that the options go together, which SageMaker would do only after the upload.

    Args:
        opts: The run options.

    Raises:
        TrainingJobError: Some do not; all faults in one error.
    """
    kinds = (_role_faults, _half_given, _spot_faults, _ranges, _channel_faults)
    faults = [fault for find in kinds for fault in find(opts)]
    if faults:
        raise TrainingJobError(
            f"SageMaker cannot run this with these run options: {'; '.join(faults)}"
        )


_NEEDS = (
    ("subnets", "security_group_ids"),
    ("security_group_ids", "subnets"),
    ("checkpoint_local_path", "checkpoint_s3_uri"),
    ("output_kms_key", "output_path"),
    ("disable_output_compression", "output_path"),
    ("training_repository_credentials_provider_arn", "training_repository_access_mode"),
)


def _role_faults(opts: Opts) -> Iterator[str]:
    if opts.role.startswith("arn:") and _ROLE_ARN.fullmatch(opts.role) is None:
        yield f"`role` is no ARN of a role: {opts.role}"


def _half_given(opts: Opts) -> Iterator[str]:
    for name, needed in _NEEDS:
        if getattr(opts, name) and not getattr(opts, needed):
            yield f"`{name}` is of no use without `{needed}`"
    if opts.training_repository_access_mode == "Vpc" and not opts.subnets:
        yield "`training_repository_access_mode=Vpc` needs `subnets` and `security_group_ids`"


def _spot_faults(opts: Opts) -> Iterator[str]:
    if not opts.use_spot_instances:
        if opts.max_wait is not None:
            yield "`max_wait` is of no use without `use_spot_instances`"
        return
    if opts.max_wait is not None and opts.max_wait < opts.max_run_s:
        yield f"`max_wait` ({opts.max_wait} s) is less than `max_run` ({opts.max_run_s} s)"
    if opts.keep_alive_period_in_seconds:
        yield "`use_spot_instances` and `keep_alive_period_in_seconds` exclude each other"


def _channel_faults(opts: Opts) -> Iterator[str]:
    for name, address in (opts.channels or {}).items():
        scheme = address.partition("://")[0]
        if name in RESERVED_CHANNELS:
            yield f"the channel `{name}` is used for the code; give it another name"
        if scheme not in ("s3", *FILE_SYSTEMS):
            yield f"the channel `{name}` must be s3://, efs:// or fsx://, not {address}"
        if scheme in FILE_SYSTEMS and not opts.subnets:
            yield f"the channel `{name}` needs `subnets` and `security_group_ids`"


def _ranges(opts: Opts) -> Iterator[str]:
    limits = (
        ("instance_count", 1, None),
        ("volume_size", 1, None),
        ("max_run", 1, None),
        ("keep_alive_period_in_seconds", 0, _LONGEST_KEEP_ALIVE_S),
        ("max_retry_attempts", 1, MAX_RETRY_ATTEMPTS),
    )
    for name, least, most in limits:
        value = getattr(opts, name)
        if value is not None and (value < least or (most is not None and value > most)):
            span = f"at least {least}" if most is None else f"{least} to {most}"
            yield f"`{name}` must be {span}, not {value}"
