"""Turns an app into the description of a training job, as plain data. No I/O here.

The description has the published form; what that cannot express is below the key ``torchx``. What
is sent is made of it by ``training_job.py``, so that changes made to a description count.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from torchx.schedulers.aws_sagemaker.errors import TrainingJobError
from torchx.schedulers.aws_sagemaker.instances import instance_count, instance_type
from torchx.schedulers.aws_sagemaker.options import MAX_RETRY_ATTEMPTS, Opts
from torchx.schedulers.aws_sagemaker.program import Program
from torchx.specs.api import AppDef, Role, macros

log: logging.Logger = logging.getLogger(__name__)

OWN_KEY = "torchx"
"""Key of a description that holds what the published form cannot express."""

REPLICA_MARK = "\0"
"""Stands for the number of the replica in words and values: no program can be given one."""


ENV_RANK0_HOST = "TORCHX_RANK0_HOST"
"""Variable that holds the name of the first instance."""

CODE_DIR = "/opt/ml/code"
"""Where code that is sent along is unpacked to, and the working directory then."""

CODE_CHANNEL_DIR = "/opt/ml/input/data/code"
"""Where SageMaker puts code that is in S3 already, and the working directory then."""


@dataclass
class AWSSageMakerJob:
    """A training job that is about to be submitted. Prints as YAML, secrets hidden.

    Attributes:
        job_name: Name of the job, which is also the id of the app.
        job_def: Its description, plain data.
        images_to_push: Local image -> repository and tag to push it to.
    """

    job_name: str
    job_def: dict[str, Any]
    images_to_push: dict[str, tuple[str, str]]

    def __str__(self) -> str:
        import yaml

        from torchx.util.redact import redact_data

        return yaml.safe_dump(redact_data(asdict(self)), allow_unicode=True, sort_keys=False)

    __repr__ = __str__


@dataclass(frozen=True)
class Plan:
    """What a description is made of.

    Attributes:
        app: The app.
        role: Its role, macros substituted.
        program: What the role runs.
        opts: The run options.
        job_name: Name of the job.
        session: Name of the session that submits it.
        source_dir: Code to send along; ``None`` if the image has it.
    """

    app: AppDef
    role: Role
    program: Program
    opts: Opts
    job_name: str
    session: str
    source_dir: str | None


def macro_values(job_name: str, source_dir: str | None) -> macros.Values:
    """Gives the values of the macros. That of the replica is known on its instance only.

    Args:
        job_name: Name of the job.
        source_dir: Code to send along; ``None`` if the image has it.

    Returns:
        The values.
    """
    return macros.Values(
        img_root="" if source_dir is None else directory_of(source_dir),
        app_id=job_name,
        replica_id=REPLICA_MARK,
        rank0_env=ENV_RANK0_HOST,
    )


def directory_of(source_dir: str) -> str:
    """Names the directory that code is in on an instance.

    Args:
        source_dir: Where the code comes from.

    Returns:
        An absolute path.
    """
    return CODE_CHANNEL_DIR if source_dir.startswith("s3://") else CODE_DIR


def check_app(app: AppDef) -> Role:
    """Refuses what SageMaker cannot run.

    Args:
        app: The app.

    Returns:
        Its only role.

    Raises:
        TrainingJobError: It cannot be run; all faults in one error.
    """
    faults = list(_faults(app))
    if faults:
        raise TrainingJobError(f"SageMaker cannot run the app `{app.name}`: {'; '.join(faults)}")
    return app.roles[0]


def _faults(app: AppDef) -> Iterator[str]:
    if len(app.roles) != 1:
        names = ", ".join(role.name for role in app.roles) or "none"
        yield f"a training job has exactly one role, this app has {len(app.roles)} ({names})"
    for role in app.roles:
        for mount in role.mounts:
            yield (
                f"role `{role.name}` mounts {getattr(mount, 'dst_path', mount)}, but a training job"
                " has no mounts; name the data with the run option `channels`"
            )
        if role.num_replicas < 1:
            yield f"role `{role.name}` has {role.num_replicas} replicas"
        for name in role.env:
            if not (name.isascii() and name.isidentifier()):
                yield f"role `{role.name}` sets {name!r}, which is no name of a variable there"
        for text in (role.entrypoint, *role.args, *role.env.values()):
            if REPLICA_MARK in text:
                yield f"role `{role.name}` uses a NUL character, which no program can be given"


def make_job_def(plan: Plan) -> dict[str, Any]:
    """Describes a training job.

    Args:
        plan: What it is made of.

    Returns:
        The description.

    Raises:
        TrainingJobError: The role and the run options do not go together.
    """
    role, opts = plan.role, plan.opts
    env = {**(opts.environment or {}), **role.env}
    per_replica = {name: value for name, value in env.items() if REPLICA_MARK in value}
    job_def: dict[str, Any] = {
        "training_image": role.image,
        "source_code": {"entry_script": plan.program.entry},
        "distributed": plan.program.is_python,
        "environment": {name: env[name] for name in env if name not in per_replica},
        "hyperparameters": {
            name: value.replace(REPLICA_MARK, macros.replica_id)
            for name, value in plan.program.hyperparameters.items()
        },
        "compute": {
            "instance_type": instance_type(role, opts),
            "instance_count": instance_count(role, opts),
        },
        "role": opts.role,
        "base_job_name": opts.base_job_name or plan.job_name,
    }
    if plan.source_dir is not None:
        job_def["source_code"]["source_dir"] = plan.source_dir
    _add_groups(job_def, opts)
    _add_optional(job_def, plan)
    job_def[OWN_KEY] = {
        "job_name": plan.job_name,
        "app": plan.app.name,
        "role": role.name,
        "session": plan.session,
        "words": list(plan.program.words),
        "environment": per_replica,
    }
    if opts.channels:
        job_def[OWN_KEY]["channels"] = dict(opts.channels)
    if plan.source_dir is not None and role.workspace and not opts.source_dir:
        job_def[OWN_KEY]["workspace"] = dict(role.workspace.projects)
    return job_def


# Option -> place in the description.
_PLACES = {
    "volume_size": ("compute", "volume_size_in_gb"),
    "volume_kms_key": ("compute", "volume_kms_key_id"),
    "keep_alive_period_in_seconds": ("compute", "keep_alive_period_in_seconds"),
    "use_spot_instances": ("compute", "enable_managed_spot_training"),
    "subnets": ("networking", "subnets"),
    "security_group_ids": ("networking", "security_group_ids"),
    "enable_network_isolation": ("networking", "enable_network_isolation"),
    "encrypt_inter_container_traffic": (
        "networking",
        "enable_inter_container_traffic_encryption",
    ),
    "max_run": ("stopping_condition", "max_runtime_in_seconds"),
    "max_wait": ("stopping_condition", "max_wait_time_in_seconds"),
    "checkpoint_s3_uri": ("checkpoint_config", "s3_uri"),
    "checkpoint_local_path": ("checkpoint_config", "local_path"),
    "training_repository_access_mode": (
        "training_image_config",
        "training_repository_access_mode",
    ),
    "training_repository_credentials_provider_arn": (
        "training_image_config",
        "training_repository_auth_config_arn",
    ),
    "output_path": ("output_data_config", "s3_output_path"),
    "output_kms_key": ("output_data_config", "kms_key_id"),
}
# A group is nothing without this member of it.
_REQUIRED_MEMBERS = {
    "checkpoint_config": "s3_uri",
    "training_image_config": "training_repository_access_mode",
    "output_data_config": "s3_output_path",
}


def _add_groups(job_def: dict[str, Any], opts: Opts) -> None:
    groups: dict[str, dict[str, Any]] = {}
    for option, (group, member) in _PLACES.items():
        value = getattr(opts, option)
        if value is not None:
            groups.setdefault(group, {})[member] = value
    if opts.disable_output_compression:
        groups.setdefault("output_data_config", {})["compression_type"] = "NONE"
    for group, members in groups.items():
        required = _REQUIRED_MEMBERS.get(group)
        if required is None or required in members:
            job_def[group] = {**job_def.get(group, {}), **members}


def _add_optional(job_def: dict[str, Any], plan: Plan) -> None:
    opts = plan.opts
    if opts.input_mode is not None:
        job_def["training_input_mode"] = opts.input_mode
    tags = {**opts.tags, **(plan.app.metadata or {})}
    if tags:
        job_def["tags"] = [{"key": key, "value": value} for key, value in tags.items()]
    if opts.metric_definitions is not None:
        job_def["metric_definitions"] = [list(pair) for pair in opts.metric_definitions.items()]
    retries = opts.max_retry_attempts or min(plan.role.max_retries, MAX_RETRY_ATTEMPTS)
    if retries:
        job_def["max_retry_attempts"] = retries
    if opts.enable_infra_check is not None:
        job_def["enable_infra_check"] = opts.enable_infra_check
