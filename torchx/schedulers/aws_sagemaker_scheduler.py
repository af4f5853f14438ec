"""The scheduler ``aws_sagemaker``: runs apps as training jobs of AWS SageMaker.

An app is one training job, its replicas are the instances of the job.
``torchx.schedulers.aws_sagemaker`` holds the parts; this module joins them and has the published
names. ``boto3`` is imported only when AWS is called, and a dry run calls nobody.
"""

from __future__ import annotations

import builtins
import logging
import os
from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torchx.schedulers.api import (
    AppDef,
    AppDryRunInfo,
    CfgVal,
    runopts,
)
from torchx.schedulers.aws.session import Clients, new_session
from torchx.schedulers.aws.session import thread_local_cache as _thread_local_cache
from torchx.schedulers.aws_sagemaker import logs, sdk
from torchx.schedulers.aws_sagemaker.asking import AskingScheduler
from torchx.schedulers.aws_sagemaker.checks import check_training_job
from torchx.schedulers.aws_sagemaker.control import delete
from torchx.schedulers.aws_sagemaker.names import job_name
from torchx.schedulers.aws_sagemaker.options import Opts, check_options, check_types
from torchx.schedulers.aws_sagemaker.parse import JOB_STATE, ui_url
from torchx.schedulers.aws_sagemaker.program import (
    parse_args,
    program_of,
    run_name,
    runs_python,
)
from torchx.schedulers.aws_sagemaker.request import (
    OWN_KEY,
    AWSSageMakerJob,
    Plan,
    check_app,
    macro_values,
    make_job_def,
)
from torchx.schedulers.aws_sagemaker.show import format_job
from torchx.schedulers.aws_sagemaker.storage import check_source_dir
from torchx.schedulers.aws_sagemaker.submission import Boto3Trainer
from torchx.schedulers.aws_sagemaker.training_job import TrainingJob
from torchx.schedulers.aws_sagemaker.workspaces import SentWorkspaceMixin
from torchx.schedulers.ids import make_unique
from torchx.settings import ENV_TORCHX_JOB_ID
from torchx.specs.api import Role, make_app_handle

if TYPE_CHECKING:
    from boto3.session import Session
    from docker import DockerClient


__all__ = [
    "JOB_STATE",
    "AWSSageMakerJob",
    "AWSSageMakerOpts",
    "AWSSageMakerScheduler",
    "Opts",
    "create_scheduler",
    "make_unique",
]

logger: logging.Logger = logging.getLogger(__name__)

AWSSageMakerOpts = Opts


@_thread_local_cache
def _local_session() -> Session:
    return new_session()


def _merge_ordered(src: dict[str, str] | None, extra: dict[str, str]) -> OrderedDict[str, str]:
    return OrderedDict({**(src or {}), **extra})


def _build_model_trainer(job_def: dict[str, Any]) -> Any:
    """Makes what submits a job: a trainer with the members of one of the SageMaker SDK."""
    if OWN_KEY not in job_def and sdk.is_installed():
        return sdk.build_trainer(job_def)
    return Boto3Trainer(job_def, Clients(_local_session))


