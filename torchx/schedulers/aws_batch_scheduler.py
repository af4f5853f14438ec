"""The scheduler ``aws_batch``: runs apps as jobs of AWS Batch.

An app with one replica is a job of one container; several replicas are the nodes of a multi-node
parallel job, each role a group of them. ``torchx.schedulers.aws_batch`` holds the parts; this
module joins them and has the published names. Code of a workspace travels in an image, which needs
a registry such as ECR (``image_repo``).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from torchx.schedulers.api import AppDef, AppDryRunInfo, AppState, CfgVal, runopts
from torchx.schedulers.aws.session import Clients, new_session, thread_local_cache
from torchx.schedulers.aws_batch import nodes, parse, submission
from torchx.schedulers.aws_batch.asking import AskingScheduler
from torchx.schedulers.aws_batch.lifecycle import cancel_job, delete_job, submit_job
from torchx.schedulers.aws_batch.logs import DEFAULT_LOG_GROUP
from torchx.schedulers.aws_batch.names import job_name_stem, make_app_id
from torchx.schedulers.aws_batch.options import Opts, parse_ulimits
from torchx.schedulers.aws_batch.request import (
    TAG_TORCHX_APPNAME,
    TAG_TORCHX_USER,
    TAG_TORCHX_VER,
    BatchJob,
    check_app,
    make_job,
)
from torchx.schedulers.aws_batch.resources import (
    ResourceType,
    resource_from_resource_requirements,
    resource_requirements_from_resource,
)
from torchx.schedulers.ids import make_unique
from torchx.settings import ENV_TORCHX_IMAGE, ENV_TORCHX_ROLE_IDX, ENV_TORCHX_ROLE_NAME
from torchx.workspace.docker_workspace import DockerWorkspaceMixin

if TYPE_CHECKING:
    from docker import DockerClient

__all__ = [
    "DEFAULT_ROLE_NAME",
    "ENV_TORCHX_IMAGE",
    "ENV_TORCHX_ROLE_IDX",
    "ENV_TORCHX_ROLE_NAME",
    "JOB_STATE",
    "TAG_TORCHX_APPNAME",
    "TAG_TORCHX_USER",
    "TAG_TORCHX_VER",
    "AWSBatchOpts",
    "AWSBatchScheduler",
    "BatchJob",
    "Opts",
    "ResourceType",
    "create_scheduler",
    "make_unique",
    "parse_ulimits",
    "resource_from_resource_requirements",
    "resource_requirements_from_resource",
    "to_datetime",
    "to_millis_since_epoch",
]

JOB_STATE: dict[str, AppState] = parse.JOB_STATE
DEFAULT_ROLE_NAME = parse.DEFAULT_ROLE_NAME
AWSBatchOpts = Opts

# Names of earlier releases for what lives in the parts.
_role_to_node_properties = nodes.node_properties
_parse_num_replicas = nodes.parse_num_replicas
_parse_start_and_end_idx = nodes.parse_start_and_end_idx
_job_ui_url = parse.job_ui_url
_thread_local_cache = thread_local_cache
_local_session = thread_local_cache(new_session)


def to_millis_since_epoch(ts: datetime) -> int:
    """Turns a moment into what AWS takes.

    Args:
        ts: The moment; without a time zone, local time.

    Returns:
        Milliseconds since the epoch.
    """
    return round(ts.timestamp() * 1000)


def to_datetime(ms_since_epoch: int) -> datetime:
    """Turns what AWS gives into a moment.

    Args:
        ms_since_epoch: Milliseconds since the epoch.

    Returns:
        The moment in local time, without a time zone.
    """
    return datetime.fromtimestamp(ms_since_epoch / 1000)


class AWSBatchScheduler(DockerWorkspaceMixin, AskingScheduler):
    """Runs apps on AWS Batch.

    Args:
        session_name: Name under which this client submits apps.
        client: Client of the service ``batch``; by default one is made when it is needed.
        log_client: Client of the service ``logs``, likewise.
        docker_client: Client of the Docker engine, likewise.
    """

    _pushes_images = True

    def __init__(
        self,
        session_name: str,
        client: Any | None = None,
        log_client: Any | None = None,
        docker_client: DockerClient | None = None,
    ) -> None:
        clients = Clients(lambda: _local_session(), batch=client, logs=log_client)
        super().__init__(session_name, clients, docker_client=docker_client)

    def _run_opts(self) -> runopts:
        return Opts.as_runopts()

    def _pre_build_validate(self, app: AppDef, scheduler: str, cfg: Opts) -> None:
        check_app(app, Opts.from_cfg(cfg))

    def _submit_dryrun(self, app: AppDef, cfg: Opts) -> AppDryRunInfo[BatchJob]:
        opts = Opts.from_cfg(cfg)
        name = make_unique(job_name_stem(app.name, opts.share_id))
        images_to_push = self.dryrun_push_images(app, opts)
        job = make_job(app, name, opts, images_to_push)
        submission.check(job, is_dry_run=True)
        return AppDryRunInfo(job, repr)

    def schedule(self, dryrun_info: AppDryRunInfo[BatchJob]) -> str:
        """Submits an app.

        Args:
            dryrun_info: The request.

        Returns:
            Id of the app, ``queue:name``.

        Raises:
            AwsRequestError: AWS would refuse the request, which is not sent.
            AwsError: AWS refuses, or does not answer.
            ImagePushError: An image could not be pushed.
        """
        assert dryrun_info._cfg is not None, f"{dryrun_info} missing cfg"
        job = dryrun_info.request
        submission.check(job)
        self.push_images(job.images_to_push)
        app_id = make_app_id(job.queue, job.name)
        job_id = submit_job(self._batch, job)
        if job_id is not None:
            self._jobs.remember(app_id, job_id)
        return app_id

    def planned_app_id(self, dryrun_info: AppDryRunInfo[BatchJob]) -> str:
        """Names the id that :meth:`schedule` will return.

        Args:
            dryrun_info: The request.

        Returns:
            The id.
        """
        return make_app_id(dryrun_info.request.queue, dryrun_info.request.name)

    def log_location(self, app_id: str, dryrun_info: AppDryRunInfo[BatchJob]) -> str | None:
        """Names the log group of an app.

        Args:
            app_id: Its id.
            dryrun_info: The request that was submitted.

        Returns:
            An address of the form ``cloudwatch:GROUP``.
        """
        cfg: Mapping[str, CfgVal] = dryrun_info._cfg or {}
        return f"cloudwatch:{cfg.get('log_group') or DEFAULT_LOG_GROUP}"

    def _cancel_existing(self, app_id: str) -> None:
        cancel_job(self._batch, self._jobs, app_id)
        self._watcher.forget(app_id)

    def _delete_existing(self, app_id: str) -> None:
        delete_job(self._batch, self._jobs, app_id)
        self._watcher.forget(app_id)


def create_scheduler(
    session_name: str,
    client: Any | None = None,
    log_client: Any | None = None,
    docker_client: DockerClient | None = None,
    **kwargs: object,
) -> AWSBatchScheduler:
    """Creates a scheduler that runs apps on AWS Batch, without calling AWS.

    Args:
        session_name: Name under which this client submits apps.
        client: Client of the service ``batch``; by default one is made when it is needed.
        log_client: Client of the service ``logs``, likewise.
        docker_client: Client of the Docker engine, likewise.
        **kwargs: Not used.

    Returns:
        The scheduler.
    """
    return AWSBatchScheduler(session_name, client, log_client, docker_client)
