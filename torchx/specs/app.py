"""The job model: what to run, on what, and how often to try again."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import field
from enum import Enum
from typing import TYPE_CHECKING, Any

from torchx.specs import lazy
from torchx.specs.mounts import Mount
from torchx.specs.workspace import Workspace
from torchx.util.records import record

if TYPE_CHECKING:
    import pathlib

    from torchx.specs.dryrun import AppDryRunInfo

ALL = "all"
"""Stands for all values of a kind."""

MISSING = "<MISSING>"
"""Stands for a text that was never set."""

NONE = "<NONE>"
"""Stands for an optional text that is not there."""

UNKNOWN = "<UNKNOWN>"
"""Stands for a value that a back end cannot report."""

CfgVal = str | int | float | bool | list[str] | dict[str, str] | None
"""Value of a run option."""

_IS_FRACTIONAL = "torchx/named_resources.is_fractional"
_RESOURCE_NAME = "torchx/named_resources.name"


def TORCHX_HOME(*subdir_paths: str) -> pathlib.Path:
    """Returns a directory below the one that holds what torchx keeps on this machine.

    The base is the environment variable ``TORCHX_HOME``, by default ``~/.torchx``.

    Args:
        *subdir_paths: Path below the base.

    Returns:
        The directory. It is created, with its parents, if this user may do so.

    Example:
        >>> TORCHX_HOME("jobs").name
        'jobs'
    """
    import pathlib

    configured = os.environ.get("TORCHX_HOME")
    if configured:
        base = pathlib.Path(os.path.expanduser(configured))
    else:
        base = pathlib.Path.home() / ".torchx"
    directory = base.joinpath(*subdir_paths)
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        import logging

        logging.getLogger(__name__).debug("cannot create %s: %s", directory, error)
    return directory


@record
class Resource:
    """Hardware for one replica.

    Args:
        cpu: Number of logical CPUs.
        gpu: Number of GPUs.
        memMB: Memory in MiB.
        capabilities: Further properties that schedulers understand, for example an instance type.
        devices: Name of a device -> how many of them.
        tags: Notes on the resource; schedulers never look at them.
    """

    cpu: int
    gpu: int
    memMB: int
    capabilities: dict[str, Any] = field(default_factory=dict)
    devices: dict[str, int] = field(default_factory=dict)
    tags: dict[str, object] = field(default_factory=dict)

    @staticmethod
    def copy(original: Resource, **capabilities: Any) -> Resource:
        """Copies a resource, with more capabilities.

        Args:
            original: The resource to copy.
            **capabilities: Capabilities to add or to replace.

        Returns:
            A new resource that shares no dict with the original.
        """
        return Resource(
            cpu=original.cpu,
            gpu=original.gpu,
            memMB=original.memMB,
            capabilities={**original.capabilities, **capabilities},
            devices=dict(original.devices),
            tags=dict(original.tags),
        )

    def is_fractional(self) -> bool:
        """Tells whether this is a part of a host.

        Returns:
            True if it was registered as a fraction of a named resource.
        """
        return bool(self.tags.get(_IS_FRACTIONAL, False))

    def get_resource_name(self) -> str | None:
        """Returns the name that the resource was registered under.

        Returns:
            The name, or ``None`` if it is not known.
        """
        name = self.tags.get(_RESOURCE_NAME)
        return None if name is None else str(name)


NULL_RESOURCE = Resource(cpu=-1, gpu=-1, memMB=-1)
"""The resource of a role that was given none."""


class RetryPolicy(str, Enum):
    """What is started again when a replica fails. Every scheduler supports ``APPLICATION``."""

    REPLICA = "REPLICA"
    """The failed replica."""

    APPLICATION = "APPLICATION"
    """The whole app."""

    ROLE = "ROLE"
    """All replicas of the role."""


@record
class Role:
    """A set of identical replicas.

    Args:
        name: Name of the role, unique within the app.
        image: What holds the software: an image, a package or a directory, as the scheduler has it.
        min_replicas: Fewest replicas of an elastic job; ignored where that is not supported.
        entrypoint: The program.
        args: Its arguments; :class:`macros` in them are substituted.
        env: Environment variables; macros in the values are substituted.
        num_replicas: Number of replicas.
        max_retries: How often to try again after a failure.
        retry_policy: What to start again.
        resource: Hardware for each replica.
        port_map: Name of a port -> its number.
        metadata: Settings that only some schedulers understand; macros in them are substituted.
        mounts: What replicas see of the disks and devices of their host.
        workspace: Local code that goes with the role. For the first role, a workspace given to the
            runner comes first.
        overrides: Deprecated. Name of a field -> function without arguments, or awaitable, that
            produces the value of the field when it is first read.

    Example:
        >>> trainer = Role("trainer", "/tmp", entrypoint="python", args=["train.py"])
        >>> trainer.num_replicas
        1
    """

    name: str
    image: str
    min_replicas: int | None = None
    entrypoint: str = MISSING
    args: list[str] = field(default_factory=list)
    env: dict[str, str] = field(default_factory=dict)
    num_replicas: int = 1
    max_retries: int = 0
    retry_policy: RetryPolicy = RetryPolicy.APPLICATION
    # A copy: a change made to one role must not reach all others.
    resource: Resource = field(default_factory=lambda: Resource.copy(NULL_RESOURCE))
    port_map: dict[str, int] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    mounts: list[Mount] = field(default_factory=list)
    workspace: Workspace | None = None
    overrides: lazy.OverridesField = lazy.OverridesField()

    def pre_proc(self, scheduler: str, dryrun_info: AppDryRunInfo[Any]) -> AppDryRunInfo[Any]:
        """Hook for subclasses: may change the request before it is submitted.

        Args:
            scheduler: Name of the scheduler.
            dryrun_info: The request as the scheduler or the previous role made it.

        Returns:
            The request to go on with.
        """
        return dryrun_info

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        vars(self).update(state)
        if lazy.raw_overrides(self):
            vars(Role)["overrides"].intercept()


@record
class AppDef:
    """A job: one or more roles.

    Args:
        name: Name of the app.
        roles: The roles.
        metadata: Settings that only some schedulers understand.
    """

    name: str
    roles: list[Role] = field(default_factory=list)
    metadata: dict[str, str] = field(default_factory=dict)
