"""Completes a request to what is sent to the engine, and prints it. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from torchx.schedulers.docker import gpus
from torchx.schedulers.docker.description import LABEL_DESCRIPTION
from torchx.schedulers.docker.request import (
    LABEL_REPLICA_ID,
    LABEL_ROLE_NAME,
    DockerContainer,
    DockerJob,
)
from torchx.util.redact import redact_args, redact_env

ENV_ERROR_FILE = "TORCHELASTIC_ERROR_FILE"

ERROR_FILE = "/tmp/torchx-error.json"
"""Where a replica writes why it failed, unless its role says otherwise."""


@dataclass(frozen=True)
class Machine:
    """What is known about the GPUs of the engine's machine.

    Attributes:
        gpu_count: Number of its GPUs; ``None`` if it is not known.
        held_gpus: Numbers of those that containers of running apps were given.
    """

    gpu_count: int | None = None
    held_gpus: Collection[int] = ()


def complete(
    job: DockerJob, descriptions: Mapping[str, str] | None = None, machine: Machine | None = None
) -> list[DockerContainer]:
    """Adds to a request what every container gets.

    Args:
        job: The request, which is not changed.
        descriptions: Name of a role -> label for its first replica.
        machine: What is known about the engine's machine.

    Returns:
        The containers to create.
    """
    machine = machine or Machine()
    arguments: list[dict[str, Any]] = [
        _with_defaults(container.kwargs, descriptions or {}) for container in job.containers
    ]
    counts = gpus.counts_wanted(arguments)
    given = gpus.divide(counts, machine.held_gpus, machine.gpu_count)
    return [
        DockerContainer(
            container.image, container.command, gpus.with_devices(arguments[position], numbers)
        )
        for position, (container, numbers) in enumerate(zip(job.containers, given, strict=True))
    ]


def format_job(job: DockerJob) -> str:
    """Shows what would be sent, secrets hidden.

    Args:
        job: The request.

    Returns:
        YAML.
    """
    import yaml

    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    shown = [_shown(container) for container in complete(job)]
    return yaml.dump(shown, Dumper=dumper, allow_unicode=True)


def _with_defaults(given: Mapping[str, Any], descriptions: Mapping[str, str]) -> dict[str, Any]:
    kwargs = {"init": True, **given}
    kwargs["environment"] = {ENV_ERROR_FILE: ERROR_FILE, **given.get("environment", {})}
    labels: dict[str, str] = dict(given.get("labels", {}))
    description = descriptions.get(labels.get(LABEL_ROLE_NAME, ""))
    if description is not None and labels.get(LABEL_REPLICA_ID) == "0":
        labels[LABEL_DESCRIPTION] = description
    kwargs["labels"] = labels
    return kwargs


def _shown(container: DockerContainer) -> dict[str, Any]:
    kwargs = {name: _plain(value) for name, value in container.kwargs.items()}
    kwargs["environment"] = redact_env(kwargs.get("environment", {}))
    return {
        "image": container.image,
        "command": redact_args(container.command),
        "kwargs": kwargs,
    }


def _plain(value: Any) -> Any:
    """Drops the classes of the ``docker`` package, whose values are dicts and lists."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)
