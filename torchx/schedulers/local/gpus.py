"""Divides the GPUs of this machine among replicas."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager

from torchx.schedulers.local import store
from torchx.schedulers.local.images import ReplicaParam
from torchx.schedulers.local.layout import writable_home
from torchx.specs.api import AppDef

log = logging.getLogger(__name__)

ENV_CUDA_VISIBLE_DEVICES = "CUDA_VISIBLE_DEVICES"


def count_listed(nvidia_smi_output: str) -> int:
    """Counts the GPUs in the output of ``nvidia-smi -L``.

    Args:
        nvidia_smi_output: The output; MIG instances are indented below their GPU.

    Returns:
        Number of GPUs.
    """
    lines = nvidia_smi_output.splitlines()
    return sum(1 for line in lines if line.strip() and not line[0].isspace())


def visible_devices(count: int, restriction: str | None) -> list[str]:
    """Returns the GPUs that may be used, as ``CUDA_VISIBLE_DEVICES`` would name them.

    Args:
        count: Number of GPUs of this machine.
        restriction: ``CUDA_VISIBLE_DEVICES`` of this process; ``None`` if it is not set.

    Returns:
        Names of GPUs. As for CUDA, the first name that is not valid ends the list.
    """
    if restriction is None:
        return [str(number) for number in range(count)]
    devices: list[str] = []
    for name in (part.strip() for part in restriction.split(",")):
        is_number = name.isdigit() and int(name) < count
        if not (is_number or name.startswith(("GPU-", "MIG-"))) or name in devices:
            break
        devices.append(name)
    return devices


def count_wanted(app: AppDef) -> int:
    """Counts the GPUs that an app asks for.

    Args:
        app: The app.

    Returns:
        Number of GPUs over all replicas; a role without a resource asks for none.
    """
    return sum(role.num_replicas * max(0, role.resource.gpu) for role in app.roles)


def divide(
    role_params: Mapping[str, list[ReplicaParam]],
    app: AppDef,
    count: Callable[[], int],
    *,
    is_on: bool,
) -> None:
    """Divides the free GPUs of this machine among the replicas, if that is switched on.

    Args:
        role_params: The replicas by role; their environments are changed.
        app: The app.
        count: Counts the GPUs of this machine.
        is_on: Do it, instead of warning that it is not done.
    """
    wanted = count_wanted(app)
    if wanted <= 0:
        return
    if not is_on:
        log.warning(
            "the app `%s` asks for %d GPUs, and all its replicas see all GPUs of this machine;"
            " set auto_set_cuda_visible_devices=True to give each replica its own",
            app.name,
            wanted,
        )
        return
    visible = visible_devices(count(), os.environ.get(ENV_CUDA_VISIBLE_DEVICES))
    held = held_by_apps()
    free = [device for device in visible if device not in held]
    if wanted > len(free):
        log.warning(
            "the app `%s` asks for %d GPUs, of %d here %d are free; %s is not set",
            app.name,
            wanted,
            len(visible),
            len(free),
            ENV_CUDA_VISIBLE_DEVICES,
        )
        return
    assign(role_params, app, free)


def count_devices() -> int:
    """Counts the GPUs of this machine.

    Returns:
        Their number, 0 if there is no driver.
    """
    import subprocess

    try:
        listing = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=True)
    except FileNotFoundError:
        return 0
    except (subprocess.CalledProcessError, OSError) as error:
        log.warning("cannot count the GPUs of this machine: %s", error)
        return 0
    return count_listed(listing.stdout)


def assign(
    role_params: Mapping[str, list[ReplicaParam]], app: AppDef, devices: Iterable[str]
) -> None:
    """Gives each replica its own GPUs, in the order of roles and replicas.

    Args:
        role_params: The replicas by role; their environments are changed.
        app: The app.
        devices: At least as many GPUs as the app asks for.
    """
    remaining = iter(devices)
    for role in app.roles:
        if role.resource.gpu > 0:
            for param in role_params[role.name]:
                own = [next(remaining) for _ in range(role.resource.gpu)]
                param.env[ENV_CUDA_VISIBLE_DEVICES] = ",".join(own)


def assigned(params: Iterable[ReplicaParam]) -> list[str]:
    """Returns the GPUs that replicas were given.

    Args:
        params: The replicas.

    Returns:
        Names of GPUs.
    """
    values = (param.env.get(ENV_CUDA_VISIBLE_DEVICES, "") for param in params)
    return [name for value in values for name in value.split(",") if name]


def held_by_apps() -> set[str]:
    """Returns the GPUs that running local apps of this user were given.

    Returns:
        Names of GPUs.
    """
    return {
        device
        for record, owner in store.all_apps()
        if not store.is_terminal(record) and not owner.holds_nothing
        for replica in record["replicas"]
        for device in replica["gpus"]
    }


def is_contested(role_params: Mapping[str, list[ReplicaParam]], app: AppDef) -> bool:
    """Tells whether GPUs that an app was given have gone to another one since.

    Args:
        role_params: The replicas of the app by role.
        app: The app.

    Returns:
        True if at least one of them is held.
    """
    params = [
        param for role in app.roles if role.resource.gpu > 0 for param in role_params[role.name]
    ]
    return not held_by_apps().isdisjoint(assigned(params))


def take_back(role_params: Mapping[str, list[ReplicaParam]], app: AppDef) -> None:
    """Undoes :func:`assign`.

    Args:
        role_params: The replicas by role; their environments are changed.
        app: The app.
    """
    for role in app.roles:
        if role.resource.gpu > 0:
            for param in role_params[role.name]:
                param.env.pop(ENV_CUDA_VISIBLE_DEVICES, None)


@contextmanager
def exclusive() -> Iterator[None]:
    """Keeps other processes of this user from assigning GPUs at the same time.

    Raises:
        OSError: The lock file cannot be created.
    """
    import fcntl

    home = writable_home()
    os.makedirs(home, mode=0o700, exist_ok=True)
    fd = os.open(os.path.join(home, "gpus.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)
