"""Divides the GPUs of the engine's machine among containers. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

LABEL_GPUS = "torchx.pytorch.org/gpus"
"""Numbers of the GPUs that a container was given, separated by commas."""

# Docker picks the driver by `gpu`; `compute` is CUDA itself, `utility` is nvidia-smi and NVML.
_NEEDED_CAPABILITIES = ["gpu", "compute", "utility"]


def counts_wanted(kwargs_of_containers: Sequence[Mapping[str, Any]]) -> list[int]:
    """Counts the GPUs that containers ask for by number only.

    Args:
        kwargs_of_containers: Arguments of each container.

    Returns:
        Number of GPUs for each; 0 also if a container names its devices itself or wants all.
    """
    return [_count(kwargs) for kwargs in kwargs_of_containers]


def divide(counts: Sequence[int], held: Collection[int], total: int | None) -> list[list[int]]:
    """Gives each container its own GPUs.

    Args:
        counts: How many each container asks for.
        held: Numbers of GPUs that containers of other apps were given.
        total: Number of GPUs of the machine; ``None`` if it is not known.

    Returns:
        The numbers for each container. Those that others hold are used only if the rest would not
        do, or if nobody knows whether there are more.
    """
    wanted = sum(counts)
    free = [number for number in range(total or 0) if number not in held]
    numbers = free if wanted <= len(free) else list(range(wanted))
    given: list[list[int]] = []
    start = 0
    for count in counts:
        given.append(numbers[start : start + count])
        start += count
    return given


def with_devices(kwargs: Mapping[str, Any], numbers: Sequence[int]) -> dict[str, Any]:
    """Names the GPUs of a container instead of their count.

    Args:
        kwargs: Arguments of the container.
        numbers: Its GPUs.

    Returns:
        The arguments to send.
    """
    if not numbers:
        return dict(kwargs)
    (request,) = kwargs["device_requests"]
    named = {
        **request,
        "Count": 0,
        "DeviceIDs": [str(number) for number in numbers],
        "Capabilities": [_complete(names) for names in request["Capabilities"]],
    }
    labels = {**kwargs.get("labels", {}), LABEL_GPUS: ",".join(named["DeviceIDs"])}
    return {**kwargs, "device_requests": [named], "labels": labels}


def read_label(value: str | None) -> list[int]:
    """Reads the label of a container.

    Args:
        value: Its value; ``None`` if there is none.

    Returns:
        The numbers.
    """
    return [int(word) for word in (value or "").split(",") if word.isdigit()]


def _count(kwargs: Mapping[str, Any]) -> int:
    requests: Sequence[Mapping[str, Any]] = kwargs.get("device_requests") or []
    if len(requests) != 1 or not requests[0].get("Capabilities"):
        return 0
    count: int = requests[0].get("Count") or 0
    return max(0, count)


def _complete(names: Sequence[str]) -> list[str]:
    return [*(name for name in _NEEDED_CAPABILITIES if name not in names), *names]
