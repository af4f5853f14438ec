"""Turns the mounts of a role into volumes of a pod. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torchx.schedulers.kubernetes.models import Models
from torchx.schedulers.kubernetes.refusals import KubernetesAppTypeError
from torchx.specs.api import BindMount, DeviceMount, VolumeMount
from torchx.specs.mounts import ConfigMapMount, Mount, SecretMount

_SHM = "dshm"


def volumes_of(mounts: Sequence[Mount], models: Models) -> tuple[list[Any], list[Any]]:
    """Lists what a pod mounts, shared memory first.

    Args:
        mounts: The mounts of the role.
        models: Makes the objects.

    Returns:
        The ``V1Volume`` and the ``V1VolumeMount`` of each.

    Raises:
        TypeError: A mount is of an unknown type.
    """
    shm = models.V1EmptyDirVolumeSource(medium="Memory")
    volumes = [models.V1Volume(name=_SHM, empty_dir=shm)]
    volume_mounts = [models.V1VolumeMount(name=_SHM, mount_path="/dev/shm")]
    for number, mount in enumerate(mounts):
        name = f"mount-{number}"
        volumes.append(models.V1Volume(name=name, **_source(mount, models)))
        volume_mounts.append(
            models.V1VolumeMount(
                name=name, mount_path=mount.dst_path, read_only=_is_read_only(mount)
            )
        )
    return volumes, volume_mounts


def is_privileged(mounts: Sequence[Mount]) -> bool:
    """Tells whether a container needs all rights on its node.

    Args:
        mounts: The mounts of the role.

    Returns:
        True if a device is among them.
    """
    return any(isinstance(mount, DeviceMount) for mount in mounts)


def _source(mount: Mount, models: Models) -> dict[str, Any]:
    if isinstance(mount, (BindMount, DeviceMount)):
        return {"host_path": models.V1HostPathVolumeSource(path=mount.src_path)}
    if isinstance(mount, VolumeMount):
        claim = models.V1PersistentVolumeClaimVolumeSource(claim_name=mount.src)
        return {"persistent_volume_claim": claim}
    if isinstance(mount, SecretMount):
        return {"secret": models.V1SecretVolumeSource(secret_name=mount.src)}
    if isinstance(mount, ConfigMapMount):
        return {"config_map": models.V1ConfigMapVolumeSource(name=mount.src)}
    raise KubernetesAppTypeError(f"unknown mount type {type(mount).__name__}: {mount!r}")


def _is_read_only(mount: Mount) -> bool:
    if isinstance(mount, (BindMount, VolumeMount)):
        return mount.read_only
    if isinstance(mount, DeviceMount):
        return not set("wm") & set(mount.permissions)
    return True
