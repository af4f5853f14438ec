"""Paths of the API, and selectors. No I/O."""

from __future__ import annotations

from torchx.schedulers.kubernetes.labels import (
    LABEL_ORGANIZATION,
    LABEL_UNIQUE_NAME,
    clean_label_value,
)

VOLCANO = {"group": "batch.volcano.sh", "version": "v1alpha1", "plural": "jobs"}
"""Where the client library finds Volcano Jobs."""

VOLCANO_GROUP = "/apis/batch.volcano.sh"
"""Exists where Volcano is installed; anybody may ask."""

OURS = f"{LABEL_ORGANIZATION}=torchx.pytorch.org"
"""Selects what torchx made."""


def jobs(namespace: str, name: str = "") -> str:
    """Returns the path of plain Jobs.

    Args:
        namespace: Their namespace.
        name: Name of one; ``""`` is all.

    Returns:
        The path.
    """
    return _path("/apis/batch/v1", namespace, "jobs", name)


def volcano_jobs(namespace: str, name: str = "") -> str:
    """Returns the path of Volcano Jobs.

    Args:
        namespace: Their namespace.
        name: Name of one; ``""`` is all.

    Returns:
        The path.
    """
    return _path(f"{VOLCANO_GROUP}/v1alpha1", namespace, "jobs", name)


def pod_groups(namespace: str, name: str = "") -> str:
    """Returns the path of PodGroups of Volcano.

    Args:
        namespace: Their namespace.
        name: Name of one; ``""`` is all.

    Returns:
        The path.
    """
    return _path("/apis/scheduling.volcano.sh/v1beta1", namespace, "podgroups", name)


def workloads(namespace: str, name: str = "") -> str:
    """Returns the path of Workloads of Kueue.

    Args:
        namespace: Their namespace.
        name: Name of one; ``""`` is all.

    Returns:
        The path.
    """
    return _path("/apis/kueue.x-k8s.io/v1beta1", namespace, "workloads", name)


def pods(namespace: str, name: str = "") -> str:
    """Returns the path of pods.

    Args:
        namespace: Their namespace.
        name: Name of one; ``""`` is all.

    Returns:
        The path.
    """
    return _path("/api/v1", namespace, "pods", name)


def events(namespace: str) -> str:
    """Returns the path of events.

    Args:
        namespace: Their namespace.

    Returns:
        The path.
    """
    return _path("/api/v1", namespace, "events", "")


def of_app(name: str) -> str:
    """Selects what belongs to an app.

    Args:
        name: Its unique name.

    Returns:
        A label selector.
    """
    return f"{LABEL_UNIQUE_NAME}={clean_label_value(name)}"


def _path(group: str, namespace: str, plural: str, name: str) -> str:
    return f"{group}/namespaces/{namespace}/{plural}" + (f"/{name}" if name else "")
