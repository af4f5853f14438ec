"""What a replica sees of the disks and devices of its host."""

from __future__ import annotations

import os
from collections.abc import Iterator
from enum import Enum

from torchx.util.records import record


class MountType(str, Enum):
    """Kinds of mounts; each compares equal to its value."""

    BIND = "bind"
    VOLUME = "volume"
    DEVICE = "device"
    SECRET = "secret"
    CONFIGMAP = "configmap"


@record
class BindMount:
    """A path of the host, visible inside of the replica.

    Args:
        src_path: Path on the host.
        dst_path: Path inside of the replica.
        read_only: True if the replica must not write to it.
    """

    src_path: str
    dst_path: str
    read_only: bool = False


@record
class VolumeMount:
    """A volume that the scheduler knows by name, visible inside of the replica.

    Args:
        src: Name of the volume.
        dst_path: Path inside of the replica.
        read_only: True if the replica must not write to it.
    """

    src: str
    dst_path: str
    read_only: bool = False


@record
class DeviceMount:
    """A device of the host, usable inside of the replica.

    Args:
        src_path: Path of the device on the host.
        dst_path: Path of the device inside of the replica.
        permissions: Any of ``r`` (read), ``w`` (write) and ``m`` (mknod).
    """

    src_path: str
    dst_path: str
    permissions: str = "rwm"


@record
class SecretMount:
    """A secret of the cluster, whose entries are files inside of the replica. It is read-only.

    Only schedulers on Kubernetes have these.

    Args:
        src: Name of the secret.
        dst_path: Directory inside of the replica.
    """

    src: str
    dst_path: str


@record
class ConfigMapMount:
    """A config map of the cluster, whose entries are files inside of the replica, read-only.

    Only schedulers on Kubernetes have these.

    Args:
        src: Name of the config map.
        dst_path: Directory inside of the replica.
    """

    src: str
    dst_path: str


Mount = BindMount | VolumeMount | DeviceMount | SecretMount | ConfigMapMount
"""Anything that may stand in ``Role.mounts``."""

_OPTION_NAMES = {
    "type": "type",
    "destination": "dst",
    "dst": "dst",
    "target": "dst",
    "read_only": "readonly",
    "readonly": "readonly",
    "source": "src",
    "src": "src",
    "perm": "perm",
}
_OPTIONS_OF_TYPE = {
    MountType.BIND: {"type", "src", "dst", "readonly"},
    MountType.VOLUME: {"type", "src", "dst", "readonly"},
    MountType.DEVICE: {"type", "src", "dst", "perm"},
    MountType.SECRET: {"type", "src", "dst"},
    MountType.CONFIGMAP: {"type", "src", "dst"},
}
_TRUE = {"", "true", "1", "yes", "on"}
_FALSE = {"false", "0", "no", "off"}


def parse_mounts(opts: list[str]) -> list[Mount]:
    """Parses mounts from the words of a command line.

    Args:
        opts: ``key=value`` words and bare keys of all mounts in one list; each ``type`` starts a
            new mount. ``type`` is ``bind``, ``volume``, ``device``, ``secret`` or ``configmap``;
            then ``src`` (or ``source``), ``dst`` (or ``destination``, ``target``), for bind and
            volume ``readonly`` (or ``read_only``) and for devices ``perm``.

    Returns:
        The mounts, in order.

    Raises:
        KeyError: An option is unknown or missing, or ``type`` does not come first.
        ValueError: The value of an option is not acceptable for that type of mount.

    Example:
        >>> parse_mounts(["type=bind", "src=/host", "dst=/job", "readonly"])
        [BindMount(src_path='/host', dst_path='/job', read_only=True)]
    """
    return [_parse_mount(options) for options in _split(opts)]


def _split(opts: list[str]) -> Iterator[dict[str, str]]:
    options: dict[str, str] = {}
    for opt in opts:
        key, _, value = opt.partition("=")
        name = _OPTION_NAMES.get(key)
        if name is None:
            raise KeyError(f"unknown mount option {key}, must be one of {list(_OPTION_NAMES)}")
        if name == "type" and options:
            yield options
            options = {}
        elif name != "type" and not options:
            raise KeyError("type must be specified first")
        options[name] = value
    if options:
        yield options


def _parse_mount(options: dict[str, str]) -> Mount:
    kind = _mount_type(options["type"])
    useless = [name for name in options if name not in _OPTIONS_OF_TYPE[kind]]
    if useless:
        raise ValueError(
            f"a {kind.value} mount takes no option {useless[0]},"
            f" only {sorted(_OPTIONS_OF_TYPE[kind])}"
        )
    src = _required(options, "src")
    if kind is MountType.DEVICE:
        permissions = options.get("perm", "rwm")
        if not permissions or set(permissions) - set("rwm"):
            raise ValueError(
                f"invalid permissions '{permissions}' of device {src}, must be some of 'rwm'"
            )
        return DeviceMount(src, options.get("dst") or src, permissions)
    dst, read_only = _required(options, "dst"), _read_only(options)
    if kind is MountType.SECRET:
        return SecretMount(src, dst)
    if kind is MountType.CONFIGMAP:
        return ConfigMapMount(src, dst)
    if kind is MountType.VOLUME:
        return VolumeMount(src, dst, read_only)
    return BindMount(os.path.expanduser(src), dst, read_only)


def _mount_type(name: str) -> MountType:
    names = [kind.value for kind in MountType]
    if name not in names:
        raise ValueError(f"invalid mount type '{name}', must be one of {names}")
    return MountType(name)


def _required(options: dict[str, str], name: str) -> str:
    if not options.get(name):
        raise KeyError(name)
    return options[name]


def _read_only(options: dict[str, str]) -> bool:
    value = options.get("readonly", "false").lower()
    if value not in _TRUE | _FALSE:
        raise ValueError(f"invalid value '{value}' of mount option readonly, must be true or false")
    return value in _TRUE
