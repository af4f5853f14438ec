"""Why a container could not be made or started, as a sentence and a way out."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping

from torchx.errors import JobStartError, TorchXError

_HINTS: Mapping[str, str] = {
    r"port is already allocated|address already in use": (
        "another container or process has that port: end it, change the port_map of the role, or"
        " run without publish_ports"
    ),
    r"container name .* is already in use": (
        "remove the other container (docker rm), or submit again under another name"
    ),
    r"could not select device driver|nvidia-container|unknown device": (
        "this engine cannot give out that many GPUs: install the NVIDIA driver and the"
        " nvidia-container-toolkit, or ask for fewer GPUs"
    ),
    r"Range of CPUs is from": (
        "ask for fewer CPUs (the cpu of the role's resource); this machine has no more"
    ),
    r"bind source path does not exist": (
        "create that path on the machine of the engine, or correct the src of the mount"
    ),
    r"error gathering device information": (
        "correct the src of the device mount: this machine has no such device"
    ),
    r"executable file not found|no such file or directory|exec format error": (
        "the entrypoint of the role must be a program of its image; look with"
        " `docker run --rm -it --entrypoint sh IMAGE`"
    ),
    r"non-overlapping IPv4 address pool": (
        "delete ended apps that have private networks, or run without private_network"
    ),
}
"""What the engine says -> what to do about it."""


class NoSuchReplicaError(TorchXError, RuntimeError):
    """An app is there, but not the replica whose log was asked for."""


def start_error(app_id: str, explanation: str) -> JobStartError:
    """Puts into words why an app could not be started.

    Args:
        app_id: Id of the app.
        explanation: What the engine said.

    Returns:
        The error to raise.
    """
    hint = next((hint for reason, hint in _HINTS.items() if re.search(reason, explanation)), "")
    return JobStartError(f"cannot start `{app_id}`: {explanation}", hint=hint)


def image_error(app_id: str, image: str, explanation: str, tags: Iterable[str]) -> JobStartError:
    """Puts into words that there is no such image.

    Args:
        app_id: Id of the app.
        image: The image.
        explanation: Why it could not be pulled.
        tags: All tags of this machine.

    Returns:
        The error to raise.
    """
    close = difflib.get_close_matches(image, sorted(tags), n=1, cutoff=0.5)
    meant = f"did you mean `{close[0]}`, which is here? " if close else ""
    return JobStartError(
        f"cannot start `{app_id}`: the image `{image}` is not on this machine and cannot be"
        f" pulled: {explanation}",
        hint=f"{meant}check the name with `docker pull {image}`, log in with `docker login`, or"
        " build it",
    )


def no_replica(
    app_id: str, role: str, replica_id: int, sizes: dict[str, int]
) -> NoSuchReplicaError:
    """Puts into words that an app has no such replica.

    Args:
        app_id: Id of the app.
        role: Name of the role that was asked for.
        replica_id: Number of the replica that was asked for.
        sizes: Name of each role -> number of its replicas.

    Returns:
        The error to raise.
    """
    known = ", ".join(f"{name} (0 to {size - 1})" for name, size in sizes.items())
    return NoSuchReplicaError(
        f"failed to find container for {app_id}/{role}/{replica_id};"
        f" the roles and replicas of the app are: {known}",
        hint="name one of them",
    )
