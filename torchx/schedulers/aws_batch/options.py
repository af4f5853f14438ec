"""The run options of the ``aws_batch`` scheduler."""

from __future__ import annotations

import getpass
import os
from dataclasses import dataclass, field
from typing import Any

from torchx.errors import TorchXError
from torchx.schedulers.structured_opts import IS_EXTENSION, StructuredOpts

JOB_TYPES = ("auto", "container", "multinode")
RETRY_CAUSES = ("any", "host", "app")
PLATFORMS = ("EC2", "FARGATE")

_HIGHEST_PRIORITY = 9999
_SHORTEST_TIMEOUT_S = 60


def current_user() -> str:
    """Names the user of this process, also in a container that has no entry for them.

    Returns:
        The name, else the numeric id.
    """
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return str(os.getuid()) if hasattr(os, "getuid") else "unknown"


class BatchOptionError(TorchXError, ValueError):
    """A run option makes no sense, or not together with another one.

    Args:
        message: What is wrong.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message, hint="`torchx runopts aws_batch` tells what each option takes")


@dataclass
class Opts(StructuredOpts):
    """Run options; each field is documented by the text below it, which is also the help."""

    queue: str
    """job queue to submit to"""

    user: str = current_user()
    """value of the tag that tells whose job it is"""

    image_repo: str | None = None
    """repository that images with local code are pushed to, such as
    123.dkr.ecr.us-west-2.amazonaws.com/team; you need to have push access"""

    privileged: bool = False
    """give the containers all rights on their host, as `docker run --privileged` does"""

    share_id: str | None = None
    """share identifier; must be set if the queue has a scheduling policy, and only then"""

    priority: int = 0
    """priority within the share from 0 to 9999, higher ones first; needs share_id"""

    job_role_arn: str | None = None
    """ARN of the IAM role whose rights the program in the container has"""

    execution_role_arn: str | None = None
    """ARN of the IAM role with which the image is pulled and logs are written"""

    ulimits: list[str] | None = None
    """limits of the containers as name:soft:hard, -1 for none: nofile:65536:65536,memlock:-1:-1"""

    # Options beyond those of earlier releases.

    job_type: str = field(default="auto", metadata=IS_EXTENSION)
    """shape of the job: container (one node; may use Spot, Fargate and unmanaged environments),
    multinode, or auto: container for one replica that asks for no instance type"""

    retry_on: str = field(default="any", metadata=IS_EXTENSION)
    """what is tried again, up to the max_retries of the roles: any failure, host (the host was lost
    or reclaimed, as Spot does), or app (the program failed)"""

    timeout_s: int | None = field(default=None, metadata=IS_EXTENSION)
    """seconds after which each attempt is ended, at least 60"""

    log_group: str | None = field(default=None, metadata=IS_EXTENSION)
    """CloudWatch log group to write to, instead of /aws/batch/job; it must exist"""

    propagate_tags: bool = field(default=False, metadata=IS_EXTENSION)
    """put the tags on the ECS tasks too, for cost allocation"""

    platform: str | None = field(default=None, metadata=IS_EXTENSION)
    """EC2 or FARGATE, as the queue's environments are; FARGATE needs execution_role_arn"""

    assign_public_ip: bool = field(default=False, metadata=IS_EXTENSION)
    """give Fargate jobs a public address, which they need to pull images without a NAT gateway"""

    efs_encryption: bool = field(default=False, metadata=IS_EXTENSION)
    """encrypt what goes to and from EFS volumes"""

    efs_iam: bool = field(default=False, metadata=IS_EXTENSION)
    """mount EFS volumes with the rights of job_role_arn; implies efs_encryption"""

    def check(self) -> None:
        """Checks the values.

        Raises:
            ValueError: One makes no sense.
        """
        if not self.queue:
            raise BatchOptionError("queue must name a job queue, not be empty")
        if not 0 <= self.priority <= _HIGHEST_PRIORITY:
            raise BatchOptionError(
                f"priority must be from 0 to {_HIGHEST_PRIORITY}, not {self.priority}"
            )
        for name, value, known in (
            ("job_type", self.job_type, JOB_TYPES),
            ("retry_on", self.retry_on, RETRY_CAUSES),
            ("platform", self.platform, (None, *PLATFORMS)),
        ):
            if value not in known:
                texts = ", ".join(str(choice) for choice in known if choice)
                raise BatchOptionError(f"{name} must be one of {texts}, not {value!r}")
        if self.timeout_s is not None and self.timeout_s < _SHORTEST_TIMEOUT_S:
            raise BatchOptionError(
                f"timeout_s must be at least {_SHORTEST_TIMEOUT_S}, not {self.timeout_s}"
            )
        if self.platform == "FARGATE":
            self._check_fargate()
        elif self.assign_public_ip:
            raise BatchOptionError("assign_public_ip is for Fargate: set platform=FARGATE")

    def _check_fargate(self) -> None:
        if self.job_type == "multinode":
            raise BatchOptionError("Fargate runs no multi-node jobs: set platform=EC2")
        if self.privileged:
            raise BatchOptionError("Fargate runs no privileged containers: leave privileged out")
        if not self.execution_role_arn:
            raise BatchOptionError(
                "Fargate needs execution_role_arn, to pull the image and write logs"
            )


def parse_ulimits(ulimits_list: list[str]) -> list[dict[str, Any]]:
    """Reads limits of containers.

    Args:
        ulimits_list: Texts such as ``nofile:65536:65536``; -1 stands for no limit.

    Returns:
        The limits as AWS Batch takes them.

    Raises:
        ValueError: A text is not of that form.

    Example:
        >>> parse_ulimits(["memlock:-1:-1"])
        [{'name': 'memlock', 'softLimit': -1, 'hardLimit': -1}]
    """
    limits: list[dict[str, Any]] = []
    for text in (item.strip() for item in ulimits_list):
        if not text:
            continue
        parts = text.split(":")
        if len(parts) != 3:
            raise BatchOptionError(f"a ulimit must be name:soft:hard, not {text!r}")
        name, soft, hard = parts
        try:
            limits.append({"name": name, "softLimit": int(soft), "hardLimit": int(hard)})
        except ValueError:
            raise BatchOptionError(
                f"invalid ulimit {text!r}: soft and hard must be numbers"
            ) from None
    return limits