class AWSSageMakerScheduler(SentWorkspaceMixin, AskingScheduler):
    """Runs apps as training jobs of AWS SageMaker.

    Args:
        session_name: Name under which this client submits apps.
        client: Client of the service ``sagemaker``; by default one is made when it is needed.
        docker_client: Client of the Docker engine; by default one is made when it is needed.
        log_client: Client of the service ``logs``. An object that was given a ``client`` but not
            this offers neither logs nor lists, see :func:`create_scheduler`.
    """

    def __init__(
        self,
        session_name: str,
        client: Any | None = None,
        docker_client: DockerClient | None = None,
        log_client: Any | None = None,
    ) -> None:
        clients = Clients(_local_session, sagemaker=client, logs=log_client)
        super().__init__(
            "aws_sagemaker", session_name, docker_client=docker_client, clients=clients
        )
        self._reads_logs = client is None or log_client is not None

    def _run_opts(self) -> runopts:
        return Opts.as_runopts()

    def _job_ui_url(self, job_arn: str) -> str | None:
        return ui_url(job_arn)

    def _parse_args(self, args: builtins.list[str]) -> tuple[str, OrderedDict[str, str]]:
        return parse_args(args)

    def _pre_build_validate(self, app: AppDef, scheduler: str, cfg: Opts) -> None:
        check_app(app)
        opts = _opts(cfg)
        check_options(opts)
        check_source_dir(opts.source_dir)

    def _validate(self, app: AppDef, scheduler: str, cfg: Opts | None = None) -> None:
        """Accepts roles without resources: the instance type tells what they get."""

    def _submit_dryrun(self, app: AppDef, cfg: Opts) -> AppDryRunInfo[AWSSageMakerJob]:
        role, opts = check_app(app), _opts(cfg)
        check_types(opts)
        if (opts.output_kms_key or opts.disable_output_compression) and not opts.output_path:
            logger.warning("output_kms_key and disable_output_compression need output_path")
        if role.max_retries > 0:
            logger.warning("SageMaker tries again when it fails itself, not when a program fails")
        source_dir = self._source_dir(role, opts, cfg)
        stem = opts.base_job_name or run_name(app.name, role)
        name = job_name(make_unique(stem))
        role = self._replica_of(role, name, source_dir)
        images = self.dryrun_push_images(AppDef(app.name, [role]), cfg)
        program = program_of(role, opts.hyperparameters or {})
        plan = Plan(app, role, program, opts, name, self.session_name, source_dir)
        job = AWSSageMakerJob(name, make_job_def(plan), images)
        check_training_job(TrainingJob.of(job.job_def, name))
        return AppDryRunInfo(job, format_job)

    def _replica_of(self, role: Role, name: str, source_dir: str | None) -> Role:
        replica = macro_values(name, source_dir).apply(role)
        handle = make_app_handle("aws_sagemaker", self.session_name, name)
        replica.env.setdefault(ENV_TORCHX_JOB_ID, handle)
        return replica

    def _source_dir(self, role: Role, opts: Opts, cfg: Mapping[str, CfgVal]) -> str | None:
        """Tells which code goes along; ``None`` if the image has it."""
        if opts.source_dir:
            return opts.source_dir
        if role.workspace:
            return str(role.workspace) if self._sends_workspaces(cfg) else None
        return os.getcwd() if runs_python(role) else None

    def planned_app_id(self, dryrun_info: AppDryRunInfo[AWSSageMakerJob]) -> str:
        """Names the id that :meth:`schedule` will return.

        Args:
            dryrun_info: The request.

        Returns:
            The id.
        """
        return dryrun_info.request.job_name

    def schedule(self, dryrun_info: AppDryRunInfo[AWSSageMakerJob]) -> str:
        """Submits a training job: pushes its image and sends its code along, if need be.

        Args:
            dryrun_info: The request.

        Returns:
            Name of the job, which is the id of the app.

        Raises:
            WorkspaceError: The code cannot be read, or is too much.
            ImagePushError: The image cannot be pushed.
            AwsError: AWS refuses, or does not answer.
        """
        assert dryrun_info._cfg is not None, f"{dryrun_info} missing cfg"
        job = dryrun_info.request
        self.push_images(job.images_to_push)
        trainer = _build_model_trainer(job.job_def)
        if isinstance(trainer, Boto3Trainer):
            trainer.clients, trainer.sagemaker = self._clients, self._sagemaker
        trainer.train(wait=False)
        if trainer._latest_training_job is None:
            return job.job_name
        return str(trainer._latest_training_job.get_name())

    def log_location(self, app_id: str, dryrun_info: AppDryRunInfo[AWSSageMakerJob]) -> str | None:
        """Names the page of the AWS console that shows the logs of a job.

        Args:
            app_id: Its name.
            dryrun_info: The request that was submitted.

        Returns:
            An address.
        """
        return logs.page_of(str(self._client.meta.region_name), app_id)

    def _cancel_existing(self, app_id: str) -> None:
        self._watcher.forget(app_id)
        self._sagemaker.stop(app_id)

    def _delete_existing(self, app_id: str) -> None:
        delete(self._sagemaker, app_id, self.describe, self.wait_for_change)
        self._watcher.forget(app_id)


def create_scheduler(
    session_name: str,
    client: Any | None = None,
    docker_client: DockerClient | None = None,
    log_client: Any | None = None,
    **kwargs: object,
) -> AWSSageMakerScheduler:
    """Creates the scheduler, without calling AWS.

    Args:
        session_name: Name under which the client submits apps.
        client: Client of the service ``sagemaker``; by default one is made when it is needed.
        docker_client: Client of the Docker engine; by default one is made when it is needed.
        log_client: Client of the service ``logs``; by default one is made when it is needed.
        **kwargs: Ignored.

    Returns:
        The scheduler.
    """
    scheduler = AWSSageMakerScheduler(session_name, client, docker_client, log_client)
    scheduler._reads_logs = True
    return scheduler


def _opts(cfg: Mapping[str, CfgVal]) -> Opts:
    return cfg if isinstance(cfg, Opts) else Opts.from_cfg(cfg)
