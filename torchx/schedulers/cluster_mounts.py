"""Refuses mounts of what only a Kubernetes cluster has."""

from __future__ import annotations

from collections.abc import Iterable

from torchx.errors import TorchXError
from torchx.specs.api import Role
from torchx.specs.mounts import ConfigMapMount, SecretMount


class ClusterMountError(TorchXError, TypeError):
    """A role mounts what only a Kubernetes cluster has."""


def refuse_cluster_mounts(scheduler: str, roles: Iterable[Role]) -> None:
    """Checks that no role mounts a secret or a config map of a cluster.

    Args:
        scheduler: What to call the back end.
        roles: The roles.

    Raises:
        ClusterMountError: One does.
    """
    for role in roles:
        for mount in role.mounts:
            if isinstance(mount, (SecretMount, ConfigMapMount)):
                kind = "secret" if isinstance(mount, SecretMount) else "config map"
                raise ClusterMountError(
                    f"role `{role.name}` mounts the {kind} `{mount.src}` of a Kubernetes cluster,"
                    f" which {scheduler} does not have",
                    hint="mount a file with type=bind, or set variables of the environment",
                )
